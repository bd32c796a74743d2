"""One run a folder at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from crawler.core.errors import LockedError, UsageError
from crawler.output.files import open_own, write_all, writing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK = ".ncrawl.lock"
_HOLDER = re.compile(r"process [0-9]+, started [0-9TZ:.-]+")
_CANNOT_LOCK = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


@contextmanager
def locked(folder: Path, *, started: str) -> Iterator[None]:
    """Hold the lock of ``folder``: the system's own, so that it ends with this process, however that ends.

    The descriptor is closed on exec, so children do not inherit it. The file stays: removing it would let two runs
    lock two files of one name.

    Args:
        folder: where snapshots are.
        started: when this run started, for the message that another run gets.

    Raises:
        LockedError: another run holds it; names its process and start.
        UsageError: the file system cannot lock.
        OutputError: the folder cannot be written, or what has the lock's name is no regular file.
    """
    path = folder / LOCK
    with writing(path):
        fd = open_own(path, os.O_RDWR)
    try:
        with writing(path):
            _lock(fd, folder)
            if os.fstat(fd).st_nlink == 1:  # a file that has other names too may be anybody's: locked, not written
                os.ftruncate(fd, 0)
                write_all(fd, f"process {os.getpid()}, started {started}\n".encode())
        yield
    finally:
        os.close(fd)


def _lock(fd: int, folder: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _HOLDER.match(os.pread(fd, 200, 0).decode(errors="replace"))
        who = holder[0] if holder else "a process that just began"
        raise LockedError(f"another run holds {folder}: {who}; wait for it, or stop it") from None
    except OSError as error:
        if error.errno not in _CANNOT_LOCK:
            raise
        raise UsageError(
            f"{folder} is on a file system that cannot lock files ({error.strerror}), so a second run could destroy "
            "what this one writes: mount it with locks, or name a folder on another one"
        ) from None
