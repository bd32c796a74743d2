"""Fetch the body of one page: paced and signed on every wire attempt. The only module that imports aiohttp.

aiohttp re-sends a GET by itself when the server dropped a reused connection; only a client middleware sees every
attempt, so pacing, signing and counting happen there. Its exceptions hold the request's headers and never leave this
module: ours take their place, without a cause.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from math import inf
from typing import TYPE_CHECKING, Protocol, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from crawler import __version__
from crawler.decoding import decode_error
from crawler.endpoints import request_target
from crawler.errors import CertificateError, GatewayError, NetworkError, ProtocolError, RequestError
from crawler.pacing import LONGEST_PAUSE_S
from crawler.signing import ACCESS_KEY_HEADER, SIGNATURE_HEADER, GatewayClock, sign

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from crawler.credentials import Credentials
    from crawler.model import PageRequest
    from crawler.turnstile import Turnstile

SLOWEST_BYTES_PER_S = 100
"""A try may last longer than `Timeouts.a_try_s` only while its body comes faster than this."""
MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024
METADATA_TIMEOUT_S = 1.0

_CHUNK = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a try may take; waiting for its turn does not count.

    Attributes:
        connect_s: name resolution, connection and TLS.
        stall_s: between two pieces of an answer.
        a_try_s: everything; longer only while the body comes faster than SLOWEST_BYTES_PER_S.
    """

    connect_s: float = 4.5
    stall_s: float = 20.0
    a_try_s: float = 30.0


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
        timeouts: of one try.
    """

    def __init__(
        self,
        origin: str,
        credentials: Credentials,
        turnstile: Turnstile,
        *,
        trust_env: bool,
        timeouts: Timeouts = Timeouts(),
    ) -> None:
        self._origin = origin
        self._credentials = credentials
        self._turnstile = turnstile
        self._loop = asyncio.get_running_loop()
        self._timeouts = timeouts
        self._clock = GatewayClock()
        self._epoch_s = time.time() - time.monotonic()  # a wall clock that jumps in mid-run changes no signature
        self._session = _session(origin, timeouts, trust_env=trust_env)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    @property
    def clock_offset_s(self) -> float:
        """How far the gateway's clock was found to be ahead of ours; 0 if nobody had reason to look."""
        return self._clock.offset_s

    def clock_explains(self, error: GatewayError) -> bool:
        """Whether a refused signature was the clock's fault; from then on requests are signed with the gateway's."""
        return self._clock.explains(skew_s=error.clock_skew_s, signed_offset_s=error.signed_offset_s)

    def send_back(self, region: str) -> None:
        """Send nothing of what waits for its turn in ``region``."""
        self._turnstile.send_back(region)

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
        failure: RequestError
        try:
            async with asyncio.timeout(None) as whole_try:
                return await self._fetch(target, request.region.code, counter, whole_try)
        except RequestError as error:
            failure = error.with_traceback(None)  # its frames hold the response, and that the request's headers
        except TimeoutError:
            failure = NetworkError("timed out")
        except (aiohttp.ClientError, OSError) as error:
            failure = _translate(error)
        raise failure

    async def _fetch(self, target: str, region: str, counter: Counter, whole_try: asyncio.Timeout) -> bytes:
        now_s = offset_s = 0.0

        async def pace_and_sign(
            attempt: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            nonlocal now_s, offset_s
            whole_try.reschedule(None)
            await self._turnstile.enter(region)
            now_s, offset_s = time.monotonic() + self._epoch_s, self._clock.offset_s
            keys = self._credentials.peek(now_s) or await self._credentials.current(now_s)
            attempt.headers.update(sign(attempt.url.raw_path_qs, keys, now_ms=int((now_s + offset_s) * 1000)))
            counter.requests += 1
            whole_try.reschedule(self._loop.time() + self._timeouts.a_try_s)
            return await send(attempt)

        url = URL(self._origin + target, encoded=True)
        response = await self._session.get(url, allow_redirects=False, middlewares=(pace_and_sign,))
        try:
            if response.status == 200:
                return await _read(response, whole_try)
            error = await _gateway_error(response, now_s=now_s, offset_s=offset_s)
        except BaseException:
            response.close()
            raise
        response.close()
        raise error


async def fetch_metadata(url: str, timeout_s: float = METADATA_TIMEOUT_S) -> bytes:
    """Return the body of an unsigned GET to the server's metadata service.

    Raises:
        RequestError: it did not answer with 200 in time.
    """
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    failure: RequestError
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.get(URL(url, encoded=True), allow_redirects=False) as response,
        ):
            if response.status == 200:
                return await _read_most(response, MAX_ERROR_BYTES)
            failure = GatewayError(response.status)
    except TimeoutError:
        failure = NetworkError("timed out")
    except (aiohttp.ClientError, OSError) as error:
        failure = _translate(error)
    raise failure


