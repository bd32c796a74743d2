"""A registry in memory that changes while it is read, and a driver that lists it: no I/O, seeded, thousands a second."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Literal

from crawler.listing import Failure, FailureKind, Listing
from crawler.model import Page

if TYPE_CHECKING:
    from crawler.listing import Outcome
    from crawler.model import VerifyMode

CountMode = Literal["images", "registries", "null", "wrong"]
Order = Literal["name", "updated", "random"]


@dataclass
class ChangingRegistry:
    """Serves pages of a list of names and changes it between requests.

    Attributes:
        images: how many there are at the start.
        change_rate: insertions, deletions and touches before each page, on average.
        order: how the list is sorted; a touch moves an image to the front when by ``updated``.
        count: what the gateway's ``count`` means.
        past_end: what a page past the end answers.
        largest: page sizes above are clamped.
    """

    seed: int
    images: int
    change_rate: float = 0.0
    order: Order = "updated"
    count: CountMode = "images"
    past_end: Literal["empty", "404"] = "empty"
    largest: int = 1000
    requests: int = 0
    names: list[str] = field(default_factory=list)
    throughout: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.names = [self._new_name() for _ in range(self.images)]
        self._sort()
        self.throughout = set(self.names)

    def _new_name(self) -> str:
        return f"image-{self.random.randrange(10**9):09}"

    def _sort(self) -> None:
        if self.order == "name":
            self.names.sort()
        elif self.order == "random":
            self.random.shuffle(self.names)

    def change(self) -> None:
        """Apply one insertion, deletion or touch."""
        kind = self.random.choice(("insert", "delete", "touch"))
        if kind == "insert":
            self.names.insert(0, self._new_name())
        elif self.names:
            name = self.names.pop(self.random.randrange(len(self.names)))
            if kind == "touch":
                self.names.insert(0, name)
            else:
                self.throughout.discard(name)
        self._sort()

    def page(self, number: int, size: int | None) -> Page | Failure:
        """Answer one request as the gateway would."""
        self.requests += 1
        whole, part = divmod(self.change_rate, 1)
        for _ in range(int(whole) + (self.random.random() < part)):
            self.change()
        if self.order == "random":
            self._sort()
        size = min(size or 20, self.largest)
        rows = self.names[(number - 1) * size : number * size]
        if not rows and number > 1 and self.past_end == "404":
            return Failure(FailureKind.NOT_FOUND, "404/300")
        more = number * size < len(self.names)
        return Page(
            count=self._count(), next=number + 1 if more else None, names=rows, records=[r.encode() for r in rows]
        )

    def _count(self) -> int | None:
        if self.count == "null":
            return None
        if self.count == "registries":
            return 37
        return len(self.names) if self.count == "images" else self.random.randrange(3 * self.images + 2)


def crawl(
    registry: ChangingRegistry, verify: VerifyMode, *, page_size: int | None = 100, in_flight: int = 8
) -> tuple[Outcome, list[str]]:
    """List ``registry``; answers come in random order, up to ``in_flight`` asked at once. Return verdict and names."""
    listing = Listing(page_size, verify)
    asked: list[int] = []
    written: list[str] = []
    while listing.outcome is None:
        while len(asked) < in_flight and (number := listing.next_page()) is not None:
            asked.append(number)
        number = asked.pop(registry.random.randrange(len(asked)))
        answer = registry.page(number, listing.page_size)
        if isinstance(answer, Failure):
            listing.fail(number, answer)
        else:
            written += listing.receive(number, answer)[0]
    assert not asked
    return listing.outcome, written


def pages_of(registry: ChangingRegistry, size: int) -> int:
    """How many pages the registry has now."""
    return max(1, ceil(len(registry.names) / size))
