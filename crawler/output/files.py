"""Write so that it lasts: whole lines, whole files, synced, and every failure an OutputError that names the path."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from crawler.core.errors import OutputError, UsageError
from crawler.output.outlets import open_outlet, write_in_time

if TYPE_CHECKING:
    from types import TracebackType


CANNOT_SYNC = frozenset(
    {
        *(errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF),
        *(errno.EACCES, errno.EPERM),  # a folder that may be written to and not read
    }
)
"""What a file system says that cannot sync folders; anything else, as EIO, is a disk that has failed."""


class writing:  # noqa: N801 - read as a function is, like contextlib.suppress
    """Turns the system's errors into an OutputError about ``path``; thousands of registries pass here."""

    __slots__ = ("_path",)
    _doing = "write"

    def __init__(self, path: Path | str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(exc, OSError):
            raise OutputError(str(self._path), exc, doing=self._doing) from None


class reading(writing):  # noqa: N801 - likewise
    """The same where what is to be written to is read first."""

    __slots__ = ()
    _doing = "read"


def write_all(fd: int, data: bytes) -> None:
    """Write every byte of ``data``; a signal or a nearly full disk may cut a single write short."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_folder(path: Path) -> bool:
    """Make the names in a folder last; return whether its file system can do that at all.

    Raises:
        OutputError: the disk refuses.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno in CANNOT_SYNC:
            return False
        raise OutputError(str(path), error) from None
    return True


def open_own(path: Path, flags: int) -> int:
    """Open a file under a name that anybody can foresee, or make it; never through a link that was planted there.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    try:
        fd = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o644)
    except OSError:
        _refuse_planted(path)
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(_planted(path))
    return fd


def create_anew(path: Path, mode: int = 0o644) -> int:
    """Make a file under a name that anybody can foresee, in place of what an earlier run left there; open for writing.

    What other names lead to as well is let go of, not written into.

    Raises:
        OSError: it cannot be made, or what is there is no regular file.
    """
    _refuse_planted(path)
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)


def remove_tree(path: Path) -> None:
    """Remove a folder or a file, or all of it that can be removed; links are not followed.

    Raises:
        OutputError: something is left; names the first thing, and why.
    """
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
            if os.path.lexists(path):
                shutil.rmtree(path)  # says what cannot go
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(str(path / os.fsdecode(error.filename or "")), error) from None


def _refuse_planted(path: Path) -> None:
    """Raise OSError if a name that is ours by right is a link, a pipe, a device or the like."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(_planted(path))


def _planted(path: Path) -> str:
    what = "a symbolic link" if path.is_symlink() else "no regular file"
    return f"{path} is {what}, and ncrawl writes through none: remove it"


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
    partial = _partial(path)
    fd = create_anew(partial, 0o666)
    try:
        write_all(fd, data)
        os.fsync(fd)
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise
    finally:
        os.close(fd)


def _partial(path: Path) -> Path:
    if not path.name:
        raise IsADirectoryError(errno.EISDIR, "")
    return path.with_name(path.name + ".partial")


def check_place(name: str) -> None:
    """Try beforehand whether `write_file` will be able to write; leaves no trace.

    Raises:
        OutputError: it will not.
    """
    with writing(name):
        if means_folder(name):
            raise IsADirectoryError(errno.EISDIR, "")
        if not is_special(name):
            partial = _partial(Path(os.path.realpath(name)))
            os.close(create_anew(partial))
            partial.unlink()


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


def is_folder(path: Path) -> bool:
    """Whether a path leads to a folder.

    Raises:
        UsageError: that cannot be found out: it may not be looked at, or a storage does not answer.
    """
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def take_back_half_line(fd: int, written: bytes) -> None:
    """Cut off what a disk that is full took of a line, where the file is a regular one and still ends with it."""
    half = len(written) - written.rfind(b"\n") - 1
    with suppress(OSError):
        end = os.fstat(fd).st_size
        if half and os.lseek(fd, 0, os.SEEK_CUR) == end:
            os.ftruncate(fd, end - half)
