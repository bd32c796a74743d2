"""Fetch the body of one page: paced and signed on every wire attempt. The only module that imports aiohttp.

aiohttp re-sends a GET by itself when the server dropped a reused connection; only a client middleware sees every
attempt, so pacing, signing and counting happen there. Its exceptions hold the request's headers and never leave this
module: ours take their place, without a cause.
"""

from __future__ import annotations

import asyncio
import ssl
import time
import zlib
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Protocol, Self

import aiohttp
from yarl import URL

from crawler import __version__
from crawler.decoding import decode_error
from crawler.endpoints import request_target
from crawler.errors import CertificateError, GatewayError, NetworkError, ProtocolError
from crawler.pacing import LONGEST_PAUSE_S
from crawler.signing import sign

if TYPE_CHECKING:
    from types import TracebackType

    from crawler.credentials import Credentials
    from crawler.errors import RequestError
    from crawler.model import PageRequest
    from crawler.turnstile import Turnstile

CONNECT_TIMEOUT_S = 4.5
STALL_TIMEOUT_S = 20.0
TRY_TIMEOUT_S = 30.0
SLOWEST_BYTES_PER_S = 100
"""A try may last TRY_TIMEOUT_S, and longer only while its body comes faster than this."""
MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024
METADATA_TIMEOUT_S = 1.0

_CHUNK = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS


class Counter(Protocol):
    """Counts the wire attempts that are made on its behalf."""

    requests: int


class Transport:
    """Sends page requests to one gateway.

    Args:
        origin: scheme, host and port.
        credentials: asked for keys at every attempt, after every wait.
        turnstile: entered by every attempt.
        trust_env: use the proxy variables and .netrc of the environment.
    """

    def __init__(self, origin: str, credentials: Credentials, turnstile: Turnstile, *, trust_env: bool) -> None:
        self._origin = origin
        self._credentials = credentials
        self._turnstile = turnstile
        self._loop = asyncio.get_running_loop()
        self._session = _session(trust_env=trust_env)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    def refuse(self, pause_s: float) -> float:
        """Slow every request down: the gateway said that they come too fast. Return the new rate a second."""
        return self._turnstile.refuse(pause_s)

    async def fetch(self, request: PageRequest, counter: Counter) -> bytes:
        """Return the whole decoded body of a 200 answer.

        Raises:
            GatewayError: another status, with the gateway's code.
            NetworkError: no whole answer in time.
            CertificateError: the gateway could not be authenticated; nothing signed was sent.
            ProtocolError: no proper HTTP, or a body above MAX_BODY_BYTES.
            CredentialsError: the keys ran out and could not be renewed.
        """
        target = request_target(request)
        failure: Exception
        try:
            async with asyncio.timeout(None) as whole_try:
                return await self._fetch(target, request.region.code, counter, whole_try)
        except TimeoutError:
            failure = NetworkError("timed out")
        except (aiohttp.ClientError, OSError) as error:
            failure = _translate(error)
        raise failure

    async def _fetch(self, target: str, region: str, counter: Counter, whole_try: asyncio.Timeout) -> bytes:
        async def pace_and_sign(
            attempt: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            await self._turnstile.enter(region)
            now_s = time.time()
            keys = self._credentials.peek(now_s) or await self._credentials.current(now_s)
            attempt.headers.update(sign(attempt.url.raw_path_qs, keys, now_ms=int(now_s * 1000)))
            counter.requests += 1
            whole_try.reschedule(self._loop.time() + TRY_TIMEOUT_S)
            return await send(attempt)

        url = URL(self._origin + target, encoded=True)
        response = await self._session.get(url, allow_redirects=False, middlewares=(pace_and_sign,))
        try:
            return await _read(response, whole_try, self._loop)
        except BaseException:
            response.close()
            raise


async def fetch_metadata(url: str) -> bytes:
    """Return the body of an unsigned GET to the server's metadata service.

    Raises:
        RequestError: it did not answer with 200 in time.
    """
    timeout = aiohttp.ClientTimeout(total=METADATA_TIMEOUT_S)
    failure: RequestError
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.get(URL(url, encoded=True), allow_redirects=False) as response,
        ):
            if response.status == 200:
                return await response.content.read(MAX_ERROR_BYTES)
            failure = GatewayError(response.status)
    except TimeoutError:
        failure = NetworkError("timed out")
    except (aiohttp.ClientError, OSError) as error:
        failure = _translate(error)
    raise failure


