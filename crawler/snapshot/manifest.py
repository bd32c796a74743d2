"""manifest.json: what a run did, and what every byte of its snapshot has to be. Types, encoding.

The last key, ``checksum``, is the SHA-256 of the file itself with that one value left empty, so that any flipped bit
is found. By hand: ``sed 's/"checksum": ".*"/"checksum": ""/' manifest.json | sha256sum``.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from crawler.api.collections import COLLECTIONS, IMAGES, REGISTRIES, TAGS
from crawler.core.decoding import decoder_of
from crawler.core.errors import NcrawlError, UnreadableSnapshotError, UsageError
from crawler.output.files import mode_of
from crawler.snapshot.entries import (
    AccountRecord,
    ExcludedRegistry,
    ExpectedGap,
    Extent,
    RegionRecord,
    RegistryRecord,
    RegistrySize,
    Reused,
    Run,
    StoredFile,
    TakenOver,
    Tool,
)
from crawler.snapshot.reading.chunks import open_regular
from crawler.snapshot.totals import Natural, RegionTotals, Totals

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.core.collection import Collection

__all__ = [
    "AccountRecord",
    "ExcludedRegistry",
    "ExpectedGap",
    "Extent",
    "Gap",
    "Manifest",
    "ManifestError",
    "RegionRecord",
    "RegistryRecord",
    "RegistrySize",
    "Reused",
    "Run",
    "StoredFile",
    "TakenOver",
    "Tool",
]

FORMAT = 2
READABLE = (1, FORMAT)
"""Of format 1, which had no `excluded`, no `expected_gaps` and no `seconds`, those read as empty."""

MANIFEST = "manifest.json"
SUFFIXES = ("", ".gz", ".zst")

_SEAL_BEGINS = b',\n  "checksum": "'
_SEAL_ENDS = b'"\n}\n'
_DIGEST_LENGTH = 64


class ManifestError(NcrawlError):
    """A manifest that is damaged: nothing that it says can be relied on."""

    exit_code = 3


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a run says of itself, in the order of the file; ``--summary`` writes the same object.

    A deeper level adds a key of its own for those of its lists that are not whole (`levels`).

    Attributes:
        verdict: ``complete`` if nothing is missing but what was excluded or is an expected gap.
        accounts: of a fleet's run: what it has of each, by name.
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
    accounts: tuple[AccountRecord, ...] | UnsetType = UNSET

    @property
    def lacking_accounts(self) -> list[AccountRecord]:
        """Accounts of a fleet of which something is missing."""
        return [one for one in self.accounts or () if one.verdict != "complete"]

    def proves(self, record: RegistryRecord | RegionRecord) -> bool:
        """Whether a registry's list of images, or a region's list, is whole as format 2 means it.

        In format 1 a list of several pages was complete after one look; how many looks a region's list had is not said.
        """
        verdict = record.own_verdict if isinstance(record, RegistryRecord) else record.verdict
        if self.format > 1 or not verdict.is_whole:
            return verdict.is_whole
        return isinstance(record, RegistryRecord) and (record.pages <= 1 or record.passes > 1)

    @property
    def missing(self) -> list[RegistryRecord]:
        """Registries of which something is missing unexpectedly; what was discovered and is gone is not missing."""
        expected = {gap.place for gap in self.expected_gaps}
        lacking = (one for one in self.registries if one.verdict.is_gap)
        return [one for one in lacking if one.place not in expected]

    @property
    def has_images(self) -> bool:
        """Whether the images of registries were listed, and not only the registries."""
        return self.run.options.get("level") != REGISTRIES.name

    @property
    def deeper(self) -> list[Collection]:
        """The levels below the images of registries that it tells of, from the top down."""
        return [one for one in COLLECTIONS.values() if len(one.lineage) > 2 and hasattr(self.totals, one.name)]

    @property
    def framed(self) -> list[Collection]:
        """What it has a file of in which each registry has its part, from the top down."""
        return [one for one in (IMAGES, *self.deeper) if self.stored_file(one)]

    def gaps_of(self, collection: Collection) -> tuple[Gap, ...]:
        """Return the lists of a deeper level that are not whole: our own fields, ``verdict`` and ``reason``."""
        return tuple(getattr(self, gaps_key(collection), ()))

    @property
    def registry_sizes(self) -> tuple[RegistrySize, ...]:
        """What the tags of each registry come to, where there are tags."""
        return tuple(getattr(self, "sizes", ()))

    @property
    def has_files_of_ours(self) -> bool:
        """Whether its files are called as data files are, each collection's once: other names may be paths anywhere."""
        known = {one.file + suffix: one for one in COLLECTIONS.values() for suffix in SUFFIXES}
        found = [known.get(file.name) for file in self.files]
        return None not in found and len(set(found)) == len(found)

    def stored_file(self, collection: Collection) -> StoredFile | None:
        """Return the record of the file that holds a collection, however it is compressed."""
        names = [collection.file + suffix for suffix in SUFFIXES]
        return next((file for file in self.files if file.name in names), None)


