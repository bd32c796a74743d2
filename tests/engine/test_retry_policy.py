"""Every error calls for one action, as the API page says; pauses keep their bounds; a region that is down is held."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.api.meanings import Meaning
from crawler.api.v2 import V2
from crawler.core.errors import (
    CertificateError,
    GatewayError,
    NetworkError,
    NotSentError,
    PageError,
    ProtocolError,
    ProxyError,
    RequestError,
    TooLargeError,
)
from crawler.engine.passes import FailureKind
from crawler.engine.retry_policy import (
    BUDGET,
    BUDGET_BEFORE_FIRST_ANSWER,
    LONGEST_HOLD_S,
    LONGEST_PAUSE_S,
    MAX_TRIES,
    REFILL,
    SHORTEST_HOLD_S,
    SILENT_TRIES,
    Action,
    CircuitBreaker,
    Rule,
    called_for,
    is_improper,
    pause_s,
    rule_for,
)

if TYPE_CHECKING:
    from crawler.api.dialect import Dialect

API_PAGE = [
    (400, "100", Action.BAD_REQUEST),
    (401, "200", Action.STOP_KEY),
    (401, "210", Action.DENIED),
    (403, "230", Action.DENIED),
    (404, "300", Action.NOT_FOUND),
    (413, "430", Action.GIVE_UP),
    (429, "400", Action.STOP_QUOTA),
    (429, "410", Action.SLOW_DOWN),
    (429, "420", Action.SLOW_DOWN),
    (500, "900", Action.RETRY),
    (503, "500", Action.RETRY),
    (504, "510", Action.RETRY),
]
BY_STATUS_ALONE = [
    (400, Action.BAD_REQUEST),
    (401, Action.STOP_KEY),
    (403, Action.DENIED),
    (404, Action.NOT_FOUND),
    (408, Action.RETRY),
    (413, Action.GIVE_UP),
    (425, Action.RETRY),
    (429, Action.SLOW_DOWN),
    (500, Action.RETRY),
    (503, Action.RETRY),
    (504, Action.RETRY),
    # not in the API page
    (204, Action.RETRY),
    (206, Action.RETRY),
    (300, Action.GIVE_UP),
    (301, Action.GIVE_UP),
    (302, Action.GIVE_UP),
    (307, Action.GIVE_UP),
    (308, Action.GIVE_UP),
    (402, Action.GIVE_UP),
    (405, Action.GIVE_UP),
    (410, Action.GIVE_UP),
    (418, Action.GIVE_UP),
    (451, Action.GIVE_UP),
    (499, Action.GIVE_UP),
    (502, Action.RETRY),
    (520, Action.RETRY),
    (599, Action.RETRY),
    (999, Action.RETRY),
]


def classify(error: RequestError, *, tries: int = 0, was_improper: bool = False) -> Action:
    """Return what version 2 of the API makes of an error."""
    return called_for(rule_for(error, V2), tries=tries, is_improper_again=was_improper and is_improper(error))


CHANCES = st.floats(0, 1, exclude_max=True)
TRIES = st.integers(0, 10_000)
RETRIED = st.sampled_from([Action.RETRY, Action.SLOW_DOWN])


@pytest.mark.parametrize(("status", "code", "action"), API_PAGE)
def test_every_row_of_the_api_page(status: int, code: str, action: Action) -> None:
    """The table of errors in the API page, row by row."""
    assert classify(GatewayError(status, code, "message")) is action


@pytest.mark.parametrize(("status", "action"), BY_STATUS_ALONE)
@pytest.mark.parametrize("code", [None, "", "777", "9" * 100])
def test_status_alone(status: int, code: str | None, action: Action) -> None:
    """Without a code, or with one that nobody documented, the status decides; redirects are never tried again."""
    assert classify(GatewayError(status, code), tries=1) is action


@pytest.mark.parametrize("code", [None, ""])
def test_a_bare_404_is_believed_when_it_comes_again(code: str | None) -> None:
    """It may be a load balancer's, and would make a registry gone: with the gateway's own code once is enough."""
    assert classify(GatewayError(404, code)) is Action.RETRY
    assert classify(GatewayError(404, code), tries=1) is Action.NOT_FOUND
    assert classify(GatewayError(404, "300")) is Action.NOT_FOUND


@pytest.mark.parametrize("code", [None, "", "777"])
def test_an_unexplained_401_is_believed_when_it_comes_again(code: str | None) -> None:
    """It may be a proxy's, and would cost the rest of the night: with the gateway's own code once is enough."""
    assert classify(GatewayError(401, code)) is Action.RETRY
    assert classify(GatewayError(401, code), tries=1) is Action.STOP_KEY
    assert classify(GatewayError(401, "200")) is Action.STOP_KEY


def test_a_body_is_too_large_when_it_comes_again() -> None:
    """Once may be an accident on the way; twice, and only a smaller page can help."""
    assert classify(TooLargeError("8 MiB")) is Action.RETRY
    assert classify(TooLargeError("8 MiB"), tries=1) is Action.TOO_LARGE


def test_an_answer_that_is_no_http_is_believed_when_it_comes_again() -> None:
    """Some proxy's hiccup may be behind one; other failures before it say nothing of that, nor it of those after it."""
    improper = ProtocolError("two lengths", is_improper=True)
    assert classify(improper) is Action.RETRY
    assert classify(improper, tries=5) is Action.RETRY
    assert classify(improper, tries=1, was_improper=True) is Action.GIVE_UP
    assert classify(NetworkError("reset"), tries=1, was_improper=True) is Action.RETRY
    assert classify(ProtocolError("cut short"), tries=1, was_improper=True) is Action.RETRY