def _session(*, trust_env: bool) -> aiohttp.ClientSession:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=context, ttl_dns_cache=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=trust_env,
        timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S, sock_read=STALL_TIMEOUT_S),
        headers={
            "User-Agent": f"ncrawl/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
        },
    )


async def _read(response: aiohttp.ClientResponse, whole_try: asyncio.Timeout, loop: asyncio.AbstractEventLoop) -> bytes:
    """Read a 200's body in pieces, decoded, up to the cap; the try may last as long as bytes flow."""
    if response.status != 200:
        raise await _gateway_error(response)
    decoder = _decoder(response)
    started_s = loop.time()
    body = bytearray()
    received = 0
    while chunk := await response.content.readany():
        received += len(chunk)
        whole_try.reschedule(started_s + TRY_TIMEOUT_S + received / SLOWEST_BYTES_PER_S)
        body += decoder.decode(chunk, MAX_BODY_BYTES + 1 - len(body)) if decoder else chunk
        if len(body) > MAX_BODY_BYTES:
            raise ProtocolError(f"the body is larger than {MAX_BODY_BYTES} bytes")
    if decoder:
        decoder.check_end()
    return bytes(body)


class _Gunzip:
    """Decodes one gzip member, never more than is still allowed; knows whether it came whole."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_GZIP)

    def decode(self, chunk: bytes, allowed: int) -> bytes:
        try:
            return self._inflate.decompress(chunk, allowed)
        except zlib.error:
            raise ProtocolError("the body is not gzip although its header says so") from None

    def check_end(self) -> None:
        if not self._inflate.eof or self._inflate.unused_data:
            raise ProtocolError("the gzip body was cut short")


def _decoder(response: aiohttp.ClientResponse) -> _Gunzip | None:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding in ("gzip", "x-gzip"):
        return _Gunzip()
    raise ProtocolError("the body has an encoding that was not asked for")


async def _gateway_error(response: aiohttp.ClientResponse) -> GatewayError:
    try:
        body = await response.content.read(MAX_ERROR_BYTES)
        decoder = _decoder(response)
        code, message = decode_error(decoder.decode(body, MAX_ERROR_BYTES) if decoder else body)
    except (ProtocolError, aiohttp.ClientError, OSError):
        code, message = None, ""
    finally:
        response.close()
    clock = _http_date(response.headers.get("Date"))
    return GatewayError(
        response.status,
        code,
        message,
        retry_after_s=_retry_after(response.headers.get("Retry-After"), clock),
        clock_skew_s=None if clock is None else clock - time.time(),
    )


def _http_date(text: str | None) -> float | None:
    """Return an HTTP date as seconds since 1970; None for none or nonsense."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None


def _retry_after(text: str | None, clock_s: float | None) -> float | None:
    """Return the seconds that a Retry-After asks for, in either form, within bounds; None for none or nonsense.

    A date is compared with the gateway's own clock where it gave one.
    """
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return min(float(text), LONGEST_PAUSE_S)
    date = _http_date(text)
    if date is None:
        return None
    return min(max(date - (time.time() if clock_s is None else clock_s), 0.0), LONGEST_PAUSE_S)


def _translate(error: aiohttp.ClientError | OSError) -> NetworkError | CertificateError | ProtocolError:
    """Return our error for one of aiohttp's, in words that hold no header. The order matters: some are both."""
    ours: NetworkError | CertificateError | ProtocolError
    match error:
        case aiohttp.ClientConnectorCertificateError():
            ours = CertificateError(f"the gateway's certificate was refused: {_reason(error.certificate_error)}")
        case aiohttp.ClientConnectorSSLError():
            ours = CertificateError(f"no safe TLS connection: {_reason(error.os_error)}")
        case aiohttp.ClientConnectorDNSError():
            ours = NetworkError("the gateway's name does not resolve")
        case aiohttp.ClientConnectorError():
            ours = NetworkError(f"cannot connect: {_reason(error.os_error)}")
        case aiohttp.ServerTimeoutError():
            ours = NetworkError("timed out")
        case aiohttp.ClientResponseError():
            ours = ProtocolError("the answer is not proper HTTP")
        case aiohttp.ClientPayloadError():
            ours = NetworkError("the body was cut short")
        case OSError():
            ours = NetworkError(f"connection lost: {_reason(error)}")
        case _:
            ours = NetworkError("connection lost")
    return ours


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message or "verification failed"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
