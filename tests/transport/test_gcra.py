"""The pace has a law, and keeps it: never faster, never idle without need, slower after a refusal, and back again."""

from __future__ import annotations

from itertools import chain
from math import inf, nan
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crawler.transport.gcra import CLIMB_S, LONGEST_PAUSE_S, SLOWEST_PER_S, Limit, Pace, RateLimits

if TYPE_CHECKING:
    from collections.abc import Callable

RATES = st.floats(0.01, 5000) | st.sampled_from([0.1, 1.0, 9.9, 10.0, 10.1, 25.0, 50.0, 1000.0])
# Seconds between one wish to send and the next: at once, soon, or after the process stood still (S2).
GAPS = st.lists(st.just(0.0) | st.floats(0, 0.2) | st.floats(0, 600), min_size=1, max_size=150)
START = st.sampled_from([0.0, 12.5, 4e6])
EPSILON = 1e-5


def burst(rate: float) -> float:
    return max(1.0, rate / 10)


def worst_excess(sent_s: list[float], rate: float) -> float:
    """Return by how much the fullest of all windows exceeds rate x its length, in requests: the burst that it took."""
    lowest = excess = -inf
    for number, time_s in enumerate(sent_s):
        ahead = number - rate * time_s
        lowest = ahead if lowest == -inf else min(lowest, ahead)
        excess = max(excess, ahead - lowest + 1)
    return excess


def send(limit: Limit, gaps: list[float], start_s: float = 0.0) -> list[float]:
    """Send a request at each wish, or as soon after it as the limit lets it; return the times."""
    now_s, sent = start_s, []
    for gap in gaps:
        now_s += gap
        now_s = max(now_s, limit.earliest(now_s))
        limit.take(now_s)
        sent.append(now_s)
    return sent


def hammer(limit: Limit, from_s: float, to_s: float) -> int:
    """Send as fast as the limit lets; return how many requests went out."""
    sent, now_s = 0, from_s
    while (now_s := max(now_s, limit.earliest(now_s))) < to_s:
        limit.take(now_s)
        sent += 1
        assert sent < 100_000, "nothing limits it"
    return sent


@settings(deadline=None, derandomize=True, max_examples=300)
@given(rate=RATES, gaps=GAPS, start_s=START)
@example(rate=50.0, gaps=[0.0] * 100, start_s=0.0)
@example(rate=50.0, gaps=[0.0] * 20 + [600.0] + [0.0] * 100, start_s=0.0)
def test_no_window_holds_more_than_rate_and_burst(rate: float, gaps: list[float], start_s: float) -> None:
    """In every window of t seconds at most rate x t + burst requests start, also after the process was stopped."""
    assert worst_excess(send(Limit(rate), gaps, start_s), rate) <= burst(rate) + EPSILON * max(rate, 1)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(rate=RATES, gaps=GAPS)
def test_no_request_waits_without_need(rate: float, gaps: list[float]) -> None:
    """Each may start as soon as the law allows it given all before it: not a moment later, not a moment sooner."""
    limit, sent, now_s = Limit(rate), list[float](), 0.0
    for gap in gaps:
        now_s += gap
        lawful_s = max((t + (len(sent) - i + 1 - burst(rate)) / rate for i, t in enumerate(sent)), default=-inf)
        earliest_s = limit.earliest(now_s)
        assert max(earliest_s, now_s) == pytest.approx(max(lawful_s, now_s), abs=EPSILON)
        now_s = max(now_s, earliest_s)
        limit.take(now_s)
        sent.append(now_s)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(
    rate=RATES,
    steps=st.lists(
        st.tuples(st.floats(0, 3) | st.floats(0, 600), st.booleans(), st.floats(0, 100)), min_size=1, max_size=150
    ),
)
def test_refusals_never_make_it_faster(rate: float, steps: list[tuple[float, bool, float]]) -> None:
    """With refusals in between the law still holds, the rate stays within its bounds, and every pause is kept."""
    limit, sent, now_s, quiet_until_s = Limit(rate), list[float](), 0.0, -inf
    for gap, refused, pause_s in steps:
        now_s += gap
        if refused:
            limit.refuse(now_s, pause_s)
            quiet_until_s = max(quiet_until_s, now_s + min(pause_s, LONGEST_PAUSE_S))
        now_s = max(now_s, limit.earliest(now_s))
        assert now_s >= quiet_until_s
        limit.take(now_s)
        sent.append(now_s)
        assert min(rate, SLOWEST_PER_S) <= limit.rate_per_s <= rate
    assert worst_excess(sent, rate) <= burst(rate) + EPSILON * max(rate, 1)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    rate=RATES,
    steps=st.lists(
        st.tuples(st.just(0.0) | st.floats(0, 0.05), st.just(0.0) | st.floats(0, 0.02) | st.floats(0, 4.5)),
        min_size=1,
        max_size=300,
    ),
)
@example(rate=1000.0, steps=[(0.0005, 0.0)] * 100 + [(0.0005, max(0.0, 0.2 - n / 1000)) for n in range(250)])
@example(rate=50.0, steps=[(0.0, 0.5)] * 10 + [(0.0, 0.0)] * 60)
def test_no_second_sees_more_written_than_was_promised(rate: float, steps: list[tuple[float, float]]) -> None:
    """However late each is written after it passed, on a busy loop or a new connection: rate and a tenth, or one."""
    pace, now_s, ready = RateLimits(rate, inf, ["kr"]), 0.0, list[float]()
    for gap, late_s in steps:
        now_s = max(now_s + gap, pace.earliest("kr", now_s + gap))
        pace.take("kr", now_s)
        ready.append(now_s + late_s)
    written = list[float]()
    for ready_s in sorted(ready):
        at_s = max(ready_s, written[-1] if written else 0.0)
        if (wait_s := pace.write("kr", at_s)) > 0:
            at_s += wait_s + 1e-9
            assert pace.write("kr", at_s) <= 0
        written.append(at_s)
    most = max(sum(first <= at_s < first + 1 for at_s in written) for first in written)
    assert most <= rate + burst(rate) + EPSILON * max(rate, 1)


