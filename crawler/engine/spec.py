"""What a crawl is asked for, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from crawler.api.dialect import DIALECTS
from crawler.core.model import Verdict
from crawler.core.patterns import Patterns

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from crawler.api.dialect import Dialect
    from crawler.core.model import ListingResult, Region, VerifyMode


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
class NamedRegistry:
    """A registry that the user named; ``anywhere`` when no region was named with it."""

    region: Region
    name: str
    anywhere: bool


@dataclass(frozen=True, slots=True)
class CrawlSpec:
    """What to crawl.

    Attributes:
        account: first field of every line.
        regions: in which regions.
        registries: the registries to list; None discovers all of them.
        images: False lists the registries only.
        deadline_s: seconds after which the crawl stops by itself.
        known: region to the names of its registries, where an earlier run discovered them already.
        finished: (region, registry) that an earlier run listed already.
        excluded: registries that are not listed although they are there.
        expected_gaps: registries whose failure is nobody's fault.
        dialect: the version of the API.
    """

    account: str
    regions: tuple[Region, ...]
    registries: Sequence[NamedRegistry] | None
    images: bool
    page_size: int
    verify: VerifyMode
    concurrency: int
    deadline_s: float
    known: Mapping[str, Sequence[str]] = field(default_factory=dict)
    finished: Collection[tuple[str, str]] = frozenset()
    excluded: Patterns = field(default_factory=Patterns)
    expected_gaps: Patterns = field(default_factory=Patterns)
    dialect: Dialect = DIALECTS["v2"]


@dataclass(frozen=True, slots=True)
class CrawlResult:
    """How a crawl ended.

    Attributes:
        registries: every registry's result.
        discoveries: those of the lists of registries, one a region.
        stop: why it ended early; None if it finished.
        stop_reason: the same for people: what it cut off has these words in its reason.
        stop_told: the same with what went wrong last in each region that it cut off.
        rate_per_s: the rate after the last throttling, of what was throttled; infinity if there was none.
        clock_offset_s: how far the gateway's clock was found to be ahead.
        beside: what only cost requests: registries that were named without a region, of the regions where they are
            not; the probes of held regions; and lists of registries that were read once more.
        excluded: (region, registry) of those that were found and not listed, and by which pattern.
        expected_gaps: registries whose failure is nobody's fault.
    """

    registries: list[ListingResult]
    discoveries: list[ListingResult]
    stop: StopReason | None
    stop_reason: str | None
    rate_per_s: float
    clock_offset_s: float = 0.0
    stop_told: str | None = None
    beside: Sequence[ListingResult] = ()
    excluded: Mapping[tuple[str, str], str] = field(default_factory=dict)
    expected_gaps: Patterns = field(default_factory=Patterns)

    @property
    def everything(self) -> list[ListingResult]:
        """All that took requests."""
        return [*self.registries, *self.discoveries, *self.beside]

    def is_expected(self, one: ListingResult) -> bool:
        """Whether a registry that is not whole was expected not to be."""
        return bool(one.registry and self.expected_gaps.match(one.region, one.registry))

    @property
    def missing(self) -> list[ListingResult]:
        """Registries of which something is missing; one that was discovered and is gone is not."""
        return [one for one in self.registries if not one.verdict.is_good and one.verdict is not Verdict.GONE]


def told_stop(reason: str, failed_tries: Mapping[str, str]) -> str:
    """Return why a crawl stopped, and what went wrong last in each region, if anything did."""
    return "; ".join([reason, *(f"last in {region}: {trouble}" for region, trouble in failed_tries.items() if trouble)])


def without_wrong_regions(
    registries: Sequence[ListingResult], spec: CrawlSpec
) -> tuple[list[ListingResult], list[ListingResult]]:
    """Return the registries' results, and apart those of registries that are in another region, as they may be."""
    anywhere = {(named.region.code, named.name) for named in spec.registries or () if named.anywhere}
    existing = {one.registry for one in registries if one.exists}
    here: list[ListingResult] = []
    absent: list[ListingResult] = []
    for one in registries:
        is_elsewhere = not one.exists and (one.region, one.registry) in anywhere and one.registry in existing
        (absent if is_elsewhere else here).append(one)
    return here, absent
