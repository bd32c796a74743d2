"""aiohttp's connections and its parser without the session around them, as a client.

It leans on names that aiohttp does not document: `TCPConnector.connect`, and of a connection's `protocol`
`set_response_params`, `read`, `should_close`, `is_connected` and `set_exception`. `works_here` tells whether this
aiohttp is one that they were tried with.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from yarl import URL

from crawler.transport.clients import HEADERS, SLOWEST_BYTES_PER_S, TIMEOUTS, StaleConnectionError
from crawler.transport.connector import connector
from crawler.transport.library import aiohttp
from crawler.transport.translation import FOREIGN, translate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.connector import Connection

    from crawler.transport.attempt import Attempt
    from crawler.transport.clients import Timeouts

KEPT_ALIVE_S: Final = 15.0
"""A connection that was idle for longer is not used again: gateways close them."""
LONGEST_SWEEP_S: Final = 1.0

_TRIED_WITH = "3.14."


def works_here() -> bool:
    """Whether the inner names of this aiohttp are known to be what `DirectClient` takes them for."""
    return aiohttp.__version__.startswith(_TRIED_WITH)


class DirectClient:
    """Sends attempts over aiohttp's connections; see `HttpClient`.

    Mutable state: the kept connections, the last used on top, each with the time at which it fell idle; the answers
    under way, and the timer that looks every now and then which of them take too long: one for all, so that none pays.

    Args:
        origin: scheme, host and port.
        timeouts: of one try.
    """

    def __init__(self, origin: str, timeouts: Timeouts = TIMEOUTS) -> None:
        url = URL(origin)
        self._loop = asyncio.get_running_loop()
        self._connector = connector(tls=url.scheme == "https")
        self._where = aiohttp.ClientRequest("GET", url, loop=self._loop)  # never sent: it tells where to connect
        self._connect_timeout = aiohttp.ClientTimeout(total=None, connect=timeouts.connect_s)
        self._fields = _fields({"Host": url.host_port_subcomponent or "", **HEADERS})
        self._idle: list[tuple[Connection, float]] = []
        self._under_way: set[_DirectAnswer] = set()
        self._timeouts = timeouts
        self._sweep_s = min(LONGEST_SWEEP_S, timeouts.stall_s / 4, timeouts.a_try_s / 4)
        self._timer = self._loop.call_later(self._sweep_s, self._sweep)

    async def send(self, attempt: Attempt, *, fresh: bool) -> _DirectAnswer:
        """Sign and send: see `HttpClient`."""
        try:
            return await self._send(attempt, None if fresh else self._kept())
        except FOREIGN as error:
            raise translate(error, attempt.secrets) from None

    async def _send(self, attempt: Attempt, kept: Connection | None) -> _DirectAnswer:
        answer = _DirectAnswer(self, attempt, kept or await self._connect(), started_s=self._loop.time())
        self._under_way.add(answer)
        try:
            if (wait_s := attempt.write()) > 0:
                await attempt.wait(wait_s)
            await answer.exchange(f"GET {attempt.target} HTTP/1.1\r\n{self._fields}{_fields(attempt.sign())}\r\n")
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            answer.close()
            if kept:
                raise StaleConnectionError("connection lost") from None
            raise
        except BaseException:
            answer.close()
            raise
        return answer

    async def _connect(self) -> Connection:
        connection = await self._connector.connect(self._where, [], self._connect_timeout)
        if connection.protocol is not None:
            connection.protocol.set_response_params(read_until_eof=True, auto_decompress=False)  # for all its answers
        return connection

    def _kept(self) -> Connection | None:
        """Return a connection that is still good for another request; None if there is none."""
        oldest_s = self._loop.time() - KEPT_ALIVE_S
        while self._idle:
            connection, since_s = self._idle.pop()
            if since_s >= oldest_s and _is_usable(connection):
                return connection
            connection.close()
        return None

    def take_back(self, answer: _DirectAnswer, connection: Connection, *, may_keep: bool) -> None:
        """Take a connection back whose answer is over."""
        self._under_way.discard(answer)
        if may_keep and _is_usable(connection):
            self._idle.append((connection, self._loop.time()))
        else:
            connection.close()

    def _sweep(self) -> None:
        """Fail those answers that take too long. O(requests in flight), once a second."""
        now_s = self._loop.time()
        for answer in list(self._under_way):
            if why := answer.overdue(now_s, self._timeouts):
                answer.fail(aiohttp.SocketTimeoutError(why))
        self._timer = self._loop.call_later(self._sweep_s, self._sweep)

    async def close(self) -> None:
        """Close every connection."""
        self._timer.cancel()
        while self._idle:
            self._idle.pop()[0].close()
        await self._connector.close()


class _DirectAnswer:
    """One request and its answer over one connection; see `Answer`."""

    __slots__ = (
        "_attempt", "_bytes", "_client", "_connection", "_content", "_moved_s", "_started_s", "headers", "status",
    )  # fmt: skip

    def __init__(self, client: DirectClient, attempt: Attempt, connection: Connection, *, started_s: float) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self._client = client
        self._attempt = attempt
        self._connection = connection
        self._content: aiohttp.StreamReader | None = None
        self._started_s = self._moved_s = started_s
        self._bytes = 0

    async def exchange(self, request: str) -> None:
        """Send the request and wait for the head of its answer."""
        protocol = self._connection.protocol
        if protocol is None or protocol.transport is None:
            raise aiohttp.ServerDisconnectedError
        protocol.transport.write(request.encode())
        while self.status < 200:  # 1xx: the answer is still to come
            message, self._content = await protocol.read()
            self.status = message.code
        self.headers = message.headers

    async def read_some(self) -> bytes:
        assert self._content is not None
        try:
            return b"" if self._content.at_eof() else await self._content.readany()
        except FOREIGN as error:
            raise translate(error, self._attempt.secrets) from None

    def overdue(self, now_s: float, timeouts: Timeouts) -> str:
        """Return that it stalled, or takes longer than a try may, as of ``now_s``; empty while it is in time."""
        received = self._content.total_bytes if self._content is not None else 0
        if received != self._bytes:
            self._bytes, self._moved_s = received, now_s
        ends_s = self._started_s + timeouts.a_try_s + received / SLOWEST_BYTES_PER_S
        if now_s > self._moved_s + timeouts.stall_s:
            return f"no answer for {timeouts.stall_s:.0f} s"
        return f"no whole answer within {ends_s - self._started_s:.0f} s" if now_s > ends_s else ""

    def fail(self, error: aiohttp.ClientError) -> None:
        """Let whoever waits for it, or for more of it, have this error."""
        if self._content is not None:
            self._content.set_exception(error)
        if self._connection.protocol is not None:
            self._connection.protocol.set_exception(error)

    def release(self) -> None:
        self._client.take_back(self, self._connection, may_keep=True)

    def close(self) -> None:
        self._client.take_back(self, self._connection, may_keep=False)


def _is_usable(connection: Connection) -> bool:
    """Whether another request may go over it: it is open, and nothing came that nobody asked for."""
    protocol = connection.protocol
    return protocol is not None and protocol.is_connected() and not protocol.should_close


def _fields(headers: Mapping[str, str]) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
