"""`session.get` as a client: slower than the other, and made of nothing but what aiohttp documents."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from yarl import URL

from crawler.core.errors import NetworkError
from crawler.transport.clients import HEADERS, SLOWEST_BYTES_PER_S, TIMEOUTS, StaleConnectionError
from crawler.transport.connector import connector
from crawler.transport.library import aiohttp
from crawler.transport.proxies import LOGIN_WANTED
from crawler.transport.translation import FOREIGN, translate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.core.errors import RequestError
    from crawler.transport.attempt import Attempt
    from crawler.transport.clients import Timeouts
    from crawler.transport.proxies import Proxy

_PROXY_UNREACHABLE = (aiohttp.ClientProxyConnectionError, aiohttp.ClientConnectorDNSError)


class SessionClient:
    """Sends attempts by `session.get`; see `HttpClient`.

    Mutable state: two sessions, one that keeps its connections and one, made when it is needed, that never does: it is
    for attempts that are to go over a fresh one; and whether anything was answered.

    Args:
        origin: scheme, host and port.
        timeouts: of one try.
        proxy: what aiohttp takes from the environment, for the words about it.
        trust_env: use the proxy variables and .netrc of the environment.
    """

    def __init__(
        self, origin: str, timeouts: Timeouts = TIMEOUTS, *, proxy: Proxy | None = None, trust_env: bool = False
    ) -> None:
        self._origin = origin
        self._timeouts = timeouts
        self._proxy = proxy
        self._trust_env = trust_env
        self._kept = self._session(keep=True)
        self._fresh: aiohttp.ClientSession | None = None
        self._has_answered = False

    def _session(self, *, keep: bool) -> aiohttp.ClientSession:
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_create_end.append(_wait)
        tracing.on_connection_reuseconn.append(_note_reuse)
        tracing.on_connection_reuseconn.append(_wait)
        return aiohttp.ClientSession(
            connector=connector(tls=True, keep=keep),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=self._trust_env,
            timeout=aiohttp.ClientTimeout(
                total=None, connect=self._timeouts.connect_s, sock_read=self._timeouts.stall_s
            ),
            headers=HEADERS,
            trace_configs=[tracing],
        )

    async def send(self, attempt: Attempt, *, fresh: bool) -> _SessionAnswer:
        """Sign and send: see `HttpClient`."""
        try:
            return await self._send(attempt, fresh=fresh)
        except FOREIGN as error:
            raise translate(error, attempt.secrets) from None

    async def _send(self, attempt: Attempt, *, fresh: bool) -> _SessionAnswer:
        if fresh and self._fresh is None:
            self._fresh = self._session(keep=False)
        session = self._fresh if fresh and self._fresh else self._kept
        async with asyncio.timeout(self._timeouts.a_try_s) as whole_try:
            try:
                response = await self._get(session, attempt)
            except aiohttp.ClientHttpProxyError as error:
                raise self._refused_by_proxy(error.status) from None
            except aiohttp.ClientConnectorError as error:
                if self._proxy and isinstance(error, _PROXY_UNREACHABLE):
                    raise self._proxy.unreachable(error) from None
                raise
        if self._proxy and response.status == LOGIN_WANTED:
            response.close()
            raise self._refused_by_proxy(response.status)
        self._has_answered = True
        ends_s = whole_try.when()
        assert ends_s is not None
        return _SessionAnswer(response, attempt, ends_s)

    async def _get(self, session: aiohttp.ClientSession, attempt: Attempt) -> aiohttp.ClientResponse:
        sending = _Sending(attempt)

        async def once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            """Refuse what aiohttp sends again by itself: that has to be paced, signed and counted anew."""
            if sending.is_sent:
                lost = StaleConnectionError if sending.is_reused else NetworkError
                raise lost("connection lost")
            sending.is_sent = True
            request.headers.update(attempt.sign())
            return await send(request)

        url = URL(self._origin + attempt.target, encoded=True)
        return await session.get(url, allow_redirects=False, middlewares=(once,), trace_request_ctx=sending)

    def _refused_by_proxy(self, status: int) -> RequestError:
        gateway = self._origin.partition("://")[2]
        if self._proxy is None:  # it stands in the environment only since
            return NetworkError(f"a proxy answered {status}")
        return self._proxy.refused(status, gateway, worked=self._has_answered)

    async def close(self) -> None:
        """Close every connection."""
        await self._kept.close()
        if self._fresh is not None:
            await self._fresh.close()


@dataclass(slots=True)
class _Sending:
    """What became of an attempt so far."""

    attempt: Attempt
    is_sent: bool = False
    is_reused: bool = False


async def _note_reuse(_session: aiohttp.ClientSession, context: Any, _parameters: object) -> None:
    context.trace_request_ctx.is_reused = True


async def _wait(_session: aiohttp.ClientSession, context: Any, _parameters: object) -> None:
    """Wait until the request may be written: there is a connection for it."""
    attempt = context.trace_request_ctx.attempt
    await attempt.wait(attempt.write())


class _SessionAnswer:
    """See `Answer`."""

    def __init__(self, response: aiohttp.ClientResponse, attempt: Attempt, ends_s: float) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._attempt = attempt
        self._ends_s = ends_s

    async def read_some(self) -> bytes:
        content = self._response.content
        try:
            async with asyncio.timeout_at(self._ends_s + content.total_bytes / SLOWEST_BYTES_PER_S):
                return await content.readany()
        except FOREIGN as error:
            raise translate(error, self._attempt.secrets) from None

    def release(self) -> None:
        self._response.release()
