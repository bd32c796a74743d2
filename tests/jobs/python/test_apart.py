"""A thread and an event loop of its own: results and errors come back, and whoever stops waiting ends it."""

from __future__ import annotations

import asyncio
import signal
import threading
from typing import TYPE_CHECKING

import pytest
import uvloop

from crawler.jobs.python.apart import _Job, run_apart

if TYPE_CHECKING:
    from types import FrameType


async def where() -> tuple[str, type[asyncio.AbstractEventLoop]]:
    """Return the thread's name and the kind of loop that a coroutine runs in."""
    return threading.current_thread().name, type(asyncio.get_running_loop())


async def fail() -> None:
    raise ZeroDivisionError


async def test_what_comes_back() -> None:
    """Also to a thread whose event loop is running; on the fastest loop there is, without a policy for it."""
    assert run_apart(where) == ("ncrawl", uvloop.Loop)
    with pytest.raises(ZeroDivisionError):
        run_apart(fail)
    assert [one.name for one in threading.enumerate() if one.name == "ncrawl"] == []


def test_whoever_stops_waiting_ends_it() -> None:
    """What comes while it is waited for, as Ctrl-C does, cancels it, and is raised after it has let go of all."""
    seen: list[str] = []
    main_thread = threading.get_ident()

    async def wait() -> None:
        try:
            signal.pthread_kill(main_thread, signal.SIGUSR1)
            await asyncio.sleep(60)
        finally:
            seen.append("tidied up")

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_apart(wait)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == ["tidied up"]


def test_a_cancel_that_comes_before_anything_has_begun() -> None:
    """It holds: nothing is waited for that nobody wants."""
    job = _Job(lambda: asyncio.sleep(60))
    job.cancel()
    job.start()
    job.end()
    assert not job.is_alive()
    with pytest.raises(asyncio.CancelledError):
        job.done.result()


def test_a_thread_that_cannot_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is an error, not a wait without an end."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        run_apart(where)
