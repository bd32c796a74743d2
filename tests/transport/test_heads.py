"""Heads of answers: what frames them is taken strictly, the rest as it comes; over both clients, by both parsers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from math import inf
from typing import TYPE_CHECKING

import aiohttp.client_proto
import aiohttp.http_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.lists import request_of
from support.raw_server import RawServer, answer, in_pieces, page, then_close

from crawler.api.zones import ZONES
from crawler.core.errors import NetworkError, ProtocolError, RequestError
from crawler.core.secret import KeyPair, Secret
from crawler.settings.credentials import Credentials
from crawler.transport import Timeouts, Transport
from crawler.transport.direct import DirectClient
from crawler.transport.gcra import RateLimits
from crawler.transport.heads import ImproperError, mend
from crawler.transport.rate_limiter import RateLimiter
from crawler.transport.session import SessionClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.raw_server import Answer

KR = ZONES["public"].regions[0]
BODY = page({"name": "nginx"}, {"name": "한글"})
OK = answer(BODY)
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)

HARMLESS = {
    "Server twice": answer(BODY, "Server: nginx", "Server: envoy"),
    "Content-Type twice": answer(BODY, "Content-Type: application/json", "content-type: text/plain"),
    "ETag twice": answer(BODY, 'ETag: "a"', 'ETag: "b"', 'ETag: "c"'),
    "folded": answer(BODY, "X-Folded: a\r\n b\r\n\tc"),
    "folded and twice, before the length": HEAD + b"Server: a\r\n b\r\nServer: c\r\n" + OK[len(HEAD) :],
    "control character": answer(BODY, "X-Odd: a\x01b"),
    "twice behind an interim answer": b"HTTP/1.1 103 Early Hints\r\nServer: a\r\nServer: b\r\n\r\n"
    + answer(BODY, "Server: a", "Server: b"),
    "twice, chunked": CHUNKED[:-2] + b"Server: a\r\nServer: b\r\n\r\n" + CHUNKS,
}
IMPROPER = {
    "Content-Length comes twice": HEAD + b"Content-Length: 5\r\nContent-Length: 9\r\n\r\nhello",
    "content-length comes twice": HEAD
    + b"Content-Length: 5\r\nServer: a\r\nServer: b\r\ncontent-length: 5\r\n\r\nhello",
    "Transfer-Encoding comes twice": CHUNKED[:-2] + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "Content-Length beside Transfer-Encoding": CHUNKED[:-2] + b"Content-Length: 5\r\n\r\n" + CHUNKS,
    "Content-Length is folded": HEAD + b"Content-Length:\r\n 5\r\n\r\nhello",
    "Transfer-Encoding is folded": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNKS,
    "Content-Length is no number": HEAD + b"Content-Length: -5\r\n\r\nhello",
    "a blank before the colon of Content-Length": HEAD + b"Content-Length : 5\r\n\r\nhello",
    "a NUL in X-Nul": HEAD + b"X-Nul: a\0b\r\nContent-Length: 5\r\n\r\nhello",
    "a bare line feed in its head": OK.replace(b"\r\n", b"\n"),
    "a bare line feed in X-Split": HEAD + b"X-Split: a\nContent-Length: 5\r\nContent-Length: 9\r\n\r\nhello",
    "a header that is none": HEAD + b"no colon here\r\nContent-Length: 5\r\n\r\nhello",
    "a line of blanks": HEAD + b"X-Folded: a\r\n \r\nContent-Length: 5\r\n\r\nhello",
    "its first line is no status line": b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
    "X-Long is longer than 8190 bytes": HEAD + b"X-Long: " + b"a" * 100_000 + b"\r\nContent-Length: 0\r\n\r\n",
    "more than 128 headers": HEAD + b"X-Many: x\r\n" * 10_000 + b"Content-Length: 0\r\n\r\n",
    "in its chunks": CHUNKED + b"xyz\r\nhello\r\n0\r\n\r\n",
}


@pytest.fixture(params=[DirectClient, SessionClient], ids=["direct", "session"])
def client(request: pytest.FixtureRequest) -> type[DirectClient | SessionClient]:
    """Each client."""
    made: type[DirectClient | SessionClient] = request.param
    return made


@pytest.fixture(params=["C", "Python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of aiohttp's parsers, as AIOHTTP_NO_EXTENSIONS chooses between them."""
    made = aiohttp.http_parser.HttpResponseParserPy
    if request.param == "C":
        made = pytest.importorskip("aiohttp._http_parser").HttpResponseParser
    monkeypatch.setattr(aiohttp.client_proto, "HttpResponseParser", made)
    return str(request.param)


