"""Write so that it lasts: whole lines, whole files, synced, and every failure an OutputError that names the path."""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from crawler.errors import OutputError
from crawler.outlets import open_outlet, write_in_time

if TYPE_CHECKING:
    from types import TracebackType


class writing:  # noqa: N801 - read as a function is, like contextlib.suppress
    """Turns the system's errors into an OutputError about ``path``; thousands of registries pass here."""

    __slots__ = ("_path",)

    def __init__(self, path: Path | str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(exc, OSError):
            raise OutputError(str(self._path), exc) from None


def write_all(fd: int, data: bytes) -> None:
    """Write every byte of ``data``; a signal or a nearly full disk may cut a single write short."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_folder(path: Path) -> None:
    """Make the names in a folder last."""
    with writing(path):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def replace_file(path: Path, data: bytes) -> None:
    """Replace a small file as a whole, or leave it as it was; synced, its name too."""
    with writing(path):
        _replace(path, data)
    sync_folder(path.parent)


def write_file(name: str, data: bytes, *, patience_s: float = inf) -> None:
    """Write a small file where a user wants it: replaced as a whole, or as it was; into a pipe or a device as it goes.

    Args:
        name: path.
        data: all of it.
        patience_s: how long the reader of a pipe is waited for.

    Raises:
        OutputError: it cannot be written.
    """
    with writing(name):
        if is_special(name):
            until_s = time.monotonic() + patience_s
            with open_outlet(name, until_s, holds_lines=False) as outlet:
                write_in_time(outlet, data, until_s)
        else:
            _replace(Path(os.path.realpath(name)), data)


def _replace(path: Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb", buffering=0) as file:
        try:
            write_all(file.fileno(), data)
            os.fsync(file.fileno())
            partial.replace(path)
        except OSError:
            partial.unlink()
            raise


def check_place(name: str) -> None:
    """See beforehand whether `write_file` will be able to write; leaves no trace.

    Raises:
        OutputError: it will not.
    """
    path = Path(os.path.realpath(name))
    if means_folder(name):
        problem = errno.EISDIR
    elif not path.parent.is_dir():
        problem = errno.ENOENT
    elif not (is_special(name) or os.access(path.parent, os.W_OK | os.X_OK)):
        problem = errno.EACCES
    else:
        return
    raise OutputError(name, OSError(problem, ""))


def is_standard_output(name: str) -> bool:
    """Whether a path leads to the very file or pipe that standard output goes to."""
    try:
        there, here = Path(name).stat(), os.fstat(1)
    except OSError:
        return False
    return os.path.samestat(there, here) and not stat.S_ISCHR(here.st_mode)


def means_folder(name: str) -> bool:
    """Whether it is a folder, or would be one if it were there."""
    return name.endswith("/") or Path(name).is_dir()


def is_special(name: str) -> bool:
    """Whether it is a pipe, a device or the like, which is written to and never replaced."""
    path = Path(name)
    return path.exists() and not path.is_file() and not path.is_dir()


def take_back_half_line(fd: int, written: bytes) -> None:
    """Cut off what a disk that is full took of a line, where the file is a regular one and still ends with it."""
    half = len(written) - written.rfind(b"\n") - 1
    with suppress(OSError):
        end = os.fstat(fd).st_size
        if half and os.lseek(fd, 0, os.SEEK_CUR) == end:
            os.ftruncate(fd, end - half)
