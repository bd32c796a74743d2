"""A bare asyncio.Protocol on uvloop that knows just enough HTTP for this one server: what a client library costs."""

# mypy: ignore-errors
# It runs in an environment of its own, which the type checker does not see.

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import uvloop
from common import CHUNK_BYTES, ask, by_ncrawl, by_orjson, names_of, signed, target


class Connection(asyncio.Protocol):
    """One kept-alive connection, one request at a time."""

    _transport: asyncio.Transport

    def __init__(self, host: str) -> None:
        self._host = host
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in."""
        self._transport = cast("asyncio.Transport", transport)

    def get(self, what: str) -> asyncio.Future[bytes]:
        """Send one request; the future is its body."""
        self._buffer, self._whole = bytearray(), 0
        self._answer: asyncio.Future[bytes] = self._loop.create_future()
        fields = "".join(f"{name}: {value}\r\n" for name, value in signed(what).items())
        self._transport.write(f"GET {what} HTTP/1.1\r\nHost: {self._host}\r\n{fields}\r\n".encode())
        return self._answer

    def data_received(self, data: bytes) -> None:
        """Put the answer together."""
        self._buffer += data
        if not self._whole:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            assert head.startswith(b"http/1.1 200")
            del self._buffer[: end + 4]
            self._whole = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(self._buffer) >= self._whole:
            self._answer.set_result(bytes(self._buffer))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits."""
        if not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError())

    def close(self) -> None:
        """Close."""
        self._transport.close()


async def main() -> None:
    """Crawl everything."""
    chosen = ask()
    read = by_ncrawl if chosen.ours else by_orjson
    origin = urlsplit(chosen.origin)
    loop = asyncio.get_running_loop()
    chunk = bytearray()
    todo: list[str] = []

    async def connect() -> Connection:
        return (await loop.create_connection(lambda: Connection(origin.netloc), origin.hostname, origin.port))[1]

    async def work() -> None:
        connection = await connect()
        while todo:
            registry, page = todo.pop(), 1
            while page:
                following, lines = read(await connection.get(target(registry, page, chosen.page_size)), registry)
                chunk.extend(lines)
                if len(chunk) >= CHUNK_BYTES:
                    file.write(chunk)
                    chunk.clear()
                page = following or 0
        connection.close()

    with Path(chosen.output).open("wb", buffering=0) as file:  # noqa: ASYNC230 - it blocks no longer than a write
        connection, page = await connect(), 1
        while page:
            following, names = names_of(await connection.get(target(None, page, 100)))
            todo += names
            page = following or 0
        connection.close()
        await asyncio.gather(*(work() for _ in range(chosen.concurrency)))
        file.write(chunk)


with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
