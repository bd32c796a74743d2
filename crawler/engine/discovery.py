"""Decide which lists are due: where a crawl begins, and what the names in a list call for, down to its level. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from crawler.core.text import writable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from crawler.core.collection import Collection
    from crawler.engine.scheduler import RegionQueue
    from crawler.engine.spec import CrawlSpec


class Discovery:
    """The lists of one crawl.

    Attributes:
        excluded: (region, registry) of those that were found and are not listed, and by which pattern.
    """

    def __init__(self, spec: CrawlSpec) -> None:
        self.excluded: dict[tuple[str, str], str] = {}
        self.top = spec.level.lineage[0]
        self._spec = spec
        self._children = dict(pairwise(spec.level.lineage))
        self._asked_for = {(root.region.code, root.within) for root in spec.roots or ()}

    def is_asked_for(self, region: str, within: tuple[str, ...]) -> bool:
        """Whether the user named a list."""
        return (region, within) in self._asked_for

    def begin(self, queues: Mapping[str, RegionQueue]) -> None:
        """Let the lists wait with which the crawl begins."""
        if self._spec.roots is None:
            for queue in queues.values():
                queue.waiting.expect_top(self.top)
            return
        for root in {(root.region.code, root.within): root for root in self._spec.roots}.values():
            waiting = queues[root.region.code].waiting
            waiting.expect(root.collection, root.within[:-1], root.within[-1:], is_open=False)

    def is_finished(self, region: str, collection: Collection, within: tuple[str, ...]) -> bool:
        """Whether an earlier run has a list."""
        return (collection.name, region, within) in self._spec.finished

    def take_up(self, queue: RegionQueue, collection: Collection, within: tuple[str, ...]) -> None:
        """Let wait what an earlier run had not finished below a list that it had."""
        if collection in self._children:
            names = self._spec.names_of((collection.name, queue.region.code, within))
            self.named(queue, collection, within, names=names, is_open=False)

    def named(
        self,
        queue: RegionQueue,
        collection: Collection,
        within: tuple[str, ...],
        *,
        names: Iterable[str],
        is_open: bool,
    ) -> None:
        """Let the lists wait of what a list has named, if the crawl goes so deep.

        Args:
            queue: of the region.
            collection: what the list holds.
            within: what the list is within.
            names: those that are new in it.
            is_open: whether it may name more.
        """
        child = self._children.get(collection)
        if child is None:
            return
        if collection is self.top:
            names = self._without_excluded(queue.region.code, map(writable, names))
        region = queue.region.code
        if child is self._spec.level and self._spec.finished:
            names = [name for name in names if not self.is_finished(region, child, (*within, name))]
        if self._asked_for:  # what was named waits, or is over, by itself: whether a list has it or not
            names = [name for name in names if (region, (*within, name)) not in self._asked_for]
        is_held = is_open and child is self._spec.level and self._is_known(region, collection, within)
        queue.waiting.expect(child, within, names, is_open=is_open, is_held=is_held)

    def _is_known(self, region: str, collection: Collection, within: tuple[str, ...]) -> bool:
        """Whether lists below a list may be had without asking for them, which shows when it is over."""
        earlier = self._spec.earlier
        return earlier is not None and earlier.covers((collection.name, region, tuple(map(writable, within))))

    def _without_excluded(self, region: str, names: Iterable[str]) -> Iterator[str]:
        for name in names:
            if pattern := self._spec.excluded.match(region, name):
                self.excluded[region, name] = pattern
            else:
                yield name
