"""What a run says of itself to people: a table of regions, and what is not complete."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING

from crawler.api.collections import IMAGES
from crawler.cli.absent import absent_lines
from crawler.cli.columns import fitted
from crawler.core.model import Verdict
from crawler.core.text import visible
from crawler.jobs.neighbours import is_absent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crawler.core.collection import Collection
    from crawler.core.model import ListingResult
    from crawler.engine.spec import CrawlResult
    from crawler.snapshot.manifest import Manifest, Reused, StoredFile, TakenOver

MOST_REGISTRIES_SHOWN = 20
MOST_GAPS_SHOWN = 5
_COSTS = ("requests", "retries", "throttled", "seconds")


def tables(
    result: CrawlResult,
    regions: Iterable[str],
    *,
    level: Collection = IMAGES,
    taken: TakenOver | None = None,
    reused: Reused | None = None,
    output: StoredFile | None = None,
) -> str:
    """Return the run's result for people: a line a region, then what is not complete, with its reason.

    Only regions that something was asked of, or taken over from. A column for each verdict that any registry got, and
    for ``complete`` always; none of them where no images were listed. What has no room in 80 columns is
    summed up below. What was taken over from an earlier snapshot is in none of them, but on a line of its own.
    """
    asked = {one.region for one in result.everything}
    result = _of_this_run(result)
    verdicts = [one for one in Verdict if one is Verdict.COMPLETE or any(r.verdict is one for r in result.registries)]
    below = level.lineage[1:]
    head = ("region", "registries", *verdicts, *(one.name for one in below), *_COSTS)
    rows = _rows([region for region in regions if region in asked], result, verdicts, below=below)
    table = [row if below else row[:2] + row[-len(_COSTS) :] for row in (head, *rows)]
    text = fitted(table)
    if taken is not None:
        text.append(f"taken over from {taken.snapshot}: {taken.registries:,} registries, {taken.images:,} images")
    if reused is not None:
        text.append(_told_reused(reused))
    if output is not None:
        text.append(_told_output(output))
    return "\n".join([*text, *_incomplete(result)])


def _rows(
    regions: list[str], result: CrawlResult, verdicts: list[Verdict], *, below: tuple[Collection, ...]
) -> Iterator[tuple[str, ...]]:
    """Yield a row for each region, and their sums, if there are several."""
    rows = [(region, _numbers(region, result, verdicts, below=below), _seconds(region, result)) for region in regions]
    if len(rows) > 1:
        sums = [sum(column) for column in zip(*(numbers for _, numbers, _ in rows), strict=True)]
        rows.append(("total", sums, _seconds(None, result)))
    for place, numbers, took in rows:
        yield place, *(f"{number:,}" for number in numbers), took


def _of_this_run(result: CrawlResult) -> CrawlResult:
    listed, lists, deeper = (
        [r for r in some if r.taken_from is None] for some in (result.registries, result.discoveries, result.deeper)
    )
    return replace(result, registries=listed, discoveries=lists, deeper=deeper)


def _is_cut_off(one: ListingResult, result: CrawlResult) -> bool:
    """Whether a registry has nothing to say for itself: the run ended before it did."""
    return bool(result.stop_reason and one.reason and result.stop_reason in one.reason)


def _numbers(region: str, result: CrawlResult, verdicts: list[Verdict], *, below: tuple[Collection, ...]) -> list[int]:
    listed = [one for one in result.listed if one.region == region]
    registries = [one for one in result.registries if one.region == region]
    lists = [one for one in result.discoveries if one.region == region]
    everything = [one for one in result.everything if one.region == region]
    return [
        max(len(registries), *(one.records for one in lists), 0),
        *(sum(one.verdict is verdict for one in registries) for verdict in verdicts),
        *(sum(one.records for one in listed if one.collection is collection) for collection in below),
        sum(one.requests for one in everything),
        sum(one.retries for one in everything),
        sum(one.throttled for one in everything),
    ]


def _seconds(region: str | None, result: CrawlResult) -> str:
    """Return how long a region took, or all of them: from the first request to the last answer."""
    everything = [one for one in result.everything if region in (None, one.region)]
    started_ms = min((one.started_ms for one in everything), default=0)
    finished_ms = max((one.finished_ms for one in everything), default=0)
    return f"{(finished_ms - started_ms) / 1000:.1f}"


def _told_reused(reused: Reused) -> str:
    refreshed = f"those of {reused.refreshed:,} refreshed, {reused.refreshed_and_different:,} of them different"
    return f"tags of {reused.reused:,} images reused from {reused.snapshot}; {refreshed}"


def _told_output(output: StoredFile) -> str:
    name = "standard output" if output.name == "-" else visible(output.name)
    lines = "1 line" if output.lines == 1 else f"{output.lines:,} lines"
    return f"{lines}, {output.bytes:,} bytes: {name}"


def what_was_had(made: Manifest) -> str:
    """Return how much a run has of each level that it went down to, in words: registries only where that was all."""
    if not made.has_images:
        return f"{sum(one.registries for one in made.regions):,} registries"
    return ", ".join(f"{getattr(made.totals, one.name):,} {one.name}" for one in (IMAGES, *made.deeper))


def missing_lines(result: CrawlResult, most: int) -> list[str]:
    """Return a line for each list that is not whole, with its reason, but for expected gaps.

    Args:
        result: how a crawl ended.
        most: registries that are named; how many more there are is said.
    """
    result = _of_this_run(result)
    lacking = [one for one in _below_regions(result) if not one.verdict.is_good and not is_absent(one, result)]
    named = [one for one in lacking if not _is_cut_off(one, result)]
    others = [one for one in named if not _is_gap(one, result)]
    others.sort(key=attrgetter("verdict", "region", "within"))
    lines = [*_lists_of_registries(result)]
    lines += _cut_off(result, [one for one in lacking if _is_cut_off(one, result)])
    absent = absent_lines(result)
    lines += absent[:most]
    lines += map(_told, others[: max(0, most - len(absent))])
    if (more := len(absent) + len(others) - most) > 0:
        lines.append(f"… and {more:,} more; --summary FILE holds them all")
    return [*lines, *_advice(result)]


def _lists_of_registries(result: CrawlResult) -> Iterator[str]:
    """Yield what the lists of registries lack; what is the same of several regions once."""
    alike: defaultdict[tuple[Verdict, str | None], list[str]] = defaultdict(list)
    for one in result.discoveries:
        if not one.verdict.is_good:
            alike[one.verdict, one.reason].append(one.region)
    for (verdict, reason), regions in alike.items():
        lists = "list" if len(regions) == 1 else "lists"
        yield f"{', '.join(regions)}, {lists} of registries: {verdict}: {visible(reason or '')}"


def _advice(result: CrawlResult) -> Iterator[str]:
    """Say what helps where nothing came of any request: not even that what was named does not exist."""
    asked = [one for one in result.everything if one.requests]
    if asked and not any(one.pages or (one.within and not one.exists) for one in asked):
        yield "`ncrawl doctor` says what is in the way, and how to mend it"


def _below_regions(result: CrawlResult) -> list[ListingResult]:
    """Return how the lists of registries' contents ended, at every level."""
    return [*result.registries, *result.deeper]


