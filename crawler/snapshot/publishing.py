"""Make a finished run a snapshot: written whole and synced under another name, then renamed; `latest`, retention."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from crawler.compression import compressor
from crawler.errors import UsageError
from crawler.files import sync_folder, write_all, writing
from crawler.snapshot.manifest import IMAGES, MANIFEST, REGISTRIES, SUFFIXES, StoredFile, dump, read
from crawler.snapshot.run import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from crawler.snapshot.journal import Part
    from crawler.snapshot.manifest import Manifest
    from crawler.snapshot.run import UnfinishedRun

LATEST = "latest"
REMOVED = f"{PREFIX}removed-"
ID_FORMAT = "%Y%m%dT%H%M%SZ"
_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_MANIFEST_BEGINS = b'{\n  "format":'
_FILES = {MANIFEST, *(kind + suffix for kind in (IMAGES, REGISTRIES) for suffix in SUFFIXES)}


@dataclass(frozen=True, slots=True)
class Retention:
    """Which earlier snapshots stay: the newest ``keep``, and those younger than ``keep_days``; None sets no rule."""

    keep: int | None = None
    keep_days: int | None = None


def new_id(folder: Path, now: datetime) -> str:
    """Return the id of a run that starts now; the next free second if that one is taken."""
    while True:
        name = now.astimezone(UTC).strftime(ID_FORMAT)
        if not os.path.lexists(folder / name) and not os.path.lexists(folder / f"{PREFIX}{name}"):
            return name
        now += timedelta(seconds=1)


def assemble(run: UnfinishedRun, parts: Iterable[Part]) -> tuple[Path, list[StoredFile]]:
    """Write the data files of a snapshot into a folder inside the run's, parts in the order given; synced.

    Returns:
        The folder, which still lacks its manifest, and what the manifest says of the files.

    Raises:
        OutputError: they cannot be written.
    """
    folder = run.path / "snapshot"
    with writing(folder):
        if folder.exists():
            shutil.rmtree(folder)  # an earlier try to publish was cut short
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


def point_latest(snapshot: Path) -> None:
    """Move `latest` to a snapshot, at once.

    Raises:
        OutputError: it cannot be moved; it points where it did.
    """
    link = snapshot.parent / f"{PREFIX}latest"
    with writing(snapshot.parent / LATEST):
        link.unlink(missing_ok=True)
        link.symlink_to(snapshot.name)
        link.replace(snapshot.parent / LATEST)
    sync_folder(snapshot.parent)


def remove_old(folder: Path, retention: Retention, *, now: datetime) -> Iterator[str]:
    """Remove snapshots that no rule keeps and yield their names; never the target of `latest`, never anything else.

    Raises:
        OutputError: one cannot be removed.
    """
    if retention == Retention():
        return
    latest = folder / LATEST
    target = latest.readlink().name if latest.is_symlink() else ""
    for place, name in enumerate(sorted(snapshot_names(folder), reverse=True)):
        if name != target and not _is_kept(name, place, retention, now):
            _remove(folder / name)
            yield name


def _remove(snapshot: Path) -> None:
    with writing(snapshot):
        doomed = snapshot.rename(snapshot.with_name(f"{REMOVED}{snapshot.name}"))
        sync_folder(snapshot.parent)  # or a power loss might bring half of it back under its name
        shutil.rmtree(doomed)


def snapshot_names(folder: Path) -> list[str]:
    """Return the names of the snapshots in ``folder``: named like one, with our manifest and nothing of a user's."""
    with writing(folder):
        return [path.parent.name for path in folder.glob(f"*/{MANIFEST}") if _is_snapshot(path.parent)]


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot hold snapshots, before anything is requested.

    Raises:
        UsageError: it is missing, no folder, a symbolic link, or has a `latest` of somebody else's.
    """
    try:
        _check_folder(folder)
    except OSError as error:
        raise UsageError(f"{folder} cannot be used: {error.strerror}; name another folder") from None


def _check_folder(folder: Path) -> None:
    latest = folder / LATEST
    if folder.is_symlink():
        raise UsageError(f"{folder} is a symbolic link: name the folder itself, {folder.resolve()}")
    try:
        mode = folder.stat().st_mode  # not `exists()`: from Python 3.14 on, it is silent about every error
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{folder} does not exist: make it with `mkdir -p {folder}`") from None
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{folder} is a file: name a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{folder} cannot be written by this user: mend its permissions or name another")
    if latest.exists() and not latest.is_symlink():
        raise UsageError(f"{latest} is no symbolic link, so not ncrawl's: move it away, or name another folder")


def _is_snapshot(path: Path) -> bool:
    if path.is_symlink() or _started(path.name) is None:
        return False
    if any(each.name not in _FILES for each in path.iterdir()):
        return False
    with (path / MANIFEST).open("rb") as manifest:
        return manifest.read(len(_MANIFEST_BEGINS)) == _MANIFEST_BEGINS


def _started(name: str) -> datetime | None:
    """Return when the run of a snapshot's name started; None if it is no such name."""
    try:
        return datetime.strptime(name, ID_FORMAT).replace(tzinfo=UTC) if _ID.fullmatch(name) else None
    except ValueError:
        return None


def _is_kept(name: str, place: int, retention: Retention, now: datetime) -> bool:
    if retention.keep is not None and place < retention.keep:
        return True
    if retention.keep_days is None:
        return False
    started = _started(name)
    return started is None or now - started < timedelta(days=retention.keep_days)


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
