"""How many requests a list takes that nobody changes meanwhile: the passes of `engine.listing`, counted. Pure."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from msgspec import Struct

from crawler.core.model import VerifyMode
from crawler.engine.page_size import other_size


class PageSizes(NamedTuple):
    """How large pages are.

    Attributes:
        asked: records that a first page is asked for.
        largest: the most that the gateway gives, whatever it is asked for; None where nothing shows a limit.
    """

    asked: int
    largest: int | None = None

    def given(self, size: int) -> int:
        """Return how many records a full page has that is asked for with ``size``."""
        return size if self.largest is None else min(size, self.largest)


class Held(Struct, frozen=True):
    """What a list holds: how many records, and how many the gateway says it does; None if it does not say."""

    records: int
    count: int | None = None

    @property
    def is_doubted(self) -> bool:
        """Whether the gateway counts more than there are."""
        return self.count is not None and self.count > self.records


def requests_for(held: Held, sizes: PageSizes, verify: VerifyMode) -> int:
    """Return the requests that a list takes. O(passes), whatever it holds.

    Args:
        held: what the list holds.
        sizes: of its pages, once they are learned.
        verify: how much is proved.
    """
    size, requests = sizes.asked, 0
    taken: list[int] = []
    for _ in range(_passes(held, sizes, verify)):
        given = sizes.given(size)
        is_one_page = held.records <= given
        promised = held.count or 0 if not taken and not is_one_page else 0  # what was seen bounds it in later passes
        requests += max(ceil(max(held.records, promised) / given), 1)
        taken.append(size if is_one_page else given)
        size = _next_size(held, taken, is_one_page=is_one_page)
    return requests


def _passes(held: Held, sizes: PageSizes, verify: VerifyMode) -> int:
    if verify is VerifyMode.NEVER:
        return 1
    if held.records > sizes.given(sizes.asked):
        return 3 if held.is_doubted else 2
    if held.is_doubted:
        return 4 if held.records == sizes.asked else 2  # the only page ends with its last record
    return 2 if verify is VerifyMode.ALWAYS else 1


def _next_size(held: Held, taken: list[int], *, is_one_page: bool) -> int:
    """Return what another pass asks for: a single page that is doubted in two, any other with other boundaries."""
    if is_one_page and held.is_doubted:
        return max(held.records - max(held.records // 8, 1), 1) if held.records != 1 else 2
    return other_size(taken, known=held.records)
