"""Writes small valid snapshots, by the letter of the contract, without the code that publishes real ones."""

from __future__ import annotations

import gzip
import hashlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import zstandard

from crawler.api import collections
from crawler.core.model import Verdict
from crawler.snapshot.folder.names import ID_FORMAT
from crawler.snapshot.manifest import (
    MANIFEST,
    ExcludedRegistry,
    Manifest,
    RegionRecord,
    RegistryRecord,
    Run,
    StoredFile,
    Tool,
    dump,
    read,
)
from crawler.snapshot.reading.records import key_type, line_start
from crawler.snapshot.totals import Totals, VerdictCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

Place: TypeAlias = tuple[str, str, str]
Contents: TypeAlias = "Mapping[Place, Iterable[bytes]]"
"""Account, region and registry to the API's records of its images, sorted by name."""

IMAGES = collections.IMAGES.file
REGISTRIES = collections.REGISTRIES.file
ImageKey = key_type(collections.IMAGES)
RegistryKey = key_type(collections.REGISTRIES)

_TIME = "2026-11-23T02:00:00Z"


def pack(data: bytes, suffix: str) -> bytes:
    """Compress into one member or frame."""
    if suffix == ".gz":
        return gzip.compress(data, mtime=0)
    return zstandard.ZstdCompressor().compress(data) if suffix else data


def unpack(data: bytes, suffix: str) -> bytes:
    """Decompress all members or frames."""
    if suffix == ".gz":
        return gzip.decompress(data)
    if suffix == ".zst":
        with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as reader:
            return reader.read()
    return data


def image(name: str, **fields: object) -> bytes:
    """Encode an image as the API sends it."""
    return msgspec.json.encode({"can_edit": True, "description": None, "name": name, "pull_count": 0} | fields)


def image_line(place: Place, record: bytes) -> bytes:
    """Put our fields in front of a record."""
    return line_start(ImageKey(*place, "")) + record[1:] + b"\n"


def make_snapshot(
    folder: Path,
    contents: Contents,
    *,
    suffix: str = "",
    verdicts: Mapping[Place, Verdict] | None = None,
    regions: Mapping[str, Verdict] | None = None,
    excluded: Mapping[Place, str] | None = None,
) -> Path:
    """Write a snapshot and return its folder.

    Args:
        folder: where to; created.
        contents: what is in it.
        suffix: "", ".gz" or ".zst".
        verdicts: of registries that are not complete; they may be missing from ``contents``.
        regions: verdicts of regions; those of the registries are complete by default.
        excluded: registries that were found and not listed, and by which pattern.
    """
    folder.mkdir(parents=True)
    images, registries = folder / (IMAGES + suffix), folder / (REGISTRIES + suffix)
    records = _write_images(images, contents, verdicts or {}, suffix=suffix)
    known = sorted({*(record.place for record in records), *(excluded or {})})
    registries.write_bytes(pack(b"".join(map(_registry_line, known)), suffix))
    found = Counter(region for _, region, _ in known)
    region_records = tuple(
        RegionRecord(region=region, verdict=verdict, reason=None, registries=found[region])
        for region, verdict in sorted((dict.fromkeys(found, Verdict.COMPLETE) | dict(regions or {})).items())
    )
    files = (_stored(images, sum(record.images for record in records)), _stored(registries, len(known)))
    made = _manifest(files, tuple(records), region_records)
    left_out = tuple(_excluded(place, pattern) for place, pattern in sorted((excluded or {}).items()))
    (folder / MANIFEST).write_bytes(dump(msgspec.structs.replace(made, excluded=left_out)))
    return folder


def _write_images(
    path: Path, contents: Contents, verdicts: Mapping[Place, Verdict], *, suffix: str
) -> list[RegistryRecord]:
    records = []
    with path.open("wb") as file:
        for place in sorted({*contents, *verdicts}):
            lines = [image_line(place, record) for record in contents.get(place, ())]
            packed = pack(b"".join(lines), suffix) if lines else b""
            records.append(_record(place, verdicts.get(place), lines, file.tell(), len(packed)))
            file.write(packed)
    return records


def _excluded(place: Place, pattern: str) -> ExcludedRegistry:
    account, region, registry = place
    return ExcludedRegistry(account=account, region=region, registry=registry, pattern=pattern)


