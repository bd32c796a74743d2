"""A run under way: what it was asked to do, and every listing that it has finished. Survives the process.

    DIR/.ncrawl-20261123T020000Z/
      run.json     what was asked: format, account, options
      parts        the lines of each finished listing, one after the other, as they will stand in the snapshot
      journal      one line a finished listing: its result, where its part is, and a checksum of the line

A listing is finished once its journal line is written; the part is written before. Both are synced every few
seconds, which only a power loss can tell. After one, a part may be missing under a journal line: parts are checked
against their SHA-256 when a run is taken up again, and what does not match is fetched anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import time
from typing import TYPE_CHECKING, Self

import anyio.lowlevel
import anyio.to_thread
import msgspec

from crawler.api.collections import COLLECTIONS
from crawler.core.errors import OutputError
from crawler.output.compression import compressor
from crawler.output.files import open_own, replace_file, sync_folder, write_all, writing
from crawler.snapshot.reading.chunks import LUMP_BYTES, UnreadableError, unpacked
from crawler.snapshot.reading.records import key_type, parse_keys
from crawler.snapshot.unfinished.journal import (
    HEADER,
    JOURNAL,
    PARTS,
    Part,
    check_files,
    journal_line,
    read_header,
    read_journal,
    sealed,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from crawler.core.model import ListingResult, Place
    from crawler.snapshot.unfinished.journal import Header
    from crawler.snapshot.unfinished.spool import Spool

PREFIX = ".ncrawl-"
SYNC_EVERY_S = 5.0
PAUSE_EVERY_BYTES = 1024 * 1024

SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}
"""What --compress adds to the names of the data files."""


class UnfinishedRun:
    """A run's folder, open for writing.

    Mutable state: the finished parts by place, the first failure, and what is synced. Parts are written
    one at a time, for which there is a lock.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.header = header
        self.parts: dict[Place, Part] = {}
        self.suffix = SUFFIXES[str(header.options["compress"])]
        self._fds: list[int] = []
        self._failure: OutputError | None = None
        self._is_synced = True
        self._synced_at_s = time.monotonic()
        self._lock = asyncio.Lock()  # anyio's costs five times as much, for every listing

    @classmethod
    def begin(cls, folder: Path, header: Header) -> Self:
        """Make the folder of a new run.

        Raises:
            OutputError: it cannot be written.
        """
        path = folder / f"{PREFIX}{header.id}"
        with writing(path):
            path.mkdir()
        run = cls(path, header)
        try:
            sync_folder(folder)
            replace_file(path / HEADER, sealed(header))
            run._open()
        except OutputError:
            run.close()
            shutil.rmtree(path, ignore_errors=True)  # nobody could take it up, and the disk may be full
            raise
        return run

    @classmethod
    def resume(cls, path: Path, *, now: str) -> Self:
        """Take up a run.

        Raises:
            UnusableRunError: its state is damaged; not a byte of it is changed.
            OutputError: it cannot be written.
        """
        found = read_header(path)
        entries, valid_bytes = read_journal(path)
        check_files(path)
        name = path.name.removeprefix(PREFIX)  # a crash may have come between its new name and its new header
        run = cls(path, msgspec.structs.replace(found, id=name, resumed=(*found.resumed, now)))
        replace_file(path / HEADER, sealed(run.header))
        run._open()
        run._take_over(entries, valid_bytes)
        return run

    async def commit(self, spool: Spool, result: ListingResult) -> None:
        """Write a listing's lines and its result; from then on it is finished. Others go on meanwhile.

        Raises:
            OutputError: it cannot be written.
        """
        async with self._lock:
            if self._failure is not None:  # whoever waited for its turn must not write after a torn line
                raise self._failure
            try:
                for _ in self._appending(result, spool.sorted_lumps(), spool.count):
                    await anyio.lowlevel.checkpoint()
            except OutputError as error:
                self._failure = error
                raise

    def adopt(self, result: ListingResult, lumps: Iterable[bytes], lines: int) -> None:
        """Take over a finished listing of an earlier snapshot, lines sorted as they are."""
        for _ in self._appending(result, lumps, lines):
            pass

    def read_part(self, part: Part) -> Iterator[bytes]:
        """Yield a part's plain lines, in lumps.

        Raises:
            UnreadableError: damaged.
            OutputError: the disk refuses.
        """
        return unpacked(self.stored([part]), self.path / f"{PARTS}{self.suffix}")

    def names_of(self, place: Place) -> list[str]:
        """Return the names that a finished list holds."""
        lines = b"".join(self.read_part(self.parts[place]))
        return [key.name for key in parse_keys(lines, key_type(COLLECTIONS[place[0]]))] if lines else []

    def stored(self, parts: Iterable[Part]) -> Iterator[bytes]:
        """Yield the bytes of parts as they will stand in the snapshot, one after the other, small ones together.

        Raises:
            OutputError: the disk refuses.
        """
        pieces: list[bytes] = []
        size = 0
        for piece in self._pieces(parts):
            pieces.append(piece)
            size += len(piece)
            if size >= LUMP_BYTES:
                yield b"".join(pieces)
                pieces, size = [], 0
        yield b"".join(pieces)

    def _pieces(self, parts: Iterable[Part]) -> Iterator[bytes]:
        for part in parts:
            end = part.offset + part.length
            for position in range(part.offset, end, LUMP_BYTES):
                with writing(self.path):
                    piece = os.pread(self._fds[0], min(LUMP_BYTES, end - position), position)
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

    def close(self) -> None:
        """Close its files; the folder stays."""
        for fd in self._fds:
            os.close(fd)
        self._fds = []

    def start_at(self, name: str, started_ms: int) -> None:
        """Let the run be named after another start, because the clock that told the first one was wrong.

        Raises:
            OutputError: it cannot be written; the run can be taken up all the same.
        """
        path = self.path.with_name(f"{PREFIX}{name}")
        with writing(self.path):
            self.path.rename(path)
        sync_folder(path.parent)
        self.path = path
        self.header = msgspec.structs.replace(self.header, id=name, started_ms=started_ms)
        replace_file(path / HEADER, sealed(self.header))

    def remove(self) -> None:
        """Remove the folder: its snapshot is published, or nothing in it is worth keeping."""
        self.close()
        with writing(self.path):
            shutil.rmtree(self.path)

    def _open(self) -> None:
        with writing(self.path):
            for name in (PARTS, JOURNAL):
                self._fds.append(open_own(self.path / name, os.O_RDWR | os.O_APPEND))
        sync_folder(self.path)

    def _appending(self, result: ListingResult, lumps: Iterable[bytes], lines: int) -> Iterator[None]:
        """Write a part, then its journal line; pause now and then, because a million lines take seconds."""
        parts, journal = self._fds
        sha256, length, pause_at = hashlib.sha256(), 0, PAUSE_EVERY_BYTES
        compress = compressor(self.suffix)
        with writing(self.path):
            offset = os.fstat(parts).st_size  # a commit that was cut off may have left bytes of nobody's
            for lump in filter(None, lumps):  # gzip would begin a member even for nothing
                sha256.update(lump)
                packed = compress.compress(lump)
                write_all(parts, packed)
                length += len(packed)
                if length >= pause_at:
                    pause_at = length + PAUSE_EVERY_BYTES
                    yield
            if lines:
                rest = compress.flush()
                write_all(parts, rest)
                length += len(rest)
            part = Part(result=result, offset=offset, length=length, sha256=sha256.hexdigest(), lines=lines)
            write_all(journal, journal_line(part))
        self.parts[result.place] = part
        self._is_synced = False

    def _take_over(self, entries: list[Part], valid_bytes: int) -> None:
        """Take up what the journal says: what is finished and whole stays, a torn end is cut off."""
        for part in entries:
            self.parts[part.result.place] = part
        kept = {key: part for key, part in self.parts.items() if part.result.verdict.is_settled}
        self.parts = {key: part for key, part in kept.items() if self._is_intact(part)}
        with writing(self.path):
            os.ftruncate(self._fds[1], valid_bytes)

    def _is_intact(self, part: Part) -> bool:
        sha256 = hashlib.sha256()
        try:
            for lump in self.read_part(part):
                sha256.update(lump)
        except UnreadableError:
            return False
        return sha256.hexdigest() == part.sha256
