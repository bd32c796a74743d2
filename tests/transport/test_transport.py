"""The transport: what goes onto the wire, what may come back, and that nothing of a key ever leaves it in an error.

Everything here runs over both clients: what one promises the other keeps.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
import re
import socket
import ssl
import threading
import time
import traceback
import tracemalloc
import warnings
import zlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from functools import cache
from math import inf
from typing import TYPE_CHECKING

import pytest
import trustme
import uvloop
from faults.timelapse import now_s, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.lists import request_of
from support.raw_server import RawServer, answer, in_pieces, page, refusal, then_close, then_reset, zipped

from crawler.api.collections import IMAGES
from crawler.api.v2 import V2
from crawler.api.zones import ZONES
from crawler.core.errors import (
    CertificateError,
    CredentialsError,
    GatewayError,
    InvalidRegistryNameError,
    NetworkError,
    PageError,
    ProtocolError,
    RequestError,
    TimedOutError,
    TooLargeError,
)
from crawler.core.secret import KeyPair, Secret
from crawler.emulation import Emulator, EmulatorOptions
from crawler.settings.credentials import Credentials
from crawler.transport import MAX_BODY_BYTES, Timeouts, Transport, fetch_metadata, refusals
from crawler.transport.clients import SLOWEST_BYTES_PER_S, TIMEOUTS
from crawler.transport.direct import DirectClient
from crawler.transport.gcra import RateLimits
from crawler.transport.library import aiohttp
from crawler.transport.opening import open_client
from crawler.transport.rate_limiter import RateLimiter
from crawler.transport.session import SessionClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from support.raw_server import Answer, Request

    from crawler.core.model import PageRequest

ACCESS, SECRET = "SENTINEL-access-5d1f9a", "SENTINEL-secret-9b7c3e"
KR = ZONES["public"].regions[0]
FIRST = request_of(KR, "team-a", 1, 100)
BODY = page({"name": "nginx", "pull_count": 3}, {"name": "한글", "pull_count": 2**70})
OK = answer(BODY)
QUICK = Timeouts(connect_s=0.2, stall_s=0.2, a_try_s=0.2)


@pytest.fixture(params=[DirectClient, SessionClient], autouse=True, scope="module")
def wire_in_use(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run the whole module over each client."""
    request.module.HttpClient = request.param
    yield
    request.module.HttpClient = DirectClient


HttpClient: type[DirectClient | SessionClient] = DirectClient


@dataclass
class Count:
    """Counts wire attempts."""

    requests: int = 0


@asynccontextmanager
async def transport_to(
    url: str, *, rate: float = inf, timeouts: Timeouts | None = None, trust_env: bool = False
) -> AsyncIterator[Transport]:
    rate_limiter = RateLimiter(RateLimits(rate, inf, [KR.code]), [KR.code])
    credentials = Credentials(KeyPair(Secret(ACCESS), Secret(SECRET), "the test"))
    timeouts = timeouts or Timeouts()
    client = SessionClient(url, timeouts, trust_env=True) if trust_env else HttpClient(url, timeouts)
    async with Transport(credentials, rate_limiter, {KR.code: client}) as transport:
        yield transport


async def fetch(*answers: Answer, timeouts: Timeouts | None = None, request: PageRequest = FIRST) -> bytes:
    """Fetch one page from a server that answers so; within 15 s, whatever it answers."""
    async with RawServer(*answers) as server, transport_to(server.url, timeouts=timeouts) as transport:
        async with asyncio.timeout(15):
            return await transport.fetch(request, Count())


async def fetch_failing(*answers: Answer, timeouts: Timeouts | None = None) -> RequestError:
    """Return the error that the fetch of one page ends in."""
    with pytest.raises(RequestError) as caught:
        await fetch(*answers, timeouts=timeouts)
    return caught.value


def assert_signed(request: Request) -> None:
    """Compute the signature from nothing but the captured bytes and the provider's recipe."""
    method, target, _ = request.head.decode().split("\r\n")[0].split(" ")
    sent = request.headers
    text = f"{method} {target}\n{sent['x-ncp-apigw-timestamp']}\n{ACCESS}"
    digest = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest()
    assert sent["x-ncp-iam-access-key"] == ACCESS
    assert sent["x-ncp-apigw-signature-v2"] == base64.b64encode(digest).decode()
    assert abs(int(sent["x-ncp-apigw-timestamp"]) / 1000 - request.time_s) < 10


# --- what goes onto the wire -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "target"),
    [
        (FIRST, "/ncr/api/v2/repositories/team-a?page=1&pagesize=100"),
        (request_of(KR, "a.b_c-D9", 12, None), "/ncr/api/v2/repositories/a.b_c-D9?page=12"),
        (request_of(KR, None, 3, 20), "/ncr/api/v2/repositories?page=3&pagesize=20"),
    ],
)
async def test_the_request_line_is_what_was_signed(request_: PageRequest, target: str) -> None:
    """The signature fits the very bytes of the request line."""
    async with RawServer(OK) as server, transport_to(server.url) as transport:
        assert await transport.fetch(request_, Count()) == BODY
    (request,) = server.requests
    assert request.target == target
    assert_signed(request)


async def test_headers_of_a_request() -> None:
    """A request says who asks, for what, and takes gzip and nothing else; it brings no cookie and no body."""
    async with RawServer(OK) as server, transport_to(server.url) as transport:
        await transport.fetch(FIRST, Count())
    sent = server.requests[0].headers
    assert sent["accept-encoding"] == "gzip"
    assert sent["accept"] == "application/json"
    assert sent["user-agent"].startswith("ncrawl/")
    assert not {"cookie", "authorization", "content-length", "transfer-encoding"} & sent.keys()


@pytest.mark.on_both_loops
async def test_hidden_resend_is_signed_and_counted() -> None:
    """A kept-alive connection that dies is one page and two attempts, each signed, each counted (N4)."""
    async with RawServer(OK, then_reset(), OK) as server, transport_to(server.url) as transport:
        count = Count()
        assert await transport.fetch(FIRST, count) == BODY
        assert await transport.fetch(FIRST, count) == BODY
        assert count.requests == len(server.requests) == 3
        assert server.connections == 2
    for request in server.requests:
        assert_signed(request)


