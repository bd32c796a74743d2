"""aiohttp's protocol, strict about what frames an answer and about nothing else.

aiohttp's parsers, of which there are two, know strict and lax only: strict refuses healthy answers (`Server` twice, a
folded header), lax takes a bare line feed for a line's end. So the strict one decides, and costs what it costs; only
what it refuses is looked at by `heads`, mended if that is harmless, and given to a new one.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from crawler.transport.heads import IN_ITS_CHUNKS, Fault, ImproperError, mend
from crawler.transport.library import HttpProcessingError, ResponseHandler

if TYPE_CHECKING:
    import asyncio

    from crawler.transport.library import aiohttp

    Parsed = tuple[Any, bool, bytes]


class CutShortError(Exception):
    """The connection ended before the answer did."""


class StrictProtocol(ResponseHandler):
    """Reads answers with parsers that are given a second chance."""

    def set_response_params(self, **params: Any) -> None:
        """Make the parser for the answers to come."""
        super().set_response_params(**params)
        self._parser: Any = _Parser(self._parser, partial(self._anew, params))

    def _anew(self, params: dict[str, Any]) -> Any:
        """Return another parser of the same kind; the one in use stays."""
        used = self._parser
        super().set_response_params(**params)
        made, self._parser = self._parser, used
        return made


class _Parser:
    """A strict parser, and what came of the head that it is reading, for it cannot go on after a refusal."""

    __slots__ = ("_anew", "_came", "_has_refused", "_parser", "_payload")

    def __init__(self, parser: Any, anew: Any) -> None:
        self._parser = parser
        self._anew = anew
        self._came = b""
        self._has_refused = False
        self._payload: aiohttp.StreamReader | None = None

    def feed_data(self, data: bytes) -> Parsed:
        if self._has_refused:
            return self._feed_mended(data)
        try:
            parsed: Parsed = self._parser.feed_data(data)
        except HttpProcessingError:
            self._has_refused = True
            return self._feed_mended(data)
        if parsed[0]:
            self._payload, self._came = parsed[0][-1][1], b""
        elif self._payload is None or self._payload.is_eof():
            self._came += data
        return parsed

    def _feed_mended(self, data: bytes) -> Parsed:
        """Give what was refused another chance; nothing comes out while its head is not whole.

        Raises:
            HttpProcessingError: not mended; its message is a `Fault`.
        """
        if self._payload is not None and not self._payload.is_eof():
            improper = _improper(IN_ITS_CHUNKS)
            self._payload.set_exception(improper)
            raise improper
        self._came += data
        try:
            mended = mend(self._came)
        except ImproperError as error:
            raise _improper(error.fault) from None
        if mended is None:
            return (), False, b""
        self._parser, self._has_refused, self._came = self._anew(), False, b""
        try:
            parsed: Parsed = self._parser.feed_data(mended)
        except HttpProcessingError:
            raise _improper("") from None
        if parsed[0]:
            self._payload = parsed[0][-1][1]
        return parsed

    def feed_eof(self) -> Any:
        if self._has_refused:
            return None
        try:
            return self._parser.feed_eof()
        except HttpProcessingError:
            raise CutShortError from None

    def pause_reading(self) -> None:
        self._parser.pause_reading()


def _improper(fault: str) -> HttpProcessingError:
    return HttpProcessingError(message=Fault(fault))


def strict_factory(loop: asyncio.AbstractEventLoop) -> partial[ResponseHandler]:
    """Return what a connector makes its protocols with."""
    kind: type[ResponseHandler] = StrictProtocol
    return partial(kind, loop=loop)
