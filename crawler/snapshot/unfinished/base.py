"""Begin a run with what an earlier snapshot has whole, so that only the rest is fetched."""

from __future__ import annotations

import hashlib
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from crawler.core.errors import UsageError
from crawler.core.model import ListingResult, Verdict, VerifyMode
from crawler.snapshot import manifest as manifests
from crawler.snapshot.reading.chunks import UnreadableError, read_lumps, whole_lines
from crawler.snapshot.reading.records import RegistryKey, parse_keys

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from crawler.snapshot.manifest import Manifest, RegionRecord, RegistryRecord
    from crawler.snapshot.unfinished.run import UnfinishedRun


class Source(NamedTuple):
    """A snapshot from which a run takes over what is whole."""

    path: Path
    manifest: Manifest


def read_source(snapshot: Path) -> Source:
    """Return a snapshot with its manifest.

    Raises:
        UsageError: it is no snapshot, is damaged, or cannot be read.
    """
    try:
        return Source(snapshot, manifests.read(snapshot))
    except manifests.ManifestError as error:
        raise UsageError(f"{error}: run without --retry-failed") from None


def seed(run: UnfinishedRun, source: Source, regions: Collection[str]) -> None:
    """Copy the whole registries, and the whole lists of registries, of an earlier snapshot into a run that begins.

    What was looked at only once is copied into a run that looks only once. What was denied, gone or failed is looked
    at anew, as long as a list names it; so is a registry whose bytes do not match their checksum any more.

    Raises:
        UsageError: it is of another account or other keys.
        OutputError: the run cannot be written.
    """
    snapshot, manifest = source
    accounts = {record.account for record in manifest.registries}
    if accounts - {run.header.account}:
        raise UsageError(f"{snapshot} is of account {', '.join(sorted(accounts))}, this run of {run.header.account}")
    if manifest.run.identity not in (None, run.header.identity):
        raise UsageError(
            f"{snapshot} was taken with other keys, perhaps of another account: run without --retry-failed"
        )
    zone = run.header.options["zone"]
    if manifest.run.options.get("zone", zone) != zone:
        raise UsageError(f"{snapshot} is of zone {manifest.run.options['zone']}, this run of {zone}")
    for record in manifest.registries:
        if record.region in regions and _is_enough(source.manifest, record, run):
            _copy_images(run, source, record)
    _copy_registries(run, source, regions)


def _is_enough(manifest: Manifest, record: RegistryRecord | RegionRecord, run: UnfinishedRun) -> bool:
    looks_once = run.header.options["verify"] == VerifyMode.NEVER
    return manifest.proves(record) or (looks_once and record.verdict is Verdict.UNVERIFIED)


def _copy_images(run: UnfinishedRun, source: Source, record: RegistryRecord) -> None:
    snapshot, manifest = source
    file = manifest.stored_file(manifests.IMAGES)
    if file is None or record.offset is None or record.length is None:
        return
    extent = {"offset": record.offset, "length": record.length}
    if _sha256_of(read_lumps(snapshot / file.name, **extent)) == record.sha256:
        run.adopt(_result_of_registry(record, manifest), read_lumps(snapshot / file.name, **extent), record.images)


def _copy_registries(run: UnfinishedRun, source: Source, regions: Collection[str]) -> None:
    snapshot, manifest = source
    file = manifest.stored_file(manifests.REGISTRIES)
    whole = {record.region: record for record in manifest.regions if _is_enough(manifest, record, run)}
    if file is None or _sha256_of_file(snapshot / file.name) != file.sha256:
        return
    lines = [
        (key.region, line)
        for lump in whole_lines(read_lumps(snapshot / file.name), snapshot / file.name)
        for key, line in zip(parse_keys(lump, RegistryKey), lump.splitlines(keepends=True), strict=True)
    ]
    by_region = {region: [line for _, line in group] for region, group in groupby(lines, key=lambda pair: pair[0])}
    for region, record in whole.items():
        if region in regions:
            here = by_region.get(region, [])
            run.adopt(_result_of_region(record, manifest), [b"".join(here)], len(here))


def _sha256_of(lumps: Iterable[bytes]) -> str | None:
    """Return the SHA-256 of ``lumps``; None if they cannot be read."""
    sha256 = hashlib.sha256()
    try:
        for lump in lumps:
            sha256.update(lump)
    except UnreadableError:
        return None
    return sha256.hexdigest()


def _sha256_of_file(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _result_of_registry(record: RegistryRecord, manifest: Manifest) -> ListingResult:
    """Return how it ended then; what it cost was that run's, and is nothing now."""
    return ListingResult(
        region=record.region,
        registry=record.registry,
        verdict=record.verdict,
        reason=record.reason,
        images=record.images,
        count=record.count,
        pages=0,
        passes=record.passes,
        page_size=None,
        requests=0,
        retries=0,
        throttled=0,
        started_ms=_milliseconds(record.started),
        finished_ms=_milliseconds(record.finished),
        taken_from=record.taken_from or manifest.run.id,
    )


def _result_of_region(record: RegionRecord, manifest: Manifest) -> ListingResult:
    return ListingResult(
        region=record.region,
        registry=None,
        verdict=record.verdict,
        reason=record.reason,
        images=record.registries,
        count=None,
        pages=0,
        passes=0,
        page_size=None,
        requests=0,
        retries=0,
        throttled=0,
        started_ms=_milliseconds(manifest.run.started),
        finished_ms=_milliseconds(manifest.run.finished),
        taken_from=record.taken_from or manifest.run.id,
    )


def _milliseconds(time: str | None) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000) if time else 0
