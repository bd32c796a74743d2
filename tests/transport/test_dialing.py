"""A connection is made step by step, and each step is told: what was found out before an error, too."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

import pytest
import trustme
from support.raw_server import RawServer

from crawler.core.errors import CertificateError, NetworkError
from crawler.transport.dialing import Route, authorities, dial

if TYPE_CHECKING:
    from pathlib import Path


async def test_without_tls() -> None:
    """Name and connection have a time, TLS has none, and nothing is sent."""
    route = Route()
    async with RawServer(b"") as server:
        await dial("localhost", server.port, route, tls=False, limit_s=4)
    assert "127.0.0.1" in route.addresses
    assert None not in (route.resolve_s, route.connect_s)
    assert (route.tls_s, route.tls, server.requests) == (None, "", [])


async def test_with_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version, and who vouches: an authority that the environment names."""
    authority = trustme.CA(organization_name="The House")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    route = Route()
    async with RawServer(b"", ssl=context) as server:
        await dial("localhost", server.port, route, tls=True, limit_s=4)
        with pytest.raises(CertificateError, match="is refused"):
            await dial("127.0.0.1", server.port, Route(), tls=True, limit_s=4)
    assert (route.tls, route.issuer) == ("TLSv1.3", "The House")
    assert authorities() == f"{tmp_path / 'ca.pem'} (SSL_CERT_FILE)"


def test_the_systems_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody named others, the places that Python looks at are told."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    paths = ssl.get_default_verify_paths()
    assert authorities() in (paths.cafile, paths.capath, "none that this Python knows of")


async def test_a_closed_port() -> None:
    """The name was found, the connection not: the route says how far it came."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    route = Route()
    with pytest.raises(NetworkError, match="Connection refused"):
        await dial("127.0.0.1", port, route, tls=True, limit_s=4)
    assert (route.addresses, route.connect_s) == (("127.0.0.1",), None)
