"""An account whose images and tags change while they are crawled, in time that costs nothing: no sockets.

It is what a crawl fetches from: the crawl itself, with its schedule, its verdicts and its two looks, is the program's.
"""

from __future__ import annotations

import asyncio
import json
import selectors
from bisect import insort
from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from support.virtual_time import BURST, LATENCY_S, RATE_PER_S

from crawler.core.errors import GatewayError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine

    from crawler.core.model import ListingResult, PageRequest
    from crawler.engine.tasks import ListingTask

_T = TypeVar("_T")
Kind = Literal["quiet", "retag", "push", "delete tags", "delete images", "re-create", "all"]
Order = Literal["name", "updated", "updated-ascending", "created"]
Image = tuple[str, str]
Tag = tuple[str, str, str]

ACTIONS: dict[Kind, tuple[str, ...]] = {
    "quiet": (),
    "retag": ("retag",),
    "push": ("push", "create"),
    "delete tags": ("untag",),
    "delete images": ("delete",),
    "re-create": ("re-create",),
    "all": ("retag", "push", "create", "untag", "delete", "re-create"),
}
AWAY_S = 0.5
"""How long an image is gone, on average, before it comes back with other tags."""


class Event(NamedTuple):
    """What happened to an image; ``tags`` are those that it got, lost, or that were moved."""

    at_s: float
    action: str
    image: Image
    tags: tuple[str, ...] = ()


class BackEnd:
    """What one back-end shows: registries, their images in order, and the tags of each in order."""

    def __init__(self, order: Order) -> None:
        self.images: dict[str, list[str]] = {}
        self.tags: dict[Image, list[str]] = {}
        self._order = order

    def apply(self, event: Event) -> None:
        """Take in what happened."""
        names = self.images[event.image[0]]
        if event.action == "delete":
            names.remove(event.image[1])
            del self.tags[event.image]
            return
        if event.action == "create":
            self.tags[event.image] = []
            self._put(names, event.image[1])
        elif event.action != "untag" and self._order.startswith("updated"):
            names.remove(event.image[1])
            self._put(names, event.image[1])
        for tag in event.tags:
            if event.action in ("untag", "retag"):
                self.tags[event.image].remove(tag)
            if event.action != "untag":
                self._put(self.tags[event.image], tag)

    def _put(self, names: list[str], name: str) -> None:
        if self._order == "name":
            insort(names, name)
        elif self._order == "updated":
            names.insert(0, name)
        else:
            names.append(name)


