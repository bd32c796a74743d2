"""What time a run goes by: this machine's clock as it was when the run began, and the gateway's where that differs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from crawler.snapshot.folder.names import new_id, right_start_ms
from crawler.snapshot.folder.retention import Clock

if TYPE_CHECKING:
    from crawler.engine.spec import CrawlResult
    from crawler.snapshot.unfinished.run import UnfinishedRun


@dataclass(slots=True)
class RunClock:
    """The clock of one run.

    Attributes:
        offset_s: how far the gateway's clock was found to be ahead.
        is_proven: the gateway has taken a signature that this machine's clock was good enough for.
    """

    offset_s: float = 0.0
    is_proven: bool = False
    _epoch_s: float = field(default_factory=lambda: time.time() - time.monotonic())  # see `Transport`

    def learn(self, result: CrawlResult) -> None:
        """Take in what a crawl found out."""
        self.offset_s = result.clock_offset_s
        self.is_proven = any(one.pages for one in result.everything)

    def now_ms(self) -> int:
        """Return the time by this machine's clock as it was when the run began."""
        return round((self._epoch_s + time.monotonic()) * 1000)

    def gateways_now_ms(self) -> float:
        """Return the time by the gateway's clock."""
        return self.now_ms() + self.offset_s * 1000

    def name_rightly(self, run: UnfinishedRun) -> None:
        """Name a run after its start by the gateway's clock, where ours was found to be wrong."""
        header = run.header
        started_ms = right_start_ms(
            header.started_ms,
            now_ms=self.now_ms(),
            offset_ms=round(self.offset_s * 1000),
            is_resumed=bool(header.resumed),
        )
        if started_ms != header.started_ms:
            name = new_id(run.path.parent, datetime.fromtimestamp(started_ms / 1000, UTC))
            run.start_at(name, started_ms)

    def of_ages(self) -> Clock:
        """Return the time to measure ages by: the earlier of ours and the gateway's: nobody knows which is right."""
        earlier_s = self.now_ms() / 1000 + min(0.0, self.offset_s)
        return Clock(datetime.fromtimestamp(earlier_s, UTC), self.is_proven and not self.offset_s)
