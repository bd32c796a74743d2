"""pycurl's multi interface: libcurl does the HTTP; each handle follows the pages of a registry."""

# mypy: ignore-errors
# It runs in an environment of its own, which the type checker does not see.

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pycurl
from common import CHUNK_BYTES, ask, by_ncrawl, by_orjson, names_of, signed, target


class Handle:
    """One transfer at a time over one kept-alive connection."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self.registry, self.page = "", 0
        self.curl = pycurl.Curl()
        self.curl.setopt(pycurl.NOSIGNAL, 1)
        self.curl.setopt(pycurl.BUFFERSIZE, 256 * 1024)
        self.curl.handle = self

    def prepare(self, what: str) -> None:
        """Make ready for one request."""
        self.body = BytesIO()
        self.curl.setopt(pycurl.URL, self._origin + what)
        self.curl.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in signed(what).items()])
        self.curl.setopt(pycurl.WRITEDATA, self.body)

    def result(self) -> bytes:
        """Return the body of the request that is over."""
        assert self.curl.getinfo(pycurl.RESPONSE_CODE) == 200
        return self.body.getvalue()


def main() -> None:
    """Crawl everything."""
    chosen = ask()
    read = by_ncrawl if chosen.ours else by_orjson
    todo: list[str] = []
    first, page = Handle(chosen.origin), 1
    while page:
        first.prepare(target(None, page, 100))
        first.curl.perform()
        following, names = names_of(first.result())
        todo += names
        page = following or 0
    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_MAXCONNECTS, chosen.concurrency)
    chunk = bytearray()

    def begin(handle: Handle, following: int | None) -> int:
        if following:
            handle.page = following
        elif todo:
            handle.registry, handle.page = todo.pop(), 1
        else:
            return 0
        handle.prepare(target(handle.registry, handle.page, chosen.page_size))
        multi.add_handle(handle.curl)
        return 1

    with Path(chosen.output).open("wb", buffering=0) as file:
        running = sum(begin(Handle(chosen.origin), None) for _ in range(chosen.concurrency))
        while running:
            multi.perform()
            _, done, failed = multi.info_read(chosen.concurrency)
            assert not failed, failed
            for curl in done:
                multi.remove_handle(curl)
                following, lines = read(curl.handle.result(), curl.handle.registry)
                chunk += lines
                running += begin(curl.handle, following) - 1
            if len(chunk) >= CHUNK_BYTES:
                file.write(chunk)
                chunk.clear()
            if running and not done:
                multi.select(1.0)
        file.write(chunk)


main()
