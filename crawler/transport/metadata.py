"""Ask a server's metadata service, unsigned."""

from __future__ import annotations

from yarl import URL

from crawler.core.errors import GatewayError, NetworkError, RequestError
from crawler.transport.bodies import read_most
from crawler.transport.connector import connector
from crawler.transport.library import aiohttp
from crawler.transport.refusals import MAX_ERROR_BYTES
from crawler.transport.translation import FOREIGN, translate

METADATA_TIMEOUT_S = 1.0


async def fetch_metadata(url: str, timeout_s: float = METADATA_TIMEOUT_S) -> bytes:
    """Return the body of an unsigned GET to the server's metadata service.

    Raises:
        RequestError: it did not answer with 200 in time.
    """
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    failure: RequestError
    try:
        async with (
            aiohttp.ClientSession(connector=connector(tls=url.startswith("https:")), timeout=timeout) as session,
            session.get(URL(url, encoded=True), allow_redirects=False) as response,
        ):
            if response.status == 200:
                return await read_most(response.content.readany, MAX_ERROR_BYTES)
            failure = GatewayError(response.status)
    except TimeoutError:
        failure = NetworkError("timed out")
    except FOREIGN as error:
        failure = translate(error)
    raise failure