@pytest.mark.parametrize(("status", "code"), [(403, "210"), (500, "400"), (404, "210"), (400, "400"), (503, "430")])
def test_a_code_means_something_under_its_own_status_only(status: int, code: str) -> None:
    """A code of the table under another status is as good as none: quota and denial are never read into it."""
    assert classify(GatewayError(status, code), tries=1) is classify(GatewayError(status), tries=1)


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (NetworkError("reset"), Action.RETRY),
        (ProtocolError("cut short"), Action.RETRY),
        (PageError("not JSON"), Action.RETRY),
        (RequestError("another"), Action.RETRY),
        (CertificateError("expired"), Action.GIVE_UP),
        (ProxyError("wants a login"), Action.STOP_PROXY),
    ],
)
def test_errors_without_an_answer(error: RequestError, action: Action) -> None:
    """The type decides: what the network or a body did may go better next time, a bad certificate will not."""
    assert classify(error) is action


def test_by_itself_an_error_is_the_first_of_its_page() -> None:
    """Whoever asks once, as a diagnosis does, has tried nothing before."""
    assert called_for(Rule(Action.NOT_FOUND, at_first=Action.RETRY)) is Action.RETRY


@pytest.mark.parametrize("action", Action)
def test_what_follows_from_an_action(action: Action) -> None:
    """Each is one of three: its page is tried again, the crawl ends, or the page is given up and the listing told."""
    consequence = action.value
    assert not (consequence.is_retried and consequence.stop)
    assert consequence.is_retried or not consequence.slows_down
    assert consequence.failure is (
        FailureKind[action.name] if action.name in FailureKind.__members__ else FailureKind.LOST
    )
    assert (consequence.stop is not None) is action.name.startswith("STOP_")


@pytest.mark.parametrize("meaning", Meaning)
def test_every_meaning_calls_for_something(meaning: Meaning) -> None:
    """A meaning that a version of the API gives to an error has its rule, so that none can be met without."""

    class Says:
        def meaning(self, _status: int, _code: str | None) -> Meaning:
            return meaning

    assert rule_for(GatewayError(418), cast("Dialect", Says())).action in Action


def test_each_way_that_a_listing_loses_a_page_has_an_action() -> None:
    """No kind of failure that listings know of is one that nothing leads to."""
    assert {action.value.failure for action in Action} == set(FailureKind)