def _session(origin: str, timeouts: Timeouts, *, trust_env: bool) -> aiohttp.ClientSession:
    context: ssl.SSLContext | bool = True  # aiohttp's own verifies too, but was made before SSL_CERT_FILE was read
    if origin.startswith("https:"):
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=context, ttl_dns_cache=60, resolver=_Resolver()),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=trust_env,
        timeout=aiohttp.ClientTimeout(total=None, connect=timeouts.connect_s, sock_read=timeouts.stall_s),
        headers={
            "User-Agent": f"ncrawl/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
        },
    )


class _Resolver(AbstractResolver):
    """Looks names up in threads that the end of the process does not wait for.

    An executor's threads it does wait for, and a resolver that hangs would hold up a run that was stopped.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[ResolveResult]] = loop.create_future()

        def look_up() -> None:
            found: list[ResolveResult] | OSError
            try:
                found = _addresses(host, port, family)
            except OSError as error:
                found = error
            with suppress(RuntimeError):  # the loop ended meanwhile
                loop.call_soon_threadsafe(_settle, answer, found)

        threading.Thread(target=look_up, name=f"look up {host}", daemon=True).start()
        return await answer

    async def close(self) -> None:
        """Nothing to do."""


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=port,
            family=kind,
            proto=protocol,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, protocol, _, address in found
    ]


def _settle(answer: asyncio.Future[list[ResolveResult]], found: list[ResolveResult] | OSError) -> None:
    if answer.done():  # whoever asked has left
        return
    if isinstance(found, OSError):
        answer.set_exception(found)
    else:
        answer.set_result(found)


async def _read(response: aiohttp.ClientResponse, whole_try: asyncio.Timeout) -> bytes:
    """Read a body in pieces, decoded, up to the cap; the try may last as long as bytes flow."""
    decode = _decoder(response)
    ends_s = whole_try.when() or inf
    body = bytearray()
    received = 0
    while chunk := await response.content.readany():
        received += len(chunk)
        whole_try.reschedule(ends_s + received / SLOWEST_BYTES_PER_S)
        for piece in decode(chunk):
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise ProtocolError(f"the body is larger than {MAX_BODY_BYTES} bytes")
    decode.check_end()
    return bytes(body)


async def _read_most(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Read a small body whole, or its first ``most`` bytes."""
    body = b""
    while len(body) < most and (chunk := await response.content.readany()):
        body += chunk
    return body[:most]


class _Identity:
    """Decodes nothing."""

    def __call__(self, chunk: bytes) -> Iterator[bytes]:
        yield chunk

    def check_end(self) -> None:
        pass


class _Gunzip:
    """Decodes one gzip member, a little at a time whatever it swells to; knows whether it came whole."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_GZIP)

    def __call__(self, chunk: bytes) -> Iterator[bytes]:
        while chunk:
            try:
                yield self._inflate.decompress(chunk, _CHUNK)
            except zlib.error:
                raise ProtocolError("the body is not gzip although its header says so") from None
            chunk = self._inflate.unconsumed_tail

    def check_end(self) -> None:
        if not self._inflate.eof or self._inflate.unused_data:
            raise ProtocolError("the gzip body was cut short, or something follows it")


def _decoder(response: aiohttp.ClientResponse) -> _Identity | _Gunzip:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return _Identity()
    if encoding in ("gzip", "x-gzip"):
        return _Gunzip()
    raise ProtocolError("the body has an encoding that was not asked for")


async def _gateway_error(response: aiohttp.ClientResponse, *, now_s: float, offset_s: float) -> GatewayError:
    """Return the error for an answer other than 200; its body has to come whole, for the code decides what follows."""
    body = await _read_most(response, MAX_ERROR_BYTES)
    try:
        body = next(_decoder(response)(body), b"")
    except ProtocolError:
        body = b""
    code, message = decode_error(body)
    clock = _http_date(response.headers.get("Date"))
    return GatewayError(
        response.status,
        code,
        _without_signature(message, response.request_info.headers),
        retry_after_s=_retry_after(response.headers.get("Retry-After"), clock),
        clock_skew_s=None if clock is None else clock - now_s,
        signed_offset_s=offset_s,
    )


def _without_signature(message: str, headers: Mapping[str, str]) -> str:
    """Return a gateway's words without what only we and it should know, should it echo the request."""
    for secret in (headers.get(ACCESS_KEY_HEADER), headers.get(SIGNATURE_HEADER)):
        message = message.replace(secret, "…") if secret else message
    return message


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
    if isinstance(error, ssl.SSLError):
        return error.reason or "handshake failed"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return type(error).__name__
