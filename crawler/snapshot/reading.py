"""Bytes and whole lines out of plain, .gz and .zst files or a registry's part of them, a lump at a time."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Protocol

import zstandard

from crawler.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import IO

LUMP_BYTES = 256 * 1024
PACKED_LUMP_BYTES = 16 * 1024  # all that it unpacks to is in memory at once
MAX_LINE_BYTES = 64 * 1024 * 1024


class UnreadableError(UsageError):
    """A data file that cannot be opened or unpacked, or that holds something else."""

    def __init__(self, path: Path, problem: str) -> None:
        self.problem = problem
        super().__init__(f"{path}: {problem}")


class _Unpacking(Protocol):
    """One member of a .gz file, or one frame of a .zst file, while it is unpacked."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def read_lumps(path: Path, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
    """Yield the uncompressed bytes of a file, or of one part of it.

    Args:
        path: the file; its suffix tells how it is compressed.
        offset: where to begin, in bytes of the stored file: the start of a line, member or frame.
        length: stored bytes to read; None reads to the end.

    Raises:
        UnreadableError: it cannot be opened, read or unpacked, or is cut short.
    """
    try:
        with path.open("rb", buffering=0) as file:
            if offset:
                file.seek(offset)
            yield from unpacked(stored_lumps(file, length, lump_bytes(path)), path)
    except OSError as error:
        raise UnreadableError(path, f"cannot be read: {error.strerror}") from error


def is_packed(path: Path) -> bool:
    """Tell from its name whether a file is compressed."""
    return path.suffix in (".gz", ".zst")


def lump_bytes(path: Path) -> int:
    """Return how much of a stored file to read at a time."""
    return PACKED_LUMP_BYTES if is_packed(path) else LUMP_BYTES


def stored_lumps(file: IO[bytes], length: int | None, size: int) -> Iterator[bytes]:
    """Yield the next ``length`` bytes of ``file``, or all that are left, in lumps of at most ``size``."""
    while length is None or length > 0:
        lump = file.read(size if length is None else min(size, length))
        if not lump:
            return
        yield lump
        length = None if length is None else length - len(lump)


def unpacked(lumps: Iterable[bytes], path: Path) -> Iterator[bytes]:
    """Undo the compression that ``path`` is named after; any number of whole members or frames may follow each other.

    Raises:
        UnreadableError: damaged or cut short.
    """
    if path.suffix == ".gz":
        return _unpacked(lumps, path, lambda: zlib.decompressobj(wbits=31))
    if path.suffix == ".zst":
        return _unpacked(lumps, path, zstandard.ZstdDecompressor().decompressobj)
    return iter(lumps)


def _unpacked(lumps: Iterable[bytes], path: Path, begin: Callable[[], _Unpacking]) -> Iterator[bytes]:
    member: _Unpacking | None = None
    for lump in lumps:
        rest = lump
        while rest:
            member = member or begin()
            try:
                plain = member.decompress(rest)
            except (zlib.error, zstandard.ZstdError) as error:
                raise UnreadableError(path, f"cannot be unpacked: {error}") from error
            if plain:
                yield plain
            rest, member = (member.unused_data, None) if member.eof else (b"", member)
    if member is not None:
        raise UnreadableError(path, "cannot be unpacked: it is cut short")


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
