"""The way to a host: name, connection, TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from crawler.core.errors import CertificateError, NetworkError, TimedOutError
from crawler.jobs.doctor.checks import failed, ok
from crawler.transport import find_proxy
from crawler.transport.dialing import Route, authorities, dial

if TYPE_CHECKING:
    from crawler.core.errors import RequestError
    from crawler.jobs.doctor.checks import Check
    from crawler.settings.table import Settings


def hosts(settings: Settings) -> dict[str, str]:
    """Return the places that requests go to first, gateway or proxy, by the name of their check."""
    places = dict.fromkeys(_first_stop(origin, trust_env=settings.trust_env) for origin in settings.origins.values())
    return {f"network/{urlsplit(place).hostname}": place for place in places}


def _first_stop(origin: str, *, trust_env: bool) -> str:
    proxy = find_proxy(origin) if trust_env else None
    return f"http://{proxy.place}" if proxy else origin


async def of_host(name: str, origin: str, limit_s: float) -> Check:
    """Return how long each step to a host takes, or which one fails."""
    url, route = urlsplit(origin), Route()
    is_tls = url.scheme == "https"
    try:
        await dial(url.hostname or "", url.port or (443 if is_tls else 80), route, tls=is_tls, limit_s=limit_s)
    except (NetworkError, CertificateError) as error:
        return failed(name, "; ".join([*_steps(route), str(error)]), _mend(route, error))
    return ok(name, "; ".join(_steps(route)))


def in_the_way(host: str, error: RequestError) -> Check:
    """Return that requests do not get through, although a connection to the host of the check ``host`` does."""
    name = f"{host}/gateway"
    if isinstance(error, CertificateError):
        return failed(name, str(error), _TLS)
    return failed(name, str(error), "do what it says, or ask whoever runs the proxy to let the gateway's host through")


_TLS = (
    "something on the way reads TLS, or this machine lacks authorities: add the one that is trusted here with "
    "SSL_CERT_FILE=…, or let the host pass unread; if the clock is years off, set it"
)


def _mend(route: Route, error: RequestError) -> str:
    if isinstance(error, CertificateError):
        return _TLS
    if route.resolve_s is None:
        hint = "its server is silent: see /etc/resolv.conf" if isinstance(error, TimedOutError) else "check --gateway"
        return f"mend DNS on this machine ({hint})"
    return "a firewall, or nothing listens there: let this machine out, or name the proxy and give --trust-env"


def _steps(route: Route) -> list[str]:
    """Return what was done, with its time."""
    said = []
    if route.resolve_s is not None:
        said.append(f"{', '.join(route.addresses)} by DNS in {_ms(route.resolve_s)}")
    if route.connect_s is not None:
        said.append(f"connected in {_ms(route.connect_s)}")
    if route.tls_s is not None:
        said.append(f"{route.tls} in {_ms(route.tls_s)}, vouched for by {route.issuer}")
        said.append(f"authorities: {authorities()}")
    return said


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
