"""What is under way: a listing, with what it has cost so far, and one page of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import astuple

from crawler.core.model import ListingResult, Verdict
from crawler.core.text import writable

if TYPE_CHECKING:
    from crawler.core.collection import Collection
    from crawler.core.model import Place, Region
    from crawler.engine.listing import Listing


class ListingTask(Struct, eq=False):
    """One listing under way.

    Attributes:
        collection: what is listed.
        within: the names that the list is within, from the registry down.
        prefix: how each of its lines begins.
        started_ms: milliseconds since 1970, UTC.
        has_rested: it has waited before its second look.
        age: how many were begun before it in its region.
        requests: wire attempts, counted where they are made.
        retries: tries after the first one of a page.
        throttled: answers that said "too fast".
        is_sorted: whether the first page came in the order of its names; None if that cannot be told.
        trouble: what went wrong last with one of its pages, if anything did.
        is_asked_for: it was named by the user, and not by another list.
        named: of a list that is read once more, to see what is still there: the names it held so far; None for any
            other task.
        about: of such a list: what the list is within whose own lists wait for it, where that one answered 404 when it
            was read once more; None where they are those of this list.
    """

    region: Region
    collection: Collection
    within: tuple[str, ...]
    listing: Listing
    prefix: bytes
    started_ms: int
    has_rested: bool = False
    age: int = 0
    requests: int = 0
    retries: int = 0
    throttled: int = 0
    is_sorted: bool | None = None
    is_in_round: bool = False
    trouble: str = ""
    is_asked_for: bool = False
    named: set[str] | None = None
    about: tuple[str, ...] | None = None

    @property
    def place(self) -> Place:
        """Which list it is, as its result will have it."""
        return self.collection.name, self.region.code, tuple(map(writable, self.within))

    @property
    def what(self) -> tuple[Collection, tuple[str, ...]]:
        """Collection and names, as events have them."""
        return self.collection, self.within

    def result(self, finished_ms: int) -> ListingResult:
        """Return how it ended; a 404 is a failure, for by itself it does not show that what was asked for is gone.

        Args:
            finished_ms: milliseconds since 1970, UTC.
        """
        outcome = self.listing.outcome
        assert outcome is not None
        is_gone = outcome.verdict is Verdict.GONE
        return ListingResult(
            Verdict.FAILED if is_gone else outcome.verdict,
            *astuple(outcome)[1:],
            region=self.region.code,
            collection=self.collection,
            within=self.place[2],
            requests=self.requests,
            retries=self.retries,
            throttled=self.throttled,
            is_sorted=self.is_sorted,
            started_ms=self.started_ms,
            finished_ms=finished_ms,
            exists=not is_gone,
        )


class PageTask(Struct, eq=False):
    """One page of one task to be fetched.

    Attributes:
        tries: those that failed.
        was_improper: one of them ended in an answer that was not proper HTTP.
        was_refused: one of them was refused for the key, by somebody who may not know it.
        is_probe: asks only whether a held region answers; what it answers is thrown away.
    """

    task: ListingTask
    page: int
    page_size: int | None
    tries: int = 0
    was_improper: bool = False
    was_refused: bool = False
    is_probe: bool = False
