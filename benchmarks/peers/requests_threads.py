"""requests at its best: four threads, each with a session of its own that follows the pages of a registry; orjson."""

# mypy: ignore-errors
# It runs in an environment of its own, which the type checker does not see.

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local

import requests
from common import ask, by_orjson, names_of, signed, target

chosen = ask(concurrency=4)
mine = local()


def get(what: str) -> bytes:
    """Return a page's body, over the thread's own session."""
    if not hasattr(mine, "session"):
        mine.session = requests.Session()
        mine.session.trust_env = False
    response = mine.session.get(chosen.origin + what, headers=signed(what), timeout=30)
    response.raise_for_status()
    return response.content


def main() -> None:
    """Crawl everything."""
    todo, page = [], 1
    while page:
        page, names = names_of(get(target(None, page, 100)))
        todo += names
    with Path(chosen.output).open("wb", buffering=0) as file, ThreadPoolExecutor(chosen.concurrency) as threads:

        def crawl(registry: str) -> None:
            page = 1
            while page:
                page, lines = by_orjson(get(target(registry, page, chosen.page_size)), registry)
                file.write(lines)

        list(threads.map(crawl, todo))


main()