def as_format_1(folder: Path) -> Path:
    """Write the manifest of a snapshot anew as it was in format 1, sealed by the rule that is told to users."""
    old = msgspec.json.decode((folder / MANIFEST).read_bytes())
    old["format"] = 1
    for keys, names in ((old, ("excluded", "expected_gaps", "checksum")), (old["totals"], ("seconds", "regions"))):
        for name in names:
            del keys[name]
    del old["totals"]["registries"]["unverified"]
    sealed = msgspec.json.format(msgspec.json.encode(old | {"checksum": ""}), indent=2) + b"\n"
    digest = hashlib.sha256(sealed).hexdigest().encode()
    (folder / MANIFEST).write_bytes(sealed.replace(b'"checksum": ""', b'"checksum": "%b"' % digest))
    return folder


def as_registries_alone(snapshot: Path) -> Path:
    """Make of a snapshot one of ``--level registries``."""
    made = read(snapshot)
    files = tuple(one for one in made.files if one.name.startswith(REGISTRIES))
    only = msgspec.structs.replace(made.run, options=dict(made.run.options) | {"level": "registries"})
    kept = msgspec.structs.replace(made, run=only, files=files, registries=())
    (snapshot / MANIFEST).write_bytes(dump(kept))
    return snapshot


def reseal(snapshot: Path, change: Callable[[Manifest], Manifest]) -> Path:
    """Write a manifest with something changed and the right checksum; return the snapshot."""
    (snapshot / MANIFEST).write_bytes(dump(change(read(snapshot))))
    return snapshot


def make_nights(folder: Path, how_many: int) -> list[str]:
    """Make snapshots of as many nights up to last night, whose runs ended when they began; return their names."""
    names = []
    for age in range(how_many, 0, -1):
        start = datetime.now(UTC) - timedelta(days=age)
        names.append(start.strftime(ID_FORMAT))
        made = make_snapshot(folder / names[-1], {("default", "kr", "r"): [image("a")]})
        reseal(made, lambda manifest, start=start: _at(manifest, start))  # type: ignore[misc]
    return names


def _at(made: Manifest, start: datetime) -> Manifest:
    run = msgspec.structs.replace(made.run, started=start.isoformat(), finished=start.isoformat())
    return msgspec.structs.replace(made, run=run)


def add_file(snapshot: Path, name: str, lines: Iterable[bytes]) -> Path:
    """Give a snapshot a data file more, or other lines in one that it has; return the snapshot."""
    data = [line + b"\n" for line in lines]
    path = snapshot / name
    path.write_bytes(pack(b"".join(data), path.suffix.removesuffix(".ndjson")))
    file = _stored(path, len(data))
    others = [one for one in read(snapshot).files if one.name != name]
    return reseal(snapshot, lambda old: msgspec.structs.replace(old, files=(*others, file)))


def _registry_line(place: Place) -> bytes:
    account, region, name = place
    record = msgspec.json.encode({"name": name, "status": 0})
    return line_start(RegistryKey(account, region, "")) + record[1:] + b"\n"


def _record(place: Place, verdict: Verdict | None, lines: list[bytes], offset: int, length: int) -> RegistryRecord:
    account, region, registry = place
    return RegistryRecord(
        account=account,
        region=region,
        registry=registry,
        verdict=verdict or Verdict.COMPLETE,
        reason=None,
        images=len(lines),
        count=len(lines),
        pages=1,
        passes=1,
        requests=1,
        offset=offset,
        length=length,
        sha256=hashlib.sha256(b"".join(lines)).hexdigest(),
        started=_TIME,
        finished=_TIME,
    )


def _stored(path: Path, lines: int) -> StoredFile:
    data = path.read_bytes()
    return StoredFile(name=path.name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), lines=lines)


def _manifest(
    files: tuple[StoredFile, ...], registries: tuple[RegistryRecord, ...], regions: tuple[RegionRecord, ...]
) -> Manifest:
    whole = all(record.verdict.is_whole for record in (*registries, *regions))  # type: ignore[attr-defined]
    totals = Totals(
        registries=VerdictCounts.of(registries),
        images=files[0].lines,
        pages=len(registries) + len(regions),
        requests=len(registries) + len(regions),
        retries=0,
        throttled=0,
        bytes=0,
    )
    return Manifest(
        tool=Tool(name="ncrawl", version="0.1.0"),
        run=Run(id="20261123T020000Z", started=_TIME, finished=_TIME, options={"page_size": 100}),
        verdict="complete" if whole else "incomplete",
        totals=totals,
        files=files,
        registries=registries,
        regions=regions,
        observed={"page_size": {"kr": 100}},
    )
