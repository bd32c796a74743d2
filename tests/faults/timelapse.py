"""An event loop whose clock runs at its usual pace while there is something to do, and faster while all wait.

So the program keeps its real time-outs, pauses and holds, and a test of an outage of ten minutes takes seconds.
What works never seems late: time spent computing counts once, also that of a thread which looks a name up.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_T = TypeVar("_T")

SPEED = 1000.0
"""Seconds that pass on the loop's clock in a second of idleness."""
SHORTEST_WAIT_S = 0.0005
"""epoll waits whole milliseconds: what is shorter is not waited for at all."""


class _Selector(selectors.DefaultSelector):
    """Waits for less time than it is told to, and remembers what that saved."""

    saved_s = 0.0

    def __init__(self) -> None:
        super().__init__()
        self._bystanders = frozenset(threading.enumerate())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if not timeout or timeout < 0 or not self._bystanders.issuperset(threading.enumerate()):
            return super().select(timeout)
        began_s = time.monotonic()
        if timeout / SPEED < SHORTEST_WAIT_S:
            ready = super().select(0)
            self.saved_s += 0.0 if ready else timeout
            return ready
        ready = super().select(timeout / SPEED)
        waited_s = time.monotonic() - began_s
        self.saved_s += max(min(waited_s * SPEED, timeout) - waited_s, 0.0)
        return ready


class TimeLapse(asyncio.SelectorEventLoop):
    """The loop."""

    def __init__(self) -> None:
        self._idle = _Selector()
        super().__init__(self._idle)

    def time(self) -> float:
        """Return seconds on the loop's clock."""
        return super().time() + self._idle.saved_s


def run(main: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run an async function to its end."""
    with asyncio.Runner(loop_factory=TimeLapse) as runner:
        return runner.run(main())


def now_s() -> float:
    """Return seconds on the running loop's clock."""
    return asyncio.get_running_loop().time()
