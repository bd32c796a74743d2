"""What a crawl needs from outside: something that fetches pages, and something that takes their records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from crawler.core.errors import GatewayError
    from crawler.core.model import ListingResult, PageRequest
    from crawler.engine.tasks import ListingTask


class Fetcher(Protocol):
    """Fetches one page and slows down when told to: `transport.Transport`."""

    async def fetch(self, request: PageRequest, counter: ListingTask) -> bytes:
        """Return a whole body, or raise a RequestError."""
        ...

    def refuse(self, region: str, pause_s: float) -> float:
        """Slow down what goes to the gateway of ``region``; return the rate from now on, requests a second."""
        ...

    def send_back(self, region: str) -> None:
        """Send nothing of what waits for its turn in ``region``: it fails with NotSentError."""
        ...

    def clock_explains(self, error: GatewayError) -> bool:
        """Return whether a refused signature was the clock's fault; from then on it is signed rightly."""
        ...

    @property
    def clock_offset_s(self) -> float:
        """How far the gateway's clock was found to be ahead of ours."""
        ...


class Output(Protocol):
    """Takes fresh records as they come; waits where its reader is slow."""

    async def take(self, task: ListingTask, names: list[str], records: list[bytes]) -> None:
        """Take records of a task's listing, each once."""
        ...

    async def end(self, task: ListingTask, result: ListingResult) -> None:
        """Take in that a listing ended by itself; those that a stop cut off are not told."""
        ...

    async def flush(self) -> None:
        """Pass on what was taken so far."""
        ...