@settings(deadline=None, derandomize=True)
@given(action=RETRIED, tries=TRIES, chance=CHANCES, asked_s=st.none() | st.floats(0, 60))
def test_pauses_keep_their_bounds(action: Action, tries: int, chance: float, asked_s: float | None) -> None:
    """Never before Retry-After is over, a second at least when throttled, bounded jitter on top."""
    pause = pause_s(action, tries, chance, asked_s=asked_s)
    least = max(asked_s or 0.0, 1.0 if action is Action.SLOW_DOWN else 0.0)
    assert least <= pause <= least + LONGEST_PAUSE_S


@pytest.mark.parametrize(
    ("tries", "longest"), [(1, 0.5), (2, 1), (3, 2), (4, 4), (5, 8), (6, 16), (7, 32), (9, 128), (10**6, inf)]
)
def test_full_jitter(tries: int, longest: float) -> None:
    """The pause is spread evenly from nothing to a bound that doubles with each try, up to LONGEST_PAUSE_S."""
    longest = min(longest, LONGEST_PAUSE_S)
    assert pause_s(Action.RETRY, tries, 0.0) == 0
    assert pause_s(Action.RETRY, tries, 0.25) == pytest.approx(longest / 4)
    assert pause_s(Action.RETRY, tries, 1 - 1e-12) == pytest.approx(longest)


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (NetworkError("refused"), True),
        (GatewayError(500), True),
        (GatewayError(503, "500"), True),
        (GatewayError(999), True),
        (GatewayError(429, "410"), False),
        (GatewayError(404, "300"), False),
        (PageError("not JSON"), False),
        (CertificateError("expired"), False),
        (NotSentError("held"), False),
    ],
)
def test_what_looks_like_an_outage(error: RequestError, *, outage: bool) -> None:
    """No answer, or a server's own failure: nothing that a gateway in good health says."""
    assert rule_for(error, V2).is_outage is outage


def failed(
    health: CircuitBreaker, now_s: float, chance: float, *, tries: int = 0, is_probe: bool = False, asked_s: float = 0.0
) -> bool:
    """Let a try fail."""
    return health.failed(now_s, chance, tries=tries, is_probe=is_probe, asked_s=asked_s)


def fail_until_held(
    health: CircuitBreaker, *, now_s: float = 0.0, chance: float = 0.0, answers_between: int = 0
) -> int:
    """Let tries fail, with so many answers after each, until a hold begins; return how many failed."""
    for failures in range(1, 1000):
        if failed(health, now_s, chance):
            return failures
        assert not health.is_held
        for _ in range(answers_between):
            health.answered()
    pytest.fail("no hold begins")


def test_a_region_that_never_answered_is_held_soon() -> None:
    """Before the first answer a few failures are enough; the first probe comes within seconds."""
    health = CircuitBreaker()
    begins = [failed(health, 100.0, 0.5) for _ in range(10)]
    assert begins.index(True) + 1 == BUDGET_BEFORE_FIRST_ANSWER
    assert begins.count(True) == 1
    assert health.is_held
    assert 100 + SHORTEST_HOLD_S <= health.probe_at_s <= 100 + LONGEST_HOLD_S


def test_an_answer_ends_the_hold_and_refills_the_budget() -> None:
    """One answer is enough to go on; then it takes a whole budget of failures to be held again."""
    health = CircuitBreaker()
    fail_until_held(health)
    assert health.answered()
    assert not health.is_held
    assert not health.answered()
    assert fail_until_held(health) == BUDGET


def test_the_first_answer_gives_the_whole_budget_and_later_ones_a_little() -> None:
    """A region that answered has its whole budget at once; if then half of all tries fail it is used up in the end."""
    health = CircuitBreaker()
    failed(health, 0.0, 0.0)
    assert not health.answered()
    assert fail_until_held(health) == BUDGET
    assert health.answered()
    assert fail_until_held(health, answers_between=1) == pytest.approx(BUDGET / (1 - REFILL), abs=1)


def test_the_last_try_of_the_only_page_in_flight_begins_a_hold() -> None:
    """Failures without an answer between them say nothing against the page; one answer came late, to another page."""
    health = CircuitBreaker()
    health.answered()
    begins = [failed(health, 0.0, 0.0)]
    health.answered()
    begins += [failed(health, 0.0, 0.0, tries=tries) for tries in range(1, MAX_TRIES)]
    assert begins == [*[False] * (MAX_TRIES - 1), True]


