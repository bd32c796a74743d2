"""What a run says of itself to people: a table of regions, and what is not complete."""

from __future__ import annotations

from dataclasses import replace
from itertools import compress
from operator import attrgetter
from typing import TYPE_CHECKING

from crawler.core.model import Verdict
from crawler.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crawler.core.model import ListingResult
    from crawler.engine.spec import CrawlResult
    from crawler.snapshot.manifest import TakenOver

MOST_REGISTRIES_SHOWN = 20
MOST_GAPS_SHOWN = 5


def tables(result: CrawlResult, regions: Iterable[str], *, images: bool = True, taken: TakenOver | None = None) -> str:
    """Return the run's result for people: a line a region, then what is not complete, with its reason.

    A column for each verdict that any registry got, and for ``complete`` always; none of them where no images were
    listed. What was taken over from an earlier snapshot is in none of them, but on a line of its own.
    """
    result = _of_this_run(result)
    verdicts = [one for one in Verdict if one is Verdict.COMPLETE or any(r.verdict is one for r in result.registries)]
    head = ("region", "registries", *verdicts, "images", "requests", "retries", "throttled", "seconds")
    rows = [head, *(_row(region, result, verdicts) for region in regions)]
    if not images:
        rows = [row[:2] + row[-4:] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    text = ["  ".join((row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:]))) for row in rows]
    if taken is not None:
        text.append(f"taken over from {taken.snapshot}: {taken.registries:,} registries, {taken.images:,} images")
    return "\n".join([*text, *_incomplete(result)])


def _of_this_run(result: CrawlResult) -> CrawlResult:
    listed, lists = ([r for r in some if r.taken_from is None] for some in (result.registries, result.discoveries))
    return replace(result, registries=listed, discoveries=lists)


def _is_cut_off(one: ListingResult, result: CrawlResult) -> bool:
    """Whether a registry has nothing to say for itself: the run ended before it did."""
    return bool(result.stop_reason and one.reason and result.stop_reason in one.reason)


def _row(region: str, result: CrawlResult, verdicts: list[Verdict]) -> tuple[str, ...]:
    registries = [one for one in result.registries if one.region == region]
    lists = [one for one in result.discoveries if one.region == region]
    everything = [one for one in result.everything if one.region == region]
    started = min((one.started_ms for one in everything), default=0)
    finished = max((one.finished_ms for one in everything), default=0)
    numbers = (
        max(len(registries), *(one.images for one in lists), 0),
        *(sum(one.verdict is verdict for one in registries) for verdict in verdicts),
        sum(one.images for one in registries),
        sum(one.requests for one in everything),
        sum(one.retries for one in everything),
        sum(one.throttled for one in everything),
    )
    return (region, *(f"{number:,}" for number in numbers), f"{(finished - started) / 1000:.1f}")


def _incomplete(result: CrawlResult) -> list[str]:
    lacking = [one for one in result.registries if not one.verdict.is_good]
    others = [one for one in lacking if not _is_cut_off(one, result)]
    others.sort(key=attrgetter("verdict", "region", "registry"))
    gaps = [one.verdict is not Verdict.GONE and result.is_expected(one) for one in others]
    expected, others = (
        list(compress(others, gaps)),
        [one for one, is_gap in zip(others, gaps, strict=True) if not is_gap],
    )
    lines = [_told(one) for one in result.discoveries if not one.verdict.is_good]
    if cut_off := len(lacking) - len(others) - len(expected):
        counted = "1 registry was" if cut_off == 1 else f"{cut_off:,} registries were"
        lines.append(f"{counted} not begun or not finished: {visible(result.stop_told or result.stop_reason or '')}")
    lines += map(_told, others[:MOST_REGISTRIES_SHOWN])
    if len(others) > MOST_REGISTRIES_SHOWN:
        lines.append(f"… and {len(others) - MOST_REGISTRIES_SHOWN:,} more; --summary FILE holds them all")
    if expected:
        some = ", ".join(
            f"{one.region}/{visible(one.registry or '')} ({one.verdict})" for one in expected[:MOST_GAPS_SHOWN]
        )
        more = f" and {len(expected) - MOST_GAPS_SHOWN:,} more" if len(expected) > MOST_GAPS_SHOWN else ""
        lines.append(f"expected gaps: {some}{more}")
    return ["", *lines] if lines else []


def _told(one: ListingResult) -> str:
    place = f"{one.region}, list of registries" if one.registry is None else f"{one.region}/{visible(one.registry)}"
    return f"{place}: {one.verdict}: {visible(one.reason or '')}"
