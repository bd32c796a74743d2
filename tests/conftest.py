"""On which event loop the tests of modules with effects run, for the program takes uvloop; and which are not traced."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import TYPE_CHECKING

import pytest
import uvloop
from hypothesis import Phase, settings

import crawler.transport  # noqa: F401 - before a test imports aiohttp, which is imported in a way of its own there

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

PROGRAMS_LOOP = (
    *("test_crawl.py", "test_verdicts.py", "test_sinks.py", "test_transport.py", "test_rate_limiter.py"),
    *("test_client.py", "test_doctor.py"),
)


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the loop for a test; one that is marked `on_both_loops` runs on asyncio's own as well.

    Their ways with sockets, pipes and TLS differ.
    """
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {}
    if item.path.name in PROGRAMS_LOOP:
        loops["uvloop"] = uvloop.new_event_loop
    if not loops or "on_both_loops" in item.keywords:
        loops["asyncio"] = asyncio.new_event_loop
    return loops


@pytest.fixture(autouse=True)
def _quiet_log() -> None:
    """Forget what an earlier test's run, in this very process, said of itself: a process has one run."""
    logging.getLogger("ncrawl").handlers.clear()


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks known."""
    settings.register_profile("mutants", phases=[Phase.explicit, Phase.generate])
    config.addinivalue_line("markers", "on_both_loops: run on asyncio's event loop as well as on uvloop's")
    config.addinivalue_line("markers", "world(**options): options of the emulator that a test of the program runs on")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Nor trace the processes that it starts: by these variables they know that they are to be."""
    names = [name for name in os.environ if name.startswith("COV")] if "no_cover" in item.keywords else []
    kept = {name: os.environ.pop(name) for name in names}
    try:
        return (yield)
    finally:
        os.environ.update(kept)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Trace no test that is marked `no_cover`: in a worker pytest-cov pauses one tracer, which wakes another."""
    tracer = sys.gettrace()
    if "no_cover" in item.keywords:
        sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)