def _is_gap(one: ListingResult, result: CrawlResult) -> bool:
    return one.verdict.is_gap and result.is_expected(one)


def _incomplete(result: CrawlResult) -> list[str]:
    lines = missing_lines(result, MOST_REGISTRIES_SHOWN)
    lacking = (one for one in _below_regions(result) if not one.verdict.is_good and not _is_cut_off(one, result))
    if gaps := sorted((one for one in lacking if _is_gap(one, result)), key=attrgetter("verdict", "region", "within")):
        some = ", ".join(f"{visible(one.label)} ({one.verdict})" for one in gaps[:MOST_GAPS_SHOWN])
        more = f" and {len(gaps) - MOST_GAPS_SHOWN:,} more" if len(gaps) > MOST_GAPS_SHOWN else ""
        lines.append(f"expected gaps: {some}{more}")
    if any(is_absent(one, result) for one in result.registries):
        lines.append("`ncrawl registries` lists those that there are")
    return ["", *lines] if lines else []


def _cut_off(result: CrawlResult, lists: list[ListingResult]) -> Iterator[str]:
    """Yield how many there are of each kind of which the end of the run left the list undone."""
    for kind, number in Counter(one.collection.lineage[-2] for one in lists).items():
        counted = f"1 {kind.singular} was" if number == 1 else f"{number:,} {kind.name} were"
        yield f"{counted} not begun or not finished: {visible(result.stop_told or result.stop_reason or '')}"


def _told(one: ListingResult) -> str:
    return f"{visible(one.label)}: {one.verdict}: {visible(one.reason or '')}"
