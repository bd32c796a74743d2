"""Have an engine run the tasks of all accounts, and try again what may come out better."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from crawler.jobs.fleet.engines import EngineGoneError
from crawler.jobs.fleet.policy import TaskEnd, Tries, pause_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from crawler.jobs.fleet.engines import Engine

LOOK_EVERY_S: Final = 0.5


@dataclass(slots=True)
class Standing:
    """Where a run of a fleet stands. Mutable state: all of it; ``under_way`` is written by the engine's threads.

    Attributes:
        accounts: how many there are, with those that were done before.
        ends: how the task of each ended that is done with.
        under_way: monotonic time at which the task of each began that runs now.
        again: accounts that are tried again later.
    """

    accounts: int
    ends: dict[str, TaskEnd] = field(default_factory=dict)
    under_way: dict[str, float] = field(default_factory=dict)
    again: set[str] = field(default_factory=set)

    def started(self, account: str) -> None:
        """Take in that a task begins."""
        if account not in self.ends:
            self.under_way[account] = time.monotonic()

    @property
    def codes(self) -> Counter[int | None]:
        """How many tasks ended with each exit code."""
        return Counter(end.code for end in self.ends.values())


def run_accounts(
    accounts: Sequence[str],
    engine: Engine,
    standing: Standing,
    *,
    tell: Callable[[str, TaskEnd, float | None], object],
    look: Callable[[], object],
) -> None:
    """Run the tasks of accounts until each is done with.

    Args:
        accounts: their names; those that have ended already, as the standing says, are left out.
        engine: runs the tasks.
        standing: is kept up to date.
        tell: is told of each end, and after how many seconds the account is tried again, if it is.
        look: is called a few times a second.
    """
    loop = _Loop(engine, standing, tell)
    loop.add(account for account in accounts if account not in standing.ends)
    try:
        while loop.goes_on:
            loop.start_what_is_due()
            loop.take_ends()
            look()
    except EngineGoneError as error:
        loop.give_up(str(error))


class _Loop:
    """Tasks that wait, and tasks that an engine has.

    Mutable state: both, and how often each account was tried.
    """

    def __init__(
        self, engine: Engine, standing: Standing, tell: Callable[[str, TaskEnd, float | None], object]
    ) -> None:
        self._engine = engine
        self._standing = standing
        self._tell = tell
        self._waiting: list[tuple[float, int, str]] = []
        self._given: set[str] = set()
        self._tries: dict[str, Tries] = {}
        self._ended: SimpleQueue[tuple[str, TaskEnd]] = SimpleQueue()

    @property
    def goes_on(self) -> bool:
        """Whether there is anything left to do."""
        return bool(self._waiting or self._given)

    def add(self, accounts: Iterable[str]) -> None:
        """Let accounts wait, in this order."""
        for number, account in enumerate(accounts):
            heapq.heappush(self._waiting, (0.0, number, account))

    def start_what_is_due(self) -> None:
        """Give the engine as many as it wants."""
        now_s = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now_s and len(self._given) < self._engine.most:
            account = heapq.heappop(self._waiting)[2]
            self._given.add(account)
            self._standing.again.discard(account)
            self._engine.start(account, lambda account, end: self._ended.put((account, end)))

    def give_up(self, reason: str) -> None:
        """Let everything end that has not."""
        for account in sorted({*self._given, *(account for _, _, account in self._waiting)}):
            self._standing.ends[account] = end = TaskEnd(None, reason)
            self._tell(account, end, None)
        self._standing.under_way.clear()
        self._standing.again.clear()

    def take_ends(self) -> None:
        """Take in what has ended; wait a little if nothing has."""
        try:
            self._take(*self._ended.get(timeout=LOOK_EVERY_S))
            while True:
                self._take(*self._ended.get_nowait())
        except Empty:
            return

    def _take(self, account: str, end: TaskEnd) -> None:
        tries = self._tries[account] = self._tries.get(account, Tries()).after(end)
        after_s = pause_s(end, tries)
        self._given.discard(account)
        self._standing.under_way.pop(account, None)
        if after_s is None:
            self._standing.ends[account] = end
        else:
            self._standing.again.add(account)
            heapq.heappush(self._waiting, (time.monotonic() + after_s, 0, account))
        self._tell(account, end, after_s)
