"""Decide the answer to a request, as the provider's gateway would, or as a fault has it. No await, no clock."""

from __future__ import annotations

import hmac
import random
from collections import defaultdict, deque
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from crawler.api.collections import IMAGES, REGISTRIES
from crawler.api.identity import IDENTITY_TARGET
from crawler.api.signing import (
    ACCESS_KEY_HEADER,
    MAX_CLOCK_DIFFERENCE_MS,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    signature,
)
from crawler.emulation.apis import APIS, natural, region_of
from crawler.emulation.change import Contents
from crawler.emulation.faults import ENDINGS, REPLACEMENTS, draw_fault
from crawler.emulation.pages import Pages
from crawler.emulation.wire import Answer, Ending

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crawler.emulation.apis import Place, Window
    from crawler.emulation.ledger import Statistics
    from crawler.emulation.options import EmulatorOptions, Fault
    from crawler.emulation.wire import Request
    from crawler.emulation.world import World

_RATE_WINDOW_S = 1.0


def access_key_of(seed: object) -> str:
    """Return the access key of the account of a seed; with more behind a hyphen it is good for one crawl."""
    return f"emulator-access-key-{seed}"


def secret_key_of(seed: object) -> str:
    """Return the secret key of the account of a seed."""
    return f"emulator-secret-key-{seed}-of-no-account"


