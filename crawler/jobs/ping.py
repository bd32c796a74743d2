"""Tell a monitor that a run begins, and how it ended: 10 s at most altogether, and nothing comes of it.

What dead man's switches such as healthchecks.io understand: GET URL/start, then POST URL, or POST URL/fail, with the
exit code and the last lines of the log as the body.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import anyio

from crawler.core.errors import RequestError
from crawler.core.secret import without_secrets
from crawler.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

WHOLE_S = 10.0
"""What both pings of a run may take together; so long may it begin or end later at most."""
START_S = 4.0
"""What the first of them may take of it."""
_MOST_BYTES = 10_000
_LONGEST_LINE = 1_000


class Send(Protocol):
    """Sends a GET, or a POST of a body; raises RequestError unless that is taken in time."""

    async def __call__(self, url: str, body: bytes | None, *, timeout_s: float) -> None:
        """Send."""


class Ping:
    """What one run tells a monitor.

    Mutable state: the seconds that are left.

    Args:
        url: of the monitor; it may be a secret, and no sentence shows more of it than its host.
        send: sends it.
        whole_s: seconds for all of it.
    """

    def __init__(self, url: str, send: Send, *, whole_s: float = WHOLE_S) -> None:
        self._url = url
        self._send = send
        self._left_s = whole_s

    async def start(self) -> str | None:
        """Tell of the start; return what went wrong."""
        return await self._tell("/start", None, within_s=min(START_S, self._left_s))

    async def end(self, exit_code: int, lines: Iterable[str], secrets: Iterable[str] = ()) -> str | None:
        """Tell of the end; return what went wrong.

        Args:
            exit_code: 0 is success.
            lines: the last ones of the log.
            secrets: what must not be in what is sent, should the log hold it.
        """
        body = body_of(exit_code, lines, secrets)
        return await self._tell("/fail" if exit_code else "", body, within_s=self._left_s)

    async def _tell(self, suffix: str, body: bytes | None, *, within_s: float) -> str | None:
        began_s = time.monotonic()
        try:
            with anyio.fail_after(within_s):
                await self._send(address(self._url, suffix), body, timeout_s=within_s)
        except (RequestError, TimeoutError) as error:
            url = urlsplit(self._url)
            told = "the start" if body is None else "the end"
            return f"--ping: {url.scheme}://{url.netloc} was not told of {told}: {str(error) or 'no answer in time'}"
        finally:
            self._left_s = max(0.0, self._left_s - (time.monotonic() - began_s))
        return None


def address(url: str, suffix: str) -> str:
    """Return a URL with ``suffix`` after its path, ahead of its query."""
    path, question_mark, query = url.partition("?")
    return f"{path.removesuffix('/') if suffix else path}{suffix}{question_mark}{query}"


def body_of(exit_code: int, lines: Iterable[str], secrets: Iterable[str] = ()) -> bytes:
    """Return what a monitor is told of an end: the exit code, then as many last lines as go into 10,000 bytes."""
    text = without_secrets("\n".join(visible(line, _LONGEST_LINE) for line in lines), secrets)
    head = f"exit code {exit_code}\n".encode()
    told = text.encode()
    if len(told) > (most := _MOST_BYTES - len(head) - 1):
        told = told[-most:].partition(b"\n")[2]  # whole lines
    return head + told + (b"\n" if told else b"")
