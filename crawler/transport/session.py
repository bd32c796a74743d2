"""`session.get` as a wire: slower than the other, and made of nothing but what aiohttp documents."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from yarl import URL

from crawler.errors import NetworkError
from crawler.transport.library import aiohttp
from crawler.transport.wires import HEADERS, SLOWEST_BYTES_PER_S, TIMEOUTS, StaleConnectionError, connector

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.transport.attempt import Attempt
    from crawler.transport.wires import Timeouts


class SessionWire:
    """Sends attempts by `session.get`; see `Wire`.

    Args:
        origin: scheme, host and port.
        timeouts: of one try.
        trust_env: use the proxy variables and .netrc of the environment.
    """

    def __init__(self, origin: str, timeouts: Timeouts = TIMEOUTS, *, trust_env: bool = False) -> None:
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_reuseconn.append(_note_reuse)
        self._origin = origin
        self._timeouts = timeouts
        self._session = aiohttp.ClientSession(
            connector=connector(tls=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=trust_env,
            timeout=aiohttp.ClientTimeout(total=None, connect=timeouts.connect_s, sock_read=timeouts.stall_s),
            headers=HEADERS,
            trace_configs=[tracing],
        )

    async def send(self, attempt: Attempt, *, fresh: bool) -> _SessionAnswer:  # noqa: ARG002 - the session decides
        """Sign and send: see `Wire`."""
        url = URL(self._origin + attempt.target, encoded=True)
        reused: list[bool] = []
        sent = False

        async def once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            """Refuse what aiohttp sends again by itself: that has to be paced, signed and counted anew."""
            nonlocal sent
            if sent:
                raise StaleConnectionError("connection lost") if reused else NetworkError("connection lost")
            sent = True
            request.headers.update(attempt.sign())
            return await send(request)

        async with asyncio.timeout(self._timeouts.a_try_s) as whole_try:
            response = await self._session.get(
                url, allow_redirects=False, middlewares=(once,), trace_request_ctx=reused
            )
        ends_s = whole_try.when()
        assert ends_s is not None
        return _SessionAnswer(response, ends_s)

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()


async def _note_reuse(_session: aiohttp.ClientSession, context: Any, _parameters: object) -> None:
    context.trace_request_ctx.append(True)


class _SessionAnswer:
    """See `Answer`."""

    def __init__(self, response: aiohttp.ClientResponse, ends_s: float) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._ends_s = ends_s

    async def read_some(self) -> bytes:
        content = self._response.content
        async with asyncio.timeout_at(self._ends_s + content.total_bytes / SLOWEST_BYTES_PER_S):
            return await content.readany()

    def release(self) -> None:
        self._response.release()