async def test_a_resend_goes_over_a_fresh_connection() -> None:
    """Where one kept connection was closed the others may be too (N4)."""
    async with RawServer(OK, OK, then_reset(), OK) as server, transport_to(server.url) as transport:
        await asyncio.gather(*(transport.fetch(FIRST, Count()) for _ in range(2)))
        assert server.connections == 2
        assert await transport.fetch(FIRST, Count()) == BODY
    assert (len(server.requests), server.connections) == (4, 3)


@pytest.mark.on_both_loops
async def test_every_kept_connection_may_be_closed_at_once() -> None:
    """A gateway that was restarted resets all of them on reuse: one attempt more for each page, and none is lost."""
    used: set[asyncio.StreamWriter] = set()

    async def once_a_connection(writer: asyncio.StreamWriter) -> None:
        if writer in used:
            await then_reset()(writer)
        else:
            used.add(writer)
            writer.write(OK)

    async with RawServer(once_a_connection) as server, transport_to(server.url) as transport:
        count = Count()
        await asyncio.gather(*(transport.fetch(FIRST, count) for _ in range(3)))
        assert await asyncio.gather(*(transport.fetch(FIRST, count) for _ in range(3))) == [BODY] * 3
        assert count.requests == len(server.requests) == 3 + 2 * 3
    for request in server.requests:
        assert_signed(request)


