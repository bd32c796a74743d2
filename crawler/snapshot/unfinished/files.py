"""The files of a run under way, open for writing: `parts`, which hold lines, and the journal, which tells of parts."""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING, TypeAlias

import anyio.to_thread

from crawler.output.compression import compressor
from crawler.output.files import open_own, sync_folder, write_all, writing
from crawler.snapshot.reading.chunks import CHUNK_BYTES, unpacked
from crawler.snapshot.unfinished.journal import JOURNAL, PARTS, Entry, ListPart, Part, journal_line, read_part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from crawler.core.model import ListingResult
    from crawler.snapshot.unfinished.batches import Stretch

SYNC_EVERY_S = 5.0
PAUSE_EVERY_BYTES = 1024 * 1024

Lines: TypeAlias = "tuple[tuple[str, ...], Iterable[bytes], int]"
"""A list's lines, sorted, and how many they are; in a batch behind what it is within below its registry."""


class RunFiles:
    """Parts and journal of a run.

    Mutable state: the open files, and what is synced.

    Args:
        path: the run's folder.
        suffix: what its parts are compressed as.
    """

    def __init__(self, path: Path, suffix: str) -> None:
        self.path = path
        self._suffix = suffix
        self._fds: list[int] = []
        self._is_synced = True
        self._synced_at_s = time.monotonic()

    def open(self) -> None:
        """Open both, and make them if they are not there.

        Raises:
            OutputError: they cannot be written.
        """
        with writing(self.path):
            for name in (PARTS, JOURNAL):
                self._fds.append(open_own(self.path / name, os.O_RDWR | os.O_APPEND))
        sync_folder(self.path)

    def close(self) -> None:
        """Close both."""
        for fd in self._fds:
            os.close(fd)
        self._fds = []

    def append(self, result: ListingResult, lists: Iterable[Lines]) -> Iterator[Entry | None]:
        """Write a part, then its journal line, which is given out; None now and then, because a million take seconds.

        Args:
            result: of a list, or the sum of several.
            lists: the one, or those.
        """
        parts, _ = self._fds
        sha256, written, pause_at = hashlib.sha256(), list[ListPart](), PAUSE_EVERY_BYTES
        with writing(self.path):
            offset = end = os.fstat(parts).st_size  # a commit that was cut off may have left bytes of nobody's
            for name, chunks, lines in lists:
                start = end
                for packed in self._packed(chunks, sha256, lines):
                    write_all(parts, packed)
                    end += len(packed)
                    if end - offset >= pause_at:
                        pause_at = end - offset + PAUSE_EVERY_BYTES
                        yield None
                written.append(ListPart(name, end - start, lines))
            part = Part(
                result=result,
                offset=offset,
                length=end - offset,
                sha256=sha256.hexdigest(),
                lines=sum(one.lines for one in written),
                lists=tuple(written) if result.is_sum else (),
            )
            entry = self._entered(part)
        self._is_synced = False
        yield entry

    def _entered(self, part: Part) -> Entry:
        """Write the journal's line of a part."""
        _, journal = self._fds
        at, line = os.fstat(journal).st_size, journal_line(part)
        write_all(journal, line)
        return Entry(part, at, len(line))

    def _packed(self, chunks: Iterable[bytes], sha256: hashlib._Hash, lines: int) -> Iterator[bytes]:
        compress = compressor(self._suffix)
        for chunk in filter(None, chunks):  # gzip would begin a member even for nothing
            sha256.update(chunk)
            yield compress.compress(chunk)
        if lines:
            yield compress.flush()

    def read_line(self, at: int, size: int) -> Part:
        """Return what a line of the journal tells of.

        Raises:
            OutputError: the disk refuses.
        """
        with writing(self.path):
            return read_part(os.pread(self._fds[1], size, at)[9:-1])

    def cut(self, size: int) -> None:
        """Cut the journal off behind its last whole line."""
        with writing(self.path):
            os.ftruncate(self._fds[1], size)

    def read(self, parts: Iterable[Part | Stretch]) -> Iterator[bytes]:
        """Yield the plain lines of parts, one after the other, in chunks.

        Raises:
            UnreadableError: damaged.
            OutputError: the disk refuses.
        """
        return unpacked(self.stored(parts), self.path / f"{PARTS}{self._suffix}")

    def stored(self, parts: Iterable[Part | Stretch]) -> Iterator[bytes]:
        """Yield the bytes of parts as they will stand in the snapshot, one after the other, small ones together.

        Raises:
            OutputError: the disk refuses.
        """
        pieces: list[bytes] = []
        size = 0
        for piece in self._pieces(parts):
            pieces.append(piece)
            size += len(piece)
            if size >= CHUNK_BYTES:
                yield b"".join(pieces)
                pieces, size = [], 0
        yield b"".join(pieces)

    def _pieces(self, parts: Iterable[Part | Stretch]) -> Iterator[bytes]:
        for part in parts:
            end = part.offset + part.length
            for position in range(part.offset, end, CHUNK_BYTES):
                with writing(self.path):
                    piece = os.pread(self._fds[0], min(CHUNK_BYTES, end - position), position)
                yield piece

    async def sync(self) -> None:
        """Make what is finished last, if SYNC_EVERY_S have passed since the last time; beside the event loop."""
        if self._is_synced or time.monotonic() - self._synced_at_s < SYNC_EVERY_S:
            return
        self._is_synced = True
        self._synced_at_s = time.monotonic()
        with writing(self.path):
            for fd in self._fds:
                await anyio.to_thread.run_sync(os.fsync, fd)
