"""One run a folder at a time."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from crawler.errors import LockedError
from crawler.files import write_all, writing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK = ".ncrawl.lock"


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
        OutputError: the folder cannot be written.
    """
    path = folder / LOCK
    with writing(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        with writing(path):
            _lock(fd, folder)
            os.ftruncate(fd, 0)
            write_all(fd, f"process {os.getpid()}, started {started}\n".encode())
        yield
    finally:
        os.close(fd)


def _lock(fd: int, folder: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, 200, 0).decode(errors="replace").strip() or "a process that just began"
        raise LockedError(f"another run holds {folder}: {holder}; wait for it, or stop it") from None
