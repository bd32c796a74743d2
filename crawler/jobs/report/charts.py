"""Charts as inline SVG: bars and lines without a letter in them, which stretch to any width; a table says the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.jobs.report.markup import Markup, element

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WIDTH, _HEIGHT = 400, 100
_MOST_DOTS = 60


def bar(value: float, largest: float, kind: str = "") -> Markup:
    """Return a bar that is as long, in its cell, as ``value`` is of ``largest``; what is not 0 can be seen."""
    share = 100 * value / largest if largest else 0.0
    width = f"{max(share, 0.5):.2f}%" if value else "0"
    inner = element("rect", width=width, height="100%", rx="2")
    return element("svg", inner, class_=f"bar {kind}".strip(), aria_hidden="true", focusable="false")


def line(times: Sequence[float], values: Sequence[float | None], odd: Sequence[bool]) -> Markup:
    """Return a line through the values that are known, from the least to the largest of them.

    It has four hundred points or so at most: of those that stand above each other the last counts.

    Args:
        times: of each value, rising.
        values: None is not known, and leaves no point.
        odd: points that are marked.
    """
    known = [(time, value, is_odd) for time, value, is_odd in zip(times, values, odd, strict=True) if value is not None]
    least, most = min(value for _, value, _ in known), max(value for _, value, _ in known)
    first, length = times[0], times[-1] - times[0]
    points, marked = dict[int, str](), dict[int, str]()
    for time, value, is_odd in known:
        x = round(_WIDTH * _share(time - first, length))
        points[x] = f"{x} {round(_HEIGHT * (1 - _share(value - least, most - least)))}"
        if is_odd:
            marked[x] = points[x]
    return element(
        "svg",
        element("path", d=Markup(f"M{'L'.join(points.values())}"), class_="line"),
        _dots(points.values(), "dot") if len(points) <= _MOST_DOTS else "",
        _dots(marked.values(), "dot odd") if marked else "",
        class_="chart",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        preserveAspectRatio="none",
        aria_hidden="true",
        focusable="false",
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.5


def _dots(points: Iterable[str], kind: str) -> Markup:
    """Return a dot at each point: the round ends of a line too short to be seen, which nothing stretches."""
    return element("path", d=Markup("".join(f"M{point}h.01" for point in points)), class_=kind)