async def test_which_wire_is_taken_and_why(hostile_environment: pytest.MonkeyPatch) -> None:
    """The fast one where it is known to work; the other with any other aiohttp, and for what the environment says."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        hostile_environment.delenv(name, raising=False)

    async def taken(*, trust_env: bool) -> tuple[type, str]:
        client, why = open_client("http://127.0.0.1:1", trust_env=trust_env)
        await client.close()
        return type(client), why

    assert (await taken(trust_env=False))[0] is DirectClient
    assert await taken(trust_env=True) == (
        SessionClient,
        "requests go by aiohttp's session, through no proxy: --trust-env",
    )
    hostile_environment.setenv("http_proxy", "http://me:hunter2@proxy.example:3128")
    assert await taken(trust_env=True) == (
        SessionClient,
        "requests go by aiohttp's session, through the proxy proxy.example:3128, which http_proxy names: --trust-env",
    )
    hostile_environment.setattr(aiohttp, "__version__", "3.99.0")
    kind, why = await taken(trust_env=False)
    assert kind is SessionClient
    assert "3.99.0" in why


async def test_an_answer_that_nobody_asked_for_is_nobodys() -> None:
    """It came behind another one, and is not taken for the answer to the next request."""
    forged = answer(page({"name": "forged"}))
    async with RawServer(OK + forged, OK) as server, transport_to(server.url) as transport:
        assert await transport.fetch(FIRST, Count()) == BODY
        assert await transport.fetch(FIRST, Count()) == BODY
    assert server.connections == 2


async def test_many_hidden_resends_are_counted() -> None:
    """Whatever share of connections is dropped, the count is what the server saw."""
    options = EmulatorOptions(registries=1, images=5, faults={"drop-kept-alive": 0.5, "reset": 0.1})
    async with Emulator(options) as emulator:
        keys = KeyPair(Secret(emulator.access_key), Secret(emulator.secret_key), "the emulator")
        rate_limiter = RateLimiter(RateLimits(inf, inf, ["kr"]), ["kr"])
        async with Transport(
            Credentials(keys), rate_limiter, {KR.code: HttpClient(emulator.url, Timeouts())}
        ) as transport:
            count, pages = Count(), 0
            for _ in range(60):
                try:
                    pages += bool(await transport.fetch(request_of(KR, None, 1, None), count))
                except NetworkError:
                    continue
    assert count.requests == emulator.statistics.requests > 60
    assert pages > 20
    assert emulator.statistics.bad_signatures == 0


async def test_signed_after_the_wait() -> None:
    """A request that waits for its turn is signed when it goes, not when it was made (C3)."""
    async with RawServer(OK) as server, transport_to(server.url, rate=8) as transport:
        start_ms = time.time() * 1000
        await asyncio.gather(*(transport.fetch(FIRST, Count()) for _ in range(4)))
    signed_ms = sorted(int(request.headers["x-ncp-apigw-timestamp"]) - start_ms for request in server.requests)
    assert [signed > 120 * turn for turn, signed in enumerate(signed_ms)] == [signed_ms[0] > 0, True, True, True]


def test_waiting_for_the_pace_counts_against_no_timeout() -> None:
    """Requests wait longer than any time-out, and none is cut off; nor is one that is sent again."""

    async def main() -> None:
        async with RawServer(OK) as server, transport_to(server.url, rate=0.1) as transport:
            began_s = now_s()
            await asyncio.gather(*(transport.fetch(FIRST, Count()) for _ in range(6)))
            assert now_s() - began_s > TIMEOUTS.a_try_s
            server._answers = (then_reset(), OK)
            server.requests.clear()
            others = [asyncio.create_task(transport.fetch(FIRST, Count())) for _ in range(6)]
            assert await asyncio.gather(*others) == [BODY] * 6

    run(main)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_redirects_are_not_followed(status: str) -> None:
    """A redirect is an error like any other answer that is not 200; its target never hears of us (H9)."""
    async with RawServer(OK) as target:
        elsewhere = answer(b"", f"Location: {target.url}/", status=status)
        async with RawServer(elsewhere) as server, transport_to(server.url) as transport:
            with pytest.raises(GatewayError) as caught:
                await transport.fetch(FIRST, Count())
    assert caught.value.status == int(status[:3])
    assert target.connections == 0


async def test_cookies_are_neither_kept_nor_sent() -> None:
    """Set-Cookie changes nothing (H15)."""
    baked = answer(BODY, "Set-Cookie: session=abc; Path=/", "Set-Cookie: other=def")
    async with RawServer(baked) as server, transport_to(server.url) as transport:
        for _ in range(3):
            await transport.fetch(FIRST, Count())
    assert all("cookie" not in request.headers for request in server.requests)


@pytest.fixture
def hostile_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment with a .netrc for loopback and no exception from proxies."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login mallory password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


async def test_proxies_and_netrc_are_ignored(hostile_environment: pytest.MonkeyPatch) -> None:
    """Whatever the environment says: the request goes to the gateway, with our headers only (T6)."""
    async with RawServer(OK) as proxy, RawServer(OK) as server:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            hostile_environment.setenv(name, proxy.url)
        async with transport_to(server.url) as transport:
            assert await transport.fetch(FIRST, Count()) == BODY
    assert proxy.connections == 0
    assert "authorization" not in server.requests[0].headers


async def test_proxies_and_netrc_are_used_when_asked_for(hostile_environment: pytest.MonkeyPatch) -> None:
    """``--trust-env`` is what it says, and the signature is still that of path and query."""
    async with RawServer(OK) as proxy, RawServer(OK) as server:
        async with transport_to(server.url, trust_env=True) as transport:
            await transport.fetch(FIRST, Count())
        hostile_environment.setenv("http_proxy", proxy.url)
        async with transport_to(server.url, trust_env=True) as transport:
            assert await transport.fetch(FIRST, Count()) == BODY
    assert "authorization" in server.requests[0].headers
    assert len(server.requests) == len(proxy.requests) == 1


async def test_hostile_registry_name_reaches_nothing() -> None:
    """It is refused before a connection is made, and not counted (K6)."""
    async with RawServer(OK) as server, transport_to(server.url) as transport:
        count = Count()
        for name in ("../x", "..", "%2e%2e", "a?b", "a#b", "a\r\nb: c", "", "a" * 300, "a\0", "\ud800"):
            with pytest.raises(InvalidRegistryNameError):
                await transport.fetch(request_of(KR, name, 1, None), count)
    assert (server.connections, count.requests) == (0, 0)


async def test_expired_keys_send_nothing() -> None:
    """Keys that ran out and cannot be renewed end in CredentialsError, uncounted and unsent."""
    keys = KeyPair(Secret(ACCESS), Secret(SECRET), "server role x", expires_at_s=time.time() - 1)
    rate_limiter = RateLimiter(RateLimits(inf, inf, [KR.code]), [KR.code])
    count = Count()
    async with (
        RawServer(OK) as server,
        Transport(Credentials(keys), rate_limiter, {KR.code: HttpClient(server.url, Timeouts())}) as transport,
    ):
        with pytest.raises(CredentialsError):
            await transport.fetch(FIRST, count)
    assert (server.requests, count.requests) == ([], 0)


async def test_keys_expire_by_the_gateways_clock() -> None:
    """A clock found to be an hour behind counts for the keys, too: those that expired meanwhile are renewed."""
    now_s = time.time()
    expiring = KeyPair(Secret("old"), Secret(SECRET), "server role x", expires_at_s=now_s + 1800)

    async def renew(_now_s: float) -> KeyPair:
        return KeyPair(Secret(ACCESS), Secret(SECRET), "server role x", expires_at_s=now_s + 7200)

    ahead = refusal(401, "200", "Authentication Failed", f"Date: {formatdate(now_s + 3600, usegmt=True)}")
    rate_limiter = RateLimiter(RateLimits(inf, inf, [KR.code]), [KR.code])
    async with (
        RawServer(ahead, OK) as server,
        Transport(
            Credentials(expiring, now_s, renew), rate_limiter, {KR.code: HttpClient(server.url, Timeouts())}
        ) as transport,
    ):
        with pytest.raises(GatewayError) as caught:
            await transport.fetch(FIRST, Count())
        assert transport.clock_explains(caught.value)
        await transport.fetch(FIRST, Count())
    assert [request.headers["x-ncp-iam-access-key"] for request in server.requests] == ["old", ACCESS]


# --- bodies ------------------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
ZIPPED = gzip.compress(BODY)
ZIP_HEADER = "Content-Encoding: gzip"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.mark.parametrize(
    "good",
    [
        OK,
        zipped(BODY),
        answer(ZIPPED, "Content-Encoding: X-GZIP"),
        answer(BODY, "Content-Encoding: identity"),
        CHUNKED + chunk(BODY[:5]) + chunk(BODY[5:]) + b"0\r\n\r\n",
        in_pieces(OK[:7], OK[7:60], OK[60:-3], OK[-3:]),
        in_pieces(zipped(BODY)[:-9], zipped(BODY)[-9:]),
        then_close(HEAD + b"\r\n" + BODY),
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK,
    ],
    ids=[
        "plain", "gzip", "x-gzip", "identity", "chunked", "pieces", "gzip in pieces", "close-delimited", "after 1xx"
    ],
)  # fmt: skip
async def test_whole_bodies(good: Answer) -> None:
    """Every proper way to send a body gives its bytes."""
    assert await fetch(good) == BODY


CUT = [
    ("Content-Length", then_close(OK[:-5]), NetworkError),
    ("Content-Length, no body", then_close(answer(b"", length=9)), NetworkError),
    ("chunked, in a chunk", then_close(CHUNKED + chunk(BODY)[:-9]), NetworkError),
    ("chunked, between chunks", then_close(CHUNKED + chunk(BODY)), NetworkError),
    ("reset in mid-body", then_reset(OK[:-5]), NetworkError),
    ("reset before the headers", then_reset(), NetworkError),
    ("closed before the headers", then_close(b""), NetworkError),
    ("reset in the headers", then_reset(HEAD), NetworkError),
    ("gzip, right Content-Length", answer(ZIPPED[:-12], ZIP_HEADER), ProtocolError),
    ("gzip, only its checksum missing", answer(ZIPPED[:-1], ZIP_HEADER), ProtocolError),
    ("gzip, nothing", answer(b"", ZIP_HEADER), ProtocolError),
    ("gzip, close-delimited", then_close(HEAD + b"Content-Encoding: gzip\r\n\r\n" + ZIPPED[:-12]), ProtocolError),
]


@pytest.mark.on_both_loops
@pytest.mark.parametrize(("cut", "kind"), [case[1:] for case in CUT], ids=[case[0] for case in CUT])
async def test_short_bodies_are_errors(cut: Answer, kind: type[RequestError]) -> None:
    """An answer that was cut off anywhere is an error by type, never a short page (N2, N3, H11)."""
    error = await fetch_failing(cut)
    assert type(error) is kind


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
async def test_cut_close_delimited_page_is_no_page(share: float) -> None:
    """Where the end of the connection is the end of the body, what is cut off is no JSON."""
    body = await fetch(then_close(HEAD + b"\r\n" + BODY[: int(share * len(BODY))]))
    with pytest.raises(PageError):
        V2.decode(body, IMAGES, 1)


@pytest.mark.parametrize(
    "bad",
    [
        answer(gzip.compress(ZIPPED), "Content-Encoding: gzip, gzip"),
        answer(BODY, ZIP_HEADER),
        answer(BODY, "Content-Encoding: br"),
        answer(zlib.compress(BODY), "Content-Encoding: deflate"),
        answer(ZIPPED + b"more", ZIP_HEADER),
        answer(ZIPPED[:-8] + bytes(8), ZIP_HEADER),
    ],
    ids=["twice by header", "not gzip", "br", "deflate", "junk behind", "wrong checksum"],
)
async def test_encodings_that_lie(bad: bytes) -> None:
    """What is not one gzip member, or has an encoding that was not asked for, is a protocol error (H12)."""
    assert type(await fetch_failing(bad)) is ProtocolError


@pytest.mark.parametrize("bad", [zipped(ZIPPED), answer(ZIPPED)], ids=["gzip in gzip", "gzip without header"])
async def test_gzip_that_the_header_does_not_tell_of_is_no_page(bad: bytes) -> None:
    """It is passed on as it is, and then it is no page."""
    body = await fetch(bad)
    with pytest.raises(PageError):
        V2.decode(body, IMAGES, 1)


@cache
def bomb() -> bytes:
    """Half a megabyte of gzip that is 512 MiB unpacked: one block of 1 MiB of zeros, again and again."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    first = deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    block = deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return first + block * 511