class Gateway:
    """The gateway of one account.

    Mutable state: the world, the requests let through (``_admitted`` in all, ``_recent_s`` when in
    the last second, at each door), the random numbers, and the statistics.

    Attributes:
        access_key: made up, the same for the same seed.
        secret_key: likewise.
        world: what the account holds.
        api: how requests and answers look.
        denied: (region, registry) that answer 401/210.
        gone: (region, registry) that are deleted when their images are asked for.
        hidden: (region, registry) that are listed and answer 404/300.
        next_loops: (region, registry) whose last page says that page 1 is next.
    """

    def __init__(self, options: EmulatorOptions, world: World, statistics: Statistics) -> None:
        self.access_key = access_key_of(options.seed)
        self.secret_key = secret_key_of(options.seed)
        self._options = options
        self.world = world
        self._statistics = statistics
        self._admitted = 0
        self._recent_s: defaultdict[str, deque[float]] = defaultdict(deque)
        self._rng = random.Random(options.seed)  # noqa: S311 - faults and changes, not a secret
        self.api = APIS[options.api](options)
        self._pages = Pages(options, world, self._rng, api=self.api)
        self._identity = Answer(
            200, orjson.dumps({"id": options.seed, "loginAlias": "emulator", "userType": options.user_type})
        )
        self.denied, self.gone, self.next_loops, self.hidden = self._pick_registries()

    def _pick_registries(self) -> Iterator[frozenset[tuple[str, str]]]:
        """Yield three disjoint choices of registries, each with its number of every region."""
        shuffled = {region: self.world.registry_names(region) for region in self.world.regions}
        for names in shuffled.values():
            self._rng.shuffle(names)
        options = self._options
        for how_many in (options.denied, options.gone, options.next_loop, options.hidden):
            yield frozenset(
                (region, names.pop()) for region, names in shuffled.items() for _ in range(min(how_many, len(names)))
            )

    def answer(self, request: Request, *, now_ms: int, now_s: float) -> Answer:
        """Return the answer to a request.

        Args:
            request: as it arrived.
            now_ms: the gateway's clock, milliseconds since 1970 (UTC).
            now_s: monotonic clock, seconds: for the rate limit.
        """
        fault = draw_fault(self._options.faults, self._rng)
        if fault is not None:
            self._statistics.faults[fault] += 1
        answer = self._replacement(fault) or self._decide(request, now_ms, now_s)
        ending = ENDINGS.get(fault, Ending.WHOLE) if fault else Ending.WHOLE
        delay_s = self._latency_s(request)
        return replace(answer, delay_s=delay_s, ending=ending) if fault or delay_s else answer

    def _replacement(self, fault: Fault | None) -> Answer | None:
        if fault == "429":
            return self._throttled()
        return REPLACEMENTS.get(fault) if fault else None

    def _decide(self, request: Request, now_ms: int, now_s: float) -> Answer:
        if not self._is_authentic(request, now_ms):
            self._statistics.bad_signatures += 1
            return self.api.refusals[200]
        return self._limited(request.door, now_s) or self._served(request, now_ms)

    def _is_authentic(self, request: Request, now_ms: int) -> bool:
        timestamp = request.headers.get(TIMESTAMP_HEADER, "")
        sent_ms = natural(timestamp)
        if sent_ms is None or abs(now_ms - sent_ms) > MAX_CLOCK_DIFFERENCE_MS:
            return False
        access_key = request.headers.get(ACCESS_KEY_HEADER, "")
        expected = signature(
            request.method,
            request.target,
            access_key=access_key,
            secret_key=self.secret_key,
            timestamp=timestamp,
        )
        given = request.headers.get(SIGNATURE_HEADER, "")
        is_ours = access_key == self.access_key or access_key.startswith(f"{self.access_key}-")
        return is_ours and hmac.compare_digest(given.encode(), expected.encode())

    def _limited(self, door: str, now_s: float) -> Answer | None:
        """Count a request against the quota and the rate limit of its door; return what refuses it."""
        options, recent_s = self._options, self._recent_s[door]
        if options.quota is not None and self._admitted >= options.quota:
            return self.api.refusals[400]
        if options.rate_limit is not None:
            while recent_s and recent_s[0] <= now_s - _RATE_WINDOW_S:
                recent_s.popleft()
            if len(recent_s) >= options.rate_limit:
                return self._throttled()
            recent_s.append(now_s)
        self._admitted += 1
        return None

    def _throttled(self) -> Answer:
        retry_after = self._options.retry_after
        refusal = self.api.refusals[410]
        return refusal if retry_after is None else replace(refusal, headers=(f"Retry-After: {retry_after}",))

    def _served(self, request: Request, now_ms: int) -> Answer:
        if request.target.partition("?")[0] == IDENTITY_TARGET:
            return self._identity
        window, place = self.api.window(request.target.partition("?")[2]), self.api.place(request)
        if window is None or request.method != "GET":
            return self.api.refusals[100]
        if place is not None and place.collection is REGISTRIES:
            return self._pages.of_registries(place, window)
        asked = place or self.api.one(request)
        if asked is None:
            return self.api.refusals[300]
        contents = self._contents(asked)
        if not isinstance(contents, Contents):
            return contents
        return self._listed(contents, place, window, now_ms=now_ms) if place else self._pages.of_one(contents, asked)

    def _listed(self, contents: Contents, place: Place, window: Window, *, now_ms: int) -> Answer:
        if place.collection is IMAGES:
            loops = (place.region, place.names[0]) in self.next_loops
            return self._pages.of_images(contents, place, window, loops=loops, now_ms=now_ms)
        return self._pages.of_tags(contents, place, window, now_ms=now_ms)

    def _contents(self, place: Place) -> Contents | Answer:
        """Return the registry that a request is for something of, or what refuses it."""
        where = place.region, place.names[0]
        if where in self.denied:
            return self.api.refusals[210]
        if where in self.gone:
            self.world.delete_registry(*where)
        contents = self.world.contents(*where)
        return self.api.refusals[300] if contents is None or where in self.hidden else contents

    def _latency_s(self, request: Request) -> float:
        options = self._options
        latency_ms = options.latency_ms
        if options.region_latency_ms:
            latency_ms = options.region_latency_ms.get(region_of(request) or "", latency_ms)
        if options.jitter_ms:
            latency_ms += self._rng.uniform(-options.jitter_ms, options.jitter_ms)
        return max(0.0, latency_ms / 1000)
