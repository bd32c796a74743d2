"""What people are told of what they named and what does not exist: in words, not as a status code."""

from __future__ import annotations

from collections import defaultdict
from difflib import get_close_matches
from typing import TYPE_CHECKING

from crawler.core.text import visible
from crawler.jobs.neighbours import is_absent

if TYPE_CHECKING:
    from collections.abc import Collection

    from crawler.engine.spec import CrawlResult

_MOST_COMPARED = 2_000
"""Names to look for similar ones among, which takes 10 ms a thousand; above it nothing is suggested."""


def absent_lines(result: CrawlResult) -> list[str]:
    """Return a line for each name that no registry has where it was looked for, and for each such image.

    The names that there are, as far as the run came to know any, show what may have been meant.
    """
    regions: defaultdict[str, list[str]] = defaultdict(list)
    known: defaultdict[str, list[str]] = defaultdict(list)
    for region, names in result.neighbours.items():
        for name in names:
            known[name].append(region)
    for one in result.registries:
        if one.registry is not None and is_absent(one, result):
            regions[one.registry].append(one.region)
        elif one.registry is not None and one.pages and one.region not in known[one.registry]:
            known[one.registry].append(one.region)
    registries = [
        f"{visible(name)}: no such registry in {_or(sorted(regions[name]))}{_hint(name, known, regions[name])}"
        for name in sorted(regions)
    ]
    images = sorted(one.label for one in result.deeper if is_absent(one, result))
    return [*registries, *(f"{visible(name)}: no such image" for name in images)]


def _hint(name: str, known: dict[str, list[str]], regions: list[str]) -> str:
    if name in known:
        elsewhere = sorted(set(known[name]).difference(regions))
        there = f"; there is one in {' and '.join(elsewhere)}"
        return there if elsewhere else ", although the list of registries names it"
    close = get_close_matches(name, known, n=1) if len(known) <= _MOST_COMPARED else []
    return f"; did you mean {visible(close[0])}?" if close else ""


def _or(words: Collection[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last
