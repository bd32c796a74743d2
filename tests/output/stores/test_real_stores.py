"""What every store does, tried on real servers: SeaweedFS and moto, on loopback. Not run where they cannot start."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest
from support.store_conformance import Conformance

from crawler.output.stores.opening import Patience, store_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from crawler.output.stores.interface import Store

pytestmark = pytest.mark.long

_PATIENCE_S = 120.0
_KEYS = {"AWS_ACCESS_KEY_ID": "ACCESS", "AWS_SECRET_ACCESS_KEY": "SECRET", "AWS_REGION": "us-east-1"}
_BIN = Path(sys.executable).parent


def _free_ports(how_many: int) -> list[str]:
    """Return ports, each of which is free, and so is the one that is 10,000 higher: SeaweedFS takes both."""
    ports: list[str] = []
    while len(ports) < how_many:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        if port < 55_000 and str(port) not in ports:
            ports.append(str(port))
    return ports


@contextmanager
def _running(*command: str, port: str) -> Iterator[dict[str, str]]:
    """Run a server until the context is left; the variables by which it is found come once it takes a connection."""
    if not (_BIN / command[0]).exists():
        pytest.skip(f"not run: there is no {command[0]}")
    environ = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", **_KEYS}
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([_BIN / command[0], *command[1:]], env=os.environ | _KEYS, **quiet) as server:
        try:
            yield environ
        finally:
            server.kill()


def _await(take: Callable[[], object]) -> None:
    """Wait until a server takes something."""
    until_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            take()
        except OSError as error:
            if time.monotonic() > until_s:
                pytest.skip(f"not run: the server did not start: {error}")
            time.sleep(0.2)
        else:
            return


def _make_bucket(url: str) -> None:
    with urlopen(Request(f"{url}/bucket", method="PUT")):
        pass


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return the variables of a SeaweedFS."""
    master, volume, filer, port = _free_ports(4)
    ports = ("-master.port", master, "-volume.port", volume, "-filer.port", filer, "-s3.port", port)
    none = ("-s3.port.iceberg", "0", "-s3.port.lance", "0")
    small = ("-volume.max", "10", "-master.volumeSizeLimitMB", "64")
    here = ("-ip", "127.0.0.1", "-ip.bind", "127.0.0.1", "-dir", str(tmp_path_factory.mktemp("weed")))
    with _running("weed", "server", *here, "-filer", "-s3", *ports, *none, *small, port=port) as environ:
        with pytest.MonkeyPatch.context() as patch:
            _await(partial(_opened(environ, patch).replace, "ready", b""))
        yield environ


@pytest.fixture(scope="module")
def moto() -> Iterator[dict[str, str]]:
    """Return the variables of a moto."""
    [port] = _free_ports(1)
    with _running("moto_server", "-H", "127.0.0.1", "-p", port, port=port) as environ:
        _await(partial(_make_bucket, environ["AWS_ENDPOINT_URL"]))
        yield environ


def _opened(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Store:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return store_at(f"s3://bucket/{uuid.uuid4().hex}", Patience(retries=0))


class Real(Conformance):
    """What a real server does besides."""

    @pytest.fixture
    def store(self, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Store:
        """Open it."""
        return _opened(environ, monkeypatch)

    def test_it_can_do_all(self, store: Store) -> None:
        """Writers are kept apart."""
        assert store.can_create
        assert store.can_swap


class TestSeaweedFS(Real):
    """A real storage."""

    @pytest.fixture
    def environ(self, weed: dict[str, str]) -> dict[str, str]:
        """Lead to it."""
        return weed


class TestMoto(Real):
    """What many test against."""

    @pytest.fixture
    def environ(self, moto: dict[str, str]) -> dict[str, str]:
        """Lead to it."""
        return moto
