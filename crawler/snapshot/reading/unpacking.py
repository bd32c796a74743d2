"""Undo gzip and Zstandard a little at a time, so that what is in memory is bounded, whatever was packed.

Zstandard's frames are cut at their blocks (RFC 8878), none of which unpacks to more than 128 KiB; its Python binding
would give out at once whatever a piece of input unpacks to, which can be thirty thousand times as much.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

import zstandard

from crawler.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

PIECE_BYTES: Final = 256 * 1024
"""The most that comes out of a gzip file at a time."""
MAX_WINDOW_BYTES: Final = 8 * 1024 * 1024
"""What RFC 8878 wants every reader to support; ``zstd -19`` takes no more, ``--ultra`` and ``--long`` do."""

_SKIPPABLE: Final = range(0x184D2A50, 0x184D2A60)
_HEADER_BEGINS: Final = 5  # bytes that tell how long a frame's header is
_CHECKSUM_BYTES: Final = 4
_RLE: Final = 1  # a block of one byte, which is to be repeated


class UnreadableError(UsageError):
    """A data file that cannot be opened or unpacked, or that holds something else."""

    def __init__(self, path: Path, problem: str) -> None:
        self.problem = problem
        super().__init__(f"{path}: {problem}")


def cut_short(path: Path) -> UnreadableError:
    """Return the error of a file that ends before it is over."""
    return UnreadableError(path, "cannot be unpacked: it is cut short")


def unpacked(chunks: Iterable[bytes], path: Path) -> Iterator[bytes]:
    """Undo the compression that ``path`` is named after; any number of whole members or frames may follow each other.

    Nothing at all unpacks to nothing: a registry without images has no bytes.

    Raises:
        UnreadableError: damaged, cut short, or packed so that unpacking takes too much memory.
    """
    if path.suffix == ".gz":
        return _readable(_members(chunks, path), path)
    if path.suffix == ".zst":
        return _readable(_frames(_Source(chunks, path)), path)
    return iter(chunks)


def _readable(pieces: Iterator[bytes], path: Path) -> Iterator[bytes]:
    try:
        yield from filter(None, pieces)
    except (zlib.error, zstandard.ZstdError) as error:
        raise UnreadableError(path, f"cannot be unpacked: {error}") from error


def _members(chunks: Iterable[bytes], path: Path) -> Iterator[bytes]:
    member = zlib.decompressobj(wbits=31)
    is_begun = False
    for chunk in chunks:
        rest = chunk
        while rest:
            is_begun = True
            yield from _inflated(member, rest)
            rest = member.unused_data
            if member.eof:
                member, is_begun = zlib.decompressobj(wbits=31), False
    if is_begun:
        raise cut_short(path)


def _inflated(member: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """Yield what ``data`` adds to a member; what comes after the member is left in its ``unused_data``."""
    is_full = True
    while is_full and not member.eof:
        plain = member.decompress(data, PIECE_BYTES)
        yield plain
        data, is_full = member.unconsumed_tail, len(plain) == PIECE_BYTES


class _Source:
    """Bytes that are taken in whatever portions they are asked for; whose file they are of is for errors."""

    def __init__(self, chunks: Iterable[bytes], path: Path) -> None:
        self.path = path
        self._chunks = iter(chunks)
        self._chunk = b""
        self._at = 0

    def upto(self, size: int) -> bytes:
        """Return the next ``size`` bytes, or as many as there are."""
        taken = self._chunk[self._at : self._at + size]
        self._at += len(taken)
        if len(taken) == size:
            return taken
        pieces, size = [taken], size - len(taken)
        while size and (chunk := next(self._chunks, None)) is not None:
            pieces.append(chunk[:size])
            self._chunk, self._at = chunk, len(pieces[-1])
            size -= self._at
        return b"".join(pieces)

    def exactly(self, size: int) -> bytes:
        """Return the next ``size`` bytes.

        Raises:
            UnreadableError: there are fewer.
        """
        taken = self.upto(size)
        if len(taken) < size:
            raise cut_short(self.path)
        return taken


def _frames(source: _Source) -> Iterator[bytes]:
    unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    frames = skipped = 0
    while magic := source.upto(4):
        if int.from_bytes(magic, "little") in _SKIPPABLE:
            skipped += 1
            _skip(source, int.from_bytes(source.exactly(4), "little"))
        else:
            frames += 1
            yield from _frame(source, magic, unpacker)
    if skipped and not frames:
        raise cut_short(source.path)


def _skip(source: _Source, size: int) -> None:
    while size:
        size -= len(source.exactly(min(size, PIECE_BYTES)))


def _frame(source: _Source, magic: bytes, unpacker: zstandard.ZstdDecompressor) -> Iterator[bytes]:
    header = magic + source.exactly(_HEADER_BEGINS - len(magic))
    header += source.exactly(zstandard.frame_header_size(header) - len(header))
    parameters = zstandard.get_frame_parameters(header)
    if parameters.window_size > MAX_WINDOW_BYTES:
        mebibytes = f"{parameters.window_size / 2**20:,.0f} MiB"
        raise UnreadableError(
            source.path, f"takes {mebibytes} of memory to unpack: do so with `zstd --decompress` first"
        )
    frame = unpacker.decompressobj()
    yield frame.decompress(header)
    is_last = False
    while not is_last:
        head = source.exactly(3)
        number = int.from_bytes(head, "little")
        is_last, kind, size = number & 1 == 1, number >> 1 & 3, number >> 3
        yield frame.decompress(head + source.exactly(1 if kind == _RLE else size))
    if parameters.has_checksum:
        yield frame.decompress(source.exactly(_CHECKSUM_BYTES))
    if not frame.eof:
        raise cut_short(source.path)
