"""Tell of the patterns of --exclude and --expect-gap that do not mean what they meant when they were written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.core.text import visible
from crawler.jobs.events import Noted, Warned

if TYPE_CHECKING:
    from crawler.core.model import ListingResult
    from crawler.engine.spec import CrawlResult
    from crawler.jobs.events import Observer
    from crawler.settings.table import Settings

_MOST_NAMED = 5


def tell_of_patterns(settings: Settings, result: CrawlResult, observe: Observer) -> None:
    """Tell of patterns that stand for no registry, and registries that were expected to be gaps and are whole."""
    lacking = {(one.region, one.registry) for one in result.missing}
    met: dict[str, list[ListingResult]] = {text: [] for text in settings.expect_gap}
    for one in result.registries:
        if pattern := result.expected_gaps.match(one.region, one.registry or ""):
            met[pattern].append(one)
    for pattern in settings.exclude:
        if result.discoveries and pattern not in result.excluded.values():
            observe(Noted(f"--exclude {pattern} stands for no registry that was found"))
    for pattern, registries in met.items():
        if not registries:
            observe(Noted(f"--expect-gap {pattern} stands for no registry that was listed"))
        elif whole := [one for one in registries if one.verdict.is_good and (one.region, one.registry) not in lacking]:
            observe(Warned(_no_gaps(pattern, whole, is_all=len(whole) == len(registries))))


def _no_gaps(pattern: str, whole: list[ListingResult], *, is_all: bool) -> str:
    named = ", ".join(f"{one.region}/{visible(one.registry or '')}" for one in whole[:_MOST_NAMED])
    more = f" and {len(whole) - _MOST_NAMED:,} more" if len(whole) > _MOST_NAMED else ""
    were, are, gaps = ("was", "is", "a gap") if len(whole) == 1 else ("were", "are", "gaps")
    mend = "drop" if is_all else "narrow"
    return f"{named}{more} {were} expected to be {gaps} and {are} whole now: {mend} --expect-gap {pattern}"
