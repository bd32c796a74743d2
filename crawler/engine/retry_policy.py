"""What a failed try calls for: an action, a pause before the next try, a hold of the whole region. Pure.

A try is request, whole body, decoding and schema. What statuses and codes mean only `api` knows.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct

from crawler.api.meanings import Meaning
from crawler.core.errors import (
    CertificateError,
    GatewayError,
    NetworkError,
    ProtocolError,
    ProxyError,
    RequestError,
    TimedOutError,
    TooLargeError,
)
from crawler.engine.passes import FailureKind
from crawler.engine.spec import StopReason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.api.dialect import Dialect

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


class Consequence(NamedTuple):
    """What follows from an action.

    Attributes:
        is_retried: its page is asked for once more after a pause, MAX_TRIES times at most.
        slows_down: at a lower rate, and it counts as no try.
        stop: the whole crawl ends.
        failure: what a listing is told if its page is given up.
    """

    is_retried: bool = False
    slows_down: bool = False
    stop: StopReason | None = None
    failure: FailureKind = FailureKind.LOST


@unique
class Action(Enum):
    """What to do about a failed try. All that follows from an action stands here, and nowhere else."""

    RETRY = Consequence(is_retried=True)  # transient
    SLOW_DOWN = Consequence(is_retried=True, slows_down=True)  # throttled: no failure
    GIVE_UP = Consequence()  # permanent for this page, whatever else goes on
    BAD_REQUEST = Consequence(failure=FailureKind.BAD_REQUEST)
    TOO_LARGE = Consequence(failure=FailureKind.TOO_LARGE)  # permanent for this size of page
    TOO_HEAVY = Consequence(failure=FailureKind.TOO_HEAVY)  # transient, but it comes again and the page is large
    DENIED = Consequence(failure=FailureKind.DENIED)
    NOT_FOUND = Consequence(failure=FailureKind.NOT_FOUND)
    STOP_KEY = Consequence(stop=StopReason.KEY_REFUSED)  # permanent for the account: the key or the clock
    STOP_QUOTA = Consequence(stop=StopReason.QUOTA)
    STOP_PROXY = Consequence(stop=StopReason.PROXY)  # permanent for the run: nothing gets through


class Rule(NamedTuple):
    """What an error calls for.

    Attributes:
        action: what to do.
        at_first: what to do instead while it has come but once, where it is believed only when it comes again.
        is_of_key: all stands or falls with it, so a region's first answer is believed at once.
        is_outage: the region as a whole may be out of order: no answer, or a server's own failure.
        is_of_weight: a page that is more than the gateway can do fails so.
    """

    action: Action
    at_first: Action | None = None
    is_of_key: bool = False
    is_outage: bool = False
    is_of_weight: bool = False


_RULES: Final[Mapping[object, Rule]] = {
    Meaning.THROTTLED: Rule(Action.SLOW_DOWN),
    Meaning.QUOTA: Rule(Action.STOP_QUOTA),
    Meaning.UNAUTHENTIC: Rule(Action.STOP_KEY),
    Meaning.UNEXPLAINED: Rule(Action.STOP_KEY, at_first=Action.RETRY, is_of_key=True),  # a proxy's would cost a night
    Meaning.DENIED: Rule(Action.DENIED),
    Meaning.NOT_FOUND: Rule(Action.NOT_FOUND),
    Meaning.UNROUTED: Rule(Action.NOT_FOUND, at_first=Action.RETRY),  # or a registry would be lost by some proxy
    Meaning.BAD_REQUEST: Rule(Action.BAD_REQUEST),
    Meaning.PERMANENT: Rule(Action.GIVE_UP),
    Meaning.PASSING: Rule(Action.RETRY),
    Meaning.OUT_OF_ORDER: Rule(Action.RETRY, is_outage=True),
    Meaning.OVERTAXED: Rule(Action.RETRY, is_outage=True, is_of_weight=True),
    RequestError: Rule(Action.RETRY),
    NetworkError: Rule(Action.RETRY, is_outage=True),
    TimedOutError: Rule(Action.RETRY, is_outage=True, is_of_weight=True),
    CertificateError: Rule(Action.GIVE_UP),
    ProxyError: Rule(Action.STOP_PROXY),
    TooLargeError: Rule(Action.TOO_LARGE, at_first=Action.RETRY),
}
"""What an answer calls for by its meaning, and what a try without one by its type."""


def rule_for(error: RequestError, dialect: Dialect) -> Rule:
    """Return what ``error`` calls for: an answer by what it means in a version of the API, else by its type."""
    if isinstance(error, GatewayError):
        return _RULES[dialect.meaning(error.status, error.code)]
    return next(_RULES[kind] for kind in type(error).__mro__ if kind in _RULES)


def called_for(rule: Rule, *, tries: int = 0, is_improper_again: bool = False) -> Action:
    """Return what to do about an error.

    Args:
        rule: what it calls for.
        tries: tries of the page that failed before.
        is_improper_again: it is an answer that was not proper HTTP, and not the first one.
    """
    if is_improper_again:
        return Action.GIVE_UP
    return rule.action if tries or rule.at_first is None else rule.at_first


def pause_s(action: Action, tries: int, chance: float, *, asked_s: float | None = None) -> float:
    """Return the seconds to wait before the next try: exponential back-off with full jitter.

    Args:
        action: RETRY or SLOW_DOWN; a throttled request waits a second at least.
        tries: failed tries of this page so far, from 1.
        chance: uniform in [0, 1).
        asked_s: the gateway's Retry-After, already within bounds; no try is made before it is over.
    """
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(tries, MAX_TRIES))
    least = THROTTLED_PAUSE_S if action.value.slows_down else 0.0
    return max(least, asked_s or 0.0) + chance * longest


def is_improper(error: RequestError) -> bool:
    """Whether an error says that an answer was not proper HTTP."""
    return isinstance(error, ProtocolError) and error.is_improper


class CircuitBreaker(Struct):
    """Whether a region is worth asking: a budget that failed tries empty and successes refill, as AWS SDKs keep it.

    Empty means hold: nothing is asked of the region but one probe now and then, until something is answered.

    Attributes:
        is_held: the budget is empty.
        probe_at_s: when the next probe may go out, monotonic seconds, while it is held.
        failing_since_s: when the first try failed after which nothing was answered any more, while it is held.
    """

    is_held: bool = False
    probe_at_s: float = 0.0
    failing_since_s: float = 0.0
    _tokens: float = BUDGET_BEFORE_FIRST_ANSWER
    _has_answered: bool = False
    _unanswered: int = 0
    _probes: int = 0

    def answered(self) -> bool:
        """Take in that the gateway answered; return whether that ends a hold."""
        released = self.is_held
        if released or not self._has_answered:
            self._tokens = BUDGET
        self._tokens = min(self._tokens + REFILL, BUDGET)
        self.is_held, self._has_answered, self._unanswered, self._probes = False, True, 0, 0
        return released

    def failed(self, now_s: float, chance: float, *, tries: int, is_probe: bool, asked_s: float) -> bool:
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
        if not self._unanswered:
            self.failing_since_s = now_s
        self._unanswered += 1
        would_lose_page = tries + 1 >= MAX_TRIES and self._unanswered >= SILENT_TRIES
        begins = not self.is_held and (self._tokens <= 0.0 or would_lose_page)
        if begins or (self.is_held and is_probe):
            self.is_held = True
            pause_s = SHORTEST_HOLD_S * 1.5 ** min(self._probes, MAX_TRIES) * (1.0 + 0.5 * chance)
            self.probe_at_s = now_s + max(min(pause_s, LONGEST_HOLD_S), asked_s)
            self._probes += 1
        return begins
