"""The output of a crawl that becomes a snapshot: spool every listing, commit it when it has its verdict."""

from __future__ import annotations

import asyncio
from operator import attrgetter
from typing import TYPE_CHECKING

from msgspec.structs import replace

from crawler.core.sums import is_plain, kind_of
from crawler.snapshot.unfinished.batches import Batch
from crawler.snapshot.unfinished.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from crawler.core.model import ListingResult
    from crawler.engine.tasks import ListingTask
    from crawler.snapshot.unfinished.reuse import Reuse
    from crawler.snapshot.unfinished.run import UnfinishedRun

MEMORY_BYTES = 64 * 1024 * 1024


class SnapshotWriter:
    """Takes a crawl's records into an unfinished run.

    Mutable state: the spool of each listing under way, and how much memory they take together; the spools of those that
    are being committed, which a deadline may cut off; batches of lists that are over, by what they have in common.

    Args:
        run: where finished listings go.
        reuse: knows what some lists should be, if there is one.
        memory_bytes: for the records of all listings under way; beyond it, the largest is put aside on the disk.
    """

    def __init__(self, run: UnfinishedRun, reuse: Reuse | None = None, *, memory_bytes: int = MEMORY_BYTES) -> None:
        self._run = run
        self._reuse = reuse
        self._lock = asyncio.Lock()
        self._memory_bytes = memory_bytes
        self._spools: dict[ListingTask, Spool] = {}
        self._ending: dict[ListingTask, Spool] = {}
        self._batches: dict[Hashable, Batch] = {}
        self._full: list[Batch] = []
        self._bytes = 0

    async def take(self, task: ListingTask, names: list[str], records: list[bytes]) -> None:
        """Spool records of a task."""
        if task not in self._spools:
            self._spools[task] = Spool(self._run.path, task.prefix)
        spool = self._spools[task]
        before = spool.bytes
        spool.add(names, records)
        self._bytes += spool.bytes - before
        if self._bytes > self._memory_bytes:
            largest = max(self._spools.values(), key=attrgetter("bytes"))
            self._bytes -= largest.bytes
            largest.put_aside()

    async def end(self, task: ListingTask, result: ListingResult) -> None:
        """Commit a listing that ended by itself."""
        spool = self._spools.pop(task, None) or Spool(self._run.path, task.prefix)
        self._bytes -= spool.bytes
        if self._reuse is not None:
            result = self._reuse.judge(result, spool.sorted_chunks())
        if is_plain(result):
            await self._end_together(result, spool)
            return
        self._ending[task] = spool
        await self._run.commit(spool, result)
        del self._ending[task]
        spool.close()

    async def _end_together(self, result: ListingResult, spool: Spool) -> None:
        """Let a list wait for others like it: they are committed together, at the next flush at the latest."""
        kind = kind_of(result)
        batch = self._batches.setdefault(kind, Batch())
        batch.add(result, spool)
        if batch.is_full:
            self._full.append(self._batches.pop(kind))
            await self._commit_full()

    async def end_batches(self) -> None:
        """Commit the lists that wait for others.

        Raises:
            OutputError: they cannot be written.
        """
        self._full += self._batches.values()
        self._batches.clear()
        await self._commit_full()

    async def _commit_full(self) -> None:
        """Commit the batches that are full; one that a deadline cuts off stays among them."""
        async with self._lock:
            while self._full:
                await self._run.commit_batch(self._full[0])
                self._full.pop(0).close()

    async def end_the_rest(self, results: Iterable[ListingResult]) -> None:
        """Commit the listings that the end of the crawl cut off, each with what was had of it.

        Args:
            results: those of the crawl; what is committed already is left alone.
        """
        await self.end_batches()
        spools = self._spools | self._ending
        cut_off = {task.place: spool for task, spool in spools.items()}
        for result in results:
            if not result.is_sum and result.place not in self._run.parts:
                spool = cut_off.get(result.place) or Spool(self._run.path, b"")
                await self._run.commit(spool, replace(result, records=spool.count))

    async def flush(self) -> None:
        """Commit what waits for others, and make what is committed last."""
        await self.end_batches()
        await self._run.files.sync()

    def close(self) -> None:
        """Let go of the listings that were cut off."""
        for spool in (*self._spools.values(), *self._ending.values()):
            spool.close()
        for batch in (*self._batches.values(), *self._full):
            batch.close()
        self._spools.clear()
        self._ending.clear()
