"""`latest`: which snapshot to rely on. A symbolic link, or where there can be none a file that holds the name."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from crawler.output.files import create_anew, sync_folder, write_all, writing
from crawler.output.stores.place import Place
from crawler.snapshot.folder.names import started
from crawler.snapshot.folder.remote import named_latest
from crawler.snapshot.unfinished.run import PREFIX

if TYPE_CHECKING:
    from crawler.snapshot.manifest import Manifest

LATEST = "latest"
DISK_TROUBLE = frozenset({errno.EIO, errno.ENOSPC, errno.EDQUOT})
"""What a file system says that has failed or is full; anything else, of a link, that it knows no links."""

_LONGEST = 64


def accepts(policy: str, made: Manifest) -> bool:
    """Whether `latest` may point to a snapshot: if it is ``complete``, ``partial``, or lacks no more than, ``5%``."""
    if policy == "partial" or made.verdict == "complete":
        return True
    if policy == "complete" or not all(region.verdict.is_good for region in made.regions):
        return False
    return 100 * len(made.missing) <= float(policy.removesuffix("%")) * len(made.registries)


def point_latest(snapshot: Path) -> None:
    """Move `latest` to a snapshot, at once.

    Raises:
        OutputError: it cannot be moved; it points where it did.
    """
    folder = snapshot.parent
    fresh = folder / f"{PREFIX}latest"
    with writing(folder / LATEST):
        fresh.unlink(missing_ok=True)
        try:
            fresh.symlink_to(snapshot.name)
        except OSError as error:
            if error.errno in DISK_TROUBLE:
                raise
            _write_name(fresh, snapshot.name)
        fresh.replace(folder / LATEST)
    sync_folder(folder)


def target_of(folder: Path) -> str:
    """Return the name of the snapshot that `latest` in ``folder`` means; empty if it means none.

    Raises:
        OSError: it cannot be read.
    """
    if isinstance(folder, Place):
        return named_latest(folder.store, folder.key)
    latest = folder / LATEST
    try:
        if latest.is_symlink():
            return latest.readlink().name
        return _held(latest) or ""
    except FileNotFoundError:
        return ""


def can_be_latest(path: Path) -> bool:
    """Whether a `latest` is ncrawl's: a link, or a file with a name in it, or one that a power loss has emptied.

    Raises:
        OSError: it cannot be read.
    """
    return not os.path.lexists(path) or path.is_symlink() or _held(path) is not None


def followed(path: Path) -> Path:
    """Return the snapshot that ``path`` means where it is a `latest` that is a file; else ``path`` itself."""
    if isinstance(path, Place):
        return _named(path)
    try:
        real = Path(os.path.realpath(path))
        name = _held(real) if real.name == LATEST else None
    except OSError:
        return path
    return real.parent / name if name else path


def _named(place: Place) -> Place:
    """Return the snapshot that a `latest` in an object storage means; itself if that cannot be found out."""
    try:
        name = named_latest(place.store, place.parent.key) if place.name == LATEST else ""
    except OSError:
        return place
    return place.parent / name if name else place


def _held(path: Path) -> str | None:
    """Return the snapshot's name that a file holds; empty if the file is, None if it is something else."""
    if not stat.S_ISREG(path.lstat().st_mode):
        return None
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        name = os.read(fd, _LONGEST + 1).strip(b"\0\r\n ").decode(errors="replace")
        if os.fstat(fd).st_size > _LONGEST:
            return None
    finally:
        os.close(fd)
    return name if not name or started(name) is not None else None


def _write_name(path: Path, name: str) -> None:
    fd = create_anew(path)
    try:
        write_all(fd, f"{name}\n".encode())
        os.fsync(fd)
    finally:
        os.close(fd)
