"""Which URLs may be told how a run went: nothing secret has to be sent there, but the URL itself may be a secret."""

from __future__ import annotations

from urllib.parse import urlsplit

from crawler.settings.gateways import parse_gateway
from crawler.settings.options import CONTROL


def parse_ping(text: str) -> str:
    """Return a URL to send pings to: https, or http on loopback; never shows it, for its path may be what proves us."""
    if CONTROL.search(text) or not text.isascii() or " " in text or "\\" in text:
        raise ValueError("the value (not shown) is not a URL such as https://host/path, in ASCII, percent-encoded")
    try:
        url = urlsplit(text)
        parse_gateway(f"{url.scheme}://{url.netloc}")
    except ValueError:
        raise ValueError(
            "the value (not shown) is not a URL such as https://host/path; http is for loopback only, and there is no "
            "user or password in it"
        ) from None
    if url.fragment:
        raise ValueError("the value (not shown) has a fragment (#), which is sent nowhere: leave it out")
    return text
