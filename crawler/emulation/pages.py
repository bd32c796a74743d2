"""The pages of registry lists and image lists, and the changes that happen between them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import orjson

from crawler.emulation.change import poisson, shuffled_positions
from crawler.emulation.faults import REFUSALS
from crawler.emulation.wire import Answer

if TYPE_CHECKING:
    import random

    from crawler.emulation.change import Contents
    from crawler.emulation.options import EmulatorOptions
    from crawler.emulation.world import Record, World

_CACHED_PAGES = 1024  # of 25 kB or so: small worlds stay encoded, large ones stay small
_CACHED_PAGE_SIZE = 100


def _wrong(number: int) -> int:
    """Return another number than the right one: too small here, too large there."""
    return number // 2 if number % 2 else number + 7


class Pages:
    """Serves pages of a world.

    Mutable state: the world, which changes after pages are served, and the most recently encoded pages.
    """

    def __init__(self, options: EmulatorOptions, world: World, rng: random.Random) -> None:
        self._options = options
        self._world = world
        self._rng = rng
        self._encoded = lru_cache(_CACHED_PAGES)(self._encode_images)

    def of_registries(self, region: str, page: int, page_size: int) -> Answer:
        """Answer one page of a region's registry list."""
        listed = self._world.listed(region)
        start, stop = (page - 1) * page_size, page * page_size
        if self._is_refused(start, len(listed)):
            return REFUSALS[300]
        positions = self._positions(start, stop, len(listed))
        records = [listed[position].registry.record() for position in positions]
        count = self._count(len(listed), len(listed))
        answer = Answer(200, _body(records, count, page, following=_following(page, stop, len(listed))))
        for _ in range(poisson(self._options.registry_change_rate, self._rng)):
            self._world.change_registries(region, self._rng)
        return answer

    def of_images(self, contents: Contents, page: int, page_size: int, *, loops: bool, now_ms: int) -> Answer:
        """Answer one page of a registry's image list.

        Args:
            contents: the registry.
            page: 1-based.
            page_size: records at most.
            loops: whether the last page says that page 1 is next.
            now_ms: the gateway's clock: when the changes after this page happen.
        """
        if self._is_refused((page - 1) * page_size, len(contents)):
            return REFUSALS[300]
        count = self._count(len(contents), len(self._world.listed(contents.registry.region)))
        is_kept = self._options.sort != "random" and page_size <= _CACHED_PAGE_SIZE
        encode = self._encoded if is_kept else self._encode_images
        answer = Answer(200, encode(contents, contents.version, count, page, page_size, loops))
        for _ in range(poisson(self._options.change_rate, self._rng)):
            contents.change(self._rng, now_ms)
        return answer

    def _encode_images(
        self,
        contents: Contents,
        _version: int,
        count: int | None,
        page: int,
        page_size: int,
        loops: bool,  # noqa: FBT001 - a key of the cache, like the version
    ) -> bytes:
        start, stop, length = (page - 1) * page_size, page * page_size, len(contents)
        records = [contents.record(position) for position in self._positions(start, stop, length)]
        following = _following(page, stop, length)
        return _body(records, count, page, following=1 if loops and following is None else following)

    def _positions(self, start: int, stop: int, length: int) -> range | list[int]:
        if self._options.sort == "random":
            return shuffled_positions(start, stop, length, self._rng)
        return range(start, min(stop, length))

    def _is_refused(self, start: int, length: int) -> bool:
        return self._options.past_end == "404" and start > 0 and start >= length

    def _count(self, length: int, registries: int) -> int | None:
        means = self._options.count
        return {"images": length, "registries": registries, "wrong": _wrong(length), "null": None}[means]


def _following(page: int, stop: int, length: int) -> int | None:
    return page + 1 if stop < length else None


def _body(records: list[Record], count: int | None, page: int, *, following: int | None) -> bytes:
    previous = page - 1 or None
    return orjson.dumps({"count": count, "next": following, "previous": previous, "results": records})
