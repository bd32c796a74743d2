"""A server that answers any bytes whatever, and keeps every byte that it was sent: for what no HTTP server would do."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import ssl

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Script = Callable[[asyncio.StreamWriter], Awaitable[None]]
"""What to do about one request, when bytes alone do not say it."""
Answer = bytes | Script
Choose = Callable[["Request"], Answer]


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived.

    Attributes:
        head: every byte up to the empty line.
        time_s: when, in seconds since 1970.
    """

    head: bytes
    time_s: float

    @property
    def target(self) -> str:
        """What stands between method and version in the request line."""
        return self.head.decode("latin-1").split(" ", 2)[1]

    @property
    def headers(self) -> dict[str, str]:
        """Headers under lower-case names."""
        fields = (line.partition(":") for line in self.head.decode("latin-1").split("\r\n")[1:-2])
        return {name.lower(): value.strip() for name, _, value in fields}


class RawServer:
    """Serves on loopback while its context lasts; the n-th request gets the n-th answer, the last one repeats.

    Args:
        answers: bytes, after which the connection stays open, or scripts such as `then_close`; or one function
            that chooses the answer to a request.
        ssl: speak TLS.

    Attributes:
        requests: in the order of arrival.
        connections: accepted so far, TLS handshakes that failed not among them.
    """

    def __init__(self, *answers: Answer, choose: Choose | None = None, ssl: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self._answers = answers
        self._choose = choose or self._next
        self._ssl = ssl
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._ssl)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._ssl else 'http'}://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while not writer.is_closing():
                    head = await reader.readuntil(b"\r\n\r\n")
                    request = Request(head, time.time())
                    self.requests.append(request)
                    await self._give(self._choose(request), writer)
        except asyncio.CancelledError:
            pass  # the server's end; a handler that ends as cancelled is reported as an error
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _give(self, answer: Answer, writer: asyncio.StreamWriter) -> None:
        if isinstance(answer, bytes):
            writer.write(answer)
            await writer.drain()
        else:
            await answer(writer)

    def _next(self, _request: Request) -> Answer:
        return self._answers[min(len(self.requests), len(self._answers)) - 1]


def answer(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """Return a proper answer, or one whose Content-Length lies."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def zipped(body: bytes, *headers: str) -> bytes:
    """Return a proper answer whose body is gzip."""
    return answer(gzip.compress(body), "Content-Encoding: gzip", *headers)


def refusal(status: int, code: object, message: str = "no", *headers: str) -> bytes:
    """Return one of the gateway's error answers."""
    body = {"error": {"errorCode": code, "message": message, "details": None}}
    return answer(json.dumps(body).encode(), *headers, status=f"{status} Refused")


def page(*records: dict[str, Any], following: int | None = None, count: int | None = None) -> bytes:
    """Return the body of a page of a listing."""
    return json.dumps({"count": count, "next": following, "previous": None, "results": records}).encode()


def then_close(data: bytes) -> Script:
    """Send, then end the connection in the ordinary way."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return send


def then_reset(data: bytes = b"") -> Script:
    """Send, wait until the client must have it, then reset the connection."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if data:
            await asyncio.sleep(0.02)  # a reset overtakes what was sent before it
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        writer.transport.abort()

    return send


def in_pieces(*pieces: bytes, every_s: float = 0.01, for_ever: bool = False) -> Script:
    """Send piece after piece, each in a packet of its own; with ``for_ever`` the last one again and again."""

    async def send(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(every_s)
        while for_ever:
            writer.write(pieces[-1])
            await writer.drain()
            await asyncio.sleep(every_s)

    return send
