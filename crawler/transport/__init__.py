"""Fetch the body of one page: paced, signed and counted on every attempt. The only package that imports aiohttp.

An attempt passes the rate limiter, is signed and goes out over an `HttpClient`, once; nothing below sends it again by
itself. aiohttp's exceptions hold the request's headers and never leave this package: ours take their place, without a
cause.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, Self

from crawler.api.signing import GatewayClock
from crawler.api.zones import request_target
from crawler.core.errors import RequestError
from crawler.transport.attempt import Attempt
from crawler.transport.bodies import MAX_BODY_BYTES, read_body
from crawler.transport.clients import SLOWEST_BYTES_PER_S, StaleConnectionError, Timeouts
from crawler.transport.direct import DirectClient, works_here
from crawler.transport.failures import refuse, translate
from crawler.transport.library import HttpProcessingError, aiohttp
from crawler.transport.metadata import fetch_metadata
from crawler.transport.proxies import find_proxy
from crawler.transport.session import SessionClient
from crawler.transport.surroundings import check_files

if TYPE_CHECKING:
    from types import TracebackType

    from crawler.core.errors import GatewayError
    from crawler.core.model import PageRequest
    from crawler.settings.credentials import Credentials
    from crawler.transport.clients import HttpClient
    from crawler.transport.rate_limiter import RateLimiter

__all__ = [
    "MAX_BODY_BYTES",
    "SLOWEST_BYTES_PER_S",
    "Timeouts",
    "Transport",
    "check_files",
    "fetch_metadata",
    "find_proxy",
    "open_client",
]


class Counter(Protocol):
    """Counts the wire attempts that are made on its behalf."""

    requests: int


class Transport:
    """Sends page requests to one gateway.

    Args:
        credentials: asked for keys at every attempt, after every wait.
        rate_limiter: entered by every attempt.
        client: what attempts are sent over; closed in the end.
    """

    def __init__(self, credentials: Credentials, rate_limiter: RateLimiter, client: HttpClient) -> None:
        self._credentials = credentials
        self._rate_limiter = rate_limiter
        self._client = client
        self._clock = GatewayClock()
        self._epoch_s = time.time() - time.monotonic()  # a wall clock that jumps in mid-run changes no signature

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.close()

    @property
    def clock_offset_s(self) -> float:
        """How far the gateway's clock was found to be ahead of ours; 0 if nobody had reason to look."""
        return self._clock.offset_s

    def clock_explains(self, error: GatewayError) -> bool:
        """Whether a refused signature was the clock's fault; from then on requests are signed with the gateway's."""
        return self._clock.explains(skew_s=error.clock_skew_s, signed_offset_s=error.signed_offset_s)

    def send_back(self, region: str) -> None:
        """Send nothing of what waits for its turn in ``region``."""
        self._rate_limiter.send_back(region)

    def refuse(self, pause_s: float) -> float:
        """Slow every request down: the gateway said that they come too fast. Return the new rate a second."""
        return self._rate_limiter.refuse(pause_s)

    async def fetch(self, request: PageRequest, counter: Counter) -> bytes:
        """Return the whole decoded body of a 200 answer.

        Raises:
            GatewayError: another status, with the gateway's code.
            NetworkError: no whole answer in time.
            CertificateError: the gateway could not be authenticated; nothing signed was sent.
            ProtocolError: no proper HTTP.
            TooLargeError: a body above MAX_BODY_BYTES.
            CredentialsError: the keys ran out and could not be renewed.
        """
        target, region = request_target(request), request.region.code
        failure: RequestError
        try:
            try:
                return await self._attempt(target, region, counter, fresh=False)
            except StaleConnectionError:
                return await self._attempt(target, region, counter, fresh=True)
        except RequestError as error:
            failure = error.with_traceback(None)  # its frames hold the request's headers, and so may its context
            failure.__context__ = failure.__cause__ = None
        raise failure

    async def _attempt(self, target: str, region: str, counter: Counter, *, fresh: bool) -> bytes:
        await self._rate_limiter.enter(region)
        now_s = time.monotonic() + self._epoch_s + self._clock.offset_s  # keys expire by the provider's clock
        keys = self._credentials.peek(now_s) or await self._credentials.current(now_s)
        attempt = Attempt(target, keys, self._clock, self._epoch_s, self._rate_limiter.writer(region))
        counter.requests += 1
        try:
            answer = await self._client.send(attempt, fresh=fresh)
            try:
                return await (read_body(answer) if answer.status == 200 else refuse(answer, attempt))
            finally:
                answer.release()
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise translate(error, attempt.secrets) from None


def open_client(origin: str, *, trust_env: bool) -> tuple[HttpClient, str]:
    """Return the fastest client to ``origin`` that works here, and a sentence that says which it is and why.

    Args:
        origin: scheme, host and port of the gateway.
        trust_env: use the proxy variables and .netrc of the environment: proxies are left to `session.get`.

    Raises:
        UsageError: the environment names a proxy that cannot be used.
    """
    if trust_env:
        proxy = find_proxy(origin)
        through = f"through the proxy {proxy.place}, which {proxy.variable} names" if proxy else "through no proxy"
        why = f"requests go by aiohttp's session, {through}: --trust-env"
        return SessionClient(origin, proxy=proxy, trust_env=True), why
    if not works_here():
        why = f"requests go by aiohttp's session: this is aiohttp {aiohttp.__version__}, whose inside is not known"
        return SessionClient(origin), why
    return DirectClient(origin), f"requests go over connections of aiohttp {aiohttp.__version__}, without its session"
