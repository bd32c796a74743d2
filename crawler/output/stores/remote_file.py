"""A file of an object storage, read as other files are: what is asked for on end comes by one request."""

from __future__ import annotations

from io import SEEK_CUR, SEEK_END, SEEK_SET, RawIOBase
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import WriteableBuffer


class Part(NamedTuple):
    """What a request brings: pieces of bytes, and how long the whole file is."""

    pieces: Iterator[bytes]
    whole_bytes: int


class RemoteFile(RawIOBase):
    """A file that is fetched as it is read.

    Args:
        fetch: requests a part of it, from a place on: so many bytes, or all.
        begin: where the part begins that is read first.
        length: how long that is; None is all.

    Mutable state: where it is read; the request under way, and where its next byte belongs.
    """

    def __init__(self, fetch: Callable[[int, int | None], Part], begin: int = 0, length: int | None = None) -> None:
        self._fetch = fetch
        self._at = self._next = begin
        self._piece = memoryview(b"")
        self._pieces, self._size = fetch(begin, length)

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be sought in."""
        return True

    def tell(self) -> int:
        """Return where it is read next."""
        return self._at

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        """Move to another place; nothing is requested before it is read."""
        self._at = {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: self._size}[whence] + offset
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        """Return so many bytes, or all that are left."""
        if size is None or size < 0:
            return self.readall()
        pieces = []
        while size > 0 and (piece := super().read(size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer as far as the next piece goes."""
        room = memoryview(buffer).cast("B")
        if not len(room) or self._at >= self._size or not self._turn():
            return 0
        taken = self._piece[: len(room)]
        room[: len(taken)] = taken
        self._piece = self._piece[len(taken) :]
        self._at = self._next = self._next + len(taken)
        return len(taken)

    def _turn(self) -> bool:
        """Have the piece that begins where it is read, by another request if need be; return whether there is one."""
        if self._next != self._at:
            self._request()
        if not self._piece:
            self._piece = memoryview(next(self._pieces, b""))
        if not self._piece:  # the part that was asked for is over, and the file is not
            self._request()
            self._piece = memoryview(next(self._pieces, b""))
        return bool(self._piece)

    def _request(self) -> None:
        self._pieces, self._size = self._fetch(self._at, None)
        self._piece, self._next = memoryview(b""), self._at
