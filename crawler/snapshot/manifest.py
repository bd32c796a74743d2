"""manifest.json: what a run did, and what every byte of its snapshot has to be. Types, encoding, self-consistency.

The last key, ``checksum``, is the SHA-256 of the file itself with that one value left empty, so that any flipped bit
is found. By hand: ``sed 's/"checksum": ".*"/"checksum": ""/' manifest.json | sha256sum``.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import msgspec

from crawler.compression import compressor
from crawler.errors import NcrawlError, UsageError
from crawler.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

FORMAT = 1
MANIFEST = "manifest.json"
IMAGES = "images.ndjson"
REGISTRIES = "registries.ndjson"
SUFFIXES = ("", ".gz", ".zst")

Natural = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # what a system call can take
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
    """

    id: str
    started: str
    finished: str
    resumed: tuple[str, ...] = ()
    identity: str | None = None
    options: dict[str, Any] = {}
    taken_over: TakenOver | None = None


class VerdictCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many registries ended with each verdict."""

    complete: Natural = 0
    complete_with_drift: Natural = 0
    unverified: Natural = 0
    incomplete: Natural = 0
    denied: Natural = 0
    gone: Natural = 0
    failed: Natural = 0

    @classmethod
    def of(cls, registries: Iterable[RegistryRecord]) -> VerdictCounts:
        """Count the verdicts of ``registries``."""
        counts = Counter(registry.verdict.value for registry in registries)
        return cls(**counts)


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over the whole run; ``pages`` and ``requests`` include those that list the registries themselves.

    ``registries``, ``images`` and ``bytes`` are those of the whole snapshot; the others are what this run cost.
    """

    registries: VerdictCounts
    images: Natural
    pages: Natural
    requests: Natural
    retries: Natural
    throttled: Natural
    bytes: Natural


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


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a run says of itself, in the order of the file; ``--summary`` writes the same object."""

    format: int = FORMAT
    tool: Tool
    run: Run
    verdict: Literal["complete", "incomplete"]
    totals: Totals
    files: tuple[StoredFile, ...]
    registries: tuple[RegistryRecord, ...]
    regions: tuple[RegionRecord, ...]
    observed: dict[str, Any] = {}

    def stored_file(self, kind: str) -> StoredFile | None:
        """Return the record of the file of a ``kind`` (`IMAGES` or `REGISTRIES`), however it is compressed."""
        names = [kind + suffix for suffix in SUFFIXES]
        return next((file for file in self.files if file.name in names), None)


class Contradiction(NamedTuple):
    """Something in a manifest that cannot be true, and the registry that it is about, if it is about one."""

    registry: str | None
    problem: str


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
    if not sealed and (found == FORMAT or _SEAL_BEGINS in data[-2 * _DIGEST_LENGTH :]):
        raise ManifestError(f"{MANIFEST} is damaged: its bytes do not match its own checksum")
    if found is None:
        raise UsageError(f"{MANIFEST} was not written by ncrawl: it names no format")
    if found != FORMAT:
        raise UsageError(
            f"{MANIFEST} has format {found}; this ncrawl reads format {FORMAT}: take the one that wrote it"
        )
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
        return (folder / MANIFEST).read_bytes()
    except FileNotFoundError as error:
        hint = f"; did you mean {folder / 'latest'}?" if (folder / "latest").exists() else ""
        raise UsageError(f"{folder} is not a snapshot: no {MANIFEST}{hint}") from error
    except OSError as error:
        raise UsageError(f"{folder} is not a snapshot that can be read: {error.strerror}") from error


def contradictions(manifest: Manifest) -> Iterator[Contradiction]:
    """Find what cannot be true of a snapshot's manifest, whatever the files hold. Costs O(registries)."""
    yield from _contradictions_of_files(manifest)
    yield from _contradictions_of_order(manifest)
    yield from _contradictions_of_totals(manifest)
    yield from _contradictions_of_verdict(manifest)
    yield from _contradictions_of_extents(manifest)


def _contradictions_of_files(manifest: Manifest) -> Iterator[Contradiction]:
    known = [manifest.stored_file(IMAGES), manifest.stored_file(REGISTRIES)]
    if None in known or len(manifest.files) != len(known):
        yield Contradiction(None, f"lists other files than one {IMAGES} and one {REGISTRIES}")


def _contradictions_of_order(manifest: Manifest) -> Iterator[Contradiction]:
    for one, other in pairwise(manifest.registries):
        if one.place >= other.place:  # code points sort as UTF-8 does
            yield Contradiction(other.label, f"is listed after {one.label}: not sorted, or twice")
    for region, next_region in pairwise(sorted(record.region for record in manifest.regions)):
        if region == next_region:
            yield Contradiction(None, f"lists region {region} twice")


def _contradictions_of_totals(manifest: Manifest) -> Iterator[Contradiction]:
    totals, registries = manifest.totals, manifest.registries
    if totals.registries != VerdictCounts.of(registries):
        yield Contradiction(None, "totals.registries does not add up")
    images = sum(registry.images for registry in registries)
    file = manifest.stored_file(IMAGES)
    if totals.images != images or (file and file.lines != images):
        yield Contradiction(None, f"totals.images or the lines of {IMAGES} do not add up to {images}")
    if totals.pages < sum(registry.pages for registry in registries):
        yield Contradiction(None, "totals.pages is less than its registries' pages")
    if totals.requests < sum(registry.requests for registry in registries):
        yield Contradiction(None, "totals.requests is less than its registries' requests")


def _contradictions_of_verdict(manifest: Manifest) -> Iterator[Contradiction]:
    if manifest.verdict == "incomplete":  # a run can be so as a whole, because it was stopped
        return
    records: tuple[RegistryRecord | RegionRecord, ...] = (*manifest.registries, *manifest.regions)
    for record in records:
        # What is gone counts if it was asked for by name, and does not if it was discovered: both are possible.
        if not record.verdict.is_good and record.verdict is not Verdict.GONE:
            yield Contradiction(None, f"its verdict is complete, but {record.region} has what is {record.verdict}")


def _contradictions_of_extents(manifest: Manifest) -> Iterator[Contradiction]:
    position = 0
    for registry in manifest.registries:
        if registry.offset is None or registry.length is None or registry.sha256 is None:
            yield Contradiction(registry.label, "has no offset, length or sha256")
            continue
        if registry.offset != position:
            yield Contradiction(registry.label, f"its offset is {registry.offset}, where {position} is next")
        if bool(registry.length) != bool(registry.images):
            yield Contradiction(registry.label, f"{registry.images} images cannot take {registry.length} bytes")
        position = registry.offset + registry.length
    file = manifest.stored_file(IMAGES)
    if file and file.bytes != position and (position or file.bytes != len(compressor(file.name).flush())):
        yield Contradiction(None, f"its registries end at byte {position} of {file.name}, not at {file.bytes}")


def _is_sealed(data: bytes) -> bool:
    body, digest = data[: -_DIGEST_LENGTH - len(_SEAL_ENDS)], data[-_DIGEST_LENGTH - len(_SEAL_ENDS) :]
    return body.endswith(_SEAL_BEGINS) and digest == _digest(body) + _SEAL_ENDS


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body + _SEAL_ENDS).hexdigest().encode()
