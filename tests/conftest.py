"""On which event loop the tests of modules with effects run, for the program takes uvloop; and which are traced."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING

import pytest
import uvloop
from hypothesis import Phase, settings

import crawler.transport  # noqa: F401 - before a test imports aiohttp, which is imported in a way of its own there

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

UNTRACED = {"long", "no_cover"}
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
    settings.register_profile("unhurried", deadline=None)  # a loaded machine is no fault of the code
    settings.load_profile("unhurried")
    settings.register_profile("mutants", phases=[Phase.explicit, Phase.generate])
    config.addinivalue_line("markers", "long: slow by nature; `make test` leaves it out, `make test-long` runs it")
    config.addinivalue_line("markers", "no_cover: many runs of what is traced elsewhere")
    config.addinivalue_line("markers", "on_both_loops: run on asyncio's event loop as well as on uvloop's")
    config.addinivalue_line("markers", "world(**options): options of the emulator that a test of the program runs on")


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Trace no property, and nothing with a mark of `UNTRACED`: many runs, much slower so, of what others show.

    In a worker pytest-cov pauses one tracer, which wakes another.
    """
    tracer = sys.gettrace()
    is_property = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    if is_property or not UNTRACED.isdisjoint(item.keywords):
        sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)
