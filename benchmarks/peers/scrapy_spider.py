"""Scrapy, tuned for one host: bodies into lines by orjson; or with --items, an item an image and a feed export."""

# mypy: ignore-errors
# It runs in an environment of its own, which the type checker does not see.

from __future__ import annotations

import sys
from pathlib import Path

import scrapy
from common import CHUNK_BYTES, ask, by_orjson, names_of, signed, target
from scrapy.crawler import CrawlerProcess

WITH_ITEMS = "--items" in sys.argv and not sys.argv.remove("--items")
chosen = ask()
SETTINGS = {
    "CONCURRENT_REQUESTS": chosen.concurrency,
    "CONCURRENT_REQUESTS_PER_DOMAIN": chosen.concurrency,
    "CONCURRENT_ITEMS": 1,  # each is a task a response, and there is no item pipeline that waits
    "DOWNLOAD_DELAY": 0,
    "COOKIES_ENABLED": False,
    "REDIRECT_ENABLED": False,
    "ROBOTSTXT_OBEY": False,
    "TELNETCONSOLE_ENABLED": False,
    "LOG_LEVEL": "ERROR",
    "ASYNCIO_EVENT_LOOP": "uvloop.Loop",
    "DOWNLOADER_MIDDLEWARES": {"__main__.Signing": 950},
}
if WITH_ITEMS:
    SETTINGS["FEEDS"] = {chosen.output: {"format": "jsonlines", "encoding": "utf-8", "overwrite": True}}


class Signing:
    """Signs each request as it goes to the downloader."""

    def process_request(self, request: scrapy.Request) -> None:
        """Add the headers."""
        for name, value in signed(request.url.removeprefix(chosen.origin)).items():
            request.headers[name] = value


class Spider(scrapy.Spider):
    """Follows the list of registries, then the pages of each."""

    name = "registries"

    async def start(self):
        """Begin with the list."""
        yield self._request(None, 1)

    def _request(self, registry: str | None, page: int) -> scrapy.Request:
        callback = self.parse_images if registry else self.parse_registries
        url = chosen.origin + target(registry, page, chosen.page_size if registry else 100)
        return scrapy.Request(url, callback, dont_filter=True, cb_kwargs={"registry": registry})

    def parse_registries(self, response, registry):
        """Follow the list, and begin each registry."""
        following, names = names_of(response.body)
        if following:
            yield self._request(None, following)
        for name in names:
            yield self._request(name, 1)

    def parse_images(self, response, registry):
        """Yield items, or write lines; follow the pages."""
        if WITH_ITEMS:
            page = response.json()
            for record in page["results"]:
                yield {"account": "default", "region": "kr", "registry": registry, **record}
            following = page["next"]
        else:
            following, lines = by_orjson(response.body, registry)
            chunk.extend(lines)
            if len(chunk) >= CHUNK_BYTES:
                file.write(chunk)
                chunk.clear()
        if following:
            yield self._request(registry, following)


process = CrawlerProcess(SETTINGS)
process.crawl(Spider)
if WITH_ITEMS:
    process.start()
else:
    chunk = bytearray()
    with Path(chosen.output).open("wb", buffering=0) as file:
        process.start()
        file.write(chunk)
