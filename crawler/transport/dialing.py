"""Connect to a host step by step, name, connection, TLS, each with its time; nothing is sent."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crawler.core.errors import CertificateError, NetworkError, TimedOutError
from crawler.transport.connector import tls_context
from crawler.transport.resolver import Resolver
from crawler.transport.translation import reason_of

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(slots=True)
class Route:
    """How far a connection came, each step with its seconds; None is a step that was not taken, or failed.

    Attributes:
        addresses: of the host.
        tls: version of the protocol.
        issuer: who vouches for the host's certificate.
    """

    addresses: tuple[str, ...] = ()
    resolve_s: float | None = None
    connect_s: float | None = None
    tls_s: float | None = None
    tls: str = ""
    issuer: str = ""


async def dial(host: str, port: int, route: Route, *, tls: bool, limit_s: float) -> None:
    """Connect as a request would, close, and note each step in ``route``.

    Args:
        host: name or address.
        port: of the host.
        route: takes what was found out, also before an error.
        tls: whether the host has to prove who it is.
        limit_s: how long all of it may take.

    Raises:
        NetworkError: its name does not resolve, or nothing takes the connection.
        CertificateError: no safe TLS, or it could not prove who it is.
    """
    at_s = time.monotonic()
    ends_s = at_s + limit_s
    route.addresses = await _resolve(host, port, limit_s)
    at_s, route.resolve_s = time.monotonic(), time.monotonic() - at_s
    transport, protocol = await _connect(route.addresses, port, ends_s - at_s)
    at_s, route.connect_s = time.monotonic(), time.monotonic() - at_s
    try:
        if tls:
            transport = await _secure(transport, protocol, host, limit_s=ends_s - at_s)
            route.tls_s = time.monotonic() - at_s
            _note_peer(transport.get_extra_info("ssl_object"), route)
    finally:
        transport.abort()


def authorities() -> str:
    """Return which authorities vouch for hosts."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if named := os.environ.get(name):
            return f"{named} ({name})"
    paths = ssl.get_default_verify_paths()
    return str(paths.cafile or paths.capath or "none that this Python knows of")


async def _resolve(host: str, port: int, limit_s: float) -> tuple[str, ...]:
    try:
        async with asyncio.timeout(limit_s):
            found = await Resolver().resolve(host, port)
    except TimeoutError:
        raise TimedOutError(f"DNS says nothing about {host} within {limit_s:g} s") from None
    except OSError:
        raise NetworkError(f"the name {host} does not resolve") from None
    return tuple(dict.fromkeys(address["host"] for address in found))


async def _connect(
    addresses: Sequence[str], port: int, limit_s: float
) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
    """Return a connection to the first address that takes one; all of them have the time together."""
    why = NetworkError("no address")
    for address in addresses:
        try:
            async with asyncio.timeout(limit_s / len(addresses)):
                return await asyncio.get_running_loop().create_connection(asyncio.Protocol, address, port)
        except TimeoutError:
            why = TimedOutError(f"no answer from {address}, port {port}: packets are lost on the way")
        except OSError as error:
            why = NetworkError(f"cannot connect to {address}, port {port}: {reason_of(error)}")
    raise why


async def _secure(
    transport: asyncio.Transport, protocol: asyncio.BaseProtocol, host: str, *, limit_s: float
) -> asyncio.Transport:
    try:
        async with asyncio.timeout(limit_s):
            secured = await asyncio.get_running_loop().start_tls(
                transport, protocol, tls_context(), server_hostname=host
            )
    except TimeoutError:
        raise CertificateError(
            f"{host} takes a connection, but does not answer in TLS within {limit_s:.0f} s"
        ) from None
    except ssl.SSLCertVerificationError as error:
        raise CertificateError(f"the certificate that answers for {host} is refused: {reason_of(error)}") from None
    except (OSError, ssl.SSLError) as error:
        raise CertificateError(f"no safe TLS with {host}: {reason_of(error)}") from None
    if secured is None:
        raise CertificateError(f"no safe TLS with {host}: it closed the connection")
    return secured


def _note_peer(secured: ssl.SSLObject, route: Route) -> None:
    route.tls = secured.version() or ""
    certificate = secured.getpeercert() or {}
    issuer: object = certificate.get("issuer", ())
    assert isinstance(issuer, tuple)
    names = {key: value for part in issuer for key, value in part}
    route.issuer = names.get("organizationName") or names.get("commonName") or "nobody named"
