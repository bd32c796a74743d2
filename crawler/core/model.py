"""The nouns that every package shares: frozen, slotted, without behaviour."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from crawler.core.collection import Collection, label

Place = tuple[str, str, tuple[str, ...]]
"""Which list: its collection's name, the region's code, and the names that it is within, from the registry down."""


class Verdict(StrEnum):
    """How a listing ended; every listing gets exactly one. What follows from a verdict is all said here."""

    COMPLETE = "complete"
    COMPLETE_WITH_DRIFT = "complete_with_drift"
    UNVERIFIED = "unverified"
    INCOMPLETE = "incomplete"
    DENIED = "denied"
    GONE = "gone"
    FAILED = "failed"

    @property
    def is_whole(self) -> bool:
        """True when it is proved that everything that was there throughout is in the output."""
        return self in (Verdict.COMPLETE, Verdict.COMPLETE_WITH_DRIFT)

    @property
    def is_good(self) -> bool:
        """True when nothing is known to be missing: whole, or looked at only once because that was asked for."""
        return self.is_whole or self is Verdict.UNVERIFIED

    @property
    def is_gap(self) -> bool:
        """True when something is missing; what was discovered and is gone since is not."""
        return not (self.is_good or self is Verdict.GONE)

    @property
    def accounts_for_all(self) -> bool:
        """True when what the output does not have did not exist: the list is whole, or gone."""
        return self.is_whole or self is Verdict.GONE

    @property
    def is_settled(self) -> bool:
        """True when a run that is taken up again need not look: not so for what is gone, which may have come back."""
        return self.is_good or self is Verdict.DENIED

    @property
    def is_worth_a_word(self) -> bool:
        """True when a log tells of it unasked."""
        return self not in (Verdict.COMPLETE, Verdict.UNVERIFIED, Verdict.GONE)


class VerifyMode(StrEnum):
    """When a registry is listed a second time (``--verify``)."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Region(Struct, frozen=True):
    """One region of a zone.

    Attributes:
        code: as users write it.
        base_path: of version 2 of its API, behind the zone's gateway.
        own_gateway: origin of version 3, which has a host a region; None where there is no version 3.
    """

    code: str
    base_path: str
    own_gateway: str | None = None


class PageRequest(Struct, frozen=True):
    """One page to ask for.

    Attributes:
        region: where to ask.
        collection: what to list.
        within: the names that the list is within, from the registry down.
        page: 1-based page number.
        page_size: records a page to ask for; None leaves it to the gateway.
    """

    region: Region
    collection: Collection
    within: tuple[str, ...]
    page: int
    page_size: int | None


class Page(Struct, frozen=True):
    """One decoded page of a listing.

    Attributes:
        count: what the gateway said, if it was a number at all: advice, never proof.
        next: number of the next page; None says that this is the last.
        names: the ``name`` of each record, in the gateway's order.
        records: what follows the opening brace of each record, parallel to ``names``: on one line, numbers untouched.
        defects: records that could not be taken (no object, or no name).
        overridden: records that brought a field of ours (account, region, registry) along.
    """

    count: int | None
    next: int | None
    names: list[str]
    records: list[bytes]
    defects: int = 0
    overridden: int = 0


class Outcome(Struct, frozen=True):
    """What a listing concludes.

    Attributes:
        verdict: what can be relied on.
        reason: why it is not plainly complete, for people; None if it is.
        records: distinct ones that were given out.
        count: the last ``count`` that the gateway gave, or None.
        pages: pages received in all passes.
        passes: passes begun.
        page_size: records a page that the gateway gives, or that were asked for if one page held all.
    """

    verdict: Verdict
    reason: str | None
    records: int
    count: int | None
    pages: int
    passes: int
    page_size: int | None


class ListingResult(Outcome, frozen=True, kw_only=True):
    """How one listing ended, and what it cost.

    Attributes:
        collection: what was listed.
        within: the names that the list is within, from the registry down.
        requests: attempts on the wire, repeated ones included.
        retries: tries after the first one of a page.
        throttled: answers that said "too fast".
        started_ms: milliseconds since 1970, UTC; likewise ``finished_ms``.
        exists: False if all that came was 404.
        is_sorted: whether the first page came in the order of its names; None if that cannot be told.
        taken_from: id of the snapshot that it is copied from; it cost this run nothing. None if it was listed.
        lists: how many lists it sums up, of a registry whose name is all that it is within (`sums`); 1 if it is no sum.
        refreshed: how many of them were listed although an earlier snapshot has what they should be.
        different: how many of those are not what they should be.
    """

    region: str
    collection: Collection
    within: tuple[str, ...]
    requests: int
    retries: int
    throttled: int
    started_ms: int
    finished_ms: int
    exists: bool = True
    is_sorted: bool | None = None
    taken_from: str | None = None
    lists: int = 1
    refreshed: int = 0
    different: int = 0

    @property
    def depth(self) -> int:
        """How many levels its list is below that of the registries."""
        return len(self.collection.lineage) - 1

    @property
    def is_sum(self) -> bool:
        """Whether it sums up lists of a registry."""
        return len(self.within) < self.depth

    @property
    def place(self) -> Place:
        """Which list it was."""
        return self.collection.name, self.region, self.within

    @property
    def registry(self) -> str | None:
        """The registry that it is of or in; None for the list of a region's registries."""
        return self.within[0] if self.within else None

    @property
    def label(self) -> str:
        """The list as people see it."""
        return label(self.collection, self.region, self.within)


COPIED: Final[dict[str, Any]] = {
    "reason": None,
    "records": 0,
    "count": None,
    "pages": 0,
    "passes": 0,
    "page_size": None,
    "requests": 0,
    "retries": 0,
    "throttled": 0,
    "is_sorted": None,
}
"""Fields of the result of a list that was copied, so cost nothing; what is known of it comes instead of these."""