def test_a_gate_holds_nothing_back_that_comes_at_its_pace() -> None:
    """Evenly passed and written within 10 ms, nothing waits a second time, whatever the rate."""
    for rate in (0.2, 5.0, 10.0, 50.0, 1000.0):
        pace = RateLimits(rate, rate, ["kr"])
        for number in range(1000):
            late_s = (number * 7919 % 100) / 10_000
            assert pace.write("kr", number / rate + late_s) <= 0


@pytest.mark.parametrize(("account", "each"), [(16.0, inf), (inf, 16.0), (16.0, 16.0)])
def test_what_is_written_on_time_to_the_moment_counts(account: float, each: float) -> None:
    """Whoever waited for as long as the gate said goes on, and the next one waits for it."""
    pace = RateLimits(account, each, ["kr"])
    assert pace.write("kr", 0.0) <= 0
    on_time_s = pace.write("kr", 0.0)
    assert on_time_s > 0
    assert pace.write("kr", on_time_s) == 0
    assert pace.write("kr", on_time_s) > 0


def test_a_region_waits_at_its_own_gate_and_takes_nothing_of_the_accounts() -> None:
    """What has to wait for its region is not counted for the account."""
    pace = RateLimits(1000.0, 1.0, ["kr", "sgn"])
    assert pace.write("kr", 0.0) <= 0
    for _ in range(200):
        assert pace.write("kr", 0.0) == pytest.approx(0.99)
    assert pace.write("sgn", 0.0) <= 0
    assert pace.write("sgn", 0.0) == pytest.approx(0.99)
    unlimited = RateLimits(inf, inf, ["kr"])
    assert all(unlimited.write("kr", 0.0) <= 0 for _ in range(1000))


def test_a_refusal_halves_at_most_once_a_second() -> None:
    """A volley of refusals within a second is one; the next second halves again."""
    limit = Limit(80.0)
    for millisecond in range(999):
        limit.refuse(10 + millisecond / 1000)
    assert limit.rate_per_s == pytest.approx(40, abs=80 / CLIMB_S)
    limit.refuse(11.0)
    assert limit.rate_per_s == pytest.approx(20, abs=80 / CLIMB_S)


def test_the_halved_rate_is_what_goes_out() -> None:
    """In the second after a refusal about half as many requests start, and the next one not at once."""
    limit = Limit(100.0)
    assert hammer(limit, 0.0, 1.0) == pytest.approx(110, abs=1)
    limit.refuse(1.0)
    assert limit.earliest(1.0) > 1.0
    assert hammer(limit, 1.0, 2.0) == pytest.approx(50, abs=3)


def test_it_climbs_back_and_never_above() -> None:
    """From half the ceiling it is back after half of CLIMB_S, steadily, and stays there for ever."""
    limit = Limit(60.0)
    limit.refuse(0.0)
    rates = []
    for second in range(1, 100):
        limit.earliest(float(second))
        rates.append(limit.rate_per_s)
    assert rates == sorted(rates)
    assert rates[14] == pytest.approx(45)
    assert rates[28] < 60
    assert rates[29:] == [60.0] * 70


