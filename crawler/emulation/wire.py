"""HTTP/1.1 on one loopback connection: requests in, answers out, and every way to spoil them.

Not aiohttp's server: that one always sends Date, hides how a connection ends, and costs five times as much, in a
process that often holds the crawler too. The API has nothing but GET, so a request is a head and no body.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, replace
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_HEAD_BYTES = 64 * 1024
_HEAD_END = b"\r\n\r\n"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class Ending(Enum):
    """What becomes of an answer and its connection."""

    WHOLE = auto()
    RESET = auto()
    TRUNCATE = auto()
    STALL = auto()
    DROP_KEPT_ALIVE = auto()


@dataclass(frozen=True, slots=True)
class Request:
    """What arrived: method, the exact target of the request line, headers under lower-case names.

    Attributes:
        door: the region whose own port it came to; empty where all regions have one.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    door: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send, after how long, and how it ends."""

    status: int
    body: bytes
    content_type: str = "application/json;charset=UTF-8"
    headers: tuple[str, ...] = ()
    delay_s: float = 0.0
    ending: Ending = Ending.WHOLE

    def head(self, more_headers: tuple[str, ...], *, closing: bool) -> bytes:
        """Return status line and headers, with the empty line."""
        lines = [
            f"HTTP/1.1 {self.status} {_PHRASES[self.status]}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            *self.headers,
            *more_headers,
        ]
        if closing:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


_NOT_UNDERSTOOD = Answer(400, b"")


class Host(Protocol):
    """Who answers the requests of all connections, and keeps the books."""

    def opened(self, connection: Connection) -> None:
        """A client connected."""

    def arrived(self, request: Request) -> None:
        """A request is there, on a live connection or a dead one."""

    def answer(self, request: Request) -> Answer:
        """Decide the answer to a request."""

    def headers(self) -> tuple[str, ...]:
        """Return the headers that tell of the moment of sending."""

    def left(self, status: int | None) -> None:
        """An answer left, or (None) a request ended without one."""

    def lost(self, connection: Connection) -> None:
        """A connection is gone."""


def parse(head: bytes, door: str = "") -> Request | None:
    """Return the request in a head (without its empty line), or None if it is no HTTP/1 request without a body."""
    line, *rest = head.decode(errors="replace").split("\r\n")
    parts = line.split(" ")
    if len(parts) != 3 or parts[2] != "HTTP/1.1":
        return None
    fields = (field.partition(":") for field in rest)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        return None
    return Request(parts[0], parts[1], headers, door)


class Connection(asyncio.Protocol):
    """One client's connection: one request at a time; the next waits in the buffer, and more than that at the client.

    Mutable state: what arrived and is not answered (``_buffer``), the answer that waits for its time (``_pending``),
    whether the client takes its answers (``_is_read``), whether what it still sends is thrown away (``_is_deaf``), and
    whether the connection is dead although the client was not told (``_doomed``).
    """

    _transport: asyncio.Transport

    def __init__(self, host: Host, door: str = "") -> None:
        self._host = host
        self._door = door
        self._buffer = b""
        self._pending: asyncio.TimerHandle | None = None
        self._answering = False
        self._is_read = True
        self._is_deaf = False
        self._doomed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none, but does the same
        self._host.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Forget what was not answered yet."""
        if self._pending is not None:
            self._pending.cancel()
        if self._answering:
            self._host.left(None)
        self._answering = False
        self._host.lost(self)

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        if not self._is_deaf:
            self._buffer += data
            self._answer_next()

    def pause_writing(self) -> None:
        """Answer nothing more while the client reads nothing."""
        self._is_read = False

    def resume_writing(self) -> None:
        """Go on."""
        self._is_read = True
        self._answer_next()

    def abort(self) -> None:
        """Reset the connection: the client sees no answer, or half of one."""
        connection = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def _answer_next(self) -> None:
        if not (self._answering or self._transport.is_closing()) and self._is_read:
            self._take_next()
        if len(self._buffer) > MAX_HEAD_BYTES:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _take_next(self) -> None:
        head, found, rest = self._buffer.partition(_HEAD_END)
        if len(head) > MAX_HEAD_BYTES:
            self.abort()
        elif found:
            self._buffer = rest
            self._begin(head)

    def _begin(self, head: bytes) -> None:
        request = parse(head, self._door)
        if request is None:
            self._refuse()
            return
        self._answering = True
        self._host.arrived(request)
        if self._doomed:
            self.abort()
            return
        answer = self._host.answer(request)
        if request.method == "HEAD":
            answer = replace(answer, body=b"")
        closing = "close" in request.headers.get("connection", "").lower() or request.method != "GET"
        if answer.delay_s > 0:
            loop = asyncio.get_running_loop()
            self._pending = loop.call_later(answer.delay_s, self._finish, answer, closing)
        else:
            self._finish(answer, closing)

    def _refuse(self) -> None:
        """Answer, and close when the client does: closing before all that it sends is read would reset the answer."""
        self._fall_deaf()
        self._transport.write(_NOT_UNDERSTOOD.head((), closing=True))
        self._transport.write_eof()

    def _fall_deaf(self) -> None:
        self._is_deaf = True
        self._buffer = b""

    def _finish(self, answer: Answer, closing: bool) -> None:  # noqa: FBT001 - call_later passes no keywords
        if answer.ending is Ending.RESET:
            self.abort()
            return
        head = answer.head(self._host.headers(), closing=closing)
        if answer.ending in (Ending.TRUNCATE, Ending.STALL):
            self._transport.write(head + answer.body[: len(answer.body) // 2])
            if answer.ending is Ending.TRUNCATE:
                self._transport.close()
            else:
                self._fall_deaf()
            return
        self._transport.write(head + answer.body)
        self._answering = False
        self._host.left(answer.status)
        self._doomed = answer.ending is Ending.DROP_KEPT_ALIVE
        if closing:
            self._transport.close()
        elif self._buffer:
            asyncio.get_running_loop().call_soon(self._answer_next)
