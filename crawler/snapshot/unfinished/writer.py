"""The output of a crawl that becomes a snapshot: spool every listing, commit it when it has its verdict."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from msgspec.structs import replace

from crawler.snapshot.unfinished.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crawler.core.model import ListingResult
    from crawler.engine.tasks import ListingTask
    from crawler.snapshot.unfinished.run import UnfinishedRun

MEMORY_BYTES = 64 * 1024 * 1024


class SnapshotWriter:
    """Takes a crawl's records into an unfinished run.

    Mutable state: the spool of each listing under way, and how much memory they take together; the spools of those that
    are being committed, which a deadline may cut off.

    Args:
        run: where finished listings go.
        memory_bytes: for the records of all listings under way; beyond it, the largest is put aside on the disk.
    """

    def __init__(self, run: UnfinishedRun, *, memory_bytes: int = MEMORY_BYTES) -> None:
        self._run = run
        self._memory_bytes = memory_bytes
        self._spools: dict[ListingTask, Spool] = {}
        self._ending: dict[ListingTask, Spool] = {}
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
        self._ending[task] = spool
        await self._run.commit(spool, result)
        del self._ending[task]
        spool.close()

    async def end_the_rest(self, results: Iterable[ListingResult]) -> None:
        """Commit the listings that the end of the crawl cut off, each with what was had of it.

        Args:
            results: those of the crawl; what is committed already is left alone.
        """
        spools = self._spools | self._ending
        cut_off = {task.place: spool for task, spool in spools.items()}
        for result in results:
            if result.place not in self._run.parts:
                spool = cut_off.get(result.place) or Spool(self._run.path, b"")
                await self._run.commit(spool, replace(result, records=spool.count))

    async def flush(self) -> None:
        """Make what is committed last."""
        await self._run.sync()

    def close(self) -> None:
        """Let go of the listings that were cut off."""
        for spool in (*self._spools.values(), *self._ending.values()):
            spool.close()
        self._spools.clear()
        self._ending.clear()
