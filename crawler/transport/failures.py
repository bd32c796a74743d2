"""Turn what went wrong into our errors: an answer other than 200, and whatever aiohttp raises."""

from __future__ import annotations

import os
import ssl
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NoReturn

from crawler.api.decoding import decode_error, decode_request_id
from crawler.core.errors import CertificateError, GatewayError, NetworkError, ProtocolError, RequestError, TimedOutError
from crawler.core.secret import without_secrets
from crawler.core.text import visible
from crawler.transport.bodies import decoder, read_most
from crawler.transport.gcra import LONGEST_PAUSE_S
from crawler.transport.heads import IN_ITS_CHUNKS, Fault
from crawler.transport.library import HttpProcessingError, aiohttp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crawler.transport.attempt import Attempt
    from crawler.transport.clients import Answer

MAX_ERROR_BYTES = 64 * 1024
MOST_QUOTED = 300
"""Characters of a gateway's words that are kept: thousands of registries may be refused with a whole page each."""
_MOST_LOOKED_AT = 4 * MOST_QUOTED
_LONGEST_ID = 64


async def refuse(answer: Answer, attempt: Attempt) -> NoReturn:
    """Raise the error for an answer other than 200; its body has to come whole, for the code decides what follows.

    Raises:
        GatewayError: always, if its body did.
    """
    body = await _error_body(answer)
    code, message = decode_error(body)
    clock = _http_date(answer.headers.get("Date"))
    secrets = attempt.secrets
    raise GatewayError(
        answer.status,
        code and without_secrets(code, secrets),
        _quotable(message, secrets),
        trace=_trace(answer.headers, decode_request_id(body), secrets),
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


def _quotable(message: str, secrets: Sequence[str]) -> str:
    """Return a gateway's words, cut short, without what only we and it should know, should it echo the request."""
    message = without_secrets(message[:_MOST_LOOKED_AT], secrets)
    return message if len(message) <= MOST_QUOTED else message[: MOST_QUOTED - 1] + "…"


def _trace(headers: Mapping[str, str], request_id: str, secrets: Sequence[str]) -> str:
    """Return what the gateway calls this request, and who answered, as far as it says so."""
    named = {
        "trace": headers.get("x-ncp-trace-id", ""),
        "request": headers.get("x-ncp-request-id", "") or request_id,
        "from": headers.get("x-ncp-apigw-response-origin", ""),
    }
    said = ((name, without_secrets(value[:_MOST_LOOKED_AT], secrets).strip()) for name, value in named.items())
    return ", ".join(f"{name} {visible(value, _LONGEST_ID)}" for name, value in said if value)


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
    error: aiohttp.ClientError | HttpProcessingError | OSError, secrets: Sequence[str] = ()
) -> NetworkError | CertificateError | ProtocolError:
    """Return our error for one of aiohttp's, in words that hold no header's value. The order matters: some are both.

    Args:
        error: what a client raised.
        secrets: what the request held that must not be seen.
    """
    ours: RequestError
    match error:
        case aiohttp.ClientConnectorCertificateError():
            ours = CertificateError(f"the gateway's certificate was refused: {reason_of(error.certificate_error)}")
        case aiohttp.ClientConnectorSSLError():
            ours = CertificateError(f"no safe TLS connection: {reason_of(error.os_error)}")
        case aiohttp.ClientConnectorDNSError():
            ours = NetworkError("the gateway's name does not resolve")
        case aiohttp.ClientConnectorError():
            ours = NetworkError(f"cannot connect: {reason_of(error.os_error)}")
        case TimeoutError():
            ours = TimedOutError(str(error) if str(error).startswith("no ") else "no answer in time")
        case aiohttp.ClientResponseError() | HttpProcessingError():
            ours = _improper(error.message, secrets)
        case aiohttp.ClientPayloadError():
            is_cut = not isinstance(error.__cause__, HttpProcessingError)
            ours = NetworkError("the body was cut short") if is_cut else _improper(IN_ITS_CHUNKS)
        case OSError():
            ours = NetworkError(f"connection lost: {reason_of(error)}")
        case _:
            ours = NetworkError("connection lost")
    return ours


def _improper(fault: str, secrets: Sequence[str] = ()) -> ProtocolError:
    """Return the error for an answer that is no HTTP; aiohttp's own words of it would quote the answer."""
    named = f": {fault}" if isinstance(fault, Fault) and fault else ""
    return ProtocolError(without_secrets(f"the answer is not proper HTTP{named}", secrets), is_improper=True)


def reason_of(error: BaseException) -> str:
    """Return why the system or TLS failed, in words of theirs."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message or "verification failed"
    if isinstance(error, ssl.SSLError):
        return error.reason or "handshake failed"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return type(error).__name__
