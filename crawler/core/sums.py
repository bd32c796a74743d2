"""Sums of results: a million lists of which only numbers are to be told take the memory of their registries. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from crawler.core.model import ListingResult

_ADDED = ("lists", "records", "pages", "requests", "retries", "throttled", "refreshed", "different")


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
        self._sums: dict[Hashable, ListingResult] = {}

    def __iter__(self) -> Iterator[ListingResult]:
        return iter(self._sums.values())

    def add(self, one: ListingResult) -> None:
        """Take in a result, or a sum."""
        kind = kind_of(one)
        known = self._sums.get(kind)
        self._sums[kind] = sum_of(one) if known is None else _joined(known, one)


def sum_of(one: ListingResult) -> ListingResult:
    """Return a result as a sum of it alone."""
    return replace(one, within=one.within[:1], page_size=_page_size(one))


def _joined(one: ListingResult, other: ListingResult) -> ListingResult:
    return replace(
        one,
        **{name: getattr(one, name) + getattr(other, name) for name in _ADDED},
        count=None if one.count is None or other.count is None else one.count + other.count,
        passes=max(one.passes, other.passes),
        started_ms=min(one.started_ms, other.started_ms),
        finished_ms=max(one.finished_ms, other.finished_ms),
    )


def _page_size(one: ListingResult) -> int | None:
    """Return what is known of the gateway's pages by it: nothing by a list of one page."""
    return one.page_size if one.pages > 1 else None
