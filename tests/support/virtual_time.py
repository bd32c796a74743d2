"""A list that changes while it is listed, on one or several back-ends that lag, in time that costs nothing."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Literal

from crawler.core.model import Page
from crawler.engine.crawl import SETTLE_S

if TYPE_CHECKING:
    import random

    from crawler.engine.listing import Listing

Kind = Literal["quiet", "push", "delete", "both", "touch"]
Order = Literal["name", "updated", "updated-ascending", "created", "created-descending"]
Count = Literal["right", "null", "cached", "registries"]

RATE_PER_S = 50.0
BURST = 5
LATENCY_S = (0.03, 0.12)
CACHED_S = 5.0


@dataclass
class ChangingList:
    """A list whose images come, go and are pushed at random times.

    Attributes:
        chance: decides everything.
        images: how many there are at the start.
        kind: what happens; ``both`` deletes one and pushes a new one, so that the count stays.
        order: of the list; a push moves an image to one end of one that is by update time.
        changes_per_s: how often.
        lags_s: a back-end each: so much later it shows what happened. Each request is answered by one of them.
        count: what the gateway's `count` means.
        throughout: images that were there, on every back-end, the whole time.
    """

    chance: random.Random
    images: int
    kind: Kind
    order: Order
    changes_per_s: float
    lags_s: tuple[float, ...]
    count: Count
    throughout: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        names = [self._new_name() for _ in range(self.images)]
        if self.order == "name":
            names.sort()
        self.throughout = set(names)
        self._primary = list(names)
        self._back_ends = [list(names) for _ in self.lags_s]
        self._shown = [0] * len(self.lags_s)
        self._happened: list[tuple[float, str, str]] = []
        self._next_s = self._pause() if self.kind != "quiet" else inf
        self._counted = (-inf, 0)

    def page(self, number: int, size: int, now_s: float) -> Page:
        """Return a page as of ``now_s``, of which calls come in order."""
        self._pass(now_s)
        names = self.chance.choice(self._back_ends)
        rows = names[(number - 1) * size : number * size]
        following = number + 1 if number * size < len(names) else None
        return Page(count=self._count(len(names), now_s), next=following, names=rows, records=[b"}"] * len(rows))

    def _pass(self, now_s: float) -> None:
        while self._next_s <= now_s:
            for kind in ("delete", "push") if self.kind == "both" else (self.kind,):
                self._change(kind, self._next_s)
            self._next_s += self._pause()
        for place, lag_s in enumerate(self.lags_s):
            shown = self._shown[place]
            while shown < len(self._happened) and self._happened[shown][0] + lag_s <= now_s:
                self._apply(self._back_ends[place], *self._happened[shown][1:])
                shown += 1
            self._shown[place] = shown

    def _change(self, kind: str, at_s: float) -> None:
        name = self._new_name() if kind == "push" or not self._primary else self.chance.choice(self._primary)
        if kind == "delete":
            if not self._primary:
                return
            self.throughout.discard(name)
        self._apply(self._primary, kind, name)
        self._happened.append((at_s, kind, name))

    def _apply(self, names: list[str], kind: str, name: str) -> None:
        if kind == "delete" or (kind == "touch" and self.order.startswith("updated")):
            names.remove(name)
        if kind == "push" or (kind == "touch" and self.order.startswith("updated")):
            self._put(names, name)

    def _put(self, names: list[str], name: str) -> None:
        if self.order == "name":
            insort(names, name)
        elif self.order in ("updated", "created-descending"):
            names.insert(0, name)
        else:
            names.append(name)

    def _count(self, images: int, now_s: float) -> int | None:
        if self.count == "null":
            return None
        if self.count == "registries":
            return 37
        if self.count == "cached" and now_s - self._counted[0] > CACHED_S:
            self._counted = (now_s, images)
        return images if self.count == "right" else self._counted[1]

    def _pause(self) -> float:
        return self.chance.expovariate(self.changes_per_s)

    def _new_name(self) -> str:
        return f"image-{self.chance.randrange(10**9):09}"


def list_in_time(
    listing: Listing, gateway: ChangingList, *, largest: int, in_flight: int
) -> tuple[list[int], set[str]]:
    """List what changes, at 50 requests a second, as a crawl does that has nothing else to do.

    Args:
        listing: is asked for pages and fed with them.
        gateway: answers.
        largest: page sizes above are clamped.
        in_flight: requests under way at most.

    Returns:
        How many requests each pass took, and the names that were given out.
    """
    chance, now_s, rests_until_s, paced_s = gateway.chance, 10.0, 0.0, 10.0
    flying, order, requests, is_sorted = 0, 0, [0], True
    events: list[tuple[float, int, int, int, Page | None, float]] = []
    written: set[str] = set()
    while listing.outcome is None:
        while flying < in_flight and (number := listing.next_page()) is not None:
            starts_s = max(now_s, paced_s - BURST / RATE_PER_S, rests_until_s)
            paced_s = max(paced_s, starts_s) + 1 / RATE_PER_S
            ends_s = starts_s + chance.uniform(*LATENCY_S)
            size = min(listing.page_size or 20, largest)
            order, flying = order + 1, flying + 1
            requests[-1] += 1
            heappush(events, (chance.uniform(starts_s, ends_s), order, number, size, None, ends_s))
        at_s, _, number, size, page, ends_s = heappop(events)
        if page is None:
            order += 1
            heappush(events, (ends_s, order, number, size, gateway.page(number, size, at_s), ends_s))
            continue
        now_s, flying = at_s, flying - 1
        written.update(listing.receive(number, page)[0])
        if number == 1 and len(requests) == 1:
            is_sorted = all(one <= other for one, other in pairwise(page.names))
        if listing.passes > len(requests):
            if len(requests) == 1 and not is_sorted:  # see `Crawl._go_on`
                rests_until_s = now_s + SETTLE_S
            requests.append(0)
    return requests, written
