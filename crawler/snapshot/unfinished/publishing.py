"""Make a finished run a snapshot: written whole and synced under another name, then renamed."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from functools import partial
from itertools import chain, groupby
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from crawler.api.collections import IMAGES, REGISTRIES
from crawler.output.compression import compressor
from crawler.output.files import remove_tree, sync_folder, write_all, writing
from crawler.snapshot.manifest import MANIFEST, Extent, StoredFile, dump, read
from crawler.snapshot.reading.chunks import whole_lines
from crawler.snapshot.unfinished.batches import Stretch, family_of
from crawler.snapshot.unfinished.run import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from crawler.core.collection import Collection
    from crawler.core.model import ListingResult, Place
    from crawler.snapshot.manifest import Manifest
    from crawler.snapshot.unfinished.batches import Family
    from crawler.snapshot.unfinished.run import UnfinishedRun

    Look = Callable[[str, tuple[str, str], bytes], object]


class Assembled(NamedTuple):
    """The data files of a snapshot to be.

    Attributes:
        folder: where they are; it still lacks its manifest.
        files: what the manifest says of them.
        extents: where each registry stands in each file, and each region in that of the registries: by collection,
            region, and the registry's name or nothing.
    """

    folder: Path
    files: list[StoredFile]
    extents: dict[Place, Extent]


def _look_away(_collection: str, _registry: tuple[str, str], _lines: bytes) -> None:
    pass


def assemble(
    run: UnfinishedRun, results: Iterable[ListingResult], level: Collection = IMAGES, *, look: Look = _look_away
) -> Assembled:
    """Write the data files of a snapshot into a folder inside the run's; synced.

    Args:
        run: that has finished them.
        results: of what is to be in them, in any order: lists, and sums of lists.
        level: the deepest that there is a file of.
        look: is shown what is below images, as whole lines of a registry.

    Raises:
        OutputError: they cannot be written.
        UnreadableError: a part is damaged.
    """
    folder = run.path / "snapshot"
    remove_tree(folder)  # an earlier try to publish may have been cut short
    with writing(folder):
        folder.mkdir()
    by_collection: defaultdict[Collection, list[ListingResult]] = defaultdict(list)
    for result in sorted(results, key=attrgetter("region", "within")):
        by_collection[result.collection].append(result)
    top, *below = level.lineage
    files: list[StoredFile] = []
    extents: dict[Place, Extent] = {}
    for collection in (*below[:1], top, *below[1:]):
        path, listed = folder / f"{collection.file}{run.suffix}", by_collection[collection]
        lay_out = _as_they_are if collection in (REGISTRIES, IMAGES) else partial(_framed, look=look)
        files.append(_store(path, lay_out(run, listed, extents), lines=sum(one.records for one in listed)))
    return Assembled(folder, files, extents)


def published(path: Path) -> Manifest | None:
    """Return the manifest of the run with this folder if it was cut off after its snapshot got its name, else None.

    Raises:
        NcrawlError: the snapshot is damaged.
    """
    final = path.with_name(path.name.removeprefix(PREFIX))
    return read(final) if (final / MANIFEST).exists() else None


def publish(run: UnfinishedRun, assembled: Path, manifest: Manifest) -> Path:
    """Write the manifest, give the folder its name, and return its path. From then on it is a snapshot.

    Raises:
        OutputError: it cannot be written; what was published before is as it was.
    """
    final = run.path.parent / run.header.id
    with writing(final):
        _write_synced(assembled / MANIFEST, [dump(manifest)])
        sync_folder(assembled)
        assembled.rename(final)
    sync_folder(final.parent)
    return final


def _store(path: Path, chunks: Iterable[bytes], *, lines: int) -> StoredFile:
    # Without any lines it is one empty frame: tools take a packed file of no bytes for one cut short.
    sha256, size = _write_synced(path, chain(chunks, () if lines else [compressor(path.name).flush()]))
    return StoredFile(name=path.name, bytes=size, sha256=sha256, lines=lines)


def _as_they_are(run: UnfinishedRun, listed: list[ListingResult], extents: dict[Place, Extent]) -> Iterator[bytes]:
    """Yield the bytes of a file in which each list has its own part, and enter where that stands."""
    offset, parts = 0, [run.parts[one.place] for one in listed]
    for part in parts:
        extents[part.result.place] = Extent(offset=offset, length=part.length, sha256=part.sha256)
        offset += part.length
    return run.files.stored(parts)


def _framed(
    run: UnfinishedRun, listed: list[ListingResult], extents: dict[Place, Extent], *, look: Look
) -> Iterator[bytes]:
    """Yield the bytes of a file in which all lists of a registry are one frame, and enter where that stands."""
    offset = 0
    for (collection, region, registry), results in groupby(listed, key=lambda one: family_of(one.place)):
        sha256, compress, length = hashlib.sha256(), compressor(run.suffix), 0
        some = _stretches(run, results)
        for chunk in whole_lines(run.read_part(*some), run.path):
            sha256.update(chunk)
            look(collection, (region, registry), chunk)
            yield (packed := compress.compress(chunk))
            length += len(packed)
        if some:
            yield (packed := compress.flush())
            length += len(packed)
        extents[collection, region, (registry,)] = Extent(offset=offset, length=length, sha256=sha256.hexdigest())
        offset += length


def _stretches(run: UnfinishedRun, results: Iterable[ListingResult]) -> list[Stretch]:
    """Return where the lines of a registry's lists are, in the order of the file."""
    found: list[Stretch] = []
    families: set[Family] = set()
    for one in results:
        if one.is_sum:
            families.add(family_of(one.place))
        elif (part := run.parts[one.place]).lines:
            found.append(Stretch(one.within, part.offset, part.length))
    for family in families:
        found += run.batches.stretches_of(family)
    return sorted(found)


def _write_synced(path: Path, chunks: Iterable[bytes]) -> tuple[str, int]:
    sha256, size = hashlib.sha256(), 0
    with writing(path):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            for chunk in chunks:
                sha256.update(chunk)
                size += len(chunk)
                write_all(fd, chunk)
            os.fsync(fd)
        finally:
            os.close(fd)
    return sha256.hexdigest(), size
