"""An event loop whose time passes at once when nothing is left to do: pauses and time-outs cost nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


class HurriedLoop(asyncio.SelectorEventLoop):
    """Its clock is what it has waited for; there is no network that could make it wait for anything else."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        selector: Any = self._selector  # type: ignore[attr-defined]
        self._select = selector.select
        selector.select = self._pass_time

    def time(self) -> float:
        """Return the seconds that were waited for so far."""
        return self._now_s

    def _pass_time(self, timeout_s: float | None = None) -> Any:
        assert timeout_s is not None, "nothing would ever happen"
        self._now_s += timeout_s
        return self._select(0)


def run_hurried(what: Coroutine[Any, Any, T]) -> T:
    """Run something to its end without waiting."""
    with asyncio.Runner(loop_factory=HurriedLoop) as runner:
        return runner.run(what)
