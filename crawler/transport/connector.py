"""What makes aiohttp's connections, for all that need some."""

from __future__ import annotations

import asyncio
import ssl

from crawler.transport.library import aiohttp
from crawler.transport.protocol import strict_factory
from crawler.transport.resolver import Resolver


def connector(*, tls: bool, keep: bool = True) -> aiohttp.TCPConnector:
    """Return what makes connections, as many as are asked for; by TLS 1.2 or newer, certificates verified.

    Args:
        tls: there will be any: to read the certificates takes 20 ms.
        keep: connections are kept for the next request.
    """
    context = tls_context() if tls else True
    made = aiohttp.TCPConnector(force_close=not keep, limit=0, ssl=context, ttl_dns_cache=60, resolver=Resolver())
    made._factory = strict_factory(asyncio.get_running_loop())  # noqa: SLF001 - aiohttp has no other way to say it
    return made


def tls_context() -> ssl.SSLContext:
    """Return how every connection is secured: TLS 1.2 or newer, certificates verified by the system's authorities."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
