"""Sums of results: a million lists of which only numbers are to be told take the memory of their registries. Pure."""

from __future__ import annotations

from operator import add, attrgetter
from typing import TYPE_CHECKING

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from crawler.core.model import ListingResult

_ADDED = ("lists", "records", "pages", "requests", "retries", "throttled", "refreshed", "different")
_numbers = attrgetter(*_ADDED)


def is_plain(one: ListingResult) -> bool:
    """Whether a result has nothing to be told of it alone: a list below a registry's own that is whole, and no more."""
    return one.depth > 1 and one.verdict.is_good and one.reason is None


def kind_of(one: ListingResult) -> Hashable:
    """Return what results have in common that can be summed up: their registry, and what was seen of each."""
    place = (one.collection.name, one.region, one.within[:1])
    fits = None if one.count is None else one.count == one.records
    return *place, one.verdict, one.reason, _page_size(one), one.is_sorted, fits, one.taken_from


class Sums:
    """The sums of plain results.

    Mutable state: a sum for each kind.
    """

    def __init__(self) -> None:
        self._sums: dict[Hashable, _Sum] = {}

    def __iter__(self) -> Iterator[ListingResult]:
        return (one.result() for one in self._sums.values())

    def add(self, one: ListingResult) -> None:
        """Take in a result, or a sum."""
        kind = kind_of(one)
        known = self._sums.get(kind)
        if known is None:
            self._sums[kind] = _Sum(one)
        else:
            known.add(one)


class _Sum:
    """Results of one kind. Mutable state: what they come to."""

    __slots__ = ("_first", "added", "count", "finished_ms", "passes", "started_ms")

    def __init__(self, first: ListingResult) -> None:
        self._first = sum_of(first)
        self.added = _numbers(first)
        self.count = first.count
        self.passes = first.passes
        self.started_ms, self.finished_ms = first.started_ms, first.finished_ms

    def add(self, one: ListingResult) -> None:
        self.added = tuple(map(add, self.added, _numbers(one)))
        if self.count is not None and one.count is not None:  # of one kind, so both or neither
            self.count += one.count
        self.passes = max(self.passes, one.passes)
        self.started_ms = min(self.started_ms, one.started_ms)
        self.finished_ms = max(self.finished_ms, one.finished_ms)

    def result(self) -> ListingResult:
        changed = {name: getattr(self, name) for name in ("count", "passes", "started_ms", "finished_ms")}
        return replace(self._first, **changed, **dict(zip(_ADDED, self.added, strict=True)))


def sum_of(one: ListingResult) -> ListingResult:
    """Return a result as a sum of it alone."""
    return replace(one, within=one.within[:1], page_size=_page_size(one))


def _page_size(one: ListingResult) -> int | None:
    """Return what is known of the gateway's pages by it: nothing by a list of one page."""
    return one.page_size if one.pages > 1 else None
