"""A run under way: what it was asked to do, and every listing that it has finished. Survives the process.

    DIR/.ncrawl-20261123T020000Z/
      run.json     what was asked: format, account, options
      parts        the lines of each finished listing, one after the other, as they will stand in the snapshot
      journal      one line a finished listing: its result, where its part is, and a checksum of the line; small lists
                   below a registry's own share one (`batches`)

A listing is finished once its journal line is written; the part is written before. Both are synced every few
seconds, which only a power loss can tell. After one, a part may be missing under a journal line: parts are checked
against their SHA-256 when a run is taken up again, and what does not match is fetched anew.
"""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, Self

import anyio.lowlevel
import anyio.to_thread
import msgspec

from crawler.api.collections import COLLECTIONS
from crawler.core.errors import OutputError
from crawler.output.files import replace_file, sync_folder, writing
from crawler.snapshot.reading.chunks import UnreadableError, sha256_of, whole_lines
from crawler.snapshot.reading.records import key_type, parse_keys
from crawler.snapshot.unfinished.batches import Batches, each_alone
from crawler.snapshot.unfinished.files import RunFiles
from crawler.snapshot.unfinished.journal import (
    HEADER,
    PARTS,
    Entry,
    Part,
    check_files,
    read_header,
    read_journal,
    sealed,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from crawler.core.model import ListingResult, Place
    from crawler.snapshot.unfinished.batches import Batch, Family, Stretch
    from crawler.snapshot.unfinished.files import Lines
    from crawler.snapshot.unfinished.journal import Header
    from crawler.snapshot.unfinished.spool import Spool

PREFIX = ".ncrawl-"

SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}
"""What --compress adds to the names of the data files."""


class UnfinishedRun:
    """A run's folder, open for writing.

    Mutable state: the finished parts by place, and those that are finished in batches; the first failure. Parts are
    written one at a time, for which there is a lock.

    Attributes:
        files: where they are.
        parts: what is finished by itself.
        batches: what is finished together.
        earlier: families of which the run had batches before this session.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.header = header
        self.parts: dict[Place, Part] = {}
        self.suffix = SUFFIXES[str(header.options["compress"])]
        self.files = RunFiles(path, self.suffix)
        self.batches = Batches(self.files.read_line)
        self.earlier: frozenset[Family] = frozenset()
        self._failure: OutputError | None = None
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
            run.files.open()
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
        entries = read_journal(path)
        check_files(path)
        name = path.name.removeprefix(PREFIX)  # a crash may have come between its new name and its new header
        run = cls(path, msgspec.structs.replace(found, id=name, resumed=(*found.resumed, now)))
        replace_file(path / HEADER, sealed(run.header))
        run.files.open()
        run._take_over(entries)
        return run

    @property
    def results(self) -> list[ListingResult]:
        """How what is finished ended: lists, and sums of lists."""
        return [*(part.result for part in self.parts.values()), *self.batches.results]

    async def commit(self, spool: Spool, result: ListingResult) -> None:
        """Write a listing's lines and its result; from then on it is finished. Others go on meanwhile.

        Raises:
            OutputError: it cannot be written.
        """
        await self.commit_lists(result, [((), spool.sorted_chunks(), spool.count)])

    async def commit_batch(self, batch: Batch) -> None:
        """Likewise those of a batch, all at once.

        Raises:
            OutputError: it cannot be written.
        """
        lists = [(name, spool.sorted_chunks(), spool.count) for name, spool in batch.lists]
        await self.commit_lists(batch.result, lists)

    async def commit_lists(self, result: ListingResult, lists: Iterable[Lines]) -> None:
        """Likewise lists that are summed up, lines sorted as they are.

        Raises:
            OutputError: it cannot be written.
        """
        async with self._lock:
            if self._failure is not None:  # whoever waited for its turn must not write after a torn line
                raise self._failure
            try:
                for entry in self.files.append(result, lists):
                    if entry is None:
                        await anyio.lowlevel.checkpoint()
                    else:
                        self._finish(entry)
            except OutputError as error:
                self._failure = error
                raise

    def adopt(self, result: ListingResult, chunks: Iterable[bytes], lines: int) -> None:
        """Take over a finished listing of an earlier snapshot, lines sorted as they are."""
        self.adopt_batch(result, [((), chunks, lines)])

    def adopt_batch(self, result: ListingResult, lists: Iterable[Lines]) -> None:
        """Likewise lists that are summed up: what each is within below its registry, its lines, and their number."""
        for entry in filter(None, self.files.append(result, lists)):
            self._finish(entry)

    def note_earlier(self) -> None:
        """Take in that what is finished by now was not fetched by this session."""
        self.earlier = frozenset(self.batches)

    def break_up(self, family: Family) -> None:
        """Make parts of their own of the lists that are finished in batches, so that some can be left out."""
        for batch in self.batches.drop(family):
            self.parts.update((part.result.place, part) for part in each_alone(batch))

    def read_part(self, *parts: Part | Stretch) -> Iterator[bytes]:
        """Yield the plain lines of parts, one after the other, in chunks.

        Raises:
            UnreadableError: damaged.
            OutputError: the disk refuses.
        """
        return self.files.read(parts)

    def names_of(self, place: Place) -> list[str]:
        """Return the names that a finished list holds; none of a list that is not finished."""
        found = self.parts.get(place) or (self.batches.find(place) if place[2] else None)
        if found is None:
            return []
        kind, chunks = key_type(COLLECTIONS[place[0]]), self.read_part(found)
        return [key.name for chunk in whole_lines(chunks, self.path / PARTS) for key in parse_keys(chunk, kind)]

    def close(self) -> None:
        """Close its files; the folder stays."""
        self.files.close()

    def start_at(self, name: str, started_ms: int) -> None:
        """Let the run be named after another start, because the clock that told the first one was wrong.

        Raises:
            OutputError: it cannot be written; the run can be taken up all the same.
        """
        path = self.path.with_name(f"{PREFIX}{name}")
        with writing(self.path):
            self.path.rename(path)
        sync_folder(path.parent)
        self.path = self.files.path = path
        self.header = msgspec.structs.replace(self.header, id=name, started_ms=started_ms)
        replace_file(path / HEADER, sealed(self.header))

    def remove(self) -> None:
        """Remove the folder: its snapshot is published, or nothing in it is worth keeping."""
        self.close()
        with writing(self.path):
            shutil.rmtree(self.path)

    def _finish(self, entry: Entry) -> None:
        result = entry.part.result
        if result.is_sum:
            self.batches.add(result, entry.at, entry.size)
        else:
            self.parts[result.place] = entry.part

    def _take_over(self, entries: list[Entry]) -> None:
        """Take up what the journal says: what is finished and whole stays, a torn end is cut off."""
        newest = {entry.part.result.place: entry for entry in entries if not entry.part.result.is_sum}
        for entry in (*newest.values(), *(entry for entry in entries if entry.part.result.is_sum)):
            if entry.part.result.verdict.is_settled and self._is_intact(entry.part):
                self._finish(entry)
        self.note_earlier()
        self.files.cut(entries[-1].at + entries[-1].size if entries else 0)

    def _is_intact(self, part: Part) -> bool:
        try:
            return sha256_of(self.read_part(part)) == part.sha256
        except UnreadableError:
            return False
