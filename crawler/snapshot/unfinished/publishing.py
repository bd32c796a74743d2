"""Make a finished run a snapshot: written whole and synced under another name, then renamed."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from itertools import chain, groupby
from typing import TYPE_CHECKING, NamedTuple

from crawler.api.collections import IMAGES, REGISTRIES
from crawler.output.compression import compressor
from crawler.output.files import remove_tree, sync_folder, write_all, writing
from crawler.snapshot.manifest import MANIFEST, Extent, StoredFile, dump, read
from crawler.snapshot.unfinished.run import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from crawler.core.collection import Collection
    from crawler.core.model import Place
    from crawler.snapshot.manifest import Manifest
    from crawler.snapshot.unfinished.journal import Part
    from crawler.snapshot.unfinished.run import UnfinishedRun


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


def assemble(run: UnfinishedRun, parts: Iterable[Part], level: Collection = IMAGES) -> Assembled:
    """Write the data files of a snapshot into a folder inside the run's; synced.

    Args:
        run: that has the parts.
        parts: what is to be in them, in any order.
        level: the deepest that there is a file of.

    Raises:
        OutputError: they cannot be written.
        UnreadableError: a part is damaged.
    """
    folder = run.path / "snapshot"
    remove_tree(folder)  # an earlier try to publish may have been cut short
    with writing(folder):
        folder.mkdir()
    by_collection: defaultdict[Collection, list[Part]] = defaultdict(list)
    for part in sorted(parts, key=lambda part: (part.result.region, part.result.within)):
        by_collection[part.result.collection].append(part)
    top, *below = level.lineage
    files: list[StoredFile] = []
    extents: dict[Place, Extent] = {}
    for collection in (*below[:1], top, *below[1:]):
        path, listed = folder / f"{collection.file}{run.suffix}", by_collection[collection]
        lay_out = _as_they_are if collection in (REGISTRIES, IMAGES) else _framed
        files.append(_store(path, lay_out(run, listed, extents), lines=sum(part.lines for part in listed)))
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


def _store(path: Path, lumps: Iterable[bytes], *, lines: int) -> StoredFile:
    # Without any lines it is one empty frame: tools take a packed file of no bytes for one cut short.
    sha256, size = _write_synced(path, chain(lumps, () if lines else [compressor(path.name).flush()]))
    return StoredFile(name=path.name, bytes=size, sha256=sha256, lines=lines)


def _as_they_are(run: UnfinishedRun, parts: list[Part], extents: dict[Place, Extent]) -> Iterator[bytes]:
    """Yield the bytes of a file in which each list has its own part, and enter where that stands."""
    offset = 0
    for part in parts:
        extents[part.result.place] = Extent(offset=offset, length=part.length, sha256=part.sha256)
        offset += part.length
    return run.stored(parts)


def _framed(run: UnfinishedRun, parts: list[Part], extents: dict[Place, Extent]) -> Iterator[bytes]:
    """Yield the bytes of a file in which all lists of a registry are one frame, and enter where that stands."""
    offset = 0
    for (collection, region, registry), listed in groupby(parts, key=_registry_of):
        sha256, compress, length = hashlib.sha256(), compressor(run.suffix), 0
        some = [part for part in listed if part.lines]
        for lump in chain.from_iterable(map(run.read_part, some)):
            sha256.update(lump)
            yield (packed := compress.compress(lump))
            length += len(packed)
        if some:
            yield (packed := compress.flush())
            length += len(packed)
        extents[collection, region, (registry,)] = Extent(offset=offset, length=length, sha256=sha256.hexdigest())
        offset += length


def _registry_of(part: Part) -> tuple[str, str, str]:
    return part.result.collection.name, part.result.region, part.result.within[0]


def _write_synced(path: Path, lumps: Iterable[bytes]) -> tuple[str, int]:
    sha256, size = hashlib.sha256(), 0
    with writing(path):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            for lump in lumps:
                sha256.update(lump)
                size += len(lump)
                write_all(fd, lump)
            os.fsync(fd)
        finally:
            os.close(fd)
    return sha256.hexdigest(), size
