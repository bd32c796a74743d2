"""Answers that are no pages: the documented errors, and what broken networks and proxies make of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from crawler.emulation.wire import Answer, Ending

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from crawler.emulation.options import Fault

_DOCUMENTED = {
    100: (400, "Bad Request Exception"),
    200: (401, "Authentication Failed"),
    210: (401, "Permission Denied"),
    300: (404, "Not Found Exception"),
    400: (429, "Quota Exceeded"),
    410: (429, "Throttle Limited"),
    500: (503, "Endpoint Error"),
    510: (504, "Endpoint Timeout"),
    900: (500, "Unexpected Error"),
}


def error_body(code: object, message: str) -> bytes:
    """Return the body of an error."""
    return orjson.dumps({"error": {"errorCode": str(code), "message": message, "details": None}})


def _html(status: int, title: str) -> Answer:
    body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\r\n"
    return Answer(status, body.encode(), content_type="text/html")


REFUSALS = {code: Answer(status, error_body(code, text)) for code, (status, text) in _DOCUMENTED.items()}
"""The documented error answers, by errorCode, which no two HTTP statuses share."""

REPLACEMENTS: Mapping[Fault, Answer] = {
    "500": REFUSALS[900],
    "502": _html(502, "502 Bad Gateway"),
    "503": REFUSALS[500],
    "504": REFUSALS[510],
    "html": _html(200, "Scheduled maintenance"),
    "empty": Answer(200, b""),
    "garbage": Answer(200, b'{"count":3,"next":nul,"previous":null,"results":[{"name":"ngin'),
    "error-body": Answer(200, REFUSALS[900].body),
}
"""Faults that put another answer in place of the right one."""

ENDINGS: Mapping[Fault, Ending] = {
    "reset": Ending.RESET,
    "truncate": Ending.TRUNCATE,
    "stall": Ending.STALL,
    "drop-kept-alive": Ending.DROP_KEPT_ALIVE,
}
"""Faults that spoil the way of the right answer."""


def draw_fault(probabilities: Mapping[Fault, float], rng: random.Random) -> Fault | None:
    """Return the fault that a request meets, if any: one at most, each with its own probability."""
    if not probabilities:
        return None
    point = rng.random()
    for fault, probability in probabilities.items():
        if point < probability:
            return fault
        point -= probability
    return None
