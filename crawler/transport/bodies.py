"""Read the body of an answer in pieces, decoded here so that a cut-off gzip stream and a bomb are noticed in time."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from crawler.core.errors import ProtocolError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

    from crawler.transport.clients import Answer

MAX_BODY_BYTES = 8 * 1024 * 1024

_CHUNK = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS


async def read_body(answer: Answer) -> bytes:
    """Read a body in pieces, decoded, up to the cap."""
    decode = decoder(answer.headers)
    pieces: list[bytes] = []
    size = 0
    while chunk := await answer.read_some():
        for piece in decode(chunk):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_BODY_BYTES:
                raise TooLargeError(f"the body is larger than {MAX_BODY_BYTES} bytes")
    decode.check_end()
    return b"".join(pieces)


async def read_most(read_some: Callable[[], Awaitable[bytes]], most: int) -> bytes:
    """Read a small body whole, or its first ``most`` bytes."""
    body = b""
    while len(body) < most and (chunk := await read_some()):
        body += chunk
    return body[:most]


class _Identity:
    """Decodes nothing."""

    is_cut = False

    def __call__(self, chunk: bytes) -> Iterable[bytes]:
        return (chunk,)

    def check_end(self) -> None:
        pass


class _Gunzip:
    """Decodes one gzip member, a little at a time whatever it swells to; knows whether it came whole."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_GZIP)

    def __call__(self, chunk: bytes) -> Iterator[bytes]:
        while chunk:
            try:
                yield self._inflate.decompress(chunk, _CHUNK)
            except zlib.error:
                raise ProtocolError("the body is not gzip although its header says so") from None
            chunk = self._inflate.unconsumed_tail

    @property
    def is_cut(self) -> bool:
        """Whether the stream should go on after what was decoded so far."""
        return not (self._inflate.eof or self._inflate.unconsumed_tail)

    def check_end(self) -> None:
        if not self._inflate.eof or self._inflate.unused_data:
            raise ProtocolError("the gzip body was cut short, or something follows it")


def decoder(headers: Mapping[str, str]) -> _Identity | _Gunzip:
    """Return what decodes a body with these headers.

    Raises:
        ProtocolError: in an encoding that was not asked for.
    """
    encoding = headers.get("Content-Encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return _Identity()
    if encoding in ("gzip", "x-gzip"):
        return _Gunzip()
    raise ProtocolError("the body has an encoding that was not asked for")
