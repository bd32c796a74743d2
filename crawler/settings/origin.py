"""Where requests go: scheme, host and port of a URL, and which of them are safe."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from crawler.settings.options import CONTROL, shown

_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f]*:[0-9a-f:.]*")


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of a URL; ``str()`` gives it back without a trailing slash."""

    scheme: str
    host: str
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + (f":{self.port}" if self.port else "")

    @property
    def is_loopback(self) -> bool:
        """True for localhost, 127.0.0.0/8 and ::1 in their usual spellings: nothing leaves the machine."""
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return self.host == "localhost"
        return address == ipaddress.IPv6Address("::1") or address in ipaddress.IPv4Network("127.0.0.0/8")


def parse_origin(text: str) -> Origin:
    """Return the origin that a URL consists of, and nothing else; never shows what may be a password or token."""
    private = any(mark in text for mark in "@?#")
    problem = f"{'the value (not shown)' if private else shown(text)} is not an origin such as https://host:port"
    if CONTROL.search(text) or not text.isascii():
        raise ValueError(problem)
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError:
        raise ValueError(problem) from None
    if private or url.path not in ("", "/") or "\\" in text:
        raise ValueError(f"{problem}: leave out user, path, query and fragment")
    if url.scheme not in ("http", "https") or not _HOST.fullmatch(host) or port == 0:
        raise ValueError(problem)
    return Origin(url.scheme, host, None if port == {"http": 80, "https": 443}[url.scheme] else port)