Gap: TypeAlias = dict[str, str | None]


def gaps_key(collection: Collection) -> str:
    """Return the key under which a manifest names the lists of a deeper level that are not whole."""
    return f"{collection.singular}_gaps"


class Kinds(NamedTuple):
    """The kinds of manifest, and of its entries, that tell of the same levels."""

    manifest_type: type[Manifest]
    registry_type: type[RegistryRecord]
    totals_type: type[Totals]
    region_totals_type: type[RegionTotals]


@cache
def kinds_of(deeper: tuple[Collection, ...]) -> Kinds:
    """Return the kind of manifest that tells of these levels below images: it counts their lines, and names gaps."""
    if not deeper:
        return Kinds(Manifest, RegistryRecord, Totals, RegionTotals)
    lines = [(one.name, Natural, 0) for one in deeper]
    how: Any = {"frozen": True, "kw_only": True}
    registry: Any = msgspec.defstruct("RegistryRecord", lines, bases=(RegistryRecord,), **how)
    region: Any = msgspec.defstruct("RegionTotals", lines, bases=(RegionTotals,), **how)
    totals: Any = msgspec.defstruct("Totals", [*lines, ("regions", dict[str, region], {})], bases=(Totals,), **how)
    gaps: list[Any] = [(gaps_key(one), tuple[Gap, ...], ()) for one in deeper]
    if TAGS in deeper:
        gaps.append(("sizes", tuple[RegistrySize, ...], ()))
    fields = [("totals", totals), ("registries", tuple[registry, ...]), *gaps]
    manifest: Any = msgspec.defstruct("Manifest", fields, bases=(Manifest,), **how)
    return Kinds(manifest, registry, totals, region)


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
        raw = msgspec.json.decode(data, type=dict[str, Any])
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{MANIFEST} is damaged: it is not a JSON object ({error})") from error
    found = raw.get("format")
    if not sealed and (found in READABLE or _SEAL_BEGINS in data[-2 * _DIGEST_LENGTH :]):
        raise ManifestError(f"{MANIFEST} is damaged: its bytes do not match its own checksum")
    if found is None:
        raise UsageError(f"{MANIFEST} was not written by ncrawl: it names no format")
    if found not in READABLE:
        formats = " and ".join(map(str, READABLE))
        raise UsageError(f"{MANIFEST} has format {found}; this ncrawl reads {formats}: take the one that wrote it")
    try:
        return decoder_of(_kinds_of(raw).manifest_type).decode(data)
    except ValueError as error:
        raise ManifestError(f"{MANIFEST} is damaged: {error}") from error


def salvage(data: bytes) -> Manifest | None:
    """Decode what may be a damaged manifest, to find out more; None when it cannot be decoded at all."""
    try:
        raw = msgspec.json.decode(data, type=dict[str, Any])
        return decoder_of(_kinds_of(raw).manifest_type).decode(data)
    except (ValueError, RecursionError):
        return None


def _kinds_of(raw: dict[str, Any]) -> Kinds:
    """Return the kind of manifest that decodes one: its totals count every level that it tells of."""
    totals = raw.get("totals")
    counted = totals if isinstance(totals, dict) else {}
    return kinds_of(tuple(one for one in COLLECTIONS.values() if len(one.lineage) > 2 and one.name in counted))


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
        UsageError: the folder is no snapshot, or (UnreadableSnapshotError) cannot be read.
    """
    try:
        with open_regular(folder / MANIFEST) as file:
            return file.read()
    except FileNotFoundError as error:
        raise UsageError(f"{folder} is not a snapshot: {_lack(folder)}") from error
    except OSError as error:
        raise UnreadableSnapshotError(f"{folder} is not a snapshot that can be read: {error.strerror}") from error


def _lack(folder: Path) -> str:
    """Return what a folder without a manifest lacks, and which one may have been meant."""
    if not mode_of(folder):
        return "nothing is there"
    below = [folder / "latest"] if mode_of(folder / "latest") else sorted(folder.iterdir())
    meant = [one for one in below if one.name == "latest" or mode_of(one / MANIFEST)]
    return f"no {MANIFEST}" + (f"; did you mean {meant[-1]}?" if meant else "")


def _is_sealed(data: bytes) -> bool:
    body, digest = data[: -_DIGEST_LENGTH - len(_SEAL_ENDS)], data[-_DIGEST_LENGTH - len(_SEAL_ENDS) :]
    return body.endswith(_SEAL_BEGINS) and digest == _digest(body) + _SEAL_ENDS


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body + _SEAL_ENDS).hexdigest().encode()