async def test_gzip_bomb_takes_no_memory() -> None:
    """512 MiB out of half a megabyte end in an error, with less than 16 MB held at any time."""
    assert len(bomb()) < 700_000
    async with RawServer(answer(bomb(), ZIP_HEADER)) as server, transport_to(server.url) as transport:
        tracemalloc.start()
        try:
            with pytest.raises(TooLargeError, match="larger than"):
                await transport.fetch(FIRST, Count())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 16_000_000


async def test_body_at_the_cap_is_whole_and_above_it_an_error() -> None:
    """The cap is on decoded bytes, to the byte, zipped or not."""
    most = bytes(MAX_BODY_BYTES)
    assert await fetch(zipped(most)) == most
    assert await fetch(answer(most)) == most
    assert type(await fetch_failing(zipped(most + b" "))) is TooLargeError
    assert type(await fetch_failing(answer(most + b" "))) is TooLargeError


@pytest.mark.parametrize("zip_it", [False, True])
async def test_endless_body(zip_it: bool) -> None:  # noqa: FBT001 - a parameter
    """A body that never ends is an error as soon as it is above the cap (H13)."""
    begun = (
        zlib.compressobj(0, zlib.DEFLATED, 16 + zlib.MAX_WBITS).compress(bytes(1 << 20)) if zip_it else bytes(1 << 20)
    )
    head = HEAD + (b"Content-Encoding: gzip\r\n" if zip_it else b"") + b"Transfer-Encoding: chunked\r\n\r\n"
    more = zlib.compressobj(0, zlib.DEFLATED, -zlib.MAX_WBITS).compress(bytes(1 << 20)) if zip_it else begun
    endless = in_pieces(head + chunk(begun), chunk(more), every_s=0, for_ever=True)
    assert type(await fetch_failing(endless)) is TooLargeError


# --- HTTP that is none -------------------------------------------------------------------------------------------

MALFORMED = {
    "two Content-Lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\nhello",
    "negative Content-Length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
    "Content-Length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
    "Content-Length with Transfer-Encoding": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    ),
    "header line of 1 MB": b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 1_000_000 + b"\r\nContent-Length: 0\r\n\r\n",
    "10,000 headers": b"HTTP/1.1 200 OK\r\n" + b"X-Many: x\r\n" * 10_000 + b"Content-Length: 0\r\n\r\n",
    "NUL": b"HTTP/1.1 200 OK\r\nX-Nul: a\0b\r\nContent-Length: 0\r\n\r\n",
    "bare LF": OK.replace(b"\r\n", b"\n"),
    "one bare LF": OK.replace(b"\r\n", b"\n", 1),
    "header without colon": b"HTTP/1.1 200 OK\r\nno colon here\r\nContent-Length: 0\r\n\r\n",
    "no HTTP at all": b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
    "HTTP of the future": b"HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n",
    "status that is none": b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
    "chunk size that is none": CHUNKED + b"xyz\r\nhello\r\n0\r\n\r\n",
    "negative chunk size": CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "chunk longer than it says": CHUNKED + b"3\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("malformed", MALFORMED.values(), ids=MALFORMED)
async def test_malformed_http(malformed: bytes) -> None:
    """It is an error of the protocol or the network by type, never a status 400 that no server sent (H14)."""
    error = await fetch_failing(then_close(malformed))
    assert type(error) in (ProtocolError, NetworkError)


