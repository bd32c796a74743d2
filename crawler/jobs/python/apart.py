"""Run a job in a thread and an event loop of its own, so that it can be called from anywhere.

Nothing of the caller's is touched: neither its event loop, nor signals, nor anything that the process has once.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, wait
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


def run_apart(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end and return its result, or raise its error.

    An exception that comes while it is waited for, as of Ctrl-C, cancels it, and waits until it has let go of all.
    """
    job = _Job(main)
    try:
        job.start()
        return job.done.result()
    finally:
        job.end()


class _Job(threading.Thread, Generic[T]):
    """A thread with an event loop. Mutable state: the task in it, until it is over, and whether it is to end."""

    def __init__(self, main: Callable[[], Coroutine[Any, Any, T]]) -> None:
        super().__init__(name="ncrawl", daemon=True)
        self.done: Future[T] = Future()
        self._main = main
        self._lock = threading.Lock()
        self._task: asyncio.Task[T] | None = None
        self._is_cancelled = False

    def start(self) -> None:
        """Begin; what keeps a thread from beginning is the job's error."""
        try:
            super().start()
        except RuntimeError as error:
            self.done.set_exception(error)

    def end(self) -> None:
        """Cancel it, if it is not over, and wait until it is: an exception may have come before it had begun."""
        self.cancel()
        wait([self.done])
        with suppress(RuntimeError):  # it never began
            self.join()

    def run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_fastest_loop()) as runner:
                result = runner.run(self._run())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            self.done.set_exception(error)
        else:
            self.done.set_result(result)

    async def _run(self) -> T:
        task = asyncio.ensure_future(self._main())
        with self._lock:
            self._task = task
            if self._is_cancelled:
                task.cancel()
        try:
            return await task
        finally:
            with self._lock:
                self._task = None

    def cancel(self) -> None:
        """End it, if it is not over."""
        with self._lock:
            self._is_cancelled = True
            if self._task is not None:
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)


def _fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the fastest event loop there is; None leaves it to asyncio."""
    if find_spec("uvloop") is None:
        return None
    import uvloop  # noqa: PLC0415 - it exists on POSIX only

    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return new_event_loop
