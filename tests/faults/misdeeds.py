"""What a server, a proxy or a network can make of a right answer; each is a `server.Fault` or makes one."""

from __future__ import annotations

import gzip
import json
import zlib
from functools import cache
from typing import TYPE_CHECKING, Any

from support.raw_server import answer, in_pieces, refusal, then_close, then_reset

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.server import Fault, Right
    from support.raw_server import Answer

HEAD = b"HTTP/1.1 200 OK\r\n"
ZIPPED = "Content-Encoding: gzip"


def always(made: Answer) -> Fault:
    """Answer this, whatever was asked for."""
    return lambda _right: made


def whole(spoil: Callable[[bytes], Answer]) -> Fault:
    """Spoil the bytes of the whole right answer."""
    return lambda right: spoil(right.whole)


def body(spoil: Callable[[bytes], bytes], *headers: str, status: str = "200 OK") -> Fault:
    """Spoil the body and send it as if nothing were wrong."""
    return lambda right: answer(spoil(right.body), *headers, status=status)


def edited(**fields: Any) -> Fault:
    """Change fields of the page; a function gets the old value, Ellipsis takes the field away."""

    def edit(right: Right) -> Answer:
        page = json.loads(right.body)
        for name, value in fields.items():
            if value is ...:
                page.pop(name, None)
            else:
                page[name] = value(page[name]) if callable(value) else value
        return answer(json.dumps(page, ensure_ascii=False, separators=(",", ":")).encode())

    return edit


def next_is(number: Callable[[int], int]) -> Fault:
    """Name another page as the next one; the last page names one too."""
    return lambda right: edited(next=number(right.place.page))(right)


def moved(status: str) -> Fault:
    """Send the client elsewhere."""
    return lambda right: answer(b"", f"Location: {right.elsewhere}/stolen", status=status)


def malformed(text: bytes) -> Fault:
    """Answer these bytes and close."""
    return always(then_close(text))


