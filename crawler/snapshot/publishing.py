"""Make a finished run a snapshot: written whole and synced under another name, then renamed; `latest`, retention."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from crawler.errors import UsageError
from crawler.snapshot.files import sync_folder, write_all, writing
from crawler.snapshot.manifest import IMAGES, MANIFEST, REGISTRIES, StoredFile, dump

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from crawler.snapshot.manifest import Manifest
    from crawler.snapshot.run import Part, UnfinishedRun

LATEST = "latest"
REMOVED = ".ncrawl-removed-"
ID_FORMAT = "%Y%m%dT%H%M%SZ"
_ID = re.compile(r"\d{8}T\d{6}Z")


@dataclass(frozen=True, slots=True)
class Retention:
    """Which earlier snapshots stay: the newest ``keep``, and those younger than ``keep_days``; None sets no rule."""

    keep: int | None = None
    keep_days: int | None = None


def new_id(folder: Path, now: datetime) -> str:
    """Return the id of a run that starts now; the next free second if that one is taken."""
    while True:
        name = now.astimezone(UTC).strftime(ID_FORMAT)
        if not (folder / name).exists() and not (folder / f".ncrawl-{name}").exists():
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
    link = snapshot.parent / ".ncrawl-latest"
    with writing(snapshot.parent / LATEST):
        link.unlink(missing_ok=True)
        link.symlink_to(snapshot.name)
        link.replace(snapshot.parent / LATEST)
    sync_folder(snapshot.parent)


def remove_old(folder: Path, retention: Retention, *, now: datetime) -> list[str]:
    """Remove snapshots that no rule keeps and return their names; never the target of `latest`, never anything else.

    Raises:
        OutputError: one cannot be removed.
    """
    if retention == Retention():
        return []
    latest = folder / LATEST
    target = latest.readlink().name if latest.is_symlink() else ""
    removed = []
    for place, name in enumerate(sorted(snapshot_names(folder), reverse=True)):
        if name != target and not _is_kept(name, place, retention, now):
            with writing(folder / name):
                doomed = (folder / name).rename(folder / f"{REMOVED}{name}")
                shutil.rmtree(doomed)
            removed.append(name)
    return removed


def snapshot_names(folder: Path) -> list[str]:
    """Return the names of the snapshots in ``folder``: named like one, and with a manifest."""
    with writing(folder):
        return [path.parent.name for path in folder.glob(f"*/{MANIFEST}") if _ID.fullmatch(path.parent.name)]


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot hold snapshots, before anything is requested.

    Raises:
        UsageError: it is missing, no folder, or a symbolic link.
    """
    if folder.is_symlink():
        raise UsageError(f"{folder} is a symbolic link: name the folder itself, {folder.resolve()}")
    if not folder.exists():
        raise UsageError(f"{folder} does not exist: make it with `mkdir -p {folder}`")
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file: name a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{folder} cannot be written by this user: mend its permissions or name another")


def _is_kept(name: str, place: int, retention: Retention, now: datetime) -> bool:
    if retention.keep is not None and place < retention.keep:
        return True
    if retention.keep_days is None:
        return False
    started = datetime.strptime(name, ID_FORMAT).replace(tzinfo=UTC)
    return now - started < timedelta(days=retention.keep_days)


def _concatenate(run: UnfinishedRun, path: Path, parts: list[Part]) -> StoredFile:
    sha256, size = _write_synced(path, (lump for part in parts for lump in run.stored_part(part)))
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
