"""Look at no more than the first page of each list of images: what a crawl is handed in place of the real thing."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from math import inf
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from crawler.api.collections import IMAGES

if TYPE_CHECKING:
    from crawler.api.dialect import Dialect
    from crawler.api.meanings import Meaning
    from crawler.core.collection import Collection
    from crawler.core.errors import GatewayError
    from crawler.core.model import ListingResult, Page, PageRequest, Place
    from crawler.engine.interfaces import Fetcher
    from crawler.engine.tasks import ListingTask


class FirstPage(Struct, frozen=True):
    """What the first page of a list says.

    Attributes:
        goes_on: there are more.
        asked: records that it was asked for.
    """

    records: int
    count: int | None
    goes_on: bool
    asked: int


class FirstPages:
    """Fetches as another fetcher does, and keeps what first pages of lists of images say.

    Attributes:
        pages: first pages, by the list that each is of.
        latency_s: region to the time of its quickest answer.
    """

    def __init__(self, fetcher: Fetcher, dialect: Dialect) -> None:
        self.pages: dict[Place, FirstPage] = {}
        self.latency_s: defaultdict[str, float] = defaultdict(lambda: inf)
        self._fetcher = fetcher
        self._dialect = dialect

    async def fetch(self, request: PageRequest, counter: ListingTask) -> bytes:
        """Fetch, and look at what came."""
        began_s, region = time.monotonic(), request.region.code
        body = await self._fetcher.fetch(request, counter)
        self.latency_s[region] = min(self.latency_s[region], time.monotonic() - began_s)
        if request.collection is IMAGES:
            page = self._dialect.decode(body, IMAGES, request.page)
            asked = request.page_size or len(page.names)
            self.pages[counter.place] = FirstPage(len(page.names), page.count, page.next is not None, asked)
        return body

    def refuse(self, region: str, pause_s: float) -> float:
        """Slow down."""
        return self._fetcher.refuse(region, pause_s)

    def send_back(self, region: str) -> None:
        """Send nothing of what waits."""
        self._fetcher.send_back(region)

    def clock_explains(self, error: GatewayError) -> bool:
        """Return whether the clock was at fault."""
        return self._fetcher.clock_explains(error)

    @property
    def clock_offset_s(self) -> float:
        """How far the gateway's clock is ahead."""
        return self._fetcher.clock_offset_s


class OnePageEach:
    """A dialect in which every list of images ends with its first page."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.version = dialect.version
        self.largest_page = dialect.largest_page

    def target(self, request: PageRequest) -> str:
        """Return path and query for a page."""
        return self._dialect.target(request)

    def decode(self, body: bytes, collection: Collection, page: int) -> Page:
        """Decode a page, of images as if it were the last."""
        decoded = self._dialect.decode(body, collection, page)
        return replace(decoded, next=None) if collection is IMAGES else decoded

    def decode_error(self, body: bytes) -> tuple[str | None, str]:
        """Return what an error body says."""
        return self._dialect.decode_error(body)

    def meaning(self, status: int, code: str | None) -> Meaning:
        """Return what an error means."""
        return self._dialect.meaning(status, code)


class Sizes:
    """An output that counts the bytes of lines, by place, and keeps none."""

    def __init__(self) -> None:
        self.bytes: Counter[Place] = Counter()

    async def take(self, task: ListingTask, names: list[str], records: list[bytes]) -> None:
        """Count what the lines of records take."""
        self.bytes[task.place] += sum(map(len, records)) + len(names) * (len(task.prefix) + 1)

    async def end(self, task: ListingTask, result: ListingResult) -> None:
        """Nothing: no line is kept."""

    async def flush(self) -> None:
        """Nothing."""
