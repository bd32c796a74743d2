"""Turn an answer other than 200 into our error: what it says, when, and whom to ask about it."""

from __future__ import annotations

import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NoReturn

from crawler.api.meanings import decode_request_id
from crawler.core.errors import GatewayError, NetworkError, ProtocolError
from crawler.core.secret import without_secrets
from crawler.core.text import visible
from crawler.transport.bodies import decoder, read_most
from crawler.transport.gcra import LONGEST_PAUSE_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crawler.api.dialect import Dialect
    from crawler.transport.attempt import Attempt
    from crawler.transport.clients import Answer

MAX_ERROR_BYTES = 64 * 1024
MOST_QUOTED = 300
"""Characters of a gateway's words that are kept: thousands of registries may be refused with a whole page each."""
_MOST_LOOKED_AT = 4 * MOST_QUOTED
_LONGEST_ID = 64


async def refuse(answer: Answer, attempt: Attempt, dialect: Dialect) -> NoReturn:
    """Raise the error for an answer other than 200; its body has to come whole, for the code decides what follows.

    Raises:
        GatewayError: always, if its body did.
    """
    body = await _error_body(answer)
    code, message = dialect.decode_error(body)
    clock = http_date(answer.headers.get("Date"))
    secrets = attempt.secrets
    raise GatewayError(
        answer.status,
        code and without_secrets(code, secrets),
        _quotable(message, secrets),
        trace=trace_of(answer.headers, decode_request_id(body), secrets),
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


def trace_of(headers: Mapping[str, str], request_id: str, secrets: Sequence[str]) -> str:
    """Return what the gateway calls this request, and who answered, as far as it says so."""
    named = {
        "trace": headers.get("x-ncp-trace-id", ""),
        "request": headers.get("x-ncp-request-id", "") or request_id,
        "from": headers.get("x-ncp-apigw-response-origin", ""),
    }
    said = ((name, without_secrets(value[:_MOST_LOOKED_AT], secrets).strip()) for name, value in named.items())
    return ", ".join(f"{name} {visible(value, _LONGEST_ID)}" for name, value in said if value)


def http_date(text: str | None) -> float | None:
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
    date = http_date(text)
    if date is None:
        return None
    return min(max(date - (time.time() if clock_s is None else clock_s), 0.0), LONGEST_PAUSE_S)
