"""Run a command so that SIGINT, SIGTERM and SIGHUP end it: a crawl in good order, anything else at once."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, NoReturn

import anyio

from crawler.cli.logs import WHOLE
from crawler.cli.streams import standard_error
from crawler.engine.spec import StopReason
from crawler.jobs.ends import EXIT_CODES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from types import FrameType

    from crawler.engine.crawl import Crawl

log = logging.getLogger("ncrawl")

SIGNALS = {
    signal.SIGINT: StopReason.INTERRUPTED,
    signal.SIGTERM: StopReason.TERMINATED,
    signal.SIGHUP: StopReason.HUNG_UP,
}
INTERRUPTED = frozenset(128 + number for number in SIGNALS)
"""Exit codes of a run that one of them ended."""
_PASS_ON_EVERY_S = 0.25


def run(main: Callable[[], Awaitable[int]], *, when_stopped: str = "") -> int:
    """Run an async command on the fastest loop there is and return its exit code.

    Args:
        main: the command.
        when_stopped: what a user is told to do when a signal ends it while there is no crawl to be stopped.
    """
    gc.freeze()  # what is imported by now stays anyway
    # Pages make few cycles: looking for them less often keeps more requests in flight.
    gc.set_threshold(50_000, 20, 100)
    with _signal_handlers_kept() as numbers:
        for number in numbers:
            signal.signal(number, lambda number, _frame: _exit(signal.Signals(number), when_stopped))
        return anyio.run(_heard, main, backend_options={"use_uvloop": find_spec("uvloop") is not None})


async def _heard(main: Callable[[], Awaitable[int]]) -> int:
    """Run the command; what its log's reader was too slow for is passed on also while there is nothing new to say."""
    passing_on = asyncio.create_task(_pass_on())
    try:
        return await main()
    finally:
        passing_on.cancel()


async def _pass_on() -> None:
    while (told := standard_error()) is not None:
        await anyio.sleep(_PASS_ON_EVERY_S)
        told.pass_on()


@contextmanager
def _signal_handlers_kept() -> Iterator[list[signal.Signals]]:
    """Give the signals that end a run, SIGHUP only if it is not ignored: `nohup` wants a run that outlives it."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]
    try:
        yield list(before)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit(number: signal.Signals, when_stopped: str) -> NoReturn:
    """End the process at once: nothing that was written needs tidying up."""
    if when_stopped:
        log.warning("%s; %s", SIGNALS[number].value, when_stopped, extra=WHOLE)
    if (told := standard_error()) is not None:
        told.finish()
    os._exit(EXIT_CODES[SIGNALS[number]])


@contextmanager
def stopping_on_signals(one: Crawl) -> Iterator[None]:
    """Let the first signal stop the crawl, and the next one end the process, wherever it is by then."""
    loop = asyncio.get_running_loop()
    seen: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        stop = SIGNALS[signal.Signals(number)]
        if seen:
            os._exit(EXIT_CODES[stop])
        seen.append(number)
        loop.call_soon_threadsafe(one.stop, stop)

    with _signal_handlers_kept() as numbers:
        for number in numbers:
            signal.signal(number, handle)
        yield
