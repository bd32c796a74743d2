"""What can be an access key and a secret key, and what looks like a slip of whoever put them where they are."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

from crawler.api.zones import ZONES
from crawler.core.errors import CredentialsError
from crawler.core.secret import KeyPair, Secret

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_PRINTABLE_ASCII = re.compile(r"[!-~]+")
_ENDINGS = {zone.name: "." + ".".join(zone.gateway.rsplit(".", 2)[1:]) for zone in ZONES.values()}
_QUOTES = "\"'"


def pair(access: str, secret: str, source: str, *, expires_at_s: float | None = None) -> KeyPair:
    """Return the pair, if the two can be keys at all: the first one has to fit into a header.

    Raises:
        CredentialsError: they cannot; says why, and shows nothing of them.
    """
    if not _PRINTABLE_ASCII.fullmatch(access):
        hint = ": was a line end copied along?" if access != access.strip() else ""
        problem = "has blanks, line ends or non-ASCII characters"
        raise CredentialsError(f"{source}: the access key (not shown) {problem}{hint}")
    if set(access) & set(_QUOTES):
        hint = "env files and ~/.ncloud/configure are taken as they are: leave quotes out"
        raise CredentialsError(f"{source}: the access key (not shown) has quotes in it: {hint}")
    if not secret or _CONTROL.search(secret) or secret != secret.strip():
        raise CredentialsError(
            f"{source}: the secret key (not shown) is empty, has control characters, or starts or ends with a blank: "
            "was a line end copied along?"
        )
    return KeyPair(Secret(access), Secret(secret), source, expires_at_s)


def hint_at_quotes(secret: str, source: str) -> tuple[str, ...]:
    """Return a warning for a secret in quotes; it is used as it is, for nobody has said that it cannot be so."""
    if len(secret) < 2 or secret[0] != secret[-1] or secret[0] not in _QUOTES:
        return ()
    hint = "if they are not part of it, leave them out"
    return (f"{source}: the secret key (not shown) stands in quotes, which are taken as part of it: {hint}",)


def hint_at_zone(place: str, url: str, zone: str) -> str | None:
    """Return a warning if a general gateway of the provider, which tells the zone by its ending, is of another one."""
    host = _host(url)
    other = next((name for name, ending in _ENDINGS.items() if host.endswith(ending)), zone)
    if other == zone:
        return None
    return f"{place} is of the {other} zone, but the crawl is of the {zone} one: --zone {other}?"


def _host(url: str) -> str:
    """Return the host of a URL, with or without a scheme; empty where there is none."""
    try:
        return urlsplit(url if "://" in url else f"//{url}").hostname or ""
    except ValueError:
        return ""


def parse_expiration(value: object) -> float:
    """Return seconds since 1970 (UTC) for ISO 8601 text, seconds or milliseconds.

    A number from 1e11 is milliseconds: as seconds it would be the year 5138, as milliseconds it is 1973. A text
    without a time zone is UTC.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    number = int(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < 1e15:
        raise ValueError("not a time")
    return number / 1000 if number >= 1e11 else float(number)
