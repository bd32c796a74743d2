"""How a run ends is one exit code, and whatever the reason is, it has one."""

from __future__ import annotations

import pytest

from crawler.engine.spec import CrawlResult, StopReason
from crawler.jobs.ends import EXIT_CODES, INTERRUPTIONS, code_of, exit_code


def test_every_reason_has_a_code() -> None:
    """A new reason to stop needs one; none of them is a good end, and what interrupts is a signal or the caller."""
    assert {*EXIT_CODES} == {*StopReason}
    assert all(code in (3, 4, 129, 130, 143) for code in EXIT_CODES.values())
    assert {EXIT_CODES[stop] for stop in INTERRUPTIONS} == {3, 129, 130, 143}


@pytest.mark.parametrize("stop", [None, *StopReason])
def test_a_run_that_was_stopped_never_ends_well(stop: StopReason | None) -> None:
    """However little is missing."""
    result = CrawlResult([], [], stop, stop and stop.value, rate_per_s=1.0)
    assert exit_code(result) == (0 if stop is None else EXIT_CODES[stop])
    assert code_of(None, is_complete=False) == 3
