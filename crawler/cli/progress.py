"""One line on a terminal that says how far the crawl is; nothing where standard error is no terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import anyio
import click

from crawler.cli.streams import standard_error

if TYPE_CHECKING:
    from crawler.engine.crawl import Crawl

EVERY_S = 0.5
_CLEAR = "\r\x1b[K"


class Progress:
    """Shows what a crawl has done so far, until it is cancelled."""

    def __init__(self, crawl: Crawl, *, is_shown: bool) -> None:
        self._crawl = crawl
        self._is_shown = is_shown and sys.stderr.isatty()
        self._started_s = time.monotonic()

    async def show(self) -> None:
        """Rewrite the line twice a second, and take it away in the end."""
        if not self._is_shown:
            return
        try:
            while True:
                await anyio.sleep(EVERY_S)
                if not _is_behind():
                    click.echo(_CLEAR + self._line(), nl=False, err=True)
        finally:
            click.echo(_CLEAR, nl=False, err=True)

    def _line(self) -> str:
        done, left, records = self._crawl.progress
        seconds = time.monotonic() - self._started_s
        return f"{done:,} of {done + left:,} listings · {records:,} {self._crawl.level.name} · {seconds:.0f} s"


def _is_behind() -> bool:
    """Whether the terminal is stopped (Ctrl-S): no line then waits to be shown when it is out of date."""
    told = standard_error()
    return told is not None and told.is_behind