@pytest.mark.parametrize(
    "sloppy",
    [
        OK.replace(b"Length:", b"Length :"),
        HEAD + b"Transfer-Encoding: identity\r\n\r\n" + BODY,
    ],
    ids=["blank before the colon", "odd transfer encoding"],
)
async def test_sloppy_http_is_an_error_or_read_right(sloppy: bytes) -> None:
    """What some parsers forgive is forgiven or refused, and never makes a short page."""
    try:
        assert await fetch(then_close(sloppy)) == BODY
    except RequestError as error:
        assert type(error) in (ProtocolError, NetworkError)  # noqa: PT017 - either is right


@pytest.mark.parametrize("status", ["204 No Content", "206 Partial Content", "201 Created", "999 What"])
async def test_only_200_is_an_answer(status: str) -> None:
    """Any other status is an error, whatever body it has (H10)."""
    body = b"" if status.startswith("204") else BODY
    error = await fetch_failing(answer(body, status=status))
    assert isinstance(error, GatewayError)
    assert error.status == int(status[:3])


@given(noise=st.binary(max_size=200), where=st.integers(0, 400))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_noise_is_a_body_or_our_error(noise: bytes, where: int) -> None:
    """Whatever bytes a server puts into its answer: bytes come out, or one of our errors, and nothing else."""

    async def attempt() -> None:
        spoilt = OK[: where % len(OK)] + noise + OK[where % len(OK) :]
        try:
            await fetch(then_close(spoilt), timeouts=QUICK)
        except RequestError as error:
            assert ACCESS not in str(error)  # noqa: PT017 - either is right

    asyncio.run(attempt())


# --- time --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "slow",
    [
        in_pieces(OK[:-5], b"", for_ever=True),
        in_pieces(answer(b"", length=1000), b"x", every_s=0.02, for_ever=True),
        in_pieces(CHUNKED, b"1\r\nx\r\n", every_s=0.02, for_ever=True),
        in_pieces(b"HTTP/1.1 102 Processing\r\n\r\n", every_s=0.01, for_ever=True),
        in_pieces(HEAD + b"X-Slow: ", b"x", every_s=0.02, for_ever=True),
        in_pieces(b"", every_s=1, for_ever=True),
        in_pieces(answer(b"", status="500 Oops", length=1000), b"x", every_s=0.02, for_ever=True),
        in_pieces(answer(b"x", status="500 Oops", length=1000), b"", for_ever=True),
    ],
    ids=["stall", "drip", "chunked drip", "endless 1xx", "header drip", "silence", "error drip", "error stall"],
)
async def test_a_try_ends_in_its_time(slow: Answer) -> None:
    """A server that stalls or drips costs one try's time, not the run (N9, N10)."""
    error = await fetch_failing(slow, timeouts=QUICK)
    assert type(error) is TimedOutError
    assert str(error).startswith("no ")


def test_slow_but_steady_is_not_cut_off() -> None:
    """A body that takes several tries' time comes whole, as long as it flows (N8)."""
    piece = bytes(2 * 10 * SLOWEST_BYTES_PER_S)
    slow = in_pieces(answer(b"", length=10 * len(piece)), *[piece] * 10, every_s=10)

    async def main() -> bytes:
        async with RawServer(slow) as server, transport_to(server.url) as transport:
            return await transport.fetch(FIRST, Count())

    assert run(main) == piece * 10


