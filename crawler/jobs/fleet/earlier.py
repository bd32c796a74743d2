"""What a run that is called again need not do: accounts of which it has a snapshot already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from crawler.jobs.ends import code_of
from crawler.jobs.fleet.layout import opened
from crawler.jobs.fleet.parts import find_parts
from crawler.jobs.fleet.policy import TaskEnd
from crawler.jobs.snapshot.result import stop_of
from crawler.output.stores.opening import is_url
from crawler.snapshot.unfinished.runs import published_runs

if TYPE_CHECKING:
    from collections.abc import Iterable


def done_before(place: str, run_id: str, accounts: Iterable[str], *, retries_failed: bool) -> dict[str, TaskEnd]:
    """Return how the tasks of accounts would end that have nothing left to do, without a process for each.

    Costs a look at the newest snapshot of each; where that is of another run, the task finds out.

    Raises:
        UsageError: there is no such place.
        OutputError: it cannot be read.
    """
    ends, wanted = {}, set(accounts)
    for part in find_parts(opened(place), run_id, most=1):
        if part.made is None or part.account not in wanted:
            continue
        is_complete = part.made.verdict == "complete"
        if (is_complete or not retries_failed) and _is_tidy(place, part.account):
            ends[part.account] = TaskEnd(code_of(stop_of(part.made), is_complete=is_complete))
    return ends


def _is_tidy(place: str, account: str) -> bool:
    """Whether nothing was left undone after its snapshot was published: a task would do that."""
    return is_url(place) or not published_runs(Path(place) / account)
