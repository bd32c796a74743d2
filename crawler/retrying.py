"""What a failed try calls for: one table from the error to the action, and the pause before the next try. Pure.

A try is request, whole body, decoding and schema. The statuses and codes are the provider's error table; one HTTP
status carries several codes, so both count.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from crawler.errors import CertificateError, GatewayError
from crawler.listing import FailureKind

if TYPE_CHECKING:
    from crawler.errors import RequestError

MAX_TRIES = 10
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 20.0
THROTTLED_PAUSE_S = 1.0


class Action(Enum):
    """What to do about a failed try."""

    RETRY = auto()  # transient: once more after a pause, MAX_TRIES at most
    SLOW_DOWN = auto()  # throttled: no failure; once more after a pause, at a lower rate
    GIVE_UP = auto()  # permanent for this page, whatever else goes on
    BAD_REQUEST = auto()
    DENIED = auto()
    NOT_FOUND = auto()
    STOP_KEY = auto()  # permanent for the account: the key or the clock
    STOP_QUOTA = auto()


FAILURE_KINDS = {
    Action.RETRY: FailureKind.LOST,
    Action.GIVE_UP: FailureKind.LOST,
    Action.BAD_REQUEST: FailureKind.BAD_REQUEST,
    Action.DENIED: FailureKind.DENIED,
    Action.NOT_FOUND: FailureKind.NOT_FOUND,
}
"""What a listing is told when a page is given up."""

_BY_STATUS_AND_CODE = {
    (401, "210"): Action.DENIED,
    (429, "400"): Action.STOP_QUOTA,
}
_BY_STATUS = {
    400: Action.BAD_REQUEST,
    401: Action.STOP_KEY,
    403: Action.DENIED,
    404: Action.NOT_FOUND,
    408: Action.RETRY,
    425: Action.RETRY,
    429: Action.SLOW_DOWN,
}


def classify(error: RequestError) -> Action:
    """Return what ``error`` calls for: by its type first, then by (status, errorCode), then by status."""
    if isinstance(error, CertificateError):
        return Action.GIVE_UP
    if not isinstance(error, GatewayError):
        return Action.RETRY
    action = _BY_STATUS_AND_CODE.get((error.status, error.code or "")) or _BY_STATUS.get(error.status)
    return action or (Action.GIVE_UP if 300 <= error.status < 500 else Action.RETRY)


def pause_s(action: Action, tries: int, chance: float, *, asked_s: float | None = None) -> float:
    """Return the seconds to wait before the next try: exponential back-off with full jitter.

    Args:
        action: RETRY or SLOW_DOWN; a throttled request waits a second at least.
        tries: failed tries of this page so far, from 1.
        chance: uniform in [0, 1).
        asked_s: the gateway's Retry-After, already within bounds; no try is made before it is over.
    """
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(tries, 30))
    least = THROTTLED_PAUSE_S if action is Action.SLOW_DOWN else 0.0
    return max(least, asked_s or 0.0) + chance * longest
