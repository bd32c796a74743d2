"""Ask the gateway as a run would: paced, signed, by the same client; each question twice at most."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

import anyio

from crawler.api.collections import IMAGES, REGISTRIES
from crawler.api.dialect import DIALECTS
from crawler.api.identity import IDENTITY_ORIGINS, IDENTITY_TARGET, decode_identity
from crawler.api.v2 import V2
from crawler.core.errors import GatewayError, RequestError, TimedOutError
from crawler.core.model import PageRequest
from crawler.engine.page_size import LARGEST, USUAL_LIMITS
from crawler.engine.retry_policy import Action, called_for, pause_s, rule_for
from crawler.jobs.doctor.keys import is_refusal
from crawler.settings.origin import parse_origin
from crawler.transport import Transport, open_clients
from crawler.transport.gcra import RateLimits
from crawler.transport.listening import Heard, ListeningClient
from crawler.transport.rate_limiter import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crawler.api.dialect import Dialect
    from crawler.api.identity import Identity
    from crawler.core.model import Page, Region
    from crawler.settings.credentials import Credentials
    from crawler.settings.table import Settings

_T = TypeVar("_T")
_NOT_HEARD = Heard(0, None, "")


class Answer(NamedTuple):
    """A first page, or why there is none.

    Attributes:
        asked: records a page that were asked for in the end.
        refused: larger ones that were refused before.
        seconds: that it took, with tries and waits for a turn.
    """

    page: Page | None
    error: RequestError | None
    heard: Heard
    asked: int
    refused: tuple[int, ...] = ()
    seconds: float = 0.0
    dialect: Dialect = V2


def late(limit_s: float) -> Answer:
    """Return that no answer came in time."""
    return Answer(None, TimedOutError(f"no answer within {limit_s:.0f} s"), _NOT_HEARD, 0, seconds=limit_s)


class _Count:
    """Requests that went out."""

    requests = 0


class _Question(NamedTuple):
    """What is asked, in whose turn, and what counts it."""

    target: str
    region: str
    counter: _Count


class Gateway:
    """The gateway of the settings, asked with some keys.

    Mutable state: the connections, the clock's correction, what was heard, and the requests that went out by list.

    Attributes:
        client: which HTTP client it is asked by, and why.
    """

    def __init__(self, settings: Settings, credentials: Credentials) -> None:
        self.dialect = DIALECTS[settings.api]
        codes = [region.code for region in settings.region]
        self._counts: defaultdict[str, _Count] = defaultdict(_Count)
        self._settings = settings
        self._credentials = credentials
        has_own_hosts = len(set(settings.origins.values())) > 1
        limits = RateLimits(settings.rate, settings.region_rate, codes, has_own_hosts=has_own_hosts)
        self._limiter = RateLimiter(limits, codes)
        self._stack = AsyncExitStack()
        self.client = ""

    async def __aenter__(self) -> Self:
        self._transport, self._clients = await self._open(self._settings.origins)
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stack.aclose()

    def has_asked(self, region: Region, registry: str | None) -> bool:
        """Whether a list was asked for at all: its turn may not have come."""
        return self._counts[f"{region.code}/{registry or ''}"].requests > 0

    @property
    def has_asked_who(self) -> bool:
        """Whether STS was asked: likewise."""
        return self._counts[""].requests > 0

    @property
    def heard(self) -> list[Heard]:
        """The heads of all answers of the gateway itself."""
        return [heard for client in set(self._clients.values()) for heard in client.heard.values()]

    async def first_page(self, region: Region, registry: str | None) -> Answer:
        """Ask for the first page of a list, as large as is given; ``registry`` None is the list of registries."""
        size = self._settings.page_size if isinstance(self._settings.page_size, int) else LARGEST
        refused: tuple[int, ...] = ()
        began_s = time.monotonic()
        while True:
            within = () if registry is None else (registry,)
            request = PageRequest(region, IMAGES if within else REGISTRIES, within, 1, size)
            answer = await self._page(request, size, refused)
            smaller = next((limit for limit in USUAL_LIMITS if limit < size), None)
            if smaller is None or not self._is_bad_request(answer.error) or isinstance(self._settings.page_size, int):
                return answer._replace(seconds=time.monotonic() - began_s)
            refused, size = (*refused, size), smaller

    async def identity(self) -> Identity | RequestError | None:
        """Return whose the keys are, or why nobody knows; None where the gateway has no STS beside it."""
        region = self._settings.region[0].code
        origin = parse_origin(self._settings.origins[region])
        if self._settings.allow_gateway and not origin.is_loopback:
            return None
        transport = self._transport
        if not origin.is_loopback:
            transport, _ = await self._open({region: IDENTITY_ORIGINS[self._settings.zone]})
        try:
            return await self._ask(transport, _Question(IDENTITY_TARGET, region, self._counts[""]), decode_identity)
        except RequestError as error:
            is_missing = isinstance(error, GatewayError) and error.status in (400, 404)
            return None if origin.is_loopback and is_missing else error

    async def _page(self, request: PageRequest, size: int, refused: tuple[int, ...]) -> Answer:
        region, ask = request.region.code, self.dialect
        question = _Question(ask.target(request), region, self._counts["/".join((region, *(request.within or ("",))))])
        page = error = None
        try:
            page = await self._ask(
                self._transport,
                question,
                lambda body: ask.decode(body, request.collection, 1),
            )
        except RequestError as failure:
            error = failure
        return Answer(
            page, error, self._clients[region].heard.get(question.target, _NOT_HEARD), size, refused, dialect=ask
        )

    async def _ask(self, transport: Transport, question: _Question, decode: Callable[[bytes], _T]) -> _T:
        """Return an answer; what a run would try again is tried once more, also with the gateway's clock."""
        try:
            return decode(await transport.get(*question))
        except RequestError as error:
            await self._get_ready(transport, error, question.region)
        return decode(await transport.get(*question))

    async def _open(self, origins: Mapping[str, str]) -> tuple[Transport, Mapping[str, ListeningClient]]:
        clients, self.client = open_clients(origins, trust_env=self._settings.trust_env)
        listening = {client: ListeningClient(client) for client in clients.values()}
        by_region = {region: listening[client] for region, client in clients.items()}
        transport = Transport(self._credentials, self._limiter, by_region, dialect=self.dialect)
        return await self._stack.enter_async_context(transport), by_region

    async def _get_ready(self, transport: Transport, error: RequestError, region: str) -> None:
        """Do what a failed try calls for before the next; raise it where there would be none."""
        if is_refusal(error):
            if transport.clock_explains(error):
                return
            raise error
        action = self._action(error)
        if action is Action.SLOW_DOWN:
            transport.refuse(region, error.retry_after_s or 0.0)
        elif action is not Action.RETRY:
            raise error
        chance = random.random()  # noqa: S311 - jitter is no secret
        await anyio.sleep(pause_s(action, 1, chance, asked_s=error.retry_after_s))

    def _action(self, error: RequestError) -> Action:
        return called_for(rule_for(error, self.dialect))

    def _is_bad_request(self, error: RequestError | None) -> bool:
        return error is not None and self._action(error) is Action.BAD_REQUEST