@pytest.mark.parametrize("ceiling", [0.05, 0.2, 1.0, 1000.0])
def test_endless_refusals_end_at_the_slowest_rate(ceiling: float) -> None:
    """However often it is refused, a request goes out now and then: never slower than one in five seconds by itself."""
    limit = Limit(ceiling)
    for second in range(1000):
        limit.refuse(float(second))
    assert min(ceiling, SLOWEST_PER_S) <= limit.rate_per_s <= min(ceiling, SLOWEST_PER_S) + ceiling / CLIMB_S
    assert limit.earliest(1000.0) <= 999 + 1 / min(ceiling, SLOWEST_PER_S)


def test_unlimited_stays_unlimited_until_refused() -> None:
    """Without a limit nothing ever waits, however many requests go out at once."""
    limit = Limit(inf)
    sent = send(limit, [0.0] * 10_000)
    assert sent == [0.0] * 10_000
    assert limit.rate_per_s == inf


@pytest.mark.parametrize(
    ("counts", "half"),
    [
        ([400, 100], 200),  # the second is not over: the one before tells
        ([100, 400], 200),
        ([400, 0, 0], 200),  # it was refused late: still what was really sent
        ([400, 0, 50], 25),  # and what was sent long ago is forgotten once there is news
        ([1], 10),  # so early nothing is known: half of a modest rate
        ([], 10),
    ],
)
@pytest.mark.parametrize("start_s", [0.0, 4e6])
def test_unlimited_is_halved_from_what_was_really_sent(counts: list[int], half: float, start_s: float) -> None:
    """The first refusal without a limit sets half of the fuller of the last two seconds; from there it grows by 5 %."""
    limit = Limit(inf)
    for second, count in enumerate(counts):
        for number in range(count):
            limit.take(start_s + second + number / max(counts))
    refused_s = start_s + len(counts) - 0.001
    limit.refuse(refused_s)
    assert limit.rate_per_s == half
    limit.earliest(refused_s + 14.2)
    assert limit.rate_per_s == pytest.approx(2 * half, rel=0.01)


@pytest.mark.parametrize(
    ("pause_s", "quiet_s"), [(5.0, 5.0), (60.0, 60.0), (61.0, 60.0), (1e99, 60.0), (inf, 60.0), (0.0, 0.0), (-9.0, 0.0)]
)
@pytest.mark.parametrize("rate", [50.0, inf])
def test_a_pause_is_kept_and_capped(rate: float, pause_s: float, quiet_s: float) -> None:
    """Retry-After is obeyed to the moment, from the time of the answer on, and never for more than a minute."""
    limit = Limit(rate)
    limit.refuse(100.0, pause_s)
    assert limit.earliest(100.0) == pytest.approx(100 + quiet_s, abs=1 / limit.rate_per_s)
    assert max(limit.earliest(100.0), 100.0) >= 100 + quiet_s


def test_a_second_refusal_within_the_second_still_pauses() -> None:
    """Halving once a second does not lose the pause that a later answer of the same volley asks for."""
    limit = Limit(50.0)
    limit.refuse(10.0)
    limit.refuse(10.1, 7.0)
    assert limit.earliest(10.2) == pytest.approx(17.1)
    limit.refuse(10.2, 1.0)  # a shorter one does not end the longer one
    assert limit.earliest(10.2) == pytest.approx(17.1)
    limit.refuse(10.3, nan)
    assert limit.earliest(10.3) == pytest.approx(17.1)


def test_state_does_not_grow() -> None:
    """O(1): after 20,000 requests and refusals it holds just the numbers that it began with."""

    def shape(limit: Limit) -> list[tuple[str, type, int]]:
        state = vars(limit).items()
        return [(name, type(value), len(value) if isinstance(value, tuple) else 1) for name, value in state]

    limit = Limit(1000.0)
    before = shape(limit)
    for number in range(20_000):
        limit.take(number / 1000)
        limit.refuse(number / 1000)
    assert shape(limit) == before


def crawl_regions(pace: RateLimits, regions: list[str], seconds: float) -> dict[str, list[float]]:
    """Send to all regions by turns as fast as the pace lets; return the times by region."""
    sent: dict[str, list[float]] = {region: [] for region in regions}
    now_s = 0.0
    earliest: Callable[[str], float] = lambda region: pace.earliest(region, now_s)  # noqa: E731 - it sees now_s
    while now_s < seconds:
        region = min(regions, key=lambda region: (max(earliest(region), now_s), len(sent[region])))
        now_s = max(now_s, pace.earliest(region, now_s))
        pace.take(region, now_s)
        sent[region].append(now_s)
        assert len(sent[region]) < 100_000, "nothing limits it"
    return sent


