"""Bytes and whole lines out of plain, .gz and .zst files or a registry's part of them, a lump at a time."""

from __future__ import annotations

import os
import stat
from io import FileIO
from typing import TYPE_CHECKING, Protocol, cast

from crawler.output.stores.place import Place
from crawler.snapshot.reading.unpacking import UnreadableError, cut_short, unpacked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LUMP_BYTES = 256 * 1024
PACKED_LUMP_BYTES = 64 * 1024
MAX_LINE_BYTES = 32 * 1024 * 1024
"""A page has 8 MiB at most; a record that is put together anew can grow to three times its size."""

__all__ = ["UnreadableError", "unpacked"]


class Readable(Protocol):
    """All that is needed of a file."""

    def read(self, size: int, /) -> bytes:
        """Read up to ``size`` bytes."""
        ...


class DamagedError(UnreadableError):
    """A data file that is not what its manifest or summary says."""

    exit_code = 3


def open_regular(path: Path, begin: int = 0, length: int | None = None) -> FileIO:
    """Open a file that has to be a regular one, without waiting for anybody: a pipe in its place would never end.

    Args:
        path: the file; of an object storage, if it is a `Place`.
        begin: where whoever opens it will seek to and read first, of an object storage.
        length: how much from there: no more is asked for; None is all the rest.

    Raises:
        OSError: it cannot be opened.
        UnreadableError: it is something else.
    """
    if isinstance(path, Place):
        return cast("FileIO", path.store.open(path.key, begin, length))
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return FileIO(fd, "rb")
    os.close(fd)
    if stat.S_ISDIR(mode):
        raise UnreadableError(path, "cannot be read: Is a directory")
    raise UnreadableError(path, f"is a {'pipe' if stat.S_ISFIFO(mode) else 'device'}, not a file")


def read_lumps(path: Path, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
    """Yield the uncompressed bytes of a regular file, or of one part of it.

    Args:
        path: the file; its suffix tells how it is compressed.
        offset: where to begin, in bytes of the stored file: the start of a line, member or frame.
        length: stored bytes to read; None reads to the end.

    Raises:
        UnreadableError: it cannot be opened, read or unpacked, or is cut short; also a packed file of no bytes.
    """
    try:
        with open_regular(path, offset, length) as file:
            if offset:
                file.seek(offset)
            yield from plain_lumps(file, path, length)
    except OSError as error:
        raise UnreadableError(path, f"cannot be read: {error.strerror}") from error


def plain_lumps(file: Readable, path: Path, length: int | None = None) -> Iterator[bytes]:
    """Yield what the next ``length`` bytes of an open file unpack to, or all that are left.

    Raises:
        OSError: they cannot be read.
        UnreadableError: they cannot be unpacked.
    """
    lumps = stored_lumps(file, length, lump_bytes(path))
    if length is None and is_packed(path):
        lumps = _some(lumps, path)
    return unpacked(lumps, path)


def _some(lumps: Iterator[bytes], path: Path) -> Iterator[bytes]:
    """Let lumps pass, if there are any: what a packer wrote is never empty."""
    first = next(lumps, b"")
    if not first:
        raise cut_short(path)
    yield first
    yield from lumps


def is_packed(path: Path) -> bool:
    """Tell from its name whether a file is compressed."""
    return path.suffix in (".gz", ".zst")


def lump_bytes(path: Path) -> int:
    """Return how much of a stored file to read at a time."""
    return PACKED_LUMP_BYTES if is_packed(path) else LUMP_BYTES


def stored_lumps(file: Readable, length: int | None, size: int) -> Iterator[bytes]:
    """Yield the next ``length`` bytes of ``file``, or all that are left, in lumps of at most ``size``."""
    while length is None or length > 0:
        lump = file.read(size if length is None else min(size, length))
        if not lump:
            return
        yield lump
        length = None if length is None else length - len(lump)


def whole_lines(lumps: Iterable[bytes], path: Path) -> Iterator[bytes]:
    """Cut lumps anew, so that each ends where a line ends; only the very last line may lack its newline.

    Raises:
        UnreadableError: a line longer than any record.
    """
    rest: list[bytes] = []
    size = 0
    for lump in lumps:
        cut = lump.rfind(b"\n") + 1
        if cut:
            yield b"".join((*rest, lump[:cut]))
            rest, size = [], 0
        rest.append(lump[cut:])
        size += len(lump) - cut
        if size > MAX_LINE_BYTES:
            raise UnreadableError(path, f"a line is longer than {MAX_LINE_BYTES:,} bytes: not NDJSON")
    if size:
        yield b"".join(rest)
