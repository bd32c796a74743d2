"""When this process began, by the clock that nobody sets: its deadline is counted from there."""

from __future__ import annotations

import time

_began_s: list[float] = []


def begin() -> None:
    """Note that the process begins now."""
    _began_s[:] = [time.monotonic()]


def ends_s(deadline_s: float) -> float:
    """Return by when a process with that deadline ends, as monotonic time; nobody noted its beginning: from now on."""
    return (_began_s or [time.monotonic()])[0] + deadline_s


def left_s(deadline_s: float) -> float:
    """Return how many seconds of the deadline are left."""
    return max(0.0, ends_s(deadline_s) - time.monotonic())
