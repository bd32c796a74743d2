"""Choose and open the HTTP clients of a run: one for each gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.transport.direct import DirectClient, works_here
from crawler.transport.library import aiohttp
from crawler.transport.proxies import find_proxy
from crawler.transport.session import SessionClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.transport.clients import HttpClient


def open_clients(gateways: Mapping[str, str], *, trust_env: bool) -> tuple[dict[str, HttpClient], str]:
    """Return the client of each region, one for all that stand behind the same gateway; and which they are, and why.

    Args:
        gateways: region's code to scheme, host and port of its gateway.
        trust_env: use the proxy variables and .netrc of the environment: proxies are left to `session.get`.

    Raises:
        UsageError: the environment names a proxy that cannot be used.
    """
    opened = {origin: open_client(origin, trust_env=trust_env) for origin in dict.fromkeys(gateways.values())}
    told = dict.fromkeys(why for _, why in opened.values())
    return {region: opened[origin][0] for region, origin in gateways.items()}, "; ".join(told)


def open_client(origin: str, *, trust_env: bool) -> tuple[HttpClient, str]:
    """Return the fastest client to ``origin`` that works here, and a sentence that says which it is and why.

    Args:
        origin: scheme, host and port of the gateway.
        trust_env: use the proxy variables and .netrc of the environment: proxies are left to `session.get`.

    Raises:
        UsageError: the environment names a proxy that cannot be used.
    """
    if trust_env:
        proxy = find_proxy(origin)
        through = f"through the proxy {proxy.place}, which {proxy.variable} names" if proxy else "through no proxy"
        why = f"requests go by aiohttp's session, {through}: --trust-env"
        return SessionClient(origin, proxy=proxy, trust_env=True), why
    if not works_here():
        why = f"requests go by aiohttp's session: this is aiohttp {aiohttp.__version__}, whose inside is not known"
        return SessionClient(origin), why
    return DirectClient(origin), f"requests go over connections of aiohttp {aiohttp.__version__}, without its session"
