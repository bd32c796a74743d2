"""Tuned aiohttp: `session.get`, uvloop, no cookies, encoded URLs; each worker follows the pages of a list."""

# mypy: ignore-errors
# It runs in an environment of its own, which the type checker does not see.

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import uvloop
from common import CHUNK_BYTES, ask, by_ncrawl, by_orjson, names_of, signed, target
from yarl import URL


async def main() -> None:
    """Crawl everything."""
    chosen = ask()
    read = by_ncrawl if chosen.ours else by_orjson
    chunk = bytearray()
    todo: list[tuple[str, str | None]] = []

    async def get(session: aiohttp.ClientSession, what: str) -> bytes:
        url = URL(chosen.origin + what, encoded=True)
        async with session.get(url, headers=signed(what), allow_redirects=False) as response:
            response.raise_for_status()
            return await response.read()

    async def work(session: aiohttp.ClientSession) -> None:
        while todo:
            (registry, image), page = todo.pop(), 1
            while page:
                body = await get(session, target(registry, page, chosen.page_size, image))
                if chosen.tags and image is None:
                    following, names = names_of(body)
                    todo.extend((registry, name) for name in names)
                    lines = b""
                else:
                    following, lines = read(body, registry, image)
                chunk.extend(lines)
                if len(chunk) >= CHUNK_BYTES:
                    file.write(chunk)
                    chunk.clear()
                page = following or 0

    connector = aiohttp.TCPConnector(limit=0)
    with Path(chosen.output).open("wb", buffering=0) as file:  # noqa: ASYNC230 - it blocks no longer than a write
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
            page = 1
            while page:
                following, names = names_of(await get(session, target(None, page, 100)))
                todo += ((name, None) for name in names)
                page = following or 0
            await asyncio.gather(*(work(session) for _ in range(chosen.concurrency)))
        file.write(chunk)


with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
