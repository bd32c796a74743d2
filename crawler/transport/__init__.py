"""Fetch the body of one page: paced, signed and counted on every attempt. The only package that imports aiohttp.

An attempt passes the rate limiter, is signed and goes out over the `HttpClient` of its region, once; nothing below
sends it again by itself. aiohttp's exceptions hold the request's headers and never leave its clients: ours take their
place, without a cause.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol, Self

from crawler.api.dialect import DIALECTS
from crawler.api.signing import GatewayClock
from crawler.core.errors import RequestError
from crawler.transport.attempt import Attempt
from crawler.transport.bodies import MAX_BODY_BYTES, read_body
from crawler.transport.clients import SLOWEST_BYTES_PER_S, StaleConnectionError, Timeouts
from crawler.transport.metadata import fetch_metadata
from crawler.transport.opening import open_clients
from crawler.transport.ping import send_ping
from crawler.transport.proxies import find_proxy
from crawler.transport.refusals import refuse
from crawler.transport.surroundings import check_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from crawler.api.dialect import Dialect
    from crawler.core.errors import GatewayError
    from crawler.core.model import PageRequest
    from crawler.settings.credentials import Credentials
    from crawler.transport.clients import HttpClient
    from crawler.transport.gcra import Pace
    from crawler.transport.rate_limiter import RateLimiter

log = logging.getLogger("ncrawl")

__all__ = [
    "MAX_BODY_BYTES",
    "SLOWEST_BYTES_PER_S",
    "Timeouts",
    "Transport",
    "check_files",
    "fetch_metadata",
    "find_proxy",
    "open_clients",
    "send_ping",
]


class Counter(Protocol):
    """Counts the wire attempts that are made on its behalf."""

    requests: int


class Transport:
    """Sends page requests to the gateways of one account.

    Args:
        credentials: asked for keys at every attempt, after every wait.
        rate_limiter: entered by every attempt.
        clients: what attempts are sent over, by the region's code; closed in the end.
        dialect: the version of the API.
    """

    def __init__(
        self,
        credentials: Credentials,
        rate_limiter: RateLimiter,
        clients: Mapping[str, HttpClient],
        *,
        dialect: Dialect = DIALECTS["v2"],
    ) -> None:
        self._credentials = credentials
        self._rate_limiter = rate_limiter
        self._clients = clients
        self._dialect = dialect
        self._clock = GatewayClock()
        self._epoch_s = time.time() - time.monotonic()  # a wall clock that jumps in mid-run changes no signature

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for client in set(self._clients.values()):
            await client.close()

    @property
    def clock_offset_s(self) -> float:
        """How far the gateway's clock was found to be ahead of ours; 0 if nobody had reason to look."""
        return self._clock.offset_s

    @property
    def pace(self) -> Pace:
        """How fast requests may go, and how many have gone."""
        return self._rate_limiter.pace

    def clock_explains(self, error: GatewayError) -> bool:
        """Whether a refused signature was the clock's fault; from then on requests are signed with the gateway's."""
        return self._clock.explains(skew_s=error.clock_skew_s, signed_offset_s=error.signed_offset_s)

    def send_back(self, region: str) -> None:
        """Send nothing of what waits for its turn in ``region``."""
        self._rate_limiter.send_back(region)

    def refuse(self, region: str, pause_s: float) -> float:
        """Slow down: the gateway of ``region`` said that requests come too fast. Return the new rate a second."""
        return self._rate_limiter.refuse(region, pause_s)

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
        return await self.get(self._dialect.target(request), request.region.code, counter)

    async def get(self, target: str, region: str, counter: Counter) -> bytes:
        """Return the whole decoded body of a 200 answer to a GET of any target, in the turn of a region.

        Raises:
            RequestError: as `fetch` does.
            CredentialsError: likewise.
        """
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
        write = self._rate_limiter.writer(region)
        attempt = Attempt(target, keys, self._clock, epoch_s=self._epoch_s, write=write)
        counter.requests += 1
        sent_s, told = time.monotonic(), "no answer"
        try:
            answer = await self._clients[region].send(attempt, fresh=fresh)
            told = str(answer.status)
            try:
                body = await (read_body(answer) if answer.status == 200 else refuse(answer, attempt, self._dialect))
            finally:
                answer.release()
            told = f"200, {len(body):,} bytes"
            return body
        finally:
            if log.isEnabledFor(logging.DEBUG):
                _log(target, told, time.monotonic() - sent_s)


def _log(target: str, told: str, took_s: float) -> None:
    """Log an attempt that is over."""
    event = {"event": "RequestEnded", "target": target, "answer": told, "seconds": round(took_s, 4)}
    log.debug("GET %s: %s, %.0f ms", target, told, 1000 * took_s, extra={"event": event})
