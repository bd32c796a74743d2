"""manifest.json: what a run did, and what every byte of its snapshot has to be. Types, encoding.

The last key, ``checksum``, is the SHA-256 of the file itself with that one value left empty, so that any flipped bit
is found. By hand: ``sed 's/"checksum": ".*"/"checksum": ""/' manifest.json | sha256sum``.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from crawler.core.errors import NcrawlError, UsageError
from crawler.core.model import Verdict
from crawler.output.files import mode_of
from crawler.snapshot.reading.chunks import open_regular
from crawler.snapshot.totals import Natural, Totals  # noqa: TC001 - msgspec looks at them

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 2
READABLE = (1, FORMAT)
"""Of format 1, which had no `excluded`, no `expected_gaps` and no `seconds`, those read as empty."""

MANIFEST = "manifest.json"
IMAGES = "images.ndjson"
REGISTRIES = "registries.ndjson"
SUFFIXES = ("", ".gz", ".zst")

_SEAL_BEGINS = b',\n  "checksum": "'
_SEAL_ENDS = b'"\n}\n'
_DIGEST_LENGTH = 64


class ManifestError(NcrawlError):
    """A manifest that is damaged: nothing that it says can be relied on."""

    exit_code = 3


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """The program that wrote the snapshot."""

    name: str
    version: str


class TakenOver(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--retry-failed`` copied from an earlier snapshot instead of fetching it; totals' costs are without it."""

    snapshot: str
    registries: Natural
    images: Natural


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One crawl. Times are ISO 8601 in UTC with ``Z``; ``options`` hold no secrets.

    Attributes:
        identity: of a snapshot: stands for the keys without giving them away; other keys have another one.
        taken_over: of a snapshot that ``--retry-failed`` made: what it did not fetch itself.
        run_id: what whoever asked for it calls it; absent where nobody did.
    """

    id: str
    started: str
    finished: str
    resumed: tuple[str, ...] = ()
    identity: str | None = None
    options: dict[str, Any] = {}
    taken_over: TakenOver | None = None
    run_id: str | msgspec.UnsetType = msgspec.UNSET


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """A data file: ``bytes`` and ``sha256`` are of the file as it is stored, ``lines`` of what it unpacks to."""

    name: str
    bytes: Natural
    sha256: str
    lines: Natural


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
        requests: tries on the wire.
        offset: where its bytes begin in the stored file; where they would, if it has no images.
        length: of its bytes in the plain file, or of its own member or frame in a compressed one; 0 without images.
        sha256: of its uncompressed lines, whatever the compression. These three are null without a snapshot.
        started: time of the first request.
        finished: time of the last answer.
        taken_from: id of the snapshot that it is copied from, when it was listed: this run spent no page and no
            request on it. Null if this run listed it.
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

    @property
    def place(self) -> tuple[str, str, str]:
        """Account, region and registry: what its lines begin with and are sorted by."""
        return self.account, self.region, self.registry

    @property
    def label(self) -> str:
        """The registry as users write it."""
        return f"{self.region}/{self.registry}"


class RegionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How the listing of a region's registries ended; ``registries`` is its number of lines in registries.ndjson.

    ``taken_from`` is the id of the snapshot that the list is copied from: registries that are newer are not in it.
    """

    region: str
    verdict: Verdict
    reason: str | None
    registries: Natural
    taken_from: str | None = None


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


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a run says of itself, in the order of the file; ``--summary`` writes the same object.

    Attributes:
        verdict: ``complete`` if nothing is missing but what was excluded or is an expected gap.
    """

    format: int = FORMAT
    tool: Tool
    run: Run
    verdict: Literal["complete", "incomplete"]
    totals: Totals
    files: tuple[StoredFile, ...]
    registries: tuple[RegistryRecord, ...]
    regions: tuple[RegionRecord, ...]
    excluded: tuple[ExcludedRegistry, ...] = ()
    expected_gaps: tuple[ExpectedGap, ...] = ()
    observed: dict[str, Any] = {}

    def proves(self, record: RegistryRecord | RegionRecord) -> bool:
        """Whether a registry, or a region's list, is whole as format 2 means it.

        In format 1 a list of several pages was complete after one look; how many looks a region's list had is not said.
        """
        if self.format > 1 or not record.verdict.is_whole:
            return record.verdict.is_whole
        return isinstance(record, RegistryRecord) and (record.pages <= 1 or record.passes > 1)

    @property
    def missing(self) -> list[RegistryRecord]:
        """Registries of which something is missing unexpectedly; what was discovered and is gone is not missing."""
        expected = {gap.place for gap in self.expected_gaps}
        lacking = (one for one in self.registries if not one.verdict.is_good and one.verdict is not Verdict.GONE)
        return [one for one in lacking if one.place not in expected]

    def stored_file(self, kind: str) -> StoredFile | None:
        """Return the record of the file of a ``kind`` (`IMAGES` or `REGISTRIES`), however it is compressed."""
        names = [kind + suffix for suffix in SUFFIXES]
        return next((file for file in self.files if file.name in names), None)


def dump(manifest: Manifest) -> bytes:
    """Encode a manifest as indented JSON, sealed with its own checksum."""
    body = msgspec.json.format(msgspec.json.encode(manifest), indent=2).removesuffix(b"\n}") + _SEAL_BEGINS
    return body + _digest(body) + _SEAL_ENDS


def load(data: bytes) -> Manifest:
    """Decode the bytes of a manifest.

    Raises:
        UsageError: another format's, or not one of ours at all.
        ManifestError: damaged.
    """
    sealed = _is_sealed(data)
    try:
        found = msgspec.json.decode(data, type=dict[str, Any]).get("format")
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{MANIFEST} is damaged: it is not a JSON object ({error})") from error
    if not sealed and (found in READABLE or _SEAL_BEGINS in data[-2 * _DIGEST_LENGTH :]):
        raise ManifestError(f"{MANIFEST} is damaged: its bytes do not match its own checksum")
    if found is None:
        raise UsageError(f"{MANIFEST} was not written by ncrawl: it names no format")
    if found not in READABLE:
        formats = " and ".join(map(str, READABLE))
        raise UsageError(f"{MANIFEST} has format {found}; this ncrawl reads {formats}: take the one that wrote it")
    try:
        return msgspec.json.decode(data, type=Manifest)
    except ValueError as error:
        raise ManifestError(f"{MANIFEST} is damaged: {error}") from error


def salvage(data: bytes) -> Manifest | None:
    """Decode what may be a damaged manifest, to find out more; None when it cannot be decoded at all."""
    try:
        return msgspec.json.decode(data, type=Manifest)
    except (ValueError, RecursionError):
        return None


def read(folder: Path) -> Manifest:
    """Read and decode the manifest of the snapshot in ``folder``.

    Raises:
        UsageError: the folder is no snapshot, is another format's, or cannot be read.
        ManifestError: damaged.
    """
    data = read_bytes(folder)
    try:
        return load(data)
    except (UsageError, ManifestError) as error:
        raise type(error)(f"{folder}: {error}") from error


def read_bytes(folder: Path) -> bytes:
    """Read the bytes of the manifest of the snapshot in ``folder``.

    Raises:
        UsageError: the folder is no snapshot, or cannot be read.
    """
    try:
        with open_regular(folder / MANIFEST) as file:
            return file.read()
    except FileNotFoundError as error:
        hint = f"; did you mean {folder / 'latest'}?" if mode_of(folder / "latest") else ""
        raise UsageError(f"{folder} is not a snapshot: no {MANIFEST}{hint}") from error
    except OSError as error:
        raise UsageError(f"{folder} is not a snapshot that can be read: {error.strerror}") from error


def _is_sealed(data: bytes) -> bool:
    body, digest = data[: -_DIGEST_LENGTH - len(_SEAL_ENDS)], data[-_DIGEST_LENGTH - len(_SEAL_ENDS) :]
    return body.endswith(_SEAL_BEGINS) and digest == _digest(body) + _SEAL_ENDS


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body + _SEAL_ENDS).hexdigest().encode()
