"""Begin a run with what an earlier snapshot has whole, so that only the rest is fetched."""

from __future__ import annotations

import hashlib
from datetime import datetime
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import replace

from crawler.api.collections import COLLECTIONS, IMAGES, REGISTRIES
from crawler.core.errors import UsageError
from crawler.core.model import ListingResult, Verdict, VerifyMode
from crawler.snapshot import manifest as manifests
from crawler.snapshot.manifest import RegistryRecord
from crawler.snapshot.reading.chunks import UnreadableError, read_lumps, whole_lines
from crawler.snapshot.reading.records import key_type, parse_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from collections.abc import Collection as Names
    from pathlib import Path

    from crawler.core.collection import Collection
    from crawler.snapshot.manifest import Manifest, RegionRecord
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


def seed(run: UnfinishedRun, source: Source, regions: Names[str]) -> None:
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
    level = COLLECTIONS[run.header.options.get("level", IMAGES.name)]
    for record in manifest.registries if level is not REGISTRIES else ():
        if record.region in regions and _is_enough(source.manifest, record, run):
            _copy_list(run, source, record)
            for collection in manifest.deeper:
                if collection in level.lineage:
                    _copy_deeper(run, source, record, collection)
    _copy_registries(run, source, regions)


def _is_enough(manifest: Manifest, record: RegistryRecord | RegionRecord, run: UnfinishedRun) -> bool:
    verdict = record.own_verdict if isinstance(record, RegistryRecord) else record.verdict
    looks_once = run.header.options["verify"] == VerifyMode.NEVER
    return manifest.proves(record) or (looks_once and verdict is Verdict.UNVERIFIED)


def _copy_list(run: UnfinishedRun, source: Source, record: RegistryRecord) -> None:
    lumps = _lumps_of(source, record, IMAGES)
    if lumps is not None:
        run.adopt(_result_of_registry(record, source.manifest), lumps(), record.images)


def _copy_deeper(run: UnfinishedRun, source: Source, record: RegistryRecord, collection: Collection) -> None:
    """Copy the lists of a deeper level that were whole, one by one: those that are named by a list that is copied."""
    lumps = _lumps_of(source, record, collection)
    if lumps is None:
        return
    lacking = {tuple(gap[name] for name in collection.within) for gap in source.manifest.gaps_of(collection)}
    stored = _Lists(_lines_within(lumps(), source.path, collection))
    for within in _lists_of(run, record, collection):
        lines = stored.of(within)
        if within not in lacking:
            result = _result_of_list(record, source.manifest, collection, within, len(lines))
            run.adopt(result, [b"".join(lines)], len(lines))


def _lumps_of(source: Source, record: RegistryRecord, collection: Collection) -> Callable[[], Iterator[bytes]] | None:
    """Return what gives a registry's bytes in the file of a collection; None if they are not what they were."""
    file, extent = source.manifest.stored_file(collection), record.extent_of(collection)
    if file is None:
        return None
    if extent is None:
        return (lambda: iter(())) if collection is not IMAGES and not record.lines_of(collection) else None
    lumps = partial(read_lumps, source.path / file.name, offset=extent.offset, length=extent.length)
    return lumps if _sha256_of(lumps()) == extent.sha256 else None


def _lists_of(run: UnfinishedRun, record: RegistryRecord, collection: Collection) -> Iterator[tuple[str, ...]]:
    """Yield, in order, what each list of a collection in a registry is within, by the lists above that the run has."""
    if collection is IMAGES:
        yield (record.registry,)
        return
    assert collection.parent is not None
    for above in _lists_of(run, record, collection.parent):
        place = (collection.parent.name, record.region, above)
        for name in run.names_of(place) if place in run.parts else ():
            yield (*above, name)


def _lines_within(
    lumps: Iterable[bytes], path: Path, collection: Collection
) -> Iterator[tuple[tuple[str, ...], bytes]]:
    """Yield each line with what its list is within, from the registry down."""
    for lump in whole_lines(lumps, path):
        keys = parse_keys(lump, key_type(collection))
        for key, line in zip(keys, lump.splitlines(keepends=True), strict=True):
            yield msgspec.structs.astuple(key)[2:-1], line


class _Lists:
    """The lists that a registry's lines are of, taken in order."""

    def __init__(self, lines: Iterable[tuple[tuple[str, ...], bytes]]) -> None:
        self._groups = groupby(lines, key=itemgetter(0))
        self._next = next(self._groups, None)

    def of(self, within: tuple[str, ...]) -> list[bytes]:
        """Return the lines of a list; what comes before it is of none that was asked for."""
        while self._next is not None and self._next[0] < within:
            self._next = next(self._groups, None)
        if self._next is None or self._next[0] != within:
            return []
        lines = [line for _, line in self._next[1]]
        self._next = next(self._groups, None)
        return lines


def _copy_registries(run: UnfinishedRun, source: Source, regions: Names[str]) -> None:
    snapshot, manifest = source
    file = manifest.stored_file(REGISTRIES)
    whole = {record.region: record for record in manifest.regions if _is_enough(manifest, record, run)}
    if file is None or _sha256_of_file(snapshot / file.name) != file.sha256:
        return
    lines = [
        (key.region, line)
        for lump in whole_lines(read_lumps(snapshot / file.name), snapshot / file.name)
        for key, line in zip(parse_keys(lump, key_type(REGISTRIES)), lump.splitlines(keepends=True), strict=True)
    ]
    by_region = {region: [line for _, line in group] for region, group in groupby(lines, key=itemgetter(0))}
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
    """Return how its list of images ended then; what it cost was that run's, and is nothing now."""
    times = (record.started, record.finished)
    taken = _taken(manifest, IMAGES, record.region, (record.registry,), times=times)
    return replace(
        taken,
        verdict=record.own_verdict,
        reason=record.reason if record.own_verdict is record.verdict else None,
        records=record.images,
        count=record.count,
        passes=record.passes,
        taken_from=record.taken_from or manifest.run.id,
    )


def _result_of_list(
    record: RegistryRecord, manifest: Manifest, collection: Collection, within: tuple[str, ...], lines: int
) -> ListingResult:
    """Return how a list that was no gap ended: a manifest does not say whether it drifted."""
    taken = _taken(manifest, collection, record.region, within, times=(record.started, record.finished))
    return replace(taken, verdict=record.own_verdict, records=lines)


def _result_of_region(record: RegionRecord, manifest: Manifest) -> ListingResult:
    taken = _taken(manifest, REGISTRIES, record.region, (), times=(manifest.run.started, manifest.run.finished))
    return replace(
        taken,
        verdict=record.verdict,
        reason=record.reason,
        records=record.registries,
        taken_from=record.taken_from or manifest.run.id,
    )


def _taken(
    manifest: Manifest,
    collection: Collection,
    region: str,
    within: tuple[str, ...],
    *,
    times: tuple[str | None, str | None],
) -> ListingResult:
    """Return the result of a list that cost this run nothing."""
    started_ms, finished_ms = map(_milliseconds, times)
    return ListingResult(
        verdict=Verdict.COMPLETE,
        reason=None,
        records=0,
        count=None,
        pages=0,
        passes=0,
        page_size=None,
        region=region,
        collection=collection,
        within=within,
        requests=0,
        retries=0,
        throttled=0,
        started_ms=started_ms,
        finished_ms=finished_ms,
        taken_from=manifest.run.id,
    )


def _milliseconds(time: str | None) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000) if time else 0
