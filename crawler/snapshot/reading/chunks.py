"""Bytes and whole lines out of plain, .gz and .zst files or a registry's part of them, a chunk at a time."""

from __future__ import annotations

import hashlib
import os
import stat
from io import FileIO
from typing import TYPE_CHECKING, Protocol, cast

from crawler.output.stores.place import Place
from crawler.snapshot.reading.unpacking import UnreadableError, cut_short, unpacked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

CHUNK_BYTES = 256 * 1024
PACKED_CHUNK_BYTES = 64 * 1024
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


def read_chunks(path: Path, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
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
            yield from plain_chunks(file, path, length)
    except OSError as error:
        raise UnreadableError(path, f"cannot be read: {error.strerror}") from error


def plain_chunks(file: Readable, path: Path, length: int | None = None) -> Iterator[bytes]:
    """Yield what the next ``length`` bytes of an open file unpack to, or all that are left.

    Raises:
        OSError: they cannot be read.
        UnreadableError: they cannot be unpacked.
    """
    chunks = stored_chunks(file, length, chunk_bytes(path))
    if length is None and is_packed(path):
        chunks = _some(chunks, path)
    return unpacked(chunks, path)


def _some(chunks: Iterator[bytes], path: Path) -> Iterator[bytes]:
    """Let chunks pass, if there are any: what a packer wrote is never empty."""
    first = next(chunks, b"")
    if not first:
        raise cut_short(path)
    yield first
    yield from chunks


def is_packed(path: Path) -> bool:
    """Tell from its name whether a file is compressed."""
    return path.suffix in (".gz", ".zst")


def chunk_bytes(path: Path) -> int:
    """Return how much of a stored file to read at a time."""
    return PACKED_CHUNK_BYTES if is_packed(path) else CHUNK_BYTES


def stored_chunks(file: Readable, length: int | None, size: int) -> Iterator[bytes]:
    """Yield the next ``length`` bytes of ``file``, or all that are left, in chunks of at most ``size``."""
    while length is None or length > 0:
        chunk = file.read(size if length is None else min(size, length))
        if not chunk:
            return
        yield chunk
        length = None if length is None else length - len(chunk)


def hashed(chunks: Iterable[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    """Yield chunks as they are, each after a digest took it in."""
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def sha256_of(chunks: Iterable[bytes]) -> str:
    """Return the SHA-256 of chunks, in hexadecimal."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def whole_lines(chunks: Iterable[bytes], path: Path) -> Iterator[bytes]:
    """Cut chunks anew, so that each ends where a line ends; only the very last line may lack its newline.

    Raises:
        UnreadableError: a line longer than any record.
    """
    rest: list[bytes] = []
    size = 0
    for chunk in chunks:
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield b"".join((*rest, chunk[:cut]))
            rest, size = [], 0
        rest.append(chunk[cut:])
        size += len(chunk) - cut
        if size > MAX_LINE_BYTES:
            raise UnreadableError(path, f"a line is longer than {MAX_LINE_BYTES:,} bytes: not NDJSON")
    if size:
        yield b"".join(rest)
