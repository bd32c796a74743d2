"""One listing finds out how large a page may be; the others whose first page was too much wait for it. Pure.

Where small registries come first, nothing shows that large pages fail before many are in flight: each of them would
find out for itself, and so many failures would look like an outage of the region. So until a page was full only a few
first pages are in flight at once, and more with each that was given: what fails meanwhile costs a request each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace

from crawler.engine.passes import Failure, FailureKind

if TYPE_CHECKING:
    from collections.abc import Container

    from crawler.engine.tasks import ListingTask, PageTask

MOST_WAITING = 2
"""More than chance: while so many wait no other listing is begun."""
MOST_AT_RISK = 6
"""First pages in flight of a size that may be too large: all of them may fail before the first failure is seen."""
MOST_AT_RISK_AFTER_FAILURES = 2
"""The same where pages of another kind of list were too much for the gateway."""
GIVEN_FOR_ONE_MORE = 16
"""So many that were given allow one more in flight: with 1,000 small lists nothing is held back any more."""


@dataclass(slots=True, eq=False)
class SizeSearch:
    """The search in one region, whose listings under way are passed in."""

    _finder: ListingTask | None = None
    _waiting: list[PageTask] = field(default_factory=list)
    _at_risk: list[ListingTask] = field(default_factory=list)
    _given: int = 0

    def begun(self, task: ListingTask) -> None:
        """Take in that a listing was begun: its first page is in flight."""
        if task.listing.size.is_a_risk:
            self._at_risk.append(task)

    def must_wait(self, job: PageTask, tasks: Container[ListingTask]) -> bool:
        """Take in that a large first page failed; return whether it waits for another one, or finds out by itself."""
        if self._is_on(tasks) and self._finder is not job.task:
            self._waiting.append(job)
            return True
        self._finder = job.task
        return False

    def is_crowded(self, tasks: Container[ListingTask]) -> bool:
        """Whether the first pages of further listings would probably fail as well, or enough in flight may."""
        if not (self._waiting or self._at_risk):
            return False
        if len(self._waiting) >= MOST_WAITING and self._is_on(tasks):
            return True
        if not self._has_room:
            self._given += sum(task.listing.pages > 0 for task in self._at_risk)
            self._at_risk = [task for task in self._at_risk if _is_at_risk(task) and task in tasks]
        return not self._has_room

    @property
    def _has_room(self) -> bool:
        has_failed = bool(self._at_risk) and self._at_risk[-1].listing.size.has_failed_elsewhere
        most = MOST_AT_RISK_AFTER_FAILURES if has_failed else MOST_AT_RISK
        return len(self._at_risk) < most + self._given // GIVEN_FOR_ONE_MORE

    def resume(self, tasks: Container[ListingTask]) -> PageTask | None:
        """Return a page that need not wait any more, at the size that was found; None if there is none."""
        if not self._waiting or self._is_on(tasks):
            return None
        job = self._waiting.pop()
        listing = job.task.listing
        if not _is_less(listing.size.ask, job.page_size):
            return job
        listing.fail(job.page, Failure(FailureKind.TOO_HEAVY, job.task.trouble))
        page = listing.next_page()
        return job if page is None else replace(job, page_size=listing.page_size, tries=0)

    def _is_on(self, tasks: Container[ListingTask]) -> bool:
        return self._finder is not None and self._finder in tasks and not self._finder.listing.pages


def _is_at_risk(task: ListingTask) -> bool:
    """Whether a listing's first page is tried for the first time, and larger than any that was given."""
    return not (task.listing.pages or task.retries) and task.listing.size.is_a_risk


def has_asked_for_less(job: PageTask) -> bool:
    """Whether a page is asked for with less than others of its kind are, because more has failed."""
    return _is_less(job.page_size, job.task.listing.size.ask)


def _is_less(one: int | None, other: int | None) -> bool:
    return one is not None and other is not None and one < other
