"""Begin a run with what an earlier snapshot has whole, so that only the rest is fetched."""

from __future__ import annotations

import hashlib
from datetime import datetime
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from msgspec.structs import replace

from crawler.api.collections import COLLECTIONS, IMAGES, REGISTRIES
from crawler.core.errors import UsageError
from crawler.core.model import COPIED, ListingResult, Verdict, VerifyMode
from crawler.snapshot import manifest as manifests
from crawler.snapshot.manifest import RegistryRecord
from crawler.snapshot.reading.chunks import UnreadableError, read_chunks, sha256_of, whole_lines
from crawler.snapshot.reading.lists import Lists, lines_within
from crawler.snapshot.reading.records import key_type, parse_keys
from crawler.snapshot.unfinished.batches import MOST_BYTES, MOST_LISTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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
    deeper = _deeper_lists(run, source, level)
    for record in manifest.registries if level is not REGISTRIES else ():
        if record.region in regions and _is_enough(source.manifest, record, run):
            _copy_list(run, source, record)
            for one in deeper:
                _copy_deeper(run, source, record, deeper=one)
    _copy_registries(run, source, regions)
    run.note_earlier()


class _Deeper(NamedTuple):
    """What can be copied of a deeper level: lists that are not ``lacking``, by region and what they are within."""

    collection: Collection
    lacking: set[tuple[str | None, ...]]
    verdict: Verdict


def _deeper_lists(run: UnfinishedRun, source: Source, level: Collection) -> list[_Deeper]:
    """Return what can be copied of each deeper level: a manifest does not say which lists were looked at only once."""
    looked_once = source.manifest.run.options.get("verify") == VerifyMode.NEVER
    if looked_once and run.header.options["verify"] != VerifyMode.NEVER:
        return []
    verdict = Verdict.UNVERIFIED if looked_once else Verdict.COMPLETE
    return [
        _Deeper(one, {tuple(gap[name] for name in one.named_by[1:]) for gap in source.manifest.gaps_of(one)}, verdict)
        for one in source.manifest.deeper
        if one in level.lineage
    ]


def _is_enough(manifest: Manifest, record: RegistryRecord | RegionRecord, run: UnfinishedRun) -> bool:
    verdict = record.own_verdict if isinstance(record, RegistryRecord) else record.verdict
    looks_once = run.header.options["verify"] == VerifyMode.NEVER
    return manifest.proves(record) or (looks_once and verdict is Verdict.UNVERIFIED)


def _copy_list(run: UnfinishedRun, source: Source, record: RegistryRecord) -> None:
    chunks = _chunks_of(source, record, IMAGES)
    if chunks is not None:
        run.adopt(_result_of_registry(record, source.manifest), chunks(), record.images)


def _copy_deeper(run: UnfinishedRun, source: Source, record: RegistryRecord, *, deeper: _Deeper) -> None:
    """Copy the lists of a deeper level that were whole: those that are named by a list that is copied."""
    chunks = _chunks_of(source, record, deeper.collection)
    if chunks is None:
        return
    stored = Lists(lines_within(chunks(), source.path, deeper.collection))
    lists = (
        (within[1:], stored.of(within))
        for within in _lists_of(run, record, deeper.collection)
        if (record.region, *within) not in deeper.lacking
    )
    for some in _batched(lists):
        lines = sum(len(one) for _, one in some)
        result = _result_of_lists(record, source.manifest, deeper, lists=len(some), lines=lines)
        run.adopt_batch(result, ((name, [b"".join(one)], len(one)) for name, one in some))


_Some: TypeAlias = "list[tuple[tuple[str, ...], list[bytes]]]"


def _batched(lists: Iterator[tuple[tuple[str, ...], list[bytes]]]) -> Iterator[_Some]:
    """Yield lists, each its name and its lines, so many at a time as are worth a line of the journal."""
    some: _Some = []
    size = 0
    for one in lists:
        some.append(one)
        size += sum(map(len, one[1]))
        if len(some) >= MOST_LISTS or size >= MOST_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