def test_the_last_try_of_a_page_begins_no_hold_where_others_are_answered() -> None:
    """A page that alone fails again and again is given up; nor does one hold follow upon another for its sake."""
    health = CircuitBreaker()
    health.answered()
    for tries in range(MAX_TRIES):
        assert not failed(health, 0.0, 0.0, tries=tries)
        assert not health.answered()


@pytest.mark.parametrize("silent", range(1, SILENT_TRIES + 1))
def test_the_last_try_of_a_page_begins_a_hold_only_in_silence(silent: int) -> None:
    """So many tries in a row without any answer, and not one fewer: then it is the region, and not the page."""
    health = CircuitBreaker()
    health.answered()
    for _ in range(silent - 1):
        assert not failed(health, 0.0, 0.0)
    assert failed(health, 0.0, 0.0, tries=MAX_TRIES - 1) is (silent == SILENT_TRIES)


def test_scattered_failures_hold_nothing() -> None:
    """A third of all tries may fail for ever: two answers pay for one failure."""
    health = CircuitBreaker()
    health.answered()
    for _ in range(1000):
        health.answered()
        health.answered()
        assert not failed(health, 0.0, 0.5)
    assert 2 * REFILL >= 1


@settings(deadline=None, derandomize=True)
@given(chances=st.lists(CHANCES, min_size=1, max_size=30))
def test_probes_come_at_growing_and_bounded_pauses(chances: list[float]) -> None:
    """Each failed probe puts the next one off, never by more than LONGEST_HOLD_S; stray failures move nothing."""
    health, now_s = CircuitBreaker(), 50.0
    fail_until_held(health, now_s=now_s, chance=chances[0])
    for chance in chances:
        assert SHORTEST_HOLD_S - 1e-9 <= health.probe_at_s - now_s <= LONGEST_HOLD_S + 1e-9
        probe_at_s = health.probe_at_s
        failed(health, now_s, chance)
        assert health.probe_at_s == probe_at_s
        now_s = probe_at_s
        assert not failed(health, now_s, chance, is_probe=True)
        assert health.is_held


def test_since_when_nothing_was_answered() -> None:
    """From the first try that failed after the last answer, not from the moment at which the region was held."""
    health = CircuitBreaker()
    failed(health, 10.0, 0.0)
    health.answered()
    fail_until_held(health, now_s=20.0, chance=0.0)
    failed(health, 30.0, 0.0, is_probe=True)
    assert health.failing_since_s == 20.0
    assert health.answered()
    assert health.failing_since_s == 20.0


def hold(health: CircuitBreaker, chance: float) -> list[float]:
    """Let a region fail until it is held, and then each probe; return the pauses before the first six probes."""
    now_s, pauses = 50.0, list[float]()
    fail_until_held(health, now_s=now_s, chance=chance)
    for _ in range(6):
        pauses.append(health.probe_at_s - now_s)
        now_s = health.probe_at_s
        failed(health, now_s, chance, is_probe=True)
    return pauses


@pytest.mark.parametrize(
    ("chance", "pauses"),
    [
        (0.0, [5, 7.5, 11.25, 16.875, 25.3125, 30]),
        (0.5, [6.25, 9.375, 14.0625, 21.09375, 30, 30]),
        (1 - 1e-12, [7.5, 11.25, 16.875, 25.3125, 30, 30]),
    ],
)
def test_probes_are_spread_and_put_off_by_half_each_time(chance: float, pauses: list[float]) -> None:
    """Each pause is half as long again as the one before, with up to half of jitter; a new hold begins anew."""
    health = CircuitBreaker()
    assert hold(health, chance) == pytest.approx(pauses)
    assert health.answered()
    assert hold(health, chance) == pytest.approx(pauses)


def test_probes_never_stop() -> None:
    """An outage of a month is probed at the same pace as one of a minute."""
    health, now_s = CircuitBreaker(), 0.0
    hold(health, 0.0)
    for _ in range(100_000):
        now_s = health.probe_at_s
        failed(health, now_s, 0.0, is_probe=True)
    assert health.probe_at_s - now_s == pytest.approx(LONGEST_HOLD_S)