async def test_black_hole() -> None:
    """A host that answers no SYN costs the connect time-out and counts as no answer (N5)."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        async with transport_to(f"http://127.0.0.1:{listener.getsockname()[1]}", timeouts=QUICK) as transport:
            with pytest.raises(NetworkError, match="no answer"):
                await transport.fetch(FIRST, Count())
        for filler in fillers:
            filler.close()


@pytest.mark.on_both_loops
async def test_connection_refused_and_name_that_does_not_resolve() -> None:
    """Both are network errors that say what happened (N1, N12)."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with transport_to(f"http://127.0.0.1:{unused.getsockname()[1]}") as transport:
            with pytest.raises(NetworkError, match="cannot connect: Connection refused"):
                await transport.fetch(FIRST, Count())
    for host in ("no-such-host.invalid", f"{64 * 'a'}.invalid"):
        async with transport_to(f"http://{host}") as transport:
            with pytest.raises(NetworkError, match="does not resolve"):
                await transport.fetch(FIRST, Count())


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_resolver_that_hangs_holds_nothing_up(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs the connect time-out, and the end of the program does not wait for its answer (N12, S1)."""
    answered = threading.Event()

    def hang(*_arguments: object, **_more: object) -> list[object]:
        answered.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    async def attempt() -> None:
        async with transport_to("http://gateway.example", timeouts=QUICK) as transport:
            with pytest.raises(NetworkError, match="no answer"):
                await transport.fetch(FIRST, Count())

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(attempt())
    hanging = [thread for thread in threading.enumerate() if thread.name == "look up gateway.example"]
    assert hanging
    assert all(thread.daemon for thread in hanging)
    answered.set()
    for thread in hanging:
        thread.join()


async def test_names_are_looked_up() -> None:
    """localhost, in whichever family the server listens."""
    async with RawServer(OK) as server, transport_to(f"http://localhost:{server.port}") as transport:
        assert await transport.fetch(FIRST, Count()) == BODY
    assert_signed(server.requests[0])


async def test_cancelled_fetch_lets_go_of_its_connection() -> None:
    """Cancellation comes out as itself, and the connection is closed, not given to the next request."""
    async with RawServer(in_pieces(OK[:-5], b"", for_ever=True), OK) as server, transport_to(server.url) as transport:
        task = asyncio.create_task(transport.fetch(FIRST, Count()))
        async with asyncio.timeout(60):
            while not server.requests:  # noqa: ASYNC110 - a server tells nobody what it noticed
                await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await transport.fetch(FIRST, Count()) == BODY
        assert server.connections == 2


# --- refusals ----------------------------------------------------------------------------------------------------

NOT_CHUNKED = refusal(401, "210", "Permission Denied")
ZIPPED_REFUSAL = gzip.compress(NOT_CHUNKED.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize(
    ("given_answer", "code"),
    [
        (refusal(401, "210"), "210"),
        (refusal(401, 210), "210"),
        (refusal(401, None), None),
        (refusal(401, True), None),
        (answer(b'{"error": {"message": "x"}}', status="401 No"), None),
        (answer(b"<html>Unauthorized</html>", "Content-Type: text/html", status="401 No"), None),
        (answer(b"", status="401 No"), None),
        (answer(b"[]", status="401 No"), None),
        (in_pieces(NOT_CHUNKED[:-40], NOT_CHUNKED[-40:-20], NOT_CHUNKED[-20:]), "210"),
        (in_pieces(NOT_CHUNKED.partition(b"{")[0], b"{" + NOT_CHUNKED.partition(b"{")[2]), "210"),
        (answer(ZIPPED_REFUSAL, ZIP_HEADER, status="401 No"), "210"),
        (answer(b"", ZIP_HEADER, status="401 No"), None),
        (answer(gzip.compress(b"x" * 100_000), ZIP_HEADER, status="401 No"), None),
        (answer(b"not gzip", ZIP_HEADER, status="401 No"), None),
        (answer(b"x" * 100_000, status="401 No"), None),
    ],
    ids=[
        "text", "number", "null", "bool", "missing", "HTML", "nothing", "a list", "in pieces", "body apart", "gzip",
        "gzip of nothing", "long gzip", "not gzip", "long",
    ],
)  # fmt: skip
async def test_error_codes(given_answer: Answer, code: str | None) -> None:
    """The gateway's code is found in every form that it takes, and missed where there is none."""
    error = await fetch_failing(given_answer)
    assert isinstance(error, GatewayError)
    assert (error.status, error.code) == (401, code)


@pytest.mark.parametrize(
    "cut",
    [
        then_close(NOT_CHUNKED[:-9]),
        then_reset(NOT_CHUNKED[:-9]),
        answer(ZIPPED_REFUSAL[:-30], ZIP_HEADER, status="401 No"),
        answer(ZIPPED_REFUSAL[:5], ZIP_HEADER, status="401 No"),
    ],
    ids=["closed", "reset", "gzip, right Content-Length", "gzip, head only"],
)
async def test_half_a_refusal_is_no_refusal(cut: Answer) -> None:
    """Without its code a 401 would stop the whole run; where the code may just have been cut off, it is asked again."""
    assert type(await fetch_failing(cut)) is NetworkError


RETRY_AFTER = [
    ("5", 5), ("0", 0), ("60", 60), ("61", 60), ("9" * 400, 60), (" 7 ", 7), ("-1", None), ("1e99", None),
    ("NaN", None), ("1.5", None), ("soon", None), ("", None), ("٣", None), ("Mon, 99 Foo 2026 99:99:99 GMT", None),
    (",", None), ("Fri, 31 Dec 9999 23:59:59 GMT", 60), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected_s"), RETRY_AFTER)
async def test_retry_after(text: str, expected_s: float | None) -> None:
    """Seconds or a date, within 0 to 60; nonsense is ignored (H3)."""
    error = await fetch_failing(refusal(429, "410", "slow", f"Retry-After: {text}"))
    assert isinstance(error, GatewayError)
    assert error.retry_after_s == expected_s


@pytest.mark.parametrize("skew_s", [0, -86_400, 86_400])
async def test_retry_after_date_is_by_the_gateways_clock(skew_s: float) -> None:
    """A date 20 s after the gateway's own Date is 20 s, however wrong its clock; the skew is told."""
    now_s = int(time.time()) + skew_s
    dates = (f"Date: {formatdate(now_s, usegmt=True)}", f"Retry-After: {formatdate(now_s + 20, usegmt=True)}")
    error = await fetch_failing(refusal(503, "500", "no", *dates))
    assert isinstance(error, GatewayError)
    assert error.retry_after_s == pytest.approx(20)
    assert error.clock_skew_s == pytest.approx(skew_s, abs=5)


async def test_retry_after_date_without_a_date_is_by_our_clock() -> None:
    """Also when the gateway's Date is garbled (C4)."""
    for date in ("X-Nothing: 1", "Date: yesterday"):
        soon = formatdate(time.time() + 30, usegmt=True)
        error = await fetch_failing(refusal(503, "500", "no", f"Retry-After: {soon}", date))
        assert isinstance(error, GatewayError)
        assert error.retry_after_s == pytest.approx(30, abs=5)
        assert error.clock_skew_s is None


@pytest.mark.parametrize("zone", ["", " -0000", " GMT"])
async def test_date_is_utc_whatever_the_zone_of_this_machine(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An HTTP date that names no zone is not taken for local time: the clock would be corrected by hours."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "UTC-9")
        time.tzset()
        date = formatdate(time.time()).removesuffix(" -0000") + zone
        error = await fetch_failing(refusal(401, "200", "Authentication Failed", f"Date: {date}"))
    time.tzset()
    assert isinstance(error, GatewayError)
    assert error.clock_skew_s == pytest.approx(0, abs=5)


@given(text=st.text(max_size=40) | st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ [\d:]+ \S+", fullmatch=True))
def test_no_text_breaks_a_date(text: str) -> None:
    """Any text is a time within bounds, or ignored."""
    asked_s = refusals._retry_after(text, None)
    assert asked_s is None or 0 <= asked_s <= 60


# --- secrets -----------------------------------------------------------------------------------------------------


def told(error: BaseException | None, skipped_frames: int = 1) -> str:
    """Return everything that an exception and all that hang on it can tell: texts, fields, tracebacks with locals.

    The test's own frame is left out: it knows the key.
    """
    if error is None:
        return ""
    frames = list(traceback.walk_tb(error.__traceback__))[skipped_frames:]
    stack = traceback.StackSummary.extract(iter(frames), capture_locals=True)
    here = f"{error!s} {error!r} {error.args!r} {vars(error)!r} {''.join(stack.format())}"
    return here + told(error.__cause__, 0) + told(error.__context__, 0)


LEAKY = {
    "gateway": refusal(500, "900"),
    "refusal with an odd body": answer(b"not gzip", ZIP_HEADER, status="500 Oops"),
    "malformed": then_close(MALFORMED["negative Content-Length"]),
    "bad chunk": then_close(MALFORMED["chunk size that is none"]),
    "reset": then_reset(),
    "cut": then_close(OK[:-5]),
    "cut gzip": answer(ZIPPED[:-9], ZIP_HEADER),
    "not gzip": answer(BODY, ZIP_HEADER),
    "br": answer(BODY, "Content-Encoding: br"),
    "too large": answer(bytes(MAX_BODY_BYTES + 1)),
    "stall": in_pieces(OK[:-5], b"", for_ever=True),
    "silence": in_pieces(b"", every_s=1, for_ever=True),
}


@pytest.mark.parametrize("bad", LEAKY.values(), ids=LEAKY)
def test_errors_hold_no_key(bad: Answer) -> None:
    """No text, field, cause, context or traceback local of an error shows key, secret or signature (K1).

    Nor does any frame of its traceback belong to aiohttp, whose objects hold the headers.
    """

    async def main() -> tuple[RequestError, Request]:
        async with RawServer(bad) as server, transport_to(server.url) as transport:
            with pytest.raises(RequestError) as caught:
                await transport.fetch(FIRST, Count())
        return caught.value, server.requests[0]

    error, request = run(main)
    assert "repositories/team-a" in told(error)  # it does look at locals
    for secret in (ACCESS, SECRET, request.headers["x-ncp-apigw-signature-v2"]):
        assert secret not in told(error)
    assert error.__cause__ is None
    frames = [frame.f_code.co_qualname for frame, _ in traceback.walk_tb(error.__traceback__)]
    assert frames[1:] == ["Transport.fetch", "Transport.get"]


async def test_gateway_that_echoes_a_request_is_not_quoted() -> None:
    """Access key and signature are taken out of the gateway's own words."""

    def echo(request: Request) -> bytes:
        return refusal(401, "200", f"bad request: {json.dumps(request.headers)}")

    async with RawServer(choose=echo) as server, transport_to(server.url) as transport:
        with pytest.raises(GatewayError) as caught:
            await transport.fetch(FIRST, Count())
    for secret in (ACCESS, SECRET, server.requests[0].headers["x-ncp-apigw-signature-v2"]):
        assert secret not in told(caught.value)
    assert "bad request" in str(caught.value)


ECHOES: dict[str, Callable[[str], bytes]] = {
    "errorCode": lambda secret: refusal(400, secret, "no"),
    "message": lambda secret: refusal(400, "100", f"you sent {secret}, {secret[:20]} and {secret[-8:].lower()}"),
    "long message": lambda secret: refusal(400, "100", f"{'.' * 290}{secret}{secret}"),
    "requestId": lambda secret: answer(json.dumps({"error": {"requestId": secret}}).encode(), status="400 No"),
    "trace id": lambda secret: refusal(400, "100", "no", f"x-ncp-trace-id: {secret}"),
    "request id": lambda secret: refusal(400, "100", "no", f"x-ncp-request-id: {secret[:30]}"),
    "origin": lambda secret: refusal(400, "100", "no", f"x-ncp-apigw-response-origin: {secret}"),
    "Retry-After": lambda secret: refusal(429, "410", "no", f"Retry-After: {secret}"),
    "Date": lambda secret: refusal(401, "200", "no", f"Date: {secret}"),
    "status line": lambda secret: answer(b"", status=f"400 {secret}"),
    "encoding": lambda secret: answer(BODY, f"Content-Encoding: {secret}"),
    "name of a header": lambda secret: answer(BODY, f"{re.sub('[^-_A-Za-z0-9]', '', secret)}: \0"),
    "value of a header": lambda secret: answer(BODY, f"X-Odd: \0{secret}"),
    "Content-Length": lambda secret: answer(BODY, f"Content-Length: {secret}"),
}


@pytest.mark.no_cover
@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
async def test_no_piece_of_a_secret_comes_back_in_any_field(echo: Callable[[str], bytes]) -> None:
    """Of access key, secret key and signature no eight characters in a row get into an error, in whatever field (K1).

    Nor does anything that has the shape of one of the provider's keys, whoever's it is.
    """
    shaped = "ncp_iam_" + "Ab1" * 11 + "x"
    for number in range(4):

        def choose(request: Request, number: int = number) -> bytes:
            return echo([ACCESS, SECRET, request.headers["x-ncp-apigw-signature-v2"], shaped][number])

        async with RawServer(choose=choose) as server, transport_to(server.url) as transport:
            with pytest.raises(RequestError) as caught:
                await transport.fetch(FIRST, Count())
        seen = f"{caught.value} {vars(caught.value)!r}".lower()
        assert "ncp_iam_" not in seen
        for secret in (ACCESS, SECRET, server.requests[0].headers["x-ncp-apigw-signature-v2"]):
            assert not [secret[at : at + 8] for at in range(len(secret) - 7) if secret[at : at + 8].lower() in seen]


@pytest.mark.parametrize(
    ("given_answer", "sentence"),
    [
        (
            refusal(403, "230", "Forbidden", "x-ncp-trace-id: 4bf92f35", "x-ncp-apigw-response-origin: ENDPOINT"),
            "403/230 Forbidden (trace 4bf92f35, from ENDPOINT)",
        ),
        (refusal(429, "410", "slow", "x-ncp-request-id: r-7"), "429/410 slow (request r-7)"),
        (answer(b'{"error":{"errorCode":"900","requestId":"b-1"}}', status="500 Oops"), "500/900 (request b-1)"),
        (answer(b'{"error":{"errorCode":"900"},"requestId":17}', status="500 Oops"), "500/900 (request 17)"),
        (answer(b'{"error":{"errorCode":"900"},"requestId":[17]}', status="500 Oops"), "500/900"),
        (answer(b"", "x-ncp-apigw-response-origin: APIGW", status="502 Bad"), "502 (from APIGW)"),
        (refusal(403, "230", "no", "x-ncp-trace-id:  ", "x-ncp-apigw-response-origin:"), "403/230 no"),
    ],
)
async def test_what_the_providers_support_asks_for(given_answer: Answer, sentence: str) -> None:
    """Trace id, request id and who answered stand at the end of the sentence, where the gateway sent them."""
    assert str(await fetch_failing(given_answer)) == sentence


@pytest.mark.parametrize("hostile", ["a\u202eb\x9b31m", "x" * 8000, "a\x1b[2Jb\x07"])
async def test_ids_are_short_and_harmless(hostile: str) -> None:
    """An id is anything that a gateway likes: it steers no terminal, and is cut."""
    told = str(await fetch_failing(refusal(403, "230", "no", f"x-ncp-trace-id: {hostile}")))
    assert told.startswith("403/230 no (trace ")
    assert told.isprintable()
    assert len(told) < 100


async def test_gateway_that_is_verbose_is_cut_short() -> None:
    """However much it says, and whatever it calls a code: thousands of refused registries fit into memory."""
    error = await fetch_failing(refusal(403, "230" * 1000, "no" * 10_000))
    assert isinstance(error, GatewayError)
    assert len(str(error)) < 400
    assert error.code == ("230" * 1000)[:20]


# --- TLS ---------------------------------------------------------------------------------------------------------


@dataclass
class Authority:
    """A certificate authority that the transport trusts, and one that it does not."""

    trusted: trustme.CA
    stranger: trustme.CA

    def context(self, *names: str, ca: trustme.CA | None = None, expires: datetime | None = None) -> ssl.SSLContext:
        """Return a server's context with a certificate for these names, or for 127.0.0.1."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        (ca or self.trusted).issue_cert(*names or ("127.0.0.1",), not_after=expires).configure_cert(context)
        return context


@pytest.fixture(scope="module")
def authorities() -> Authority:
    """Keys cost time: two authorities for all tests."""
    return Authority(trustme.CA(), trustme.CA())


@pytest.fixture
def authority(authorities: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Authority:
    """The environment says which authority to trust, as users of a private one say it."""
    file = tmp_path / "ca.pem"
    authorities.trusted.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    return authorities


@pytest.mark.on_both_loops
async def test_good_certificate(authority: Authority) -> None:
    """A certificate of an authority from SSL_CERT_FILE is fine."""
    async with RawServer(OK, ssl=authority.context()) as server, transport_to(server.url) as transport:
        assert await transport.fetch(FIRST, Count()) == BODY
    assert_signed(server.requests[0])


@pytest.mark.on_both_loops
@pytest.mark.parametrize("fault", ["other host", "expired", "unknown CA"])
async def test_bad_certificates(authority: Authority, fault: str) -> None:
    """Each is refused as permanent, says so, and not one signed byte was sent (T1 to T4)."""
    context = {
        "other host": lambda: authority.context("ncr.apigw.ntruss.com"),
        "expired": lambda: authority.context(expires=datetime.now(UTC) - timedelta(days=1)),
        "unknown CA": lambda: authority.context(ca=authority.stranger),
    }[fault]()
    async with RawServer(OK, ssl=context) as server, transport_to(server.url) as transport:
        with pytest.raises(CertificateError) as caught:
            await transport.fetch(FIRST, Count())
    assert server.requests == []
    assert ACCESS not in told(caught.value)
    hints = {"other host": "mismatch", "expired": "expired", "unknown CA": "unable to get local issuer"}
    assert hints[fault] in str(caught.value)


@pytest.mark.on_both_loops
async def test_old_tls_is_refused(authority: Authority) -> None:
    """A server that knows nothing newer than TLS 1.1 gets no signed byte, and that is permanent (T4).

    It is one of plain sockets: asyncio's resets the connection before the alert that says why is sent.
    """
    context = authority.context()
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> str:
            connection, _ = listener.accept()
            with connection, pytest.raises(ssl.SSLError) as refused:
                context.wrap_socket(connection, server_side=True)
            return str(refused.value)

        serving = asyncio.create_task(asyncio.to_thread(serve))
        async with transport_to(f"https://127.0.0.1:{listener.getsockname()[1]}") as transport:
            with pytest.raises(CertificateError, match="no safe TLS connection"):
                await transport.fetch(FIRST, Count())
        assert "UNSUPPORTED_PROTOCOL" in await serving


async def test_plain_http_where_tls_was_expected() -> None:
    """It is refused like a bad certificate: nothing signed was sent."""
    async with RawServer(OK) as server, transport_to(f"https://127.0.0.1:{server.port}", timeouts=QUICK) as transport:
        with pytest.raises((CertificateError, NetworkError)):
            await transport.fetch(FIRST, Count())
    assert server.requests == []


# --- the metadata service ----------------------------------------------------------------------------------------


async def test_metadata_is_asked_without_a_signature() -> None:
    """The body comes whole, however it was sent, and nothing of ours goes there."""
    async with RawServer(in_pieces(OK[:-30], OK[-30:-10], OK[-10:])) as server:
        assert await fetch_metadata(f"{server.url}/latest/meta-data/iam/x%2Fy") == BODY
    (request,) = server.requests
    assert request.target == "/latest/meta-data/iam/x%2Fy"
    assert not [name for name in request.headers if name.startswith("x-ncp")]


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (refusal(404, "300"), GatewayError),
        (answer(b"", "Location: /elsewhere", status="302 Found"), GatewayError),
        (in_pieces(OK[:-5], b"", for_ever=True), NetworkError),
        (then_close(OK[:-5]), NetworkError),
        (then_reset(), NetworkError),
        (then_close(b"nonsense\r\n\r\n"), ProtocolError),
    ],
    ids=["404", "redirect", "stall", "cut", "reset", "nonsense"],
)
async def test_metadata_that_fails(bad: Answer, kind: type[RequestError]) -> None:
    """Each failure is one of ours, soon."""
    async with RawServer(bad) as server, asyncio.timeout(15):
        with pytest.raises(kind):
            await fetch_metadata(f"{server.url}/x", timeout_s=0.2)
    assert {request.target for request in server.requests} == {"/x"}
