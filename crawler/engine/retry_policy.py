"""What a failed try calls for: an action, a pause before the next try, a hold of the whole region. Pure.

A try is request, whole body, decoding and schema. The statuses and codes are the provider's error table; one HTTP
status carries several codes, so both count.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from crawler.core.errors import (
    CertificateError,
    GatewayError,
    NetworkError,
    ProtocolError,
    ProxyError,
    TimedOutError,
    TooLargeError,
)
from crawler.engine.passes import FailureKind

if TYPE_CHECKING:
    from crawler.core.errors import RequestError

MAX_TRIES = 10
TRIES_AT_A_SIZE = 2
"""Failed tries of a large first page before a smaller one is asked for."""
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0
"""Short: what lasts longer is an outage, and the region is held."""
THROTTLED_PAUSE_S = 1.0


BUDGET = 20.0
"""Failed tries that empty a region's retry budget, if none succeeds meanwhile."""
BUDGET_BEFORE_FIRST_ANSWER = 6.0
"""Enough to find out that it is large pages that fail."""
SILENT_TRIES = MAX_TRIES // 2
"""Failed tries without any answer between them that hold a region before a page is lost."""
REFILL = 0.5
"""A third of all tries may fail for ever without emptying the budget."""
SHORTEST_HOLD_S = 5.0
LONGEST_HOLD_S = 30.0


class Action(Enum):
    """What to do about a failed try."""

    RETRY = auto()  # transient: once more after a pause, MAX_TRIES at most
    SLOW_DOWN = auto()  # throttled: no failure; once more after a pause, at a lower rate
    GIVE_UP = auto()  # permanent for this page, whatever else goes on
    BAD_REQUEST = auto()
    TOO_LARGE = auto()  # permanent for this size of page
    TOO_HEAVY = auto()  # transient by itself, but it comes again and the page is large: less may be had
    DENIED = auto()
    NOT_FOUND = auto()
    STOP_KEY = auto()  # permanent for the account: the key or the clock
    STOP_QUOTA = auto()
    STOP_PROXY = auto()  # permanent for the run: nothing gets through


FAILURE_KINDS = {
    Action.RETRY: FailureKind.LOST,
    Action.GIVE_UP: FailureKind.LOST,
    Action.BAD_REQUEST: FailureKind.BAD_REQUEST,
    Action.TOO_LARGE: FailureKind.TOO_LARGE,
    Action.TOO_HEAVY: FailureKind.TOO_HEAVY,
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


def classify(error: RequestError, *, tries: int = 0, was_improper: bool = False) -> Action:
    """Return what ``error`` calls for: by its type first, then by (status, errorCode), then by status.

    Three are believed only when they come again: a 404 without a code, which may be some proxy's and would cost a
    registry, a body that is too large, and an answer that is not proper HTTP.

    Args:
        error: what a try ended in.
        tries: tries of the page that failed before.
        was_improper: the answer to one of them was not proper HTTP.
    """
    if isinstance(error, ProxyError):
        return Action.STOP_PROXY
    if isinstance(error, CertificateError) or (was_improper and is_improper(error)):
        return Action.GIVE_UP
    if isinstance(error, TooLargeError):
        return Action.TOO_LARGE if tries else Action.RETRY
    if not isinstance(error, GatewayError) or (error.status == 404 and not error.code and not tries):
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


def is_improper(error: RequestError) -> bool:
    """Whether an error says that an answer was not proper HTTP."""
    return isinstance(error, ProtocolError) and error.is_improper


def is_outage(error: RequestError) -> bool:
    """Whether an error says that the region as a whole may be out of order: no answer, or a server's own failure."""
    return isinstance(error, NetworkError) or (isinstance(error, GatewayError) and error.status >= 500)


def may_be_too_heavy(error: RequestError) -> bool:
    """Whether a page that is more than the gateway can do fails so: no answer in time, 500, 504."""
    return isinstance(error, TimedOutError) or (isinstance(error, GatewayError) and error.status in (500, 504))


class CircuitBreaker:
    """Whether a region is worth asking: a budget that failed tries empty and successes refill, as AWS SDKs keep it.

    Empty means hold: nothing is asked of the region but one probe now and then, until something is answered.

    Attributes:
        is_held: the budget is empty.
        probe_at_s: when the next probe may go out, monotonic seconds, while it is held.
    """

    def __init__(self) -> None:
        self.is_held = False
        self.probe_at_s = 0.0
        self._tokens = BUDGET_BEFORE_FIRST_ANSWER
        self._has_answered = False
        self._unanswered = 0
        self._probes = 0

    def answered(self) -> bool:
        """Take in that the gateway answered; return whether that ends a hold."""
        released = self.is_held
        if released or not self._has_answered:
            self._tokens = BUDGET
        self._tokens = min(self._tokens + REFILL, BUDGET)
        self.is_held, self._has_answered, self._unanswered, self._probes = False, True, 0, 0
        return released

    def failed(
        self, now_s: float, chance: float, *, tries: int = 0, is_probe: bool = False, asked_s: float = 0.0
    ) -> bool:
        """Take in a failed try that looks like an outage; return whether a hold begins with it.

        Where few requests are in flight, the last try of a page may come before the budget is empty: that begins a hold
        as well, if nothing has been answered for SILENT_TRIES.

        Args:
            now_s: monotonic seconds.
            chance: uniform in [0, 1): probes are spread, and their pauses grow to LONGEST_HOLD_S.
            tries: tries of the page that failed before.
            is_probe: it was the probe of a hold; others that were under way do not move the next one.
            asked_s: the gateway's Retry-After, already within bounds; no probe goes out before it is over.
        """
        self._tokens -= 1.0
        self._unanswered += 1
        would_lose_page = tries + 1 >= MAX_TRIES and self._unanswered >= SILENT_TRIES
        begins = not self.is_held and (self._tokens <= 0.0 or would_lose_page)
        if begins or (self.is_held and is_probe):
            self.is_held = True
            pause_s = SHORTEST_HOLD_S * 1.5 ** min(self._probes, 10) * (1.0 + 0.5 * chance)
            self.probe_at_s = now_s + max(min(pause_s, LONGEST_HOLD_S), asked_s)
            self._probes += 1
        return begins
