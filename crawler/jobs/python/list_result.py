"""What came of listing something, for a caller: verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from crawler.core.model import Verdict  # noqa: TC001 - msgspec looks at it
from crawler.jobs.summary import is_complete

if TYPE_CHECKING:
    from crawler.core.collection import Collection
    from crawler.core.model import ListingResult
    from crawler.engine.spec import CrawlResult


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """How the listing of one registry, of an image's tags, or of a region's registries, ended.

    Attributes:
        level: what was listed: ``registries``, ``images`` or ``tags``.
        region: code of the region.
        registry: whose images or tags were listed; None for the region's list of registries.
        image: whose tags were listed; None for anything else.
        verdict: how it ended.
        reason: why it is not plainly complete, in words.
        found: distinct records.
        count: how many the gateway said there were: advice, never proof.
        requests: attempts on the wire.
        is_missing: something of it may be missing, and nobody expected that.
    """

    level: str
    region: str
    registry: str | None
    image: str | None
    verdict: Verdict
    reason: str | None
    found: int
    count: int | None
    requests: int
    is_missing: bool


class ListResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one listing of registries, images or tags.

    Attributes:
        level: which of them.
        listings: everything that was listed, lists of registries first.
        is_complete: nothing is missing but what was excluded or is an expected gap.
        stopped: why it ended before its work was done; None if it did not.
    """

    level: str
    listings: tuple[Listing, ...]
    is_complete: bool
    stopped: str | None = None

    @property
    def missing(self) -> tuple[Listing, ...]:
        """What is not whole, and should be."""
        return tuple(one for one in self.listings if one.is_missing)

    @property
    def found(self) -> int:
        """How many of what was listed."""
        return sum(one.found for one in self.listings if one.level == self.level)


def list_result(result: CrawlResult, level: Collection) -> ListResult:
    """Return what came of a crawl down to a level as a caller sees it."""
    lacking = {id(one) for one in result.missing if not result.is_expected(one)}
    lacking |= {id(one) for one in result.discoveries if one.verdict.is_gap}
    listings = result.listed
    return ListResult(
        level=level.name,
        listings=tuple(_listing(one, is_missing=id(one) in lacking) for one in listings),
        is_complete=is_complete(result),
        stopped=result.stop_told,
    )


def _listing(one: ListingResult, *, is_missing: bool) -> Listing:
    return Listing(
        level=one.collection.name,
        region=one.region,
        registry=one.registry,
        image=one.within[1] if len(one.within) > 1 else None,
        verdict=one.verdict,
        reason=one.reason,
        found=one.records,
        count=one.count,
        requests=one.requests,
        is_missing=is_missing,
    )
