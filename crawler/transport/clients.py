"""What attempts are sent over: the seam between the transport and aiohttp.

There are two clients, which give the same bytes. `DirectClient` takes aiohttp's connections and parser without the
session around them, which is cheaper, and knows names of aiohttp that it does not document; `SessionClient` is
`session.get`.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from crawler import __version__
from crawler.core.errors import NetworkError
from crawler.transport.library import aiohttp
from crawler.transport.protocol import strict_factory
from crawler.transport.resolver import Resolver

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.transport.attempt import Attempt

HEADERS: Final = {"User-Agent": f"ncrawl/{__version__}", "Accept": "application/json", "Accept-Encoding": "gzip"}
"""What every request says beside its signature."""
SLOWEST_BYTES_PER_S = 100
"""A try may last longer than `Timeouts.a_try_s` only while its body comes faster than this."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a try may take; waiting for its turn does not count.

    Attributes:
        connect_s: name resolution, connection and TLS.
        stall_s: between two pieces of an answer.
        a_try_s: everything; longer only while the body comes faster than SLOWEST_BYTES_PER_S.
    """

    connect_s: float = 4.5
    stall_s: float = 20.0
    a_try_s: float = 30.0


TIMEOUTS: Final = Timeouts()


class StaleConnectionError(NetworkError):
    """A kept connection turned out to be closed: nobody's failure, and worth another attempt at once."""


class Answer(Protocol):
    """An answer whose body is still to be read, within the time of its try."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers, whatever their case."""
        ...

    async def read_some(self) -> bytes:
        """Return the next bytes of the body, as they came; nothing at its end."""
        ...

    def release(self) -> None:
        """Keep the connection for the next request if the answer was read to its end; else close it."""
        ...


class HttpClient(Protocol):
    """Sends attempts, each just once; raises aiohttp's errors, OSError and TimeoutError, and our RequestErrors."""

    async def send(self, attempt: Attempt, *, fresh: bool) -> Answer:
        """Sign an attempt, send it, and return its answer.

        Args:
            attempt: what to ask for.
            fresh: over a connection that nothing was sent over before.

        Raises:
            StaleConnectionError: the gateway had closed a kept connection.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


def connector(*, tls: bool, keep: bool = True) -> aiohttp.TCPConnector:
    """Return what makes connections, as many as are asked for; by TLS 1.2 or newer, certificates verified.

    Args:
        tls: there will be any: to read the certificates takes 20 ms.
        keep: connections are kept for the next request.
    """
    context: ssl.SSLContext | bool = True
    if tls:
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    made = aiohttp.TCPConnector(force_close=not keep, limit=0, ssl=context, ttl_dns_cache=60, resolver=Resolver())
    made._factory = strict_factory(asyncio.get_running_loop())  # noqa: SLF001 - aiohttp has no other way to say it
    return made
