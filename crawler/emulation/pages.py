"""The pages of registry, image and tag lists, and the changes that happen between them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import orjson

from crawler.emulation.change import poisson, shuffled_positions
from crawler.emulation.wire import Answer

if TYPE_CHECKING:
    import random

    from crawler.emulation.apis import Api, Place, Window
    from crawler.emulation.change import Contents
    from crawler.emulation.options import EmulatorOptions
    from crawler.emulation.world import World

_CACHED_PAGES = 1024  # of 25 kB or so: small worlds stay encoded, large ones stay small
_CACHED_PAGE_SIZE = 100


def _wrong(number: int) -> int:
    """Return another number than the right one: too small here, too large there."""
    return number // 2 if number % 2 else number + 7


class Pages:
    """Serves pages of a world.

    Mutable state: the world, which changes after pages are served, and the most recently encoded pages.
    """

    def __init__(self, options: EmulatorOptions, world: World, rng: random.Random, *, api: Api) -> None:
        self._options = options
        self._world = world
        self._rng = rng
        self._api = api
        self._encoded = lru_cache(_CACHED_PAGES)(self._encode_images)

    def of_registries(self, place: Place, window: Window) -> Answer:
        """Answer one page of a region's registry list."""
        listed = self._world.listed(place.region)
        if self._is_refused(window, len(listed)):
            return self._api.refusals[300]
        records = [listed[position].registry.record() for position in self._positions(window, len(listed))]
        total = self._count(len(listed), len(listed))
        answer = Answer(200, self._api.body(place, window, records, total=total, length=len(listed), loops=False))
        for _ in range(poisson(self._options.registry_change_rate, self._rng)):
            self._world.change_registries(place.region, self._rng)
        return answer

    def of_images(self, contents: Contents, place: Place, window: Window, *, loops: bool, now_ms: int) -> Answer:
        """Answer one page of a registry's image list.

        Args:
            contents: the registry.
            place: the list of it.
            window: the part that was asked for.
            loops: whether the last page says that page 1 is next.
            now_ms: the gateway's clock: when the changes after this page happen.
        """
        if self._is_refused(window, len(contents)):
            return self._api.refusals[300]
        total = self._count(len(contents), len(self._world.listed(contents.registry.region)))
        is_kept = self._options.sort != "random" and window.size <= _CACHED_PAGE_SIZE
        encode = self._encoded if is_kept else self._encode_images
        answer = Answer(200, encode(contents, place, window, version=contents.version, total=total, loops=loops))
        for _ in range(poisson(self._options.change_rate, self._rng)):
            contents.change(self._rng, now_ms)
        return answer

    def of_tags(self, contents: Contents, place: Place, window: Window, *, now_ms: int) -> Answer:
        """Answer one page of an image's tag list; the image is the last of the place's names."""
        image = place.names[-1]
        tags = contents.tags(image)
        if tags is None:
            return self._api.refusals[300]
        records = tags.records(self._options.sort)
        if self._is_refused(window, len(records)):
            return self._api.refusals[300]
        some = [records[position] for position in self._positions(window, len(records))]
        total = self._count(len(records), len(self._world.listed(place.region)))
        answer = Answer(200, self._api.body(place, window, some, total=total, length=len(records), loops=False))
        for _ in range(poisson(self._options.tag_change_rate, self._rng)):
            contents.change_tags(image, self._rng, now_ms)
        return answer

    def of_one(self, contents: Contents, place: Place) -> Answer:
        """Answer what an image, or a tag, is by itself: the last of the place's names."""
        image, *tag = place.names[1:]
        record = contents.find(image)
        if record is not None and not tag:
            return Answer(200, orjson.dumps(contents.registry.detail(record)))
        tags = contents.tags(image)
        found = [one for one in (tags.records() if tags else ()) if [one["name"]] == tag]
        return Answer(200, orjson.dumps(found[0])) if found else self._api.refusals[300]

    def _encode_images(
        self,
        contents: Contents,
        place: Place,
        window: Window,
        *,
        version: int,  # noqa: ARG002 - a key of the cache
        total: int | None,
        loops: bool,
    ) -> bytes:
        records = [contents.record(position) for position in self._positions(window, len(contents))]
        return self._api.body(place, window, records, total=total, length=len(contents), loops=loops)

    def _positions(self, window: Window, length: int) -> range | list[int]:
        start, stop = (window.page - 1) * window.size, window.page * window.size
        if self._options.sort == "random":
            return shuffled_positions(start, stop, length, rng=self._rng)
        return range(start, min(stop, length))

    def _is_refused(self, window: Window, length: int) -> bool:
        start = (window.page - 1) * window.size
        return self._options.past_end == "404" and start > 0 and start >= length

    def _count(self, length: int, registries: int) -> int | None:
        means = self._options.count
        return {"images": length, "registries": registries, "wrong": _wrong(length), "null": None}[means]
