"""The output of a crawl that becomes a snapshot: spool every listing, commit it when it has its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.snapshot.spool import Spool

if TYPE_CHECKING:
    from crawler.model import ListingResult
    from crawler.scheduling import Walk
    from crawler.snapshot.run import UnfinishedRun


class Recorder:
    """Takes a crawl's records into an unfinished run.

    Mutable state: the spool of each listing under way.
    """

    def __init__(self, run: UnfinishedRun) -> None:
        self._run = run
        self._spools: dict[Walk, Spool] = {}

    async def take(self, walk: Walk, names: list[str], records: list[bytes]) -> None:
        """Spool records of a walk."""
        if walk not in self._spools:
            self._spools[walk] = Spool(self._run.path, walk.prefix)
        self._spools[walk].add(names, records)

    async def end(self, walk: Walk, result: ListingResult) -> None:
        """Commit a listing that ended by itself."""
        spool = self._spools.pop(walk, None) or Spool(self._run.path, walk.prefix)
        try:
            self._run.commit(spool, result)
        finally:
            spool.close()

    async def flush(self) -> None:
        """Make what is committed last."""
        await self._run.sync()

    def close(self) -> None:
        """Let go of the listings that were cut off."""
        for spool in self._spools.values():
            spool.close()
        self._spools.clear()
