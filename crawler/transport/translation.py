"""Turn whatever aiohttp raises into our errors: what its clients raise is ours only."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Final

from crawler.core.errors import CertificateError, NetworkError, ProtocolError, RequestError, TimedOutError
from crawler.core.secret import without_secrets
from crawler.transport.heads import IN_ITS_CHUNKS, Fault
from crawler.transport.library import HttpProcessingError, aiohttp

if TYPE_CHECKING:
    from collections.abc import Sequence

FOREIGN: Final = (aiohttp.ClientError, HttpProcessingError, OSError)
"""What aiohttp raises; TimeoutError is an OSError."""


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
