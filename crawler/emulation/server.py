"""The emulator as something to start and stop: a loopback port, or one a region, the clocks, the books."""

from __future__ import annotations

import asyncio
import os
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Self

import anyio

from crawler.api.signing import ACCESS_KEY_HEADER
from crawler.api.zones import VERSIONS
from crawler.core.errors import UsageError
from crawler.emulation.accounts import Accounts
from crawler.emulation.apis import region_of
from crawler.emulation.gateway import Gateway
from crawler.emulation.ledger import Statistics
from crawler.emulation.options import EmulatorOptions
from crawler.emulation.wire import Connection
from crawler.emulation.world import World

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.emulation.wire import Answer, Request

HOST = "127.0.0.1"
_CLOSE_TIMEOUT_S = 2
_BACKLOG = 1024
_TURNS_TO_ACCEPT = 4  # of the event loop: a server that closes meanwhile loses the socket (python/cpython#109564)


class Emulator:
    """Serves the API of an emulated account, or of many, on loopback for as long as its context lasts.

        async with Emulator(EmulatorOptions(registries=3, images=50)) as emulator:
            print(emulator.url, emulator.access_key, emulator.secret_key)

    Without ``statistics`` it keeps full books, which grow with the requests.

    Mutable state: the open connections, and what the attributes refer to.

    Attributes:
        options: as given.
        world: what the account, or the first of them, holds now: the oracle.
        gateway: which of its registries are denied, gone or loop.
        accounts: all of them, and how they are crawled.
        statistics: what arrived and what became of it.
        urls: region to the origin of its gateway, which is one for all in version 2; set on entering.
    """

    urls: Mapping[str, str]

    def __init__(self, options: EmulatorOptions | None = None, statistics: Statistics | None = None) -> None:
        self.options = options or EmulatorOptions()
        self.world = World(self.options.seed, self.options.registries, self.options.images, sort=self.options.sort)
        self.statistics = statistics or Statistics()
        self.gateway = Gateway(self.options, self.world, self.statistics)
        self.accounts = Accounts(self.options, self.statistics, self.gateway)
        self._is_by_region = VERSIONS[self.options.api].is_by_region
        self._connections: dict[Connection, asyncio.Future[None]] = {}
        self._date = (0, "")

    @property
    def access_key(self) -> str:
        """The account's access key: made up."""
        return self.gateway.access_key

    @property
    def secret_key(self) -> str:
        """The account's secret key: made up."""
        return self.gateway.secret_key

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            UsageError: the port cannot be had.
        """
        doors = self.world.regions if self._is_by_region else ("",)
        self._servers = []
        try:
            for number, door in enumerate(doors):
                self._servers.append(await self._listen(self.options.port and self.options.port + number, door))
        except UsageError:
            for server in self._servers:
                server.close()
            raise
        opened = [f"http://{HOST}:{server.sockets[0].getsockname()[1]}" for server in self._servers]
        origins = dict(zip(doors, opened, strict=True))
        self.urls = {region: origins.get(region) or opened[0] for region in self.world.regions}
        return self

    async def _listen(self, port: int, door: str) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_server(lambda: Connection(self, door), HOST, port, backlog=_BACKLOG)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise UsageError(
                f"cannot listen on {HOST}:{port}: {reason}; choose another --port, or 0 for any free one"
            ) from None

    @property
    def url(self) -> str:
        """What ``--gateway`` takes: one origin, or for version 3 each region's, separated by commas."""
        if self._is_by_region:
            return ",".join(f"{region}={origin}" for region, origin in self.urls.items())
        return next(iter(self.urls.values()))

    async def __aexit__(self, *_error: object) -> None:
        """Reset every connection and wait until all are gone."""
        with anyio.move_on_after(_CLOSE_TIMEOUT_S, shield=True):
            for _turn in range(_TURNS_TO_ACCEPT):
                await asyncio.sleep(0)
            for server in self._servers:
                server.close()
            closed = list(self._connections.values())
            for connection in list(self._connections):
                connection.abort()
            await asyncio.gather(*closed)
            for server in self._servers:
                await server.wait_closed()

    def opened(self, connection: Connection) -> None:
        """Keep a connection, so that it can be closed in the end."""
        self.statistics.connections += 1
        self._connections[connection] = asyncio.get_running_loop().create_future()

    def lost(self, connection: Connection) -> None:
        """Forget a connection."""
        self._connections.pop(connection).set_result(None)

    def arrived(self, request: Request) -> None:
        """Note a request."""
        self.statistics.arrived(request.target, time.monotonic(), region_of(request))

    def answer(self, request: Request) -> Answer:
        """Have the gateway decide the answer to a request."""
        gateway = self.accounts.asked_by(request.headers.get(ACCESS_KEY_HEADER, ""))
        return gateway.answer(request, now_ms=round(self._now_s() * 1000), now_s=time.monotonic())

    def left(self, status: int | None) -> None:
        """Note the end of a request."""
        self.statistics.left(status)

    def headers(self) -> tuple[str, ...]:
        """Return what every answer carries: the Date of now by the gateway's clock, unless it sends none."""
        carried = self.gateway.api.headers()
        if not self.options.date_header:
            return carried
        second = int(self._now_s())
        if self._date[0] != second:
            self._date = (second, f"Date: {formatdate(second, usegmt=True)}")
        return (self._date[1], *carried)

    def _now_s(self) -> float:
        return time.time() + self.options.clock_skew_s
