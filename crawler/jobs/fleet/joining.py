"""Join data files by appending one to the other: frames stay as they are, nothing is unpacked.

What is appended is read once, for the checksum of the whole; its own is looked at on the way, on another core.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from crawler.output.compression import compressor
from crawler.output.files import write_all, writing
from crawler.snapshot.manifest import StoredFile

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from crawler.output.stores.interface import Store

_PIECE_BYTES: Final = 1024 * 1024
_SMALL_BYTES: Final = 64 * 1024
"""What is hashed where it is read: handing it to another thread takes longer."""


class NotJoinedError(Exception):
    """A file that is not what its manifest says: nothing was appended."""


class _State(NamedTuple):
    """How long a joined file is, in bytes and lines, and the hash of it so far."""

    bytes: int
    lines: int
    sha256: hashlib._Hash


class JoinedFile:
    """A data file of all accounts, open to append those of one after the other.

    Mutable state: the open file, and what is in it.

    Args:
        path: where it is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = 0
        self._lines = 0
        self._sha256 = hashlib.sha256()

    def __enter__(self) -> Self:
        with writing(self.path):
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._beside = ThreadPoolExecutor(1)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._beside.shutdown()
        os.close(self._fd)

    def mark(self) -> _State:
        """Return how it is now, to `go_back` to."""
        return _State(self.bytes, self._lines, self._sha256.copy())

    def go_back(self, mark: _State) -> None:
        """Take away what was appended since."""
        self.bytes, self._lines, self._sha256 = mark
        with writing(self.path):
            os.ftruncate(self._fd, self.bytes)
            os.lseek(self._fd, self.bytes, os.SEEK_SET)

    def append(self, store: Store, name: str, stored: StoredFile) -> None:
        """Append a file; one without lines may hold an empty frame, which is left out.

        Raises:
            NotJoinedError: it cannot be read, or is not what its manifest says; `go_back` is the caller's.
            OutputError: the joined one cannot be written.
        """
        if not stored.lines:
            return
        own, size = hashlib.sha256(), 0
        try:
            with store.open(name) as file:
                while piece := file.read(_PIECE_BYTES):
                    self._take(piece, own)
                    size += len(piece)
        except OSError as error:
            raise NotJoinedError(f"{stored.name} cannot be read: {error.strerror}") from error
        if (size, own.hexdigest()) != (stored.bytes, stored.sha256):
            raise NotJoinedError(f"{stored.name} is damaged: it does not have the SHA-256 of its manifest")
        self._lines += stored.lines

    def _take(self, piece: bytes, own: hashlib._Hash) -> None:
        if len(piece) < _SMALL_BYTES:
            own.update(piece)
            self._write(piece)
            return
        hashed = self._beside.submit(own.update, piece)
        self._write(piece)
        hashed.result()

    def _write(self, piece: bytes) -> None:
        self._sha256.update(piece)
        self.bytes += len(piece)
        with writing(self.path):
            write_all(self._fd, piece)

    def finish(self) -> StoredFile:
        """Make it last, and return what a manifest says of it; without any lines it is one empty frame."""
        if not self._lines and (empty := compressor(self.path.name).flush()):
            self._write(empty)
        with writing(self.path):
            os.fsync(self._fd)
        return StoredFile(name=self.path.name, bytes=self.bytes, sha256=self._sha256.hexdigest(), lines=self._lines)
