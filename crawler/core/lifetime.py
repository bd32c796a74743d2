"""When this process began, by the clock that nobody sets: its deadline is counted from there."""

from __future__ import annotations

import time

_began_s: list[float] = []


def begin() -> None:
    """Note that the process begins now."""
    _began_s[:] = [time.monotonic()]


def began_s() -> float:
    """Return when this process began, as monotonic time; where nobody noted that, it is now."""
    return (_began_s or [time.monotonic()])[0]


def ends_s(deadline_s: float) -> float:
    """Return by when a process with that deadline ends, as monotonic time."""
    return began_s() + deadline_s
