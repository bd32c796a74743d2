"""The proxy that the environment names for a gateway: whether it can be used, and what its own refusals mean.

aiohttp takes `http_proxy` and `https_proxy` from the environment by itself, and heeds `no_proxy`. What it passes over
in silence, or would try for ever, is refused here before the first request. An address is never shown as it stands
there: it may hold a login.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from crawler.core.errors import NetworkError, ProxyError, UsageError
from crawler.core.text import visible
from crawler.transport.library import aiohttp
from crawler.transport.translation import reason_of

if TYPE_CHECKING:
    from crawler.core.errors import RequestError

LOGIN_WANTED = 407
_SCHEMES = frozenset(("http", "https", "ws", "wss"))
"""aiohttp parses what is named for any of them, whichever it needs."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that aiohttp will use.

    Attributes:
        place: host and port, without a login.
        variable: of the environment, that names it.
        has_login: the variable holds one.
    """

    place: str
    variable: str
    has_login: bool

    def refused(self, status: int, gateway: str, *, worked: bool) -> RequestError:
        """Return the error for an answer of the proxy itself.

        Args:
            status: what it answered.
            gateway: where to.
            worked: it let others through before, so that what it cannot reach now is an outage.
        """
        if status == LOGIN_WANTED and self.has_login:
            return ProxyError(f"the proxy {self.place} refuses the login that {self.variable} holds (407)")
        if status == LOGIN_WANTED:
            return ProxyError(
                f"the proxy {self.place} wants a login (407): put it into {self.variable}, "
                "as http://USER:PASSWORD@HOST:PORT"
            )
        if status < 500:
            return ProxyError(f"the proxy {self.place} does not let anybody connect to {gateway} ({status})")
        told = f"the proxy {self.place} cannot reach {gateway} ({status})"
        return NetworkError(told) if worked else ProxyError(told)

    def unreachable(self, error: aiohttp.ClientConnectorError) -> NetworkError:
        """Return the error for a proxy that cannot be connected to."""
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return NetworkError(f"the name of the proxy {self.place} does not resolve")
        return NetworkError(f"cannot connect to the proxy {self.place}: {reason_of(error.os_error)}")


def find_proxy(origin: str) -> Proxy | None:
    """Return the proxy that the environment names for requests to ``origin``; None for no proxy.

    Raises:
        UsageError: it names one that cannot be used.
    """
    url = URL(origin)
    named = getproxies()
    for scheme in _SCHEMES - {url.scheme}:
        _check_form(named.get(scheme, ""), f"{scheme}_proxy")
    if url.host is None or proxy_bypass(url.host):
        return None
    if url.scheme in named:
        return _checked(named[url.scheme], _variable(f"{url.scheme}_proxy"))
    if "all" in named:
        raise UsageError(
            f"{_variable('all_proxy')} names a proxy, but --trust-env heeds {url.scheme.upper()}_PROXY only: "
            f"set that as well, or NO_PROXY={url.host}"
        )
    return None


def _checked(address: str, variable: str) -> Proxy:
    """Return a proxy from its address.

    Raises:
        UsageError: it is no address of an HTTP proxy.
    """
    scheme, has_scheme, _ = address.partition("://")
    if not has_scheme:
        raise UsageError(f"{variable} has no scheme: write it as http://HOST:PORT")
    if scheme.lower() != "http":
        raise UsageError(
            f"{variable} names a {visible(scheme, 20)}:// proxy, and only http:// ones can be used "
            "(what goes to the gateway is encrypted through them as well)"
        )
    try:
        url = URL(address)
    except ValueError:
        url = URL()
    if not url.host or not url.port:
        raise UsageError(f"{variable} is no address of a proxy: write it as http://HOST:PORT")
    return Proxy(f"{url.host_subcomponent}:{url.port}", variable, has_login=url.raw_user is not None)


def _check_form(address: str, name: str) -> None:
    """Make sure that what is named for other addresses than the gateway's can be parsed.

    Raises:
        UsageError: aiohttp would fail at it.
    """
    try:
        URL(address)
    except ValueError:
        raise UsageError(f"{_variable(name)} is no address of a proxy: mend it, or unset it") from None


def _variable(name: str) -> str:
    """Return the variable as it is spelt in the environment; lower case comes first there."""
    return next((key for key in sorted(os.environ, reverse=True) if key.lower() == name), name)
