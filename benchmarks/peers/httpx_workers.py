"""httpx at its best: HTTP/1.1, uvloop, orjson, and few requests at a time, since it slows down with more."""

# mypy: ignore-errors
# It runs in an environment of its own, which the type checker does not see.

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import uvloop
from common import CHUNK_BYTES, ask, by_orjson, names_of, signed, target


async def main() -> None:
    """Crawl everything."""
    chosen = ask(concurrency=4)
    chunk = bytearray()
    todo: list[str] = []

    async def get(client: httpx.AsyncClient, what: str) -> bytes:
        response = await client.get(what, headers=signed(what))
        response.raise_for_status()
        return response.content

    async def work(client: httpx.AsyncClient) -> None:
        while todo:
            registry, page = todo.pop(), 1
            while page:
                following, lines = by_orjson(await get(client, target(registry, page, chosen.page_size)), registry)
                chunk.extend(lines)
                if len(chunk) >= CHUNK_BYTES:
                    file.write(chunk)
                    chunk.clear()
                page = following or 0

    with Path(chosen.output).open("wb", buffering=0) as file:  # noqa: ASYNC230 - it blocks no longer than a write
        async with httpx.AsyncClient(base_url=chosen.origin, trust_env=False) as client:
            page = 1
            while page:
                following, names = names_of(await get(client, target(None, page, 100)))
                todo += names
                page = following or 0
            await asyncio.gather(*(work(client) for _ in range(chosen.concurrency)))
        file.write(chunk)


with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
