"""Make a finished run a snapshot: written whole and synced under another name, then renamed."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from crawler.output.compression import compressor
from crawler.output.files import remove_tree, sync_folder, write_all, writing
from crawler.snapshot.manifest import IMAGES, MANIFEST, REGISTRIES, StoredFile, dump, read
from crawler.snapshot.unfinished.run import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from crawler.snapshot.manifest import Manifest
    from crawler.snapshot.unfinished.journal import Part
    from crawler.snapshot.unfinished.run import UnfinishedRun


def assemble(run: UnfinishedRun, parts: Iterable[Part]) -> tuple[Path, list[StoredFile]]:
    """Write the data files of a snapshot into a folder inside the run's, parts in the order given; synced.

    Returns:
        The folder, which still lacks its manifest, and what the manifest says of the files.

    Raises:
        OutputError: they cannot be written.
    """
    folder = run.path / "snapshot"
    remove_tree(folder)  # an earlier try to publish may have been cut short
    with writing(folder):
        folder.mkdir()
    listed = sorted(parts, key=lambda part: (part.result.region, part.result.registry or ""))
    images = [part for part in listed if part.result.registry is not None]
    registries = [part for part in listed if part.result.registry is None]
    kinds = ((IMAGES, images), (REGISTRIES, registries))
    files = [_concatenate(run, folder / f"{name}{run.suffix}", some) for name, some in kinds]
    return folder, files


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


def _concatenate(run: UnfinishedRun, path: Path, parts: list[Part]) -> StoredFile:
    # Without any lines it is one empty frame: tools take a packed file of no bytes for one cut short.
    lumps = run.stored(parts) if any(part.lines for part in parts) else [compressor(path.name).flush()]
    sha256, size = _write_synced(path, lumps)
    return StoredFile(name=path.name, bytes=size, sha256=sha256, lines=sum(part.lines for part in parts))


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
