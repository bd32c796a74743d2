"""What a crawl is asked for, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from crawler.api.dialect import DIALECTS
from crawler.core.patterns import Patterns

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from crawler.api.dialect import Dialect
    from crawler.core.collection import Collection
    from crawler.core.model import ListingResult, Place, Region, VerifyMode


class StopReason(Enum):
    """Why a crawl ended before its work was done; the value is what its listings give as the reason."""

    INTERRUPTED = "stopped by SIGINT"
    TERMINATED = "stopped by SIGTERM"
    HUNG_UP = "stopped by SIGHUP"
    CALLER = "the caller wanted no more"
    DEADLINE = "the deadline came"
    KEY_REFUSED = "the gateway refuses the key or the clock"
    QUOTA = "the account's quota is used up"
    PROXY = "the proxy lets nothing through"

    @property
    def is_cause(self) -> bool:
        """Whether it is why something is missing; a signal or the deadline only came before that was had."""
        return self in (StopReason.KEY_REFUSED, StopReason.QUOTA)


@dataclass(frozen=True, slots=True)
class Root:
    """A list that the user asked for by name; ``anywhere`` when no region was named with it."""

    region: Region
    collection: Collection
    within: tuple[str, ...]
    anywhere: bool = False


class Earlier(Protocol):
    """What earlier runs listed, and what of it need not be listed again."""

    def covers(self, place: Place) -> bool:
        """Whether lists below this one may be taken over, so that none of them is begun before it is over."""
        ...

    async def take_over(self, place: Place, taken: dict[str, int], *, clock_offset_s: float) -> None:
        """Take over what need not be listed again below a list that is over.

        Args:
            place: of the list.
            taken: is filled with the names whose lists are taken over, and how many records each holds.
            clock_offset_s: how far the gateway's clock is ahead of ours.
        """
        ...


def _no_names(_place: Place) -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True)
class CrawlSpec:
    """What to crawl.

    Attributes:
        account: first field of every line.
        regions: in which regions.
        roots: where to begin; None begins with the registries of each region.
        level: how deep to go: each thing on the way down has its list listed.
        deadline_s: seconds after which the crawl stops by itself.
        finished: lists that an earlier run has finished.
        names_of: gives the names that such a list holds.
        excluded: registries that are not listed although they are there.
        expected_gaps: registries whose failure is nobody's fault.
        dialect: the version of the API.
        earlier: what need not be listed again.
    """

    account: str
    regions: tuple[Region, ...]
    roots: Sequence[Root] | None
    level: Collection
    page_size: int
    verify: VerifyMode
    concurrency: int
    deadline_s: float
    finished: Container[Place] = frozenset()
    names_of: Callable[[Place], Sequence[str]] = _no_names
    excluded: Patterns = field(default_factory=Patterns)
    expected_gaps: Patterns = field(default_factory=Patterns)
    dialect: Dialect = DIALECTS["v2"]
    earlier: Earlier | None = None


@dataclass(frozen=True, slots=True)
class CrawlResult:
    """How a crawl ended.

    Attributes:
        registries: the result of every registry's list.
        discoveries: those of the lists of registries, one a region.
        stop: why it ended early; None if it finished.
        stop_reason: the same for people: what it cut off has these words in its reason.
        stop_told: the same with what went wrong last in each region that it cut off.
        rate_per_s: the rate after the last throttling, of what was throttled; infinity if there was none.
        clock_offset_s: how far the gateway's clock was found to be ahead.
        deeper: those of the lists below a registry's own; what of a registry is whole and unremarkable is summed up.
        beside: what only cost requests: registries that were named without a region, of the regions where they are
            not; the probes of held regions; and lists that were read once more.
        excluded: (region, registry) of those that were found and not listed, and by which pattern.
        expected_gaps: registries whose failure is nobody's fault.
        neighbours: names of registries by region, where one was named that is not there, and somebody wants to know.
    """

    registries: list[ListingResult]
    discoveries: list[ListingResult]
    stop: StopReason | None
    stop_reason: str | None
    rate_per_s: float
    clock_offset_s: float = 0.0
    stop_told: str | None = None
    deeper: Sequence[ListingResult] = ()
    beside: Sequence[ListingResult] = ()
    excluded: Mapping[tuple[str, str], str] = field(default_factory=dict)
    expected_gaps: Patterns = field(default_factory=Patterns)
    neighbours: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def listed(self) -> list[ListingResult]:
        """All that has a verdict of its own."""
        return [*self.discoveries, *self.registries, *self.deeper]

    @property
    def everything(self) -> list[ListingResult]:
        """All that took requests."""
        return [*self.listed, *self.beside]

    def is_expected(self, one: ListingResult) -> bool:
        """Whether something in a registry that is not whole was expected not to be."""
        return bool(one.within and self.expected_gaps.match(one.region, one.within[0]))

    @property
    def missing(self) -> list[ListingResult]:
        """Registries, and what is in them, of which something is missing; what was discovered and is gone is not."""
        return [one for one in (*self.registries, *self.deeper) if one.verdict.is_gap]


def told_stop(reason: str, failed_tries: Mapping[str, str]) -> str:
    """Return why a crawl stopped, and what went wrong last in each region, if anything did."""
    return "; ".join([reason, *(f"last in {region}: {trouble}" for region, trouble in failed_tries.items() if trouble)])


def without_wrong_regions(
    results: Sequence[ListingResult], spec: CrawlSpec
) -> tuple[list[ListingResult], list[ListingResult]]:
    """Return the results, and apart those of what was named and is in another region, as it may be."""
    anywhere = {(root.region.code, root.within) for root in spec.roots or () if root.anywhere}
    existing = {one.within for one in results if one.exists}
    here: list[ListingResult] = []
    absent: list[ListingResult] = []
    for one in results:
        is_elsewhere = not one.exists and (one.region, one.within) in anywhere and one.within in existing
        (absent if is_elsewhere else here).append(one)
    return here, absent
