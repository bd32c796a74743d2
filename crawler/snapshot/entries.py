"""What a manifest has entries of: the run, its files, each registry and region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from crawler.api.collections import IMAGES
from crawler.core.model import Verdict  # noqa: TC001 - msgspec looks at it
from crawler.snapshot.totals import Natural  # noqa: TC001 - likewise

if TYPE_CHECKING:
    from crawler.core.collection import Collection


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """The program that wrote the snapshot."""

    name: str
    version: str


class TakenOver(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--retry-failed`` copied from an earlier snapshot instead of fetching it; totals' costs are without it."""

    snapshot: str
    registries: Natural
    images: Natural


class Reused(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--reuse`` came to, in lists of tags; totals' costs are without what was reused.

    Attributes:
        snapshot: from which lists are copied.
        reused: lists that are, because their images' records are the same as then.
        refreshed: lists that were read all the same.
        refreshed_and_different: those of them that are not what they were, pulls aside.
    """

    snapshot: str
    reused: Natural
    refreshed: Natural
    refreshed_and_different: Natural


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One crawl. Times are ISO 8601 in UTC with ``Z``; ``options`` hold no secrets.

    Attributes:
        identity: of a snapshot: stands for the keys without giving them away; other keys have another one.
        taken_over: of a snapshot that ``--retry-failed`` made: what it did not fetch itself.
        run_id: what whoever asked for it calls it; absent where nobody did.
        reuse: of a snapshot that reuses tags of an earlier one; else absent.
        tags_listed_since: of a snapshot that has tags which it did not list: for each of the seven classes of images
            (`rotation`), since when all of its lists of tags were read; else absent, for that is ``started``.
    """

    id: str
    started: str
    finished: str
    resumed: tuple[str, ...] = ()
    identity: str | None = None
    options: dict[str, Any] = {}
    taken_over: TakenOver | None = None
    run_id: str | UnsetType = UNSET
    reuse: Reused | UnsetType = UNSET
    tags_listed_since: tuple[str, ...] | UnsetType = UNSET


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """A data file: ``bytes`` and ``sha256`` are of the file as it is stored, ``lines`` of what it unpacks to."""

    name: str
    bytes: Natural
    sha256: str
    lines: Natural


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes that a registry, or a region, takes in a data file.

    Attributes:
        offset: where they begin in the stored file.
        length: of the plain bytes, or of the member or frame that they are packed in.
        sha256: of the plain lines.
    """

    offset: Natural
    length: Natural
    sha256: str


class RegistryRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How the listing of one registry ended, and where its images stand.

    Attributes:
        account: first field of its lines.
        region: second field of its lines.
        registry: third field of its lines.
        verdict: how the listing ended.
        reason: why it is not complete, for people.
        images: how many lines it has.
        count: how many images the gateway said there were: advice, never proof.
        pages: pages fetched.
        passes: how often it was listed from the start.
        requests: attempts on the wire.
        offset: where its bytes begin in the stored file; where they would, if it has no images.
        length: of its bytes in the plain file, or of its own member or frame in a compressed one; 0 without images.
        sha256: of its uncompressed lines, whatever the compression. These three are null without a snapshot.
        started: time of the first request.
        finished: time of the last answer.
        taken_from: id of the snapshot that it is copied from, when it was listed: this run spent no page and no
            request on it. Null if this run listed it.
        list_verdict: how the list of its images ended by itself, where there is a deeper level: ``verdict`` is whole
            only if all that is below is so, too.
        extents: where its lines stand in the files of deeper levels, by collection.
        reused: how many of its images have the tags that an earlier snapshot has; absent where none has.

    A deeper level adds how many lines it has there, under the collection's name (`levels`).
    """

    account: str
    region: str
    registry: str
    verdict: Verdict
    reason: str | None
    images: Natural
    count: int | None
    pages: Natural
    passes: Natural
    requests: Natural
    offset: Natural | None
    length: Natural | None
    sha256: str | None
    started: str | None
    finished: str | None
    taken_from: str | None = None
    list_verdict: Verdict | UnsetType = UNSET
    extents: dict[str, Extent] | UnsetType = UNSET
    reused: Natural | UnsetType = UNSET

    @property
    def place(self) -> tuple[str, str, str]:
        """Account, region and registry: what its lines begin with and are sorted by."""
        return self.account, self.region, self.registry

    @property
    def own_verdict(self) -> Verdict:
        """How the list of its images ended by itself."""
        return self.verdict if self.list_verdict is UNSET else self.list_verdict

    def lines_of(self, collection: Collection) -> int:
        """Return how many lines it has in the file of a collection."""
        return int(getattr(self, collection.name, 0))

    def extent_of(self, collection: Collection) -> Extent | None:
        """Return where its lines stand in the file of a collection; None if that is not said."""
        if collection is not IMAGES:
            return (self.extents or {}).get(collection.name)
        if self.offset is None or self.length is None or self.sha256 is None:
            return None
        return Extent(offset=self.offset, length=self.length, sha256=self.sha256)

    @property
    def label(self) -> str:
        """The registry as users write it."""
        return f"{self.region}/{self.registry}"


class RegionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How the listing of a region's registries ended; ``registries`` is its number of lines in registries.ndjson.

    ``taken_from`` is the id of the snapshot that the list is copied from: registries that are newer are not in it.
    ``account`` is said where there are several, as of a fleet.
    """

    account: str | UnsetType = UNSET
    region: str
    verdict: Verdict
    reason: str | None
    registries: Natural
    taken_from: str | None = None

    @property
    def owner(self) -> str | None:
        """Whose region it is; None where there is but one account."""
        return None if self.account is UNSET else self.account

    @property
    def label(self) -> str:
        """The region, and whose it is if that is said."""
        return self.region if self.owner is None else f"{self.owner}: {self.region}"


class AccountRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a fleet's run has of one account.

    Attributes:
        account: its name.
        verdict: of its snapshot; ``missing`` if it has none, or none that could be merged.
        reason: why it is not complete, for people.
        snapshot: the snapshot's id; null if there is none. Likewise ``manifest_sha256``, ``started`` and ``finished``.
        registries: how many it has. Likewise ``images``.
        gaps: how many registries and lists of registries are not whole.
    """

    account: str
    verdict: Literal["complete", "incomplete", "missing"]
    reason: str | None = None
    snapshot: str | None = None
    manifest_sha256: str | None = None
    started: str | None = None
    finished: str | None = None
    registries: Natural = 0
    images: Natural = 0
    gaps: Natural = 0


class RegistrySize(msgspec.Struct, frozen=True, kw_only=True):
    """What the tags of a registry come to, as far as they were listed.

    Attributes:
        tags: how many there are.
        digests: distinct images that they name; None if that could not be found out. Likewise ``bytes_at_most``.
        bytes_at_most: the sum of their sizes: layers that images share are stored once, and counted for each.
        unsized: images that have no size, which are not in the sum.
    """

    account: str
    region: str
    registry: str
    tags: Natural
    digests: Natural | None
    bytes_at_most: Natural | None
    unsized: Natural


class ExcludedRegistry(msgspec.Struct, frozen=True, kw_only=True):
    """A registry that was found and, because of --exclude, not listed; ``pattern`` is the one that stands for it."""

    account: str
    region: str
    registry: str
    pattern: str

    @property
    def place(self) -> tuple[str, str, str]:
        """Account, region and registry."""
        return self.account, self.region, self.registry


class ExpectedGap(msgspec.Struct, frozen=True, kw_only=True):
    """A registry that is not whole, as --expect-gap has it: its ``verdict`` does not make a run incomplete."""

    account: str
    region: str
    registry: str
    verdict: Verdict
    reason: str | None

    @property
    def place(self) -> tuple[str, str, str]:
        """Account, region and registry."""
        return self.account, self.region, self.registry
