"""Time as a lease goes by it, so that tests need not wait."""

from __future__ import annotations

import time
from typing import Protocol


class Clocks(Protocol):
    """Time that passes, waiting, and time for people."""

    def monotonic_s(self) -> float:
        """Return seconds that only grow."""
        ...

    def now_s(self) -> float:
        """Return seconds since 1970."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClocks:
    """This machine's."""

    def monotonic_s(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()

    def now_s(self) -> float:
        """Return seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
