"""A registry in memory that changes while it is read, and a driver that lists it: no I/O, thousands a second."""

from __future__ import annotations

import random
from bisect import insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from crawler.core.model import Outcome, Page
from crawler.engine.listing import Listing
from crawler.engine.page_size import PageSize
from crawler.engine.passes import Failure, FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.core.model import VerifyMode

CountMode = Literal["images", "registries", "null", "wrong"]
Order = Literal["name", "updated", "placed", "random"]
Kind = Literal["insert", "delete", "delete-front", "touch", "replace", "recreate"]


@dataclass
class ChangingRegistry:
    """Serves pages of a list of names and changes it between requests.

    Attributes:
        images: how many there are at the start.
        change_rate: changes before each page, on average.
        kinds: what a change can be. ``touch`` moves an image to the front, when by ``updated``; ``replace`` deletes
            one and inserts another, so that the count stays; ``recreate`` deletes one and brings it back later.
        burst: so many changes come at once.
        hot: only so many images are ever touched or recreated; None means all.
        order: how the list is sorted: new images come in front when by ``updated`` and anywhere when ``placed``.
        count: what the gateway's ``count`` means.
        past_end: what a page past the end answers.
        largest: page sizes above are clamped.
        fixed_size: the page size asked for is ignored, and this one given.
        after_page: called with the number of each page that was served, for changes that depend on it.
    """

    seed: int
    images: int
    change_rate: float = 0.0
    kinds: tuple[Kind, ...] = ("insert", "delete", "touch")
    burst: int = 1
    hot: int | None = None
    order: Order = "updated"
    count: CountMode = "images"
    past_end: Literal["empty", "404"] = "empty"
    largest: int = 1000
    fixed_size: int | None = None
    after_page: Callable[[ChangingRegistry, int], None] | None = None
    requests: int = 0
    names: list[str] = field(default_factory=list)
    throughout: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.names = [self._new_name() for _ in range(self.images)]
        if self.order == "name":
            self.names.sort()
        self.throughout = set(self.names)
        self._hot = None if self.hot is None else self.random.sample(self.names, min(self.hot, self.images))
        self._held: tuple[int, str] | None = None

    def change(self) -> None:
        """Apply a burst of changes of one kind."""
        kind = self.random.choice(self.kinds)
        for _ in range(self.burst):
            if kind == "recreate":
                self._recreate()
            elif kind == "touch":
                self._touch()
            else:
                self._replace(kind)

    def insert(self, name: str) -> None:
        """Put an image where the order wants it."""
        if self.order == "name":
            insort(self.names, name)
        else:
            self.names.insert(0 if self.order == "updated" else self.random.randrange(len(self.names) + 1), name)

    def delete(self, index: int) -> str:
        """Take an image out and return its name: it was not there throughout."""
        name = self.names.pop(index)
        self.throughout.discard(name)
        return name

    def page(self, number: int, size: int | None) -> Page | Failure:
        """Answer one request as the gateway would."""
        self.requests += 1
        whole, part = divmod(self.change_rate, 1)
        for _ in range(int(whole) + (self.random.random() < part)):
            self.change()
        if self.order == "random":
            self.random.shuffle(self.names)
        page = self._page(number, self.fixed_size or min(size or 20, self.largest))
        if self.after_page is not None:
            self.after_page(self, number)
        return page

    def _page(self, number: int, size: int) -> Page | Failure:
        rows = self.names[(number - 1) * size : number * size]
        if not rows and number > 1 and self.past_end == "404":
            return Failure(FailureKind.NOT_FOUND, "404/300")
        more = number * size < len(self.names)
        return Page(
            count=self._count(), next=number + 1 if more else None, names=rows, records=[row.encode() for row in rows]
        )

    def _new_name(self) -> str:
        return f"image-{self.random.randrange(10**9):09}"

    def _chosen(self) -> int | None:
        """Return the index of the image to be touched or recreated."""
        if self._hot is None:
            return self.random.randrange(len(self.names)) if self.names else None
        name = self.random.choice(self._hot) if self._hot else None
        return self.names.index(name) if name in self.names else None

    def _replace(self, kind: Kind) -> None:
        if kind in ("delete", "delete-front", "replace") and self.names:
            self.delete(self.random.randrange(min(len(self.names), 10) if kind == "delete-front" else len(self.names)))
        if kind in ("insert", "replace"):
            self.insert(self._new_name())

    def _touch(self) -> None:
        index = self._chosen()
        if self.order == "updated" and index is not None:
            self.names.insert(0, self.names.pop(index))

    def _recreate(self) -> None:
        if self._held is not None:
            index, name = self._held
            self.names.insert(0 if self.order == "updated" else min(index, len(self.names)), name)
            self._held = None
        elif (chosen := self._chosen()) is not None:
            self._held = chosen, self.delete(chosen)

    def _count(self) -> int | None:
        if self.count == "null":
            return None
        if self.count == "registries":
            return 37
        return len(self.names) if self.count == "images" else self.random.randrange(3 * self.images + 2)


def crawl(
    registry: ChangingRegistry,
    verify: VerifyMode,
    *,
    page_size: int | None = 100,
    in_flight: int = 8,
    arrivals: random.Random | None = None,
) -> tuple[Outcome, list[str]]:
    """List ``registry``, up to ``in_flight`` pages asked at once; they are answered in random order.

    Args:
        registry: what to list.
        verify: when to look again.
        page_size: asked for.
        in_flight: pages under way at most.
        arrivals: decides the order of answers; the registry's own chance if None.

    Returns:
        The outcome, and the names in the order in which they were given out.
    """
    listing = Listing(PageSize(page_size), verify)
    chance = arrivals or registry.random
    asked: list[int] = []
    written: list[str] = []
    while listing.outcome is None:
        while len(asked) < in_flight and (number := listing.next_page()) is not None:
            asked.append(number)
        number = asked.pop(chance.randrange(len(asked)))
        answer = registry.page(number, listing.page_size)
        if isinstance(answer, Failure):
            listing.fail(number, answer)
        else:
            written += listing.receive(number, answer)[0]
    assert not asked
    return listing.outcome, written