@pytest.mark.parametrize(
    ("account", "each", "total"), [(30.0, inf, 30), (inf, 10.0, 30), (30.0, 20.0, 30), (50.0, 10.0, 30), (7.0, 1.0, 3)]
)
def test_both_limits_hold_at_once(account: float, each: float, total: float) -> None:
    """Account and region limits are stacked: the law holds for each of them, and the tighter one is used up."""
    regions = ["kr", "sgn", "jpn"]
    sent = crawl_regions(RateLimits(account, each, regions), regions, 20.0)
    if account < inf:
        assert worst_excess(sorted(chain(*sent.values())), account) <= burst(account) + EPSILON
    if each < inf:
        assert all(worst_excess(times, each) <= burst(each) + EPSILON for times in sent.values())
    assert sum(map(len, sent.values())) == pytest.approx(20 * total, rel=0.02, abs=6)


def test_a_refusal_slows_all_regions() -> None:
    """All regions stand behind one gateway: what one of them is told holds for the others."""
    pace = RateLimits(40.0, inf, ["kr", "sgn"])
    pace.take("kr", 0.0)
    assert pace.refuse("kr", 0.0, 3.0) == 20
    assert pace.earliest("sgn", 0.0) == pace.earliest("kr", 0.0) == 3.0


def test_a_refusal_that_asks_for_no_pause_makes_none() -> None:
    """Without Retry-After only the rate is halved: the next request may go as soon as that allows."""
    pace = RateLimits(40.0, inf, ["kr"])
    assert pace.earliest("kr", 0.0) <= 1 / pace.refuse("kr", 0.0)


@pytest.mark.parametrize("each", [30.0, inf])
def test_a_refusal_slows_its_host_only_where_each_region_has_one(each: float) -> None:
    """What one host says is not meant for another; the account's limit stays above both."""
    pace = RateLimits(40.0, each, ["kr", "sgn"], has_own_hosts=True)
    pace.take("kr", 0.0)
    assert pace.refuse("kr", 0.0, 3.0) == (15 if each < inf else 10)
    assert pace.earliest("kr", 0.0) == 3.0
    assert pace.earliest("sgn", 0.0) <= 0
    sent = crawl_regions(RateLimits(40.0, each, ["kr", "sgn"], has_own_hosts=True), ["kr", "sgn"], 20.0)
    assert worst_excess(sorted(chain(*sent.values())), 40.0) <= burst(40.0) + EPSILON


@given(
    refusals=st.lists(st.floats(0, 200), max_size=20),
    looks=st.lists(st.floats(0, 300), max_size=20),
    ceiling=st.sampled_from([5.0, 50.0, inf]),
)
def test_looking_changes_nothing(refusals: list[float], looks: list[float], ceiling: float) -> None:
    """How often somebody looks at the pace makes no request earlier or later."""
    watched, alone = (RateLimits(ceiling, inf, ["kr"]) for _ in range(2))
    for at_s, is_look in sorted([*((at_s, False) for at_s in refusals), *((at_s, True) for at_s in looks)]):
        if is_look:
            watched.pace(at_s)
        else:
            assert watched.refuse("kr", at_s) == alone.refuse("kr", at_s)
    assert watched.earliest("kr", 300.0) == alone.earliest("kr", 300.0)
    assert watched.pace(300.0) == alone.pace(300.0)


def test_pace() -> None:
    """Requests are counted; what is throttled is named until it has climbed back, with its pause."""
    limits = RateLimits(50.0, 20.0, ["kr", "sgn"])
    limits.take("kr", 0.0)
    limits.take("kr", 0.0)
    assert limits.pace(0.0) == Pace(2, 40.0, {}, 0.0)
    limits.refuse("kr", 1.0, 3.0)
    slowed = limits.pace(2.0)
    assert (slowed.throttled, slowed.paused_s) == ({"": slowed.allowed_per_s}, 2.0)
    assert slowed.allowed_per_s == pytest.approx(25 + 50 / 60)
    assert list(limits.pace(30.9).throttled) == [""]
    assert limits.pace(31.1) == Pace(2, 40.0, {}, 0.0)
    assert [RateLimits(*rates, ["kr"]).is_limited for rates in ((50.0, inf), (inf, 20.0), (inf, inf))] == [
        True,
        True,
        False,
    ]
    assert RateLimits(50.0, inf, ["kr"]).pace(0.0) == Pace(0, 50.0, {}, 0.0)


def test_pace_of_hosts() -> None:
    """Where each region has a host of its own, only that which refused is named."""
    limits = RateLimits(50.0, inf, ["kr", "sgn"], has_own_hosts=True)
    limits.refuse("sgn", 1.0)
    assert limits.pace(1.0) == Pace(0, 50.0, {"sgn": 10.0}, 0.0)


def test_without_a_ceiling_a_refusal_is_forgotten() -> None:
    """The rate climbs for ever; after a minute nobody needs to know."""
    limits = RateLimits(inf, inf, ["kr"])
    limits.refuse("kr", 100.0)
    assert list(limits.pace(159.0).throttled) == [""]
    assert limits.pace(100.0 + CLIMB_S).throttled == {}