def _chunks_of(source: Source, record: RegistryRecord, collection: Collection) -> Callable[[], Iterator[bytes]] | None:
    """Return what gives a registry's bytes in the file of a collection; None if they are not what they were."""
    file, extent = source.manifest.stored_file(collection), record.extent_of(collection)
    if file is None:
        return None
    if extent is None:
        return (lambda: iter(())) if collection is not IMAGES and not record.lines_of(collection) else None
    chunks = partial(read_chunks, source.path / file.name, offset=extent.offset, length=extent.length)
    try:
        return chunks if sha256_of(chunks()) == extent.sha256 else None
    except UnreadableError:
        return None


def _lists_of(run: UnfinishedRun, record: RegistryRecord, collection: Collection) -> Iterator[tuple[str, ...]]:
    """Yield, in order, what each list of a collection in a registry is within, by the lists above that the run has."""
    if collection is IMAGES:
        yield (record.registry,)
        return
    assert collection.parent is not None
    for above in _lists_of(run, record, collection.parent):
        place = (collection.parent.name, record.region, above)
        for name in run.names_of(place):
            yield (*above, name)


def _copy_registries(run: UnfinishedRun, source: Source, regions: Names[str]) -> None:
    snapshot, manifest = source
    file = manifest.stored_file(REGISTRIES)
    whole = {record.region: record for record in manifest.regions if _is_enough(manifest, record, run)}
    if file is None or _sha256_of_file(snapshot / file.name) != file.sha256:
        return
    lines = [
        (key.region, line)
        for chunk in whole_lines(read_chunks(snapshot / file.name), snapshot / file.name)
        for key, line in zip(parse_keys(chunk, key_type(REGISTRIES)), chunk.splitlines(keepends=True), strict=True)
    ]
    by_region = {region: [line for _, line in group] for region, group in groupby(lines, key=itemgetter(0))}
    for region, record in whole.items():
        if region in regions:
            here = by_region.get(region, [])
            run.adopt(_result_of_region(record, manifest), [b"".join(here)], len(here))


def _sha256_of_file(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _result_of_registry(record: RegistryRecord, manifest: Manifest) -> ListingResult:
    """Return how its list of images ended then; what it cost was that run's, and is nothing now."""
    return replace(
        _taken(record, IMAGES, manifest),
        verdict=record.own_verdict,
        reason=record.reason if record.own_verdict is record.verdict else None,
        records=record.images,
        count=record.count,
        passes=record.passes,
        taken_from=record.taken_from or manifest.run.id,
    )


def _result_of_lists(
    record: RegistryRecord, manifest: Manifest, deeper: _Deeper, *, lists: int, lines: int
) -> ListingResult:
    """Return how lists that were no gaps ended: a manifest does not say which of them drifted."""
    return replace(_taken(record, deeper.collection, manifest), verdict=deeper.verdict, records=lines, lists=lists)


def _result_of_region(record: RegionRecord, manifest: Manifest) -> ListingResult:
    return replace(
        _taken(record, REGISTRIES, manifest),
        verdict=record.verdict,
        reason=record.reason,
        records=record.registries,
        taken_from=record.taken_from or manifest.run.id,
    )


def _taken(record: RegistryRecord | RegionRecord, collection: Collection, manifest: Manifest) -> ListingResult:
    """Return the result of a list, or of lists, of which nothing is said yet but when they were listed."""
    listed = record if isinstance(record, RegistryRecord) else manifest.run
    return ListingResult(
        **COPIED,
        verdict=Verdict.COMPLETE,
        region=record.region,
        collection=collection,
        within=(record.registry,) if isinstance(record, RegistryRecord) else (),
        started_ms=_milliseconds(listed.started),
        finished_ms=_milliseconds(listed.finished),
        taken_from=manifest.run.id,
    )


def _milliseconds(time: str | None) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000) if time else 0
