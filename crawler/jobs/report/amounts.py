"""The page's answers to: how much is there, in which region, in which registry; and how did it grow?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.core.text import duration
from crawler.jobs.report.charts import bar, line
from crawler.jobs.report.history import registries_of
from crawler.jobs.report.images import Stale
from crawler.jobs.report.markup import UNKNOWN, Cell, Markup, byte_size, count, element, join, number, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from crawler.jobs.report.facts import Facts
    from crawler.jobs.report.history import Point
    from crawler.jobs.report.markup import Row
    from crawler.jobs.report.sizes import Size
    from crawler.snapshot.comparing.sides import Place
    from crawler.snapshot.manifest import Manifest

MOST_REGISTRIES = 50
"""Registries that are shown, the largest first."""
MOST_POINTS = 200
"""Snapshots in the table, the newest first; the lines are of all."""

AT_MOST = "stored at most"


def at_most(sizes: Iterable[Size]) -> int:
    """Return the sum of what registries store at most."""
    return sum(one.bytes for one in sizes)


def sized(value: float | None) -> Cell:
    """Return a cell with a size, which sorts as the number of bytes."""
    return Cell(byte_size(value), -1 if value is None else value)


def amount_section(facts: Facts) -> Markup:
    """Return how much there is in each region."""
    manifest, totals = facts.manifest, facts.manifest.totals
    regions = sorted({one.region for one in manifest.registries} | {one.region for one in manifest.regions})
    images = {name: sum(one.images for one in manifest.registries if one.region == name) for name in regions}
    rows: list[Row] = []
    for name in regions:
        cost = totals.regions.get(name)
        row: Row = [name, count(_registries(manifest, name))]
        row += [count(images[name]), Cell(bar(images[name], max(images.values())), mark="bars")]
        row += _of_tags(facts, [place for place in facts.sizes or () if place[1] == name])
        rows.append([*row, count(cost.requests if cost else None), Cell(*_seconds(cost.seconds if cost else None))])
    row = ["all", count(registries_of(manifest)), count(totals.images), ""]
    rows.append([*row, *_of_tags(facts, facts.sizes or ()), count(totals.requests), Cell(*_seconds(totals.seconds))])
    tags = ["tags", AT_MOST] if facts.sizes is not None else []
    head = ["region", "registries", "images", "share", *tags, "requests", "time"]
    return join([table("By region", head, rows, sortable=False), *_about_sizes(facts)])


def _registries(manifest: Manifest, region: str) -> int:
    listed = [one.registries for one in manifest.regions if one.region == region]
    return max(sum(one.region == region for one in manifest.registries), sum(listed))


def _of_tags(facts: Facts, places: Iterable[Place]) -> list[Cell]:
    if facts.sizes is None:
        return []
    found = [facts.sizes[place] for place in places if place in facts.sizes]
    return [count(sum(one.tags for one in found)), sized(at_most(found))]


def _about_sizes(facts: Facts) -> list[Markup]:
    if facts.sizes is None:
        return [element("p", "This snapshot has no tags, which are what tells sizes.", class_="note")]
    told = (
        "Stored at most: the sum of the sizes of the distinct images that tags name, registry by registry. Layers are "
        "shared, and what no tag names is seen by nobody."
    )
    unsized = sum(one.unsized for one in facts.sizes.values())
    return [
        element("p", told + (f" {unsized:,} images have no size and are left out." if unsized else ""), class_="note")
    ]


def _seconds(value: float | None) -> tuple[str, float]:
    if value is None:
        return UNKNOWN, -1
    return f"{value:,.1f} s" if value < 60 else duration(value), value


def registries_section(facts: Facts) -> Markup:
    """Return the largest registries, and how many of their images are stale."""
    records = sorted(facts.manifest.registries, key=lambda one: (-one.images, one.place))
    shown = records[:MOST_REGISTRIES]
    largest = shown[0].images if shown else 0
    rows: list[Row] = []
    for one in shown:
        stale = facts.holdings.registries.get(one.place, Stale())
        row: Row = [facts.label(one.place), count(one.images), Cell(bar(one.images, largest), mark="bars")]
        row += [*_of_tags(facts, [one.place]), count(stale.never_pulled), count(stale.old)]
        rows.append(row)
    tags = ["tags", AT_MOST] if facts.sizes is not None else []
    head = ["registry", "images", "share", *tags, "never pulled", "not pushed for a year"]
    told = f"The {len(shown):,} largest of {len(records):,} registries" if len(shown) < len(records) else "Registries"
    return table(told, head, rows)


def growth_section(facts: Facts) -> Markup:
    """Return how each figure went over all snapshots."""
    points, problems = facts.history
    told = [element("p", f"Left out: {problem}", class_="note bad") for problem in problems[:20]]
    if len(problems) > 20:
        told.append(element("p", f"… and {len(problems) - 20:,} more cannot be read.", class_="note bad"))
    if len(points) == 1:
        return join([*told, element("p", "This is the first snapshot that can be read here: nothing to compare yet.")])
    charts = [
        _chart(points, "Images", [one.images for one in points], shown=number),
        _chart(points, "Tags", [one.tags for one in points], shown=number),
        _chart(points, "Registries", [one.registries for one in points], shown=number),
        _chart(points, "Bytes of the snapshot", [one.bytes for one in points], shown=byte_size),
        _chart(points, "Duration", [one.seconds for one in points], shown=lambda value: Markup(_seconds(value)[0])),
        _chart(points, "Requests", [one.requests for one in points], shown=number),
    ]
    legend = element("p", "A large red dot is a snapshot that is incomplete.", class_="note")
    return join([*told, element("div", *filter(None, charts), class_="charts"), legend, _table_of(points)])


def _chart(
    points: list[Point],
    title: str,
    values: list[int | None] | list[int] | list[float],
    *,
    shown: Callable[[float], str],
) -> Markup:
    known = [value for value in values if value is not None]
    if not known:
        return Markup()
    drawn = line([one.started.timestamp() for one in points], values, [one.verdict != "complete" for one in points])
    change = known[-1] - known[0]
    sign = "-" if change < 0 else "+"
    ends = [element("span", shown(max(known))), element("span", shown(min(known)))]
    dates = [element("span", f"{one.started:%Y-%m-%d}") for one in (points[0], points[-1])]
    return element(
        "figure",
        element("figcaption", element("b", title), " ", shown(known[-1]), f" ({sign}", shown(abs(change)), ")"),
        element("div", drawn, element("div", *ends, class_="scale"), class_="plot"),
        element("div", *dates, class_="dates"),
    )


def _table_of(points: list[Point]) -> Markup:
    rows: list[Row] = [
        [
            one.id,
            Cell(one.verdict, mark="good" if one.verdict == "complete" else "bad"),
            count(one.registries),
            count(one.images),
            count(one.tags),
            sized(one.bytes),
            Cell(*_seconds(one.seconds)),
            count(one.requests),
        ]
        for one in reversed(points[-MOST_POINTS:])
    ]
    head = ["snapshot", "verdict", "registries", "images", "tags", "bytes", "time", "requests"]
    shown = f"The newest {len(rows):,} of {len(points):,} snapshots" if len(rows) < len(points) else "Snapshots"
    return table(shown, head, rows)
