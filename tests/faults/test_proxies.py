"""Proxies of the environment, with --trust-env: used, or refused with a sentence; never tried until the deadline."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import pytest
import trustme
from faults.harness import crawl_at, problems
from faults.server import ACCESS_KEY, REGIONS, SECRET_KEY, Gateway
from faults.timelapse import run

from crawler.core.errors import UsageError
from crawler.transport import find_proxy

if TYPE_CHECKING:
    from pathlib import Path

    from faults.harness import Outcome

pytestmark = pytest.mark.long

VARIABLES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY")
LOGIN = "me:hunter2-hunter2@"


@dataclass
class ConnectProxy:
    """A proxy on loopback that tunnels, or says no.

    Attributes:
        status: what it answers to the n-th CONNECT; the last one repeats.
        asked: the heads of the requests so far.
    """

    status: tuple[int, ...] = (200,)
    asked: list[str] = field(default_factory=list)
    port: int = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self._tasks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(asyncio.CancelledError, OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.asked.append(head)
            status = self.status[min(len(self.asked), len(self.status)) - 1]
            writer.write(f"HTTP/1.1 {status} Said {ACCESS_KEY}\r\nContent-Length: 0\r\n\r\n".encode())
            if status == 200:
                host, _, port = head.split(" ")[1].partition(":")
                from_there, there = await asyncio.open_connection(host, int(port))
                await asyncio.gather(_pass_on(reader, there), _pass_on(from_there, writer))
        writer.close()
        self._tasks.discard(task)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without proxies."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def tls(environment: pytest.MonkeyPatch, tmp_path: Path) -> ssl.SSLContext:
    """The context of a gateway whose authority the environment names."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    environment.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def through(proxy: ConnectProxy, gateway: Gateway, folder: Path, environment: pytest.MonkeyPatch) -> Outcome:
    """Crawl through a proxy that the environment names."""

    async def main() -> Outcome:
        async with gateway, proxy:
            environment.setenv("https_proxy", f"http://{LOGIN if 'login' in proxy.asked else ''}127.0.0.1:{proxy.port}")
            proxy.asked.clear()
            return await crawl_at(gateway.url, folder, trust_env="true", deadline="5m")

    return run(main)


