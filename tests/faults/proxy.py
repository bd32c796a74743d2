"""A toxic TCP proxy: it stands before the gateway and makes the way there slow, narrow or broken."""

from __future__ import annotations

import asyncio
import ctypes
import random
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_PIECE = 16 * 1024
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27  # socket(7), Linux
_LOAD_RANDOM, _JUMP_IF_GREATER, _RETURN = (0x20, 0xFFFFF000 + 56), 0x25, 0x06  # linux/filter.h: SKF_AD_RANDOM


@dataclass
class Proxy:
    """Forwards connections on loopback to a port there. Toxics may be set and changed at any time; 0 is none.

    Attributes:
        latency_s: before every piece of an answer, give or take ``jitter_s``.
        bytes_per_s: of all answers together.
        slow_close_s: between the end of an answer's connection and its closing here.
        swallows: accepts everything and passes nothing on: the client has to time out.
        reset_after_s: resets each connection so long after it came.
        slice_bytes: answers come in pieces of this size.
        limit_bytes: each connection is closed after so many bytes of answers.
        connections: accepted so far.
    """

    upstream: int
    latency_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float = 0.0
    slow_close_s: float = 0.0
    swallows: bool = False
    reset_after_s: float = 0.0
    slice_bytes: int = 0
    limit_bytes: int = 0
    connections: int = 0
    port: int = 0
    _chance: random.Random = field(default_factory=lambda: random.Random(7))
    _link: asyncio.Lock = field(default_factory=asyncio.Lock)
    _open: dict[asyncio.Task[None], asyncio.StreamWriter] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.down()

    @property
    def url(self) -> str:
        """Origin for a client."""
        return f"http://127.0.0.1:{self.port}"

    async def up(self) -> None:
        """Take connections, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Refuse connections from now on and reset those that there are."""
        self._server.close()
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def lose(self, share: float) -> None:
        """Let this share of what clients send get lost on its way, packet by packet; 1 is a black hole, 0 is none.

        By a packet filter of the socket (BPF), which connections inherit: no tools, no rights needed.
        """
        listener = self._server.sockets[0]
        if not share:
            listener.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
            return
        threshold = min(int(share * 2**32), 2**32 - 1)
        program = b"".join(
            struct.pack("HBBI", *instruction)
            for instruction in (
                (_LOAD_RANDOM[0], 0, 0, _LOAD_RANDOM[1]),
                (_JUMP_IF_GREATER, 0, 1, threshold),
                (_RETURN, 0, 0, 0xFFFFFFFF),
                (_RETURN, 0, 0, 0),
            )
        )
        kept = ctypes.create_string_buffer(program)
        listener.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(kept))
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        there = None
        try:
            with suppress(OSError, TimeoutError):
                from_there, there = await asyncio.open_connection("127.0.0.1", self.upstream)
                requests = asyncio.create_task(self._pass_requests(reader, there))
                try:
                    async with asyncio.timeout(self.reset_after_s or None):
                        await self._pass_answers(from_there, writer)
                    writer.close()
                finally:
                    requests.cancel()
        except asyncio.CancelledError:
            pass  # the proxy's end; a handler that ends as cancelled is reported as an error
        finally:
            if there is not None:
                there.transport.abort()
            if not writer.is_closing():
                _reset(writer)
            self._open.pop(task)

    async def _pass_requests(self, reader: asyncio.StreamReader, there: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_PIECE):
                if not self.swallows:
                    there.write(data)
                    await there.drain()
            there.close()

    async def _pass_answers(self, from_there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        while data := await from_there.read(self.slice_bytes or _PIECE):
            if self.latency_s:
                await asyncio.sleep(max(self.latency_s + self.jitter_s * self._chance.uniform(-1, 1), 0.0))
            if self.bytes_per_s:
                await self._take_bandwidth(len(data))
            if self.limit_bytes:
                data = data[: self.limit_bytes - passed]
            writer.write(data)
            await writer.drain()
            passed += len(data)
            if passed == self.limit_bytes:
                break
        await asyncio.sleep(self.slow_close_s)

    async def _take_bandwidth(self, size: int) -> None:
        """Wait until so many bytes fit through the link that all connections share."""
        async with self._link:
            await asyncio.sleep(size / self.bytes_per_s)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
