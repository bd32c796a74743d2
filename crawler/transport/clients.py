"""What attempts are sent over: the interface between the transport and an HTTP library, whose names end beyond it.

There are two clients, which give the same bytes. `DirectClient` takes aiohttp's connections and parser without the
session around them, which is cheaper, and knows names of aiohttp that it does not document; `SessionClient` is
`session.get`. Another library is a module more beside theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from crawler.core.errors import NetworkError
from crawler.core.version import __version__

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
        """Return the next bytes of the body, as they came; nothing at its end.

        Raises:
            RequestError: no more came, or not in time.
        """
        ...

    def release(self) -> None:
        """Keep the connection for the next request if the answer was read to its end; else close it."""
        ...


class HttpClient(Protocol):
    """Sends attempts, each just once; whatever goes wrong, also while an answer is read, is a RequestError."""

    async def send(self, attempt: Attempt, *, fresh: bool) -> Answer:
        """Sign an attempt, send it, and return its answer.

        Args:
            attempt: what to ask for.
            fresh: over a connection that nothing was sent over before.

        Raises:
            StaleConnectionError: the gateway had closed a kept connection.
            RequestError: it came to no answer.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