@dataclass
class ChangingAccount:
    """A region of registries whose images and tags come, go and are moved at random times: `interfaces.Fetcher`.

    Attributes:
        chance: decides everything.
        images: how many there are at the start, a registry each.
        kind: what happens.
        changes_per_s: how often.
        order: of all lists; a push moves an image to one end of one that is by update time.
        lags_s: a back-end each: so much later it shows what happened. Each request is answered by one of them.
        largest: page sizes above are clamped.
        has_count: whether `count` is told.
        vanished: what the tags of an image answer that is not there (any more): 404, or 500 for good.
        throughout: tags that were there, on every back-end, the whole time; ``images_throughout`` likewise.
        ever: tags that were ever there.
        requests: so many were answered.
    """

    chance: random.Random
    images: tuple[int, ...]
    kind: Kind
    changes_per_s: float
    order: Order
    lags_s: tuple[float, ...]
    largest: int
    has_count: bool
    vanished: Literal[404, 500]
    throughout: set[Tag] = field(default_factory=set)
    images_throughout: set[Image] = field(default_factory=set)
    ever: set[Tag] = field(default_factory=set)
    requests: int = 0
    clock_offset_s: float = 0.0

    def __post_init__(self) -> None:
        self._made = 0
        self._primary = BackEnd(self.order)
        self._back_ends = [(lag_s, BackEnd(self.order), deque[Event]()) for lag_s in self.lags_s]
        every = [self._primary, *(shown for _, shown, _ in self._back_ends)]
        for number, images in enumerate(self.images):
            for one in every:
                one.images[f"team-{number}"] = []
            for _ in range(images):
                event = Event(0.0, "create", self._new_image(f"team-{number}"), self._new_tags())
                for one in every:
                    one.apply(event)
        self.images_throughout = set(self._primary.tags)
        self.ever = {(*image, tag) for image, tags in self._primary.tags.items() for tag in tags}
        self.throughout = set(self.ever)
        self._due: list[tuple[float, int, str, Image | None]] = []
        self._paced_s = -inf

    # ── what a crawl asks of it ──

    async def fetch(self, request: PageRequest, counter: ListingTask) -> bytes:
        """Return a page as of some moment while it was under way, at the usual rate."""
        loop = asyncio.get_running_loop()
        if self._paced_s == -inf:
            self._plan("change", loop.time())
        counter.requests += 1
        self.requests += 1
        starts_s = max(loop.time(), self._paced_s - BURST / RATE_PER_S)
        self._paced_s = max(self._paced_s, starts_s) + 1 / RATE_PER_S
        ends_s = starts_s + self.chance.uniform(*LATENCY_S)
        await asyncio.sleep(self.chance.uniform(starts_s, ends_s) - loop.time())
        self._pass(loop.time())
        _, shown, _ = self.chance.choice(self._back_ends)
        body = self._body(shown, request)
        await asyncio.sleep(ends_s - loop.time())
        if body is None:
            raise GatewayError(*((404, "300") if self.vanished == 404 else (500, "900")))
        return body

    def refuse(self, region: str, pause_s: float) -> float:  # noqa: ARG002 - nothing is throttled
        """Slow nothing down."""
        return RATE_PER_S

    def send_back(self, region: str) -> None:
        """Let what waits go on: it is under way already."""

    def clock_explains(self, error: GatewayError) -> bool:  # noqa: ARG002 - there are no signatures
        """Return that no clock is to blame."""
        return False

    def _body(self, shown: BackEnd, request: PageRequest) -> bytes | None:
        names: list[str] | None = list(shown.images)
        if len(request.within) == 1:
            names = shown.images.get(request.within[0])
        elif request.within:
            names = shown.tags.get((request.within[0], request.within[1]))
        if names is None:
            return None
        size = min(request.page_size or 20, self.largest)
        first = (request.page - 1) * size
        following = request.page + 1 if first + size < len(names) else None
        results = [{"name": name} for name in names[first : first + size]]
        count = len(names) if self.has_count else None
        return json.dumps({"count": count, "next": following, "previous": None, "results": results}).encode()

    # ── change ──

    def _pass(self, now_s: float) -> None:
        """Let everything happen that happens until now, and show each back-end what it sees by then."""
        while self._due and self._due[0][0] <= now_s:
            at_s, _, what, image = heappop(self._due)
            if what == "change":
                self._change(at_s)
                self._plan("change", at_s)
            elif image is not None:
                self._happen(Event(at_s, what, image, self._new_tags()))
        for lag_s, shown, coming in self._back_ends:
            while coming and coming[0].at_s + lag_s <= now_s:
                shown.apply(coming.popleft())

    def _plan(self, what: str, now_s: float, image: Image | None = None) -> None:
        if ACTIONS[self.kind]:
            pause_s = self.chance.expovariate(self.changes_per_s if image is None else 1 / AWAY_S)
            self._made += 1
            heappush(self._due, (now_s + pause_s, self._made, what, image))

    def _change(self, at_s: float) -> None:
        action = self.chance.choice(ACTIONS[self.kind])
        if action == "create" or not self._primary.tags:
            registry = self.chance.choice(list(self._primary.images))
            self._happen(Event(at_s, "create", self._new_image(registry), self._new_tags()))
            return
        image = self.chance.choice(list(self._primary.tags))
        tags = self._primary.tags[image]
        if action == "re-create":
            self._happen(Event(at_s, "delete", image))
            self._plan("create", at_s, image)
        elif action in ("delete", "push"):
            self._happen(Event(at_s, action, image, (self._new_name("tag"),) if action == "push" else ()))
        elif tags:
            self._happen(Event(at_s, action, image, (self.chance.choice(tags),)))

    def _happen(self, event: Event) -> None:
        there = {(*event.image, tag) for tag in event.tags}
        if event.action == "delete":
            self.images_throughout.discard(event.image)
            self.throughout -= {(*event.image, tag) for tag in self._primary.tags[event.image]}
        elif event.action == "untag":
            self.throughout -= there
        self.ever |= there
        self._primary.apply(event)
        for _, _, coming in self._back_ends:
            coming.append(event)

    def _new_name(self, what: str) -> str:
        return f"{what}-{self.chance.randrange(10**9):09}"

    def _new_image(self, registry: str) -> Image:
        return registry, self._new_name("image")

    def _new_tags(self) -> tuple[str, ...]:
        """Return few tags, or none, and sometimes many."""
        how_many = self.chance.choice((0, 1, 1, 2, 3, 5, 5, 5 * self.largest // 2))
        return tuple(self._new_name("tag") for _ in range(how_many))


@dataclass
class Taken:
    """What a crawl gave out: `interfaces.Output`."""

    images: list[Image] = field(default_factory=list)
    tags: list[Tag] = field(default_factory=list)

    async def take(self, task: ListingTask, names: list[str], records: list[bytes]) -> None:
        """Keep names."""
        assert len(names) == len(records)
        if len(task.within) == 1:
            self.images += [(task.within[0], name) for name in names]
        elif task.within:
            self.tags += [(task.within[0], task.within[1], name) for name in names]

    async def end(self, task: ListingTask, result: ListingResult) -> None:
        """Wait for no verdict."""

    async def flush(self) -> None:
        """Pass nothing on."""


class _Idle(selectors.DefaultSelector):
    """Waits for nothing: its clock stands at the end of each wait at once."""

    now_s = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everything waits, and for nothing"
            self.now_s += timeout
        return ready


class VirtualTime(asyncio.SelectorEventLoop):
    """An event loop in whose time nothing takes any: the same seed gives the same run."""

    def __init__(self) -> None:
        self._idle = _Idle()
        super().__init__(self._idle)

    def time(self) -> float:
        """Return seconds on the loop's clock."""
        return self._idle.now_s


def run(main: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run an async function to its end."""
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        return runner.run(main())