def test_a_proxy_that_tunnels(tls: ssl.SSLContext, tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    """All goes through it, by CONNECT; it sees nothing signed."""
    gateway, proxy = Gateway(tls=tls), ConnectProxy()
    outcome = through(proxy, gateway, tmp_path, environment)
    assert problems(outcome, gateway) == []
    assert outcome.exit_code == 0
    assert proxy.asked
    assert not [head for head in proxy.asked if not head.startswith("CONNECT ") or "x-ncp" in head.lower()]
    assert f"through the proxy 127.0.0.1:{proxy.port}, which https_proxy names" in outcome.said


@pytest.mark.parametrize("status", [407, 403, 405, 502, 503])
@pytest.mark.parametrize("login", [False, True], ids=["no login", "login"])
def test_what_a_proxy_says_is_permanent(
    status: int, tls: ssl.SSLContext, tmp_path: Path, environment: pytest.MonkeyPatch, *, login: bool
) -> None:
    """Every region fails at once, with a sentence that names the proxy without its login; nothing else is tried."""
    gateway, proxy = Gateway(tls=tls), ConnectProxy((status,), ["login"] if login else [])
    outcome = through(proxy, gateway, tmp_path, environment)
    assert gateway.attempts == []
    assert outcome.exit_code == 3
    assert outcome.verdicts == {(region, None): "failed" for region in REGIONS}
    assert all(f"the proxy 127.0.0.1:{proxy.port} " in reason for reason in outcome.reasons.values())
    assert all(f"({status})" in reason for reason in outcome.reasons.values())
    assert len(proxy.asked) <= len(REGIONS)
    assert outcome.lasted_s < 5
    for sink in (outcome.said, *(text.decode() for text in outcome.files.values())):
        assert "hunter2" not in sink
        assert ACCESS_KEY not in sink


def test_a_proxy_that_stumbles_in_mid_run(tls: ssl.SSLContext, tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    """What it let through before and cannot reach now is an outage like any other, and heals."""
    gateway, proxy = Gateway(tls=tls, keep_alive=False), ConnectProxy((*[200] * 7, 502, 503, 504, 502, 200))
    outcome = through(proxy, gateway, tmp_path, environment)
    assert outcome.exit_code == 0
    assert set(outcome.verdicts.values()) == {"complete"}
    assert "cannot reach" in outcome.said


def test_a_proxy_that_wants_a_login_in_mid_run(
    tls: ssl.SSLContext, tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    """It will not change its mind: the run stops, what was had is there, the reason with it."""
    gateway, proxy = Gateway(tls=tls, keep_alive=False), ConnectProxy((*[200] * 7, 407))
    outcome = through(proxy, gateway, tmp_path, environment)
    assert outcome.exit_code == 3
    assert "wants a login (407): put it into https_proxy" in outcome.summary["observed"]["stopped"]
    assert outcome.lasted_s < 5


def test_a_proxy_of_plain_requests_that_wants_a_login(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    """A 407 is nobody's word but the proxy's, also where there is no tunnel."""

    async def main() -> Outcome:
        async with Gateway() as gateway, ConnectProxy((407,)) as proxy:
            environment.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
            return await crawl_at(gateway.url, tmp_path, trust_env="true", deadline="5m")

    outcome = run(main)
    assert outcome.exit_code == 3
    assert all("wants a login (407)" in reason for reason in outcome.reasons.values())


@pytest.mark.parametrize("host", ["127.0.0.1:9", "no-such-proxy.invalid:3128"])
def test_a_proxy_that_is_not_there(host: str, tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    """It is an outage, said of the proxy and not of the gateway."""

    async def main() -> Outcome:
        async with Gateway() as gateway:
            environment.setenv("http_proxy", f"http://{LOGIN}{host}")
            return await crawl_at(gateway.url, tmp_path, trust_env="true", deadline="3s")

    outcome = run(main)
    assert outcome.exit_code == 3
    assert all(f"the proxy {host}" in reason for reason in outcome.reasons.values())
    assert "hunter2" not in outcome.said + str(outcome.files)


REFUSED = [
    ({"http_proxy": "proxy:3128"}, "http_proxy has no scheme: write it as http://HOST:PORT"),
    ({"HTTP_PROXY": f"{LOGIN}proxy:3128"}, "HTTP_PROXY has no scheme"),
    ({"http_proxy": f"socks5://{LOGIN}proxy:1080"}, "http_proxy names a socks5:// proxy"),
    ({"http_proxy": f"https://{LOGIN}proxy:443"}, "http_proxy names a https:// proxy"),
    ({"http_proxy": f"http://{LOGIN}"}, "http_proxy is no address of a proxy"),
    ({"http_proxy": f"http://{LOGIN}proxy:99999999"}, "http_proxy is no address of a proxy"),
    ({"ALL_PROXY": f"socks5://{LOGIN}proxy:1080"}, "ALL_PROXY names a proxy, but --trust-env heeds HTTP_PROXY only"),
]


@pytest.mark.parametrize("command", [["images"], ["registries"], ["snapshot", "."]], ids=lambda words: words[0])
@pytest.mark.parametrize(("variables", "sentence"), REFUSED)
def test_addresses_that_cannot_be_used(
    variables: dict[str, str], sentence: str, command: list[str], tmp_path: Path
) -> None:
    """Each is exit 2 and a sentence before anything was begun, that shows no login."""
    keys = {
        "PATH": os.environ["PATH"],
        "NCLOUD_ACCESS_KEY_ID": ACCESS_KEY,
        "NCLOUD_SECRET_KEY": SECRET_KEY,
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-m", "crawler", *command, "--trust-env", "--gateway", "http://127.0.0.1:9"],
        cwd=tmp_path, env=keys | variables, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_for_this_gateway_is_not_looked_at(environment: pytest.MonkeyPatch) -> None:
    """NO_PROXY is heeded, and so is which scheme a variable is for."""
    environment.setenv("https_proxy", "socks5://proxy:1080")
    assert find_proxy("http://127.0.0.1:9") is None
    with pytest.raises(UsageError):
        find_proxy("https://ncr.apigw.ntruss.com")
    environment.setenv("no_proxy", "localhost,.ntruss.com")
    assert find_proxy("https://ncr.apigw.ntruss.com") is None
    environment.setenv("all_proxy", "http://proxy:3128")
    assert find_proxy("https://ncr.apigw.ntruss.com") is None
    environment.setenv("https_proxy", "http://[::1]:3128")
    proxy = find_proxy("https://other.example")
    assert proxy is not None
    assert proxy.place == "[::1]:3128"
