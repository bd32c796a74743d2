"""Write so that it lasts: whole lines, whole files, synced, and every failure an OutputError that names the path."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from crawler.errors import OutputError

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


def write_file(name: str, data: bytes) -> None:
    """Write a small file where a user wants it: replaced as a whole, or as it was; into a pipe or a device as it goes.

    Raises:
        OutputError: it cannot be written.
    """
    with writing(name):
        if is_special(name):
            Path(name).write_bytes(data)
        else:
            _replace(Path(os.path.realpath(name)), data)


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".partial")


def _replace(path: Path, data: bytes) -> None:
    partial = _partial(path)
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
    if means_folder(name):
        raise OutputError(name, OSError(errno.EISDIR, ""))
    path = Path(os.path.realpath(name))
    with writing(name):
        path.parent.stat()
        with suppress(FileNotFoundError):
            _partial(path).lstat()  # finds names that are too long
    if not (is_special(name) or os.access(path.parent, os.W_OK | os.X_OK)):
        raise OutputError(name, OSError(errno.EACCES, ""))


def is_standard_output(name: str) -> bool:
    """Whether a path leads to the very file or pipe that standard output goes to."""
    try:
        there, here = Path(name).stat(), os.fstat(1)
    except OSError:
        return False
    return os.path.samestat(there, here) and not stat.S_ISCHR(here.st_mode)


def means_folder(name: str) -> bool:
    """Whether it is a folder, or would be one if it were there."""
    return name.endswith("/") or stat.S_ISDIR(mode_of(Path(name)))


def is_special(name: str) -> bool:
    """Whether it is a pipe, a device or the like, which is written to and never replaced."""
    mode = mode_of(Path(name))
    return mode != 0 and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def mode_of(path: Path) -> int:
    """Return what a path leads to, as ``st_mode``; 0 where that cannot be found out: whoever opens it is told why.

    Path's own questions let some errors through up to Python 3.13, and none from 3.14 on.
    """
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def take_back_half_line(fd: int, written: bytes) -> None:
    """Cut off what a disk that is full took of a line, where the file is a regular one and still ends with it."""
    half = len(written) - written.rfind(b"\n") - 1
    with suppress(OSError):
        end = os.fstat(fd).st_size
        if half and os.lseek(fd, 0, os.SEEK_CUR) == end:
            os.ftruncate(fd, end - half)
