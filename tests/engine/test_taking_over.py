"""Lists that an earlier run had are not asked for, and none of the others is lost for it, however the crawl ends."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING

from engine.test_discovery import Names
from support.tree import Tree, spec_of, tree

from crawler.api.collections import IMAGES, TAGS
from crawler.core.model import Verdict
from crawler.engine.crawl import Crawl
from crawler.engine.spec import StopReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.core.model import Place
    from crawler.engine.spec import CrawlResult


class Known:
    """An earlier run that has the tags of some images.

    Attributes:
        images: by registry.
        covered: registries that it knows at all.
        on_taking: called when the first image of a registry is taken over.
    """

    def __init__(self, images: dict[str, list[str]], covered: set[str] | None = None) -> None:
        self.images = images
        self.covered = images.keys() if covered is None else covered
        self.asked: list[Place] = []
        self.on_taking: Callable[[], None] = lambda: None

    def covers(self, place: Place) -> bool:
        """Whether it knows a registry."""
        return place[0] == IMAGES.name and place[2][0] in self.covered

    async def take_over(self, place: Place, taken: dict[str, int], *, clock_offset_s: float) -> None:
        """Give out the images, one at a time."""
        assert clock_offset_s == 0.0
        self.asked.append(place)
        for name in self.images.get(place[2][0], ()):
            taken[name] = 2
            self.on_taking()
            await asyncio.sleep(0)


async def crawl(there: Tree, known: Known, holder: list[Crawl] | None = None, **changes: object) -> CrawlResult:
    """Crawl down to tags."""
    one = Crawl(spec_of(TAGS, earlier=known, **changes), there, Names(), observe=lambda _event: None)
    if holder is not None:
        holder.append(one)
    async with asyncio.timeout(20):
        return await one.run()


def asked_for_tags(there: Tree) -> set[tuple[str, ...]]:
    """Return what tags were asked of."""
    return {within for within in there.asked if len(within) == 2}


def everything(there: Tree) -> set[tuple[str, ...]]:
    """Return every image there is."""
    return {(registry, image) for registry, images in there.names.items() for image in images}


async def test_what_is_known_is_not_asked_for() -> None:
    """The others are, once each, when the list that names them is over."""
    there, known = Tree(tree(3, 3, 250, 2), most=100), Known({"0": ["0-0", "0-249"], "1": []})
    order: list[tuple[str, ...]] = there.order
    result = await crawl(there, known)
    assert asked_for_tags(there) == everything(there) - {("0", "0-0"), ("0", "0-249")}
    assert sorted(place[2][0] for place in known.asked) == ["0", "1"], "each once; 2 is not known"
    last_page = max(at for at, within in enumerate(order) if within == ("0",))
    assert all(at > last_page for at, within in enumerate(order) if within[:1] == ("0",) and len(within) == 2)
    assert {one.verdict for one in result.deeper} == {Verdict.COMPLETE}
    assert sum(one.lists for one in result.deeper) == 748


async def test_a_crawl_ends_when_all_is_known() -> None:
    """Nothing is left to do; where it stands counts what was taken over."""
    there = Tree(tree(3, 2, 3, 2))
    holder: list[Crawl] = []
    await crawl(there, Known({"0": list(there.names["0"]), "1": list(there.names["1"])}), holder)
    assert asked_for_tags(there) == set()
    amounts = {one.what: (one.done, one.known) for one in holder[0].standing.amounts}
    assert amounts == {"registries": (2, 2), "images": (6, 6), "tags": (12, None)}


async def test_an_image_that_vanishes_is_gone_as_ever() -> None:
    """The list is read again after the last 404 in it, though others of it were taken over."""
    there = Tree(tree(3, 1, 5, 1))

    def delete(within: tuple[str, ...]) -> None:
        if len(within) == 2:
            there.names["0"].pop("0-3", None)

    there.on_request = delete
    result = await crawl(there, Known({"0": ["0-0", "0-1"]}))
    assert {one.within: one.verdict for one in result.deeper if not one.is_sum} == {("0", "0-3"): Verdict.GONE}


async def test_what_is_held_when_the_crawl_stops_is_not_lost() -> None:
    """A deadline in the middle of a list of images: each that is known so far has its verdict."""
    there, known = Tree(tree(3, 1, 250, 1), most=100), Known({}, covered={"0"})
    holder: list[Crawl] = []

    there.on_request = lambda _: holder[0].stop(StopReason.DEADLINE) if there.asked["0",] == 2 else None
    result = await crawl(there, known, holder, concurrency=1)
    cut_off = [one for one in result.deeper if one.verdict is Verdict.FAILED]
    assert len(cut_off) == 200
    assert all("not begun" in (one.reason or "") for one in cut_off)
    assert known.asked == []


async def test_what_was_taken_over_when_the_crawl_stops_is_taken_over() -> None:
    """The rest is not begun, and says so: neither is there twice, and nothing is missing without a word."""
    there, known = Tree(tree(3, 1, 50, 1)), Known({"0": [f"0-{number}" for number in range(30)]})
    holder: list[Crawl] = []

    counted = count(1)
    known.on_taking = lambda: holder[0].stop(StopReason.DEADLINE) if next(counted) == 10 else None
    result = await crawl(there, known, holder)
    cut_off = {one.within[1] for one in result.deeper}
    assert cut_off == {f"0-{number}" for number in range(10, 50)}
    assert asked_for_tags(there) == set()
