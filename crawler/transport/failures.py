"""Turn what went wrong into our errors: an answer other than 200, and whatever aiohttp raises."""

from __future__ import annotations

import os
import ssl
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from crawler.decoding import decode_error
from crawler.errors import CertificateError, GatewayError, NetworkError, ProtocolError, RequestError, TimedOutError
from crawler.pacing import LONGEST_PAUSE_S
from crawler.signing import ACCESS_KEY_HEADER, SIGNATURE_HEADER
from crawler.transport.bodies import decoder, read_most
from crawler.transport.library import HttpProcessingError, aiohttp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.transport.attempt import Attempt
    from crawler.transport.wires import Answer

MAX_ERROR_BYTES = 64 * 1024
MOST_QUOTED = 300
"""Characters of a gateway's words that are kept: thousands of registries may be refused with a whole page each."""


async def refusal(answer: Answer, attempt: Attempt) -> GatewayError:
    """Return the error for an answer other than 200; its body has to come whole, for the code decides what follows."""
    code, message = decode_error(await _error_body(answer))
    clock = _http_date(answer.headers.get("Date"))
    return GatewayError(
        answer.status,
        code,
        _quotable(message, attempt.headers),
        retry_after_s=_retry_after(answer.headers.get("Retry-After"), clock),
        clock_skew_s=None if clock is None else clock - attempt.signed_at_s,
        signed_offset_s=attempt.offset_s,
    )


async def _error_body(answer: Answer) -> bytes:
    """Return a small body decoded, or the beginning of a large one; nothing if it is not encoded as its header says."""
    sent = await read_most(answer.read_some, MAX_ERROR_BYTES)
    try:
        decode = decoder(answer.headers)
        body = next(iter(decode(sent)), b"")
    except ProtocolError:
        return b""
    if decode.is_cut and 0 < len(sent) < MAX_ERROR_BYTES:
        raise NetworkError("the body was cut short")
    return body


def _quotable(message: str, headers: Mapping[str, str]) -> str:
    """Return a gateway's words, cut short, without what only we and it should know, should it echo the request."""
    for secret in (headers.get(ACCESS_KEY_HEADER), headers.get(SIGNATURE_HEADER)):
        message = message.replace(secret, "…") if secret else message
    return message if len(message) <= MOST_QUOTED else message[: MOST_QUOTED - 1] + "…"


def _http_date(text: str | None) -> float | None:
    """Return an HTTP date, which is UTC whatever it says, as seconds since 1970; None for none or nonsense."""
    try:
        date = parsedate_to_datetime(text) if text else None
        return None if date is None else (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
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


def translate(
    error: aiohttp.ClientError | HttpProcessingError | OSError,
) -> NetworkError | CertificateError | ProtocolError:
    """Return our error for one of aiohttp's, in words that hold no header. The order matters: some are both."""
    ours: RequestError
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
            ours = TimedOutError("timed out")
        case aiohttp.ClientResponseError() | HttpProcessingError():
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