def chunked(data: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """Return an answer in two chunks."""
    parts = (data[:20], data[20:])
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + end


@cache
def bomb() -> bytes:
    """Return half a megabyte of gzip that is 512 MiB unpacked."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    first = deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return first + 511 * (deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH))


reset: Fault = always(then_reset())
reset_in_body: Fault = whole(lambda data: then_reset(data[:-9]))
closed_before_headers: Fault = always(then_close(b""))
stall: Fault = whole(lambda data: in_pieces(data[:-9], b"", every_s=600.0, for_ever=True))
byte_a_second: Fault = always(in_pieces(answer(b"", length=10_000), b" ", every_s=1.0, for_ever=True))
endless_1xx: Fault = always(in_pieces(b"HTTP/1.1 102 Processing\r\n\r\n", every_s=1.0, for_ever=True))
silence: Fault = always(in_pieces(b"", every_s=600.0, for_ever=True))
endless: Fault = always(
    in_pieces(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"100000\r\n" + bytes(1 << 20) + b"\r\n", for_ever=True,
              every_s=0)
)  # fmt: skip
cut_by_length: Fault = whole(lambda data: then_close(data[:-9]))
cut_chunked: Fault = lambda right: then_close(chunked(right.body)[:-20])  # noqa: E731 - a table of misdeeds
cut_between_chunks: Fault = lambda right: then_close(chunked(right.body, b""))  # noqa: E731
cut_at_close: Fault = lambda right: then_close(HEAD + b"\r\n" + right.body[:-9])  # noqa: E731
cut_gzip: Fault = body(lambda data: gzip.compress(data)[:-12], ZIPPED)
double_gzip: Fault = body(lambda data: gzip.compress(gzip.compress(data)), ZIPPED)
no_gzip: Fault = body(lambda data: data, ZIPPED)
brotli: Fault = body(lambda data: data, "Content-Encoding: br")
gzip_bomb: Fault = body(lambda _: bomb(), ZIPPED)

MALFORMED_HTTP: dict[str, Fault] = {
    "10,000 headers": malformed(HEAD + b"X-Many: x\r\n" * 10_000 + b"Content-Length: 0\r\n\r\n"),
    "header line of 1 MB": malformed(HEAD + b"X-Long: " + b"a" * 1_000_000 + b"\r\nContent-Length: 0\r\n\r\n"),
    "two Content-Lengths": whole(lambda d: then_close(d.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n", 1))),
    "negative Content-Length": malformed(HEAD + b"Content-Length: -5\r\n\r\nhello"),
    "Content-Length with Transfer-Encoding": malformed(
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    ),
    "NUL in a header": malformed(HEAD + b"X-Nul: a\0b\r\nContent-Length: 0\r\n\r\n"),
    "chunk size that is none": malformed(HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n"),
    "no HTTP at all": malformed(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n"),
}
bare_lf: Fault = whole(lambda data: data.replace(b"\r\n", b"\n"))

MALFORMED_JSON: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "blanks": lambda _: b" \n\t",
    "cut by a byte": lambda page: page[:-1],
    "cut in half": lambda page: page[: len(page) // 2],
    "a byte too many": lambda page: page + b"}",
    "two values": lambda page: page + page,
    "comma at the end of the list": lambda page: page.replace(b"]}", b",]}"),
    "comma at the end of the page": lambda page: page[:-1] + b",}",
    "no colon": lambda page: page.replace(b'"count":', b'"count"', 1),
    "no comma": lambda page: page.replace(b',"next"', b'"next"', 1),
    "two commas": lambda page: page.replace(b',"next"', b',,"next"', 1),
    "bracket of the wrong kind": lambda page: page[:-2] + b"}}",
    "single quotes": lambda page: page.replace(b'"', b"'"),
    "key without quotes": lambda page: page.replace(b'"count"', b"count", 1),
    "NaN": lambda page: b'{"x":NaN,' + page[1:],
    "Infinity": lambda page: b'{"x":-Infinity,' + page[1:],
    "leading zero": lambda page: b'{"x":012,' + page[1:],
    "plus": lambda page: b'{"x":+1,' + page[1:],
    "point without digits": lambda page: b'{"x":1.,' + page[1:],
    "exponent without digits": lambda page: b'{"x":1e,' + page[1:],
    "hexadecimal": lambda page: b'{"x":0x1F,' + page[1:],
    "True": lambda page: b'{"x":True,' + page[1:],
    "comment": lambda page: b'{/* x */"x":1,' + page[1:],
    "control character in a text": lambda page: b'{"x":"\x01",' + page[1:],
    "newline in a text": lambda page: b'{"x":"a\nb",' + page[1:],
    "escape that is none": lambda page: b'{"x":"\\x41",' + page[1:],
    "half an escape": lambda page: b'{"x":"\\u12",' + page[1:],
    "text without end": lambda page: b'{"x":"abc,' + page[1:].replace(b'"', b""),
    "NUL behind": lambda page: page + b"\0",
    "byte order mark": lambda page: b"\xef\xbb\xbf" + page,
    "UTF-16": lambda page: page.decode().encode("utf-16"),
    "Latin-1": lambda page: b'{"x":"\xe9",' + page[1:],
    "overlong UTF-8": lambda page: b'{"x":"\xc0\xaf",' + page[1:],
    "surrogate in UTF-8": lambda page: b'{"x":"\xed\xa0\x80",' + page[1:],
    "a list": lambda page: b"[" + page + b"]",
    "a text": lambda page: json.dumps(page.decode()).encode(),
    "a number": lambda _: b"42",
    "null": lambda _: b"null",
    "HTML": lambda _: b"<html><body>Scheduled maintenance</body></html>",
}


def nested(depth: int) -> Fault:
    """Put a record in front that is nested so deep."""
    return with_record(b'{"name":"deep","x":' + b"[" * depth + b"]" * depth + b"}")


def with_record(record: bytes) -> Fault:
    """Put one more record in front of a page's, which has some."""
    return body(lambda page: page.replace(b":[", b":[" + record + b",", 1))


def refused(status: int, code: object, message: str, *headers: str) -> Fault:
    """Answer one of the gateway's errors."""
    return always(refusal(status, code, message, *headers))
