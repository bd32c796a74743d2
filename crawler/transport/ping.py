"""Tell a monitor of something, unsigned: a GET, or a POST with a text."""

from __future__ import annotations

from yarl import URL

from crawler.core.errors import CertificateError, GatewayError, NetworkError, RequestError, TimedOutError
from crawler.transport.clients import HEADERS
from crawler.transport.connector import connector
from crawler.transport.library import aiohttp
from crawler.transport.translation import FOREIGN, translate

_TEXT = "text/plain; charset=utf-8"


async def send_ping(url: str, body: bytes | None, *, timeout_s: float, trust_env: bool = False) -> None:
    """Send a GET, or a POST of ``body``, and take no interest in the answer but that it is one of success.

    Args:
        url: as it is to be sent, percent-encoded.
        body: UTF-8 text.
        timeout_s: for all of it.
        trust_env: use the proxy variables and .netrc of the environment.

    Raises:
        RequestError: there was no answer of success in time; redirects are none. Its words hold nothing of the URL.
    """
    headers = {"User-Agent": HEADERS["User-Agent"]} | ({} if body is None else {"Content-Type": _TEXT})
    failure: RequestError
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector(tls=url.startswith("https:")),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                trust_env=trust_env,
                headers=headers,
            ) as session,
            session.request(
                "GET" if body is None else "POST", URL(url, encoded=True), data=body, allow_redirects=False
            ) as response,
        ):
            if 200 <= response.status < 300:
                return
            hint = "a redirect, which is not followed" if 300 <= response.status < 400 else ""
            failure = GatewayError(response.status, message=hint)
    except TimeoutError:
        failure = TimedOutError("no answer in time")
    except FOREIGN as error:
        failure = _called_monitor(translate(error))
    raise failure


def _called_monitor(error: RequestError) -> RequestError:
    """Return an error in words that do not take the monitor for the gateway."""
    kind = type(error) if isinstance(error, CertificateError | NetworkError) else NetworkError
    return kind(str(error).replace("the gateway's", "its"))
