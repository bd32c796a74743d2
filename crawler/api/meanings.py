"""What the gateway's errors mean, whatever status and code a version of its API has for them."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_CODE = 20

Row = tuple[int, str | None]
"""HTTP status and code of an error; the code is empty where there is none, and None stands for any."""


class Meaning(Enum):
    """What an answer other than 200 says."""

    THROTTLED = "requests come too fast"
    QUOTA = "the account's quota is used up"
    UNAUTHENTIC = "the key is wrong, or the clock"
    UNEXPLAINED = "the key is wrong, or the clock, but somebody on the way may say so who knows neither"
    DENIED = "it is not for this key"
    NOT_FOUND = "there is no such thing"
    UNROUTED = "not found, but somebody on the way may say so who does not know the API"
    BAD_REQUEST = "it cannot be served as it was asked for: the page may be too large, or past the end"
    PERMANENT = "no, and that will not change"
    PASSING = "not now, which says nothing of the region"
    OUT_OF_ORDER = "a server failed"
    OVERTAXED = "a server failed, perhaps because the request was too much for it"


def look_up(table: Mapping[Row, Meaning], status: int, code: str | None) -> Meaning:
    """Return what an error means by a table of rows; by its status alone where no row says."""
    return table.get((status, code or "")) or table.get((status, None)) or _by_status(status)


def _by_status(status: int) -> Meaning:
    if status >= 500:
        return Meaning.OUT_OF_ORDER
    return Meaning.PERMANENT if status >= 300 else Meaning.PASSING


def decode_error(
    body: bytes, *, codes: tuple[str, ...] = ("errorCode",), is_nested: bool = True
) -> tuple[str | None, str]:
    """Return (code as text, message) of an error body; (None, "") if it is none.

    Args:
        body: as it came.
        codes: the names that the code may have.
        is_nested: it stands in an object ``error``, not at the top.
    """
    try:
        error = orjson.loads(body)["error"] if is_nested else orjson.loads(body)
        code = next((error[name] for name in codes if error.get(name) is not None), None)
        message = error.get("message")
    except (ValueError, LookupError, TypeError, AttributeError):
        return None, ""
    known = isinstance(code, str | int) and not isinstance(code, bool)
    return (str(code)[:_LONGEST_CODE] if known else None), (message if isinstance(message, str) else "")


def decode_request_id(body: bytes) -> str:
    """Return the id that some of the provider's services put into an error body; nothing if there is none."""
    try:
        body_fields = orjson.loads(body)
        found = body_fields["error"].get("requestId", body_fields.get("requestId"))
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