class Count:
    """Counts wire attempts."""

    requests = 0


@asynccontextmanager
async def transport_to(url: str, client: type[DirectClient | SessionClient]) -> AsyncIterator[Transport]:
    rate_limiter = RateLimiter(RateLimits(inf, inf, [KR.code]), [KR.code])
    keys = Credentials(KeyPair(Secret("access-key-of-the-test"), Secret("secret-key-of-the-test"), "the test"))
    async with Transport(keys, rate_limiter, {KR.code: client(url, Timeouts(0.5, 0.5, 0.5))}) as transport:
        yield transport


async def fetch(given_answer: Answer, client: type[DirectClient | SessionClient], times: int = 1) -> list[bytes]:
    async with RawServer(given_answer) as server, transport_to(server.url, client) as transport, asyncio.timeout(15):
        return [await transport.fetch(request_of(KR, "team-a", 1, 100), Count()) for _ in range(times)]


async def refused(given_answer: Answer, client: type[DirectClient | SessionClient]) -> RequestError:
    with pytest.raises(RequestError) as caught:
        await fetch(given_answer, client)
    return caught.value


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("harmless", HARMLESS.values(), ids=HARMLESS)
async def test_harmless_heads(harmless: bytes, client: type[DirectClient | SessionClient]) -> None:
    """What comes twice or folded and says nothing of where the answer ends is taken, again and again."""
    assert await fetch(harmless, client, times=3) == [BODY] * 3


@pytest.mark.long
@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("name", ["Server twice", "folded", "control character", "twice, chunked"])
async def test_harmless_heads_in_pieces(name: str, client: type[DirectClient | SessionClient]) -> None:
    """Wherever the network cuts them: a parser that refused half of a head is given the whole of it."""
    harmless = HARMLESS[name]
    for at in (*range(20, len(harmless) - len(BODY) - 8, 7), len(harmless) - 3):
        assert await fetch(in_pieces(harmless[:at], harmless[at:]), client) == [BODY]


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(("fault", "improper"), IMPROPER.items(), ids=IMPROPER)
async def test_improper_heads(fault: str, improper: bytes, client: type[DirectClient | SessionClient]) -> None:
    """What makes it doubtful where an answer ends is refused at once, as ours, and the sentence names it (H14)."""
    error = await refused(in_pieces(improper, b"", for_ever=True), client)
    assert type(error) is ProtocolError
    assert error.is_improper
    assert fault in str(error)


@pytest.mark.usefixtures("parser")
async def test_chunks_that_go_wrong_later(client: type[DirectClient | SessionClient]) -> None:
    """A body whose framing breaks after its beginning came is not proper HTTP; one that only ends is cut short."""
    begun = CHUNKED + b"%x\r\n%s\r\n" % (len(BODY), BODY)
    error = await refused(in_pieces(begun, b"xyz\r\n", every_s=0.02), client)
    assert isinstance(error, ProtocolError)
    assert error.is_improper
    assert isinstance(await refused(then_close(begun), client), NetworkError)


@given(
    noise=st.lists(
        st.sampled_from(
            [b"Server: a", b"Server: b", b" folded", b"\tfolded", b" ", b"", b"Content-Length: 5", b"Content-Length: 6",
             b"Transfer-Encoding: chunked", b"X\n: 1", b"X: \0", b"X: \x01", b"content-LENGTH : 5", b"ETag: x", b"none"]
        ),
        max_size=8,
    ),
    is_whole=st.booleans(),
)  # fmt: skip
@settings(max_examples=500, deadline=None)
def test_nothing_of_the_framing_is_ever_mended(noise: list[bytes], *, is_whole: bool) -> None:
    """Whatever a head holds: mended, its framing headers are those that came, each once, and none is folded."""
    head = b"\r\n".join([b"HTTP/1.1 200 OK", *noise]) + (b"\r\n\r\n" if is_whole else b"")
    try:
        mended = mend(head)
    except ImproperError:
        return
    if mended is None:
        assert b"\r\n\r\n" not in head
        return
    framing = (b"content-length:", b"transfer-encoding:")
    came = [line for line in head.partition(b"\r\n\r\n")[0].split(b"\r\n") if line.lower().startswith(framing)]
    kept = [line for line in mended.partition(b"\r\n\r\n")[0].split(b"\r\n") if line.lower().startswith(framing)]
    assert kept == came
    assert len(came) <= 1
    assert not {b" ", b"\t"} & {line[:1] for line in mended.partition(b"\r\n\r\n")[0].split(b"\r\n")}
