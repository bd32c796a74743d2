"""List registries, images and tags record by record, as fast as whoever reads them: what `crawler.connect` gives."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, NamedTuple, Self

import anyio

from crawler.api.collections import IMAGES, REGISTRIES, TAGS
from crawler.core.errors import ConfigurationError, UsageError
from crawler.engine.crawl import Crawl
from crawler.engine.spec import StopReason
from crawler.jobs.crawling import check_surroundings, crawl_spec, open_transport
from crawler.jobs.naming import named_roots
from crawler.jobs.progress import Meter, WatchedOutput, heartbeats
from crawler.jobs.python.list_result import list_result
from crawler.jobs.python.records import Record
from crawler.settings.options import outside, parse_registry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from types import TracebackType

    from anyio.abc import ObjectSendStream

    from crawler.core.collection import Collection
    from crawler.core.model import ListingResult
    from crawler.engine.spec import Root
    from crawler.engine.tasks import ListingTask
    from crawler.jobs.caller import Caller
    from crawler.jobs.progress import Progress
    from crawler.jobs.python.list_result import ListResult
    from crawler.settings.table import Settings
    from crawler.transport import Transport

MOST_PAGES = 8
"""Pages that wait to be read; then no further ones are asked for."""
_LONGEST_END_S = 5.0


class _Page(NamedTuple):
    """Fresh records of a listing."""

    region: str
    within: tuple[str, ...]
    names: list[str]
    records: list[bytes]


class _UnderWay(NamedTuple):
    """A listing, and what says where it stands."""

    crawl: Crawl
    meter: Meter


class _Pages:
    """The output of a crawl that somebody reads page by page, and waits for."""

    def __init__(self, pages: ObjectSendStream[_Page], level: Collection) -> None:
        self._pages = pages
        self._level = level

    async def take(self, task: ListingTask, names: list[str], records: list[bytes]) -> None:
        if task.collection is self._level:
            await self._pages.send(_Page(task.region.code, task.within, names, records))

    async def end(self, task: ListingTask, result: ListingResult) -> None:
        pass

    async def flush(self) -> None:
        pass


class Client:
    """Lists registries, images and tags of one account, over connections and within limits that all its listings share.

        async with crawler.connect(account="acme") as client:
            async for image in client.images("team-a", region="kr"):
                print(image.region, image.registry, image.name, image.json()["pull_count"])
            print(client.result.is_complete, client.result.missing)

    A loop may be left at any time: requests end then. What is missing is said by `result`, never by an exception.
    Bound to the event loop that it was entered in, which must be asyncio's.

    Mutable state: the listings under way, and what came of the last one.
    """

    def __init__(self, settings: Settings, caller: Caller) -> None:
        self._settings = settings
        self._caller = caller
        self._account = ""
        self._transport: Transport | None = None
        self._under_way: dict[asyncio.Task[None], _UnderWay] = {}
        self._result: ListResult | None = None

    @property
    def result(self) -> ListResult:
        """What came of the listing that ended last, with verdicts, reasons and counts.

        Raises:
            UsageError: none has ended.
        """
        if self._result is None:
            raise UsageError("nothing has been listed to its end yet")
        return self._result

    @property
    def progress(self) -> Progress | None:
        """Where the listing stands that was begun last; None if none is under way."""
        last = next(reversed(self._under_way.values()), None)
        return None if last is None else last.meter.look()

    async def __aenter__(self) -> Self:
        """Find the keys, and be ready to send.

        Raises:
            CredentialsError: there are no keys that can be used.
        """
        check_surroundings(self._settings, self._caller.observe)
        found = await self._caller.keys(self._settings)
        self._account = found.account
        self._transport = open_transport(self._settings, found, self._caller.observe)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task, listing in self._under_way.items():
            _stops(listing.crawl, task)
        transport, self._transport = self._transport, None
        assert transport is not None
        with anyio.move_on_after(_LONGEST_END_S, shield=True):
            await asyncio.gather(*self._under_way, return_exceptions=True)
            await transport.__aexit__(exc_type, exc, traceback)

    def images(self, *registries: str, region: str | None = None) -> AsyncGenerator[Record, None]:
        """List the images of the named registries, or of every one there is, in the order in which pages arrive.

        Args:
            registries: ``name``, looked for in every region, or ``region/name``.
            region: code of the only region to look in.

        Raises:
            UsageError: what is named cannot be.
        """
        return self._listed(*self._named(registries, region, IMAGES), IMAGES)

    def tags(
        self, *registries: str, image: str | None = None, region: str | None = None
    ) -> AsyncGenerator[Record, None]:
        """List the tags of every image of the named registries, or of every one there is; or those of one image.

        It takes a request for each image at least.

        Args:
            registries: ``name``, looked for in every region, or ``region/name``.
            image: the only image to list the tags of; then one registry is to be named.
            region: code of the only region to look in.

        Raises:
            UsageError: what is named cannot be.
        """
        settings, named = self._named(registries, region, TAGS)
        if image is not None:
            if len(registries) != 1 or not image:
                raise UsageError("tags: an image is of one registry: name that, and no other")
            named = [replace(one, collection=TAGS, within=(*one.within, image)) for one in named or ()]
        return self._listed(settings, named, TAGS)

    def registries(self, *, region: str | None = None) -> AsyncGenerator[Record, None]:
        """List the registries of all regions, or of one.

        Raises:
            UsageError: there is no such region.
        """
        return self._listed(self._within(region), None, REGISTRIES)

    def _named(
        self, registries: tuple[str, ...], region: str | None, level: Collection
    ) -> tuple[Settings, list[Root] | None]:
        settings = self._within(region)
        problems = [*_refused(registries, level.name), *outside(settings.region, level.name, registries)]
        if problems:
            raise ConfigurationError(problems)
        settings = replace(settings, registry=registries)
        return settings, named_roots(settings, level, inf)

    def _within(self, region: str | None) -> Settings:
        settings = self._settings
        chosen = tuple(one for one in settings.region if region in (None, one.code))
        if not chosen:
            codes = ", ".join(one.code for one in settings.region)
            raise UsageError(f"region: {region!r} is none of those that were connected to: {codes}")
        return replace(settings, region=chosen)

    async def _listed(
        self, settings: Settings, named: list[Root] | None, level: Collection
    ) -> AsyncGenerator[Record, None]:
        if self._transport is None:
            raise UsageError("not connected: list within `async with crawler.connect(…) as client:`")
        spec = crawl_spec(settings, self._account, named, level=level)
        send, pages = anyio.create_memory_object_stream[_Page](MOST_PAGES)
        watched, transport = WatchedOutput(_Pages(send, level), "the reader"), self._transport
        crawl = Crawl(spec, transport, watched, observe=self._caller.observe)
        task = self._begin(_UnderWay(crawl, Meter(crawl, lambda: transport.pace, watched)), send)
        try:
            async for page in pages:
                for record in self._records(page):
                    yield record
            await task
        finally:
            with anyio.move_on_after(_LONGEST_END_S, shield=True):
                if _stops(crawl, task):
                    await task
            pages.close()

    def _begin(self, listing: _UnderWay, pages: ObjectSendStream[_Page]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._run(listing, pages))
        self._under_way[task] = listing
        task.add_done_callback(self._under_way.pop)
        return task

    async def _run(self, listing: _UnderWay, pages: ObjectSendStream[_Page]) -> None:
        telling = heartbeats(self._settings.heartbeat, listing.meter.look, self._caller.observe)
        async with pages, telling:
            self._result = list_result(await listing.crawl.run(), listing.crawl.level)

    def _records(self, page: _Page) -> Iterator[Record]:
        for name, record in zip(page.names, page.records, strict=True):
            yield Record(self._account, page.region, page.within, name, b"{" + record)


def _stops(crawl: Crawl, task: asyncio.Task[None]) -> bool:
    """Stop a listing that is not over, and return whether that was so."""
    if is_going_on := not task.done():
        crawl.stop(StopReason.CALLER)
    return is_going_on


def _refused(registries: tuple[str, ...], place: str) -> Iterator[str]:
    for text in registries:
        try:
            parse_registry(text)
        except ValueError as error:
            yield f"{place}: {error}"
