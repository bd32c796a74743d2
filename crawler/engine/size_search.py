"""One listing finds out how large a page may be; the others whose first page was too much wait for it. Pure.

Where small registries come first, nothing shows that large pages fail before many are in flight: each of them would
find out for itself, and so many failures would look like an outage of the region.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace

from crawler.engine.passes import Failure, FailureKind

if TYPE_CHECKING:
    from collections.abc import Container

    from crawler.engine.tasks import ListingTask, PageTask

MOST_WAITING = 4
"""More than chance: while so many wait no other listing is begun."""


@dataclass(slots=True, eq=False)
class SizeSearch:
    """The search in one region, whose listings under way are passed in."""

    _finder: ListingTask | None = None
    _waiting: list[PageTask] = field(default_factory=list)

    def must_wait(self, job: PageTask, tasks: Container[ListingTask]) -> bool:
        """Take in that a large first page failed; return whether it waits for another one, or finds out by itself."""
        if self._is_on(tasks) and self._finder is not job.task:
            self._waiting.append(job)
            return True
        self._finder = job.task
        return False

    def is_crowded(self, tasks: Container[ListingTask]) -> bool:
        """Whether the first pages of further listings would probably fail as well."""
        return len(self._waiting) >= MOST_WAITING and self._is_on(tasks)

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


def has_asked_for_less(job: PageTask) -> bool:
    """Whether a page is asked for with less than others of its kind are, because more has failed."""
    return _is_less(job.page_size, job.task.listing.size.ask)


def _is_less(one: int | None, other: int | None) -> bool:
    return one is not None and other is not None and one < other
