"""The page's answers to: what changed, and what is stale? With a list of images that can be searched."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain, islice
from math import inf
from typing import TYPE_CHECKING

import msgspec

from crawler.api.collections import COLLECTIONS
from crawler.core.text import visible
from crawler.jobs.report.changes import MOST_SHOWN
from crawler.jobs.report.charts import bar
from crawler.jobs.report.images import AGES_DAYS, DAY_MS, MOST_LISTED, PULLS
from crawler.jobs.report.markup import UNKNOWN, Cell, Markup, count, element, join, table
from crawler.snapshot.comparing.diff import CHANGES

if TYPE_CHECKING:
    from collections import Counter

    from crawler.jobs.report.changes import Changes
    from crawler.jobs.report.facts import Facts
    from crawler.jobs.report.images import Image
    from crawler.jobs.report.markup import Row
    from crawler.snapshot.comparing.diff import Change

SHOWN_AT_FIRST = 100
"""Images of the list that are there without JavaScript; with it, so many more are shown at each press of a button."""

_AGES = ("under a week", "under a month", "under 3 months", "under 6 months", "under a year", "1 to 2 years",
         "2 to 4 years", "4 years and more")  # fmt: skip
_PULLED = ("never", "1 to 9", "10 to 99", "100 to 999", "1,000 to 9,999", "10,000 and more")
_LEVELS = [one.singular for one in COLLECTIONS.values()]
_ORDER: tuple[Change, ...] = ("removed", "added", "unknown", "changed")
_MARKS = {"added": "good", "removed": "bad", "changed": "", "unknown": "warn"}
_KINDS = {
    "": "all",
    "both": "never pulled and not pushed for a year",
    "never": "never pulled",
    "old": "not pushed for a year",
    "undated": "no date of a push",
}


def changes_section(facts: Facts) -> Markup:
    """Return how much changed since the snapshot before, and some of it by name."""
    found = facts.changes
    notes = [element("p", note, class_="note") for note in found.notes[:20]]
    if found.before is None:
        return join(notes or [element("p", "There is no snapshot before this one to compare it with.")])
    told = [element("p", f"Since {found.before}. What a side lacks because it is not whole is unknown, never removed.")]
    if found.pulled:
        told.append(
            element("p", f"Images that differ only in how often they were pulled: {found.pulled:,}.", class_="note")
        )
    if not found.counts:
        return join([*told, *notes, element("p", "Nothing else changed.")])
    return join(
        [*told, *notes, element("div", _by_level(found), _by_region(found), class_="side"), _differences(found)]
    )


def _by_level(found: Changes) -> Markup:
    levels = sorted({level for level, _ in found.counts}, key=_LEVELS.index)
    rows: list[Row] = [[level, *(count(found.counts[level, change]) for change in CHANGES)] for level in levels]
    return table("By level", ["level", *CHANGES], rows, sortable=False)


def _by_region(found: Changes) -> Markup:
    regions = sorted({region for region, _ in found.regions})
    rows: list[Row] = [[region, *(count(found.regions[region, change]) for change in CHANGES)] for region in regions]
    return table("By region", ["region", *CHANGES], rows, sortable=False)


def _differences(found: Changes) -> Markup:
    rows: list[Row] = [
        [one.label, Cell(one.change, mark=_MARKS[one.change]), one.level, ", ".join(one.fields)]
        for one in islice(chain.from_iterable(found.shown[change] for change in _ORDER), MOST_SHOWN)
    ]
    everything = found.counts.total()
    some = f"{len(rows):,} of {everything:,} differences" if len(rows) < everything else "Differences"
    return table(f"{some}; ncrawl diff tells all", ["what", "change", "level", "fields"], rows)


def stale_section(facts: Facts) -> Markup:
    """Return how old and how much pulled images are, and the list of the stalest."""
    holdings, whole = facts.holdings, facts.holdings.whole
    told = (
        f"Of {whole.images:,} images {whole.never_pulled:,} were never pulled, {whole.old:,} were not pushed for a "
        f"year, {whole.both:,} both. Ages are counted from the start of the snapshot. An image that does not say when "
        "it was pushed, or how often it was pulled, counts as unknown: not as old, and not as never pulled."
    )
    ages = _histogram("Since the last push", _AGES, holdings.ages)
    pulls = _histogram("Times pulled", _PULLED, holdings.pulls)
    return join([element("p", told), element("div", ages, pulls, class_="side")])


def _histogram(caption: str, classes: tuple[str, ...], found: Counter[int | None]) -> Markup:
    largest = max(found.values(), default=0)
    named = [(name, found[place], "") for place, name in enumerate(classes)]
    if found[None]:
        named.append(("unknown", found[None], "unknown"))
    rows: list[Row] = [
        [name, count(value), Cell(bar(value, largest, kind), mark="bars")] for name, value, kind in named
    ]
    return table(caption, ["", "images", "share"], rows, sortable=False)


def list_section(facts: Facts) -> Markup:
    """Return the list of images, the stalest first, with what it takes to search it."""
    listed, everything = facts.holdings.listed, facts.holdings.whole.images
    shown = listed[:SHOWN_AT_FIRST]
    rows: list[Row] = [
        [f"{facts.label(one.place)}/{one.name}", Cell(_date(one), _day(one) or -1), count(one.pulls)] for one in shown
    ]
    told = "All images, the stalest first."
    if len(listed) < everything:
        told = (
            f"The {len(listed):,} stalest of {everything:,} images: the list holds {MOST_LISTED:,} at most, first what "
            "was never pulled and not pushed for a year, the oldest of it first. The snapshot holds them all."
        )
    without = f"This needs JavaScript to be searched; these are the first {len(shown):,}." if listed else ""
    return join(
        [
            element("p", told),
            element("noscript", element("p", without, class_="note")),
            _search(sorted({one.place[1] for one in listed})),
            table("Images", ["image", "last push", "pulls"], rows, sortable=False),
            element("button", "Show more", type="button", id="more", hidden=True),
        ]
    )


def _search(regions: list[str]) -> Markup:
    kinds = [element("option", told, value=kind) for kind, told in _KINDS.items()]
    places = [
        element("option", told, value=region) for region, told in [("", "all"), *zip(regions, regions, strict=True)]
    ]
    return element(
        "form",
        element(
            "label", "Search ", element("input", type="search", id="query", autocomplete="off", spellcheck="false")
        ),
        element("label", "Which ", element("select", *kinds, id="kind")),
        element("label", "Region ", element("select", *places, id="region")),
        element("output", id="found", aria_live="polite"),
        id="search",
        role="search",
        hidden=True,
    )


def list_data(facts: Facts) -> Markup:
    """Return the list as JSON for the page's script, in a shape that takes few bytes; ``<`` is escaped in it.

    Rows hold the number of a registry, name, day of the last push since 1970, pulls, and rank.
    """
    places = {place: number for number, place in enumerate(sorted({one.place for one in facts.holdings.listed}))}
    data = {
        "step": SHOWN_AT_FIRST,
        "registries": [[place[1], visible(facts.label(place), 500)] for place in places],
        "rows": [
            (places[one.place], visible(one.name, 500), _day(one), one.pulls, one.rank) for one in facts.holdings.listed
        ],
    }
    return Markup(msgspec.json.encode(data).decode().replace("<", "\\u003c"))


def _day(image: Image) -> int | None:
    return None if image.pushed_ms == inf else int(image.pushed_ms // DAY_MS)


def _date(image: Image) -> str:
    return UNKNOWN if image.pushed_ms == inf else f"{datetime.fromtimestamp(image.pushed_ms / 1000, UTC):%Y-%m-%d}"


assert len(_AGES) == len(AGES_DAYS) + 1
assert len(_PULLED) == len(PULLS) + 1
