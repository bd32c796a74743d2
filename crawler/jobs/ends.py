"""How a run ends, and which exit code of the contract that is: the one place that knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.engine.spec import StopReason
from crawler.jobs.summary import is_complete

if TYPE_CHECKING:
    from crawler.engine.spec import CrawlResult

EXIT_CODES = {
    StopReason.INTERRUPTED: 130,
    StopReason.TERMINATED: 143,
    StopReason.HUNG_UP: 129,
    StopReason.CALLER: 3,
    StopReason.DEADLINE: 3,
    StopReason.KEY_REFUSED: 4,
    StopReason.QUOTA: 4,
    StopReason.PROXY: 3,
}
INTERRUPTIONS = frozenset({StopReason.INTERRUPTED, StopReason.TERMINATED, StopReason.HUNG_UP, StopReason.CALLER})
"""What ends a run from outside: such a run publishes nothing, and can be taken up."""


def exit_code(result: CrawlResult) -> int:
    """Return the contract's exit code for a crawl that wrote its output."""
    return code_of(result.stop, is_complete=is_complete(result))


def code_of(stop: StopReason | None, *, is_complete: bool) -> int:
    """Return the exit code for why a run ended early, if it did, and whether nothing is missing."""
    if stop is not None:
        return EXIT_CODES[stop]
    return 0 if is_complete else 3
