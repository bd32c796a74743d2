"""Pings over real sockets: what is sent, what counts as taken, and that nothing else is waited for or told."""

from __future__ import annotations

import asyncio

import pytest
from support.raw_server import Answer, RawServer, answer, in_pieces, then_close, then_reset

from crawler.core.errors import GatewayError, NetworkError, RequestError
from crawler.transport import send_ping

OK = answer(b"OK", "Set-Cookie: a=b", "Server: x", "Server: y")
TOKEN = "TOKEN-5d1f9a"


async def test_what_is_sent() -> None:
    """A GET, or a POST of the text, to the very URL; nothing of ours but the name of the program, and no cookie."""
    async with RawServer(OK) as server:
        await send_ping(f"{server.url}/{TOKEN}/a%2Fb/start?x=1", None, timeout_s=5)
        await send_ping(f"{server.url}/{TOKEN}", "exit code 3\n한\n".encode(), timeout_s=5)
    first, second = server.requests
    assert first.head.startswith(f"GET /{TOKEN}/a%2Fb/start?x=1 HTTP/1.1".encode())
    assert second.head.startswith(f"POST /{TOKEN} HTTP/1.1".encode())
    assert second.headers["content-type"] == "text/plain; charset=utf-8"
    assert second.headers["content-length"] == "16"
    for request in server.requests:
        assert request.headers["user-agent"].startswith("ncrawl/")
        assert not [name for name in request.headers if name.startswith(("x-ncp", "cookie", "authorization"))]


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "204 No Content"])
async def test_success(status: str) -> None:
    """Any of 2xx will do, and its body is not waited for."""
    async with RawServer(answer(b"", status=status, length=0 if "204" in status else 100)) as server:
        await send_ping(server.url, None, timeout_s=5)


@pytest.mark.parametrize(
    ("bad", "kind", "told"),
    [
        (answer(b"no", status="404 Not Found"), GatewayError, "404"),
        (answer(b"", "Location: /x", status="302 Found"), GatewayError, "302 a redirect, which is not followed"),
        (in_pieces(b"HTTP/1.1 ", b"", for_ever=True), NetworkError, "no answer in time"),
        (then_reset(), NetworkError, "connection lost"),
        (then_close(b"nonsense\r\n\r\n"), NetworkError, "the answer is not proper HTTP"),
    ],
    ids=["404", "redirect", "silence", "reset", "nonsense"],
)
async def test_failures(bad: Answer, kind: type[RequestError], told: str) -> None:
    """Each is one of ours, soon, and says nothing of the URL."""
    async with RawServer(bad) as server, asyncio.timeout(15):
        with pytest.raises(kind, match=told) as caught:
            await send_ping(f"{server.url}/{TOKEN}", b"x", timeout_s=0.2)
    assert TOKEN not in f"{caught.value!r}{caught.value.__context__!r}"


async def test_nobody_is_there() -> None:
    """A closed port, and a host that does not exist, are said in words that do not take the monitor for the gateway."""
    async with RawServer(OK) as server:
        url = server.url
    with pytest.raises(NetworkError, match="cannot connect"):
        await send_ping(url, None, timeout_s=5)
    with pytest.raises(NetworkError, match=r"its name does not resolve|no answer in time"):
        await send_ping("https://nobody.invalid/x", None, timeout_s=5)
