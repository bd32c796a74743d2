"""Decide when the next request may start, and how a refusal slows requests down. Pure: every time is passed in.

Times are monotonic seconds. A `Limit` is GCRA (the generic cell rate algorithm, ITU-T I.371): one float, O(1), and in
no window of t seconds more than rate x t + burst. `RateLimits` stacks one for the account over one for each region.

Those decide who may start. Between that and the writing lie an event loop that is busy, and connections that have to
be made first; what was spread evenly can so be written in a bunch. A `Gate` is asked when a request is about to be
written, and counts that: it keeps what was promised on the wire.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

BURST_S = 0.1
"""The burst is what the rate allows in this time, and at least one request."""
GATE_BURST_S = 0.08
"""The same for what is written: a little less, for on its way one request is held up longer than the next."""
LEAST_TOLERANCE_S = 0.01
"""So much earlier than on time may be written whatever the rate: else the lateness of timers would slow it down."""
CLIMB_S = 60.0
"""After a refusal the rate climbs back by a whole ceiling in this time."""
UNLIMITED_GROWTH_PER_S = 1.05
"""Without a ceiling it grows by this factor a second: twofold in fourteen."""
LEAST_KNOWN_RATE_PER_S = 20.0
"""What is taken for the rate so far if it was refused before it had gone on for a second."""
HALVING_PAUSE_S = 1.0
SLOWEST_PER_S = 0.2
LONGEST_PAUSE_S = 60.0


class Limit:
    """At most ``ceiling_per_s`` requests a second; fewer for a while after a refusal."""

    def __init__(self, ceiling_per_s: float) -> None:
        self._ceiling = ceiling_per_s
        self._rate = ceiling_per_s
        self._rate_at = -inf
        self._next = -inf  # GCRA's theoretical arrival time: when the next request would be exactly on time
        self._not_before = -inf
        self._refused_at = -inf
        self._second = -inf
        self._taken = (0, 0)

    @property
    def rate_per_s(self) -> float:
        """The rate as of the last request or refusal."""
        return self._rate

    def rate_at(self, now_s: float) -> float:
        """Return the rate that holds at ``now_s``; changes nothing."""
        if self._rate >= self._ceiling:
            return self._rate
        since_s = now_s - self._rate_at
        if self._ceiling < inf:
            return min(self._ceiling, self._rate + self._ceiling / CLIMB_S * since_s)
        grown: float = self._rate * UNLIMITED_GROWTH_PER_S ** min(since_s, CLIMB_S)
        return grown

    def is_slowed(self, now_s: float) -> bool:
        """Whether a refusal has slowed requests down and still does; without a ceiling it is soon forgotten."""
        return self.rate_at(now_s) < self._ceiling and now_s - self._refused_at < CLIMB_S

    def paused_s(self, now_s: float) -> float:
        """Return for how long nothing may start at all, because a refusal asked for it."""
        return max(0.0, self._not_before - now_s)

    def earliest(self, now_s: float) -> float:
        """Return the time at which the next request may start; it may start now if that is not after ``now_s``."""
        self._climb(now_s)
        return max(self._next - self._tolerance(), self._not_before)

    def take(self, now_s: float) -> None:
        """Count a request that starts at ``now_s``, which is not before `earliest`."""
        self._climb(now_s)
        self._count(now_s)
        self._next = max(self._next, now_s) + 1 / self._rate

    def refuse(self, now_s: float, pause_s: float = 0.0) -> None:
        """Slow down after a refusal: half the rate, at most once a second, and nothing at all for ``pause_s``."""
        self._climb(now_s)
        self._not_before = max(self._not_before, now_s + min(pause_s, LONGEST_PAUSE_S))
        if now_s - self._refused_at < HALVING_PAUSE_S:
            return
        self._refused_at = now_s
        if self._rate == inf:
            self._rate = max(*self._taken, LEAST_KNOWN_RATE_PER_S)
        self._rate = max(self._rate / 2, min(SLOWEST_PER_S, self._ceiling))
        self._rate_at = now_s
        self._next = max(self._next, now_s + 1 / self._rate)

    def _tolerance(self) -> float:
        """How much earlier than exactly on time a request may start: that is the burst."""
        return max(BURST_S - 1 / self._rate, 0.0)

    def _climb(self, now_s: float) -> None:
        if self._rate < self._ceiling:
            self._rate, self._rate_at = self.rate_at(now_s), now_s

    def _count(self, now_s: float) -> None:
        """Keep the requests of this second and of the one before: what "half" means when there is no limit."""
        if now_s - self._second < 1:
            self._taken = (self._taken[0], self._taken[1] + 1)
        else:
            recent = self._taken[1] if now_s - self._second < 2 else 0
            self._taken, self._second = (recent, 1), now_s


class Gate:
    """Holds back what would be written in a bunch."""

    def __init__(self, ceiling_per_s: float) -> None:
        self._interval = 1 / ceiling_per_s
        self._tolerance = max(GATE_BURST_S - self._interval, LEAST_TOLERANCE_S)
        self._next = -inf

    def wait_s(self, now_s: float) -> float:
        """Return for how long a request that would be written now has to wait; 0 or less if it need not."""
        return self._next - self._tolerance - now_s

    def write(self, now_s: float) -> float:
        """Count a request that is written now, unless it has to wait; return as `wait_s` does."""
        wait_s = self._next - self._tolerance - now_s
        if wait_s <= 0:
            self._next = (max(self._next, now_s)) + self._interval
        return wait_s


class Pace(NamedTuple):
    """How fast requests may go, as of a moment.

    Attributes:
        requests: how many have passed.
        allowed_per_s: over all regions; infinity if nothing limits them.
        throttled: what was throttled lately, and the rate that goes to it: regions, or ``""`` for all of them.
        paused_s: for how long nothing goes to what was throttled.
    """

    requests: int
    allowed_per_s: float
    throttled: dict[str, float]
    paused_s: float


class RateLimits:
    """One limit for the account over all regions, and one for each region beneath it.

    A refusal slows the account down where all regions stand behind one host and, as far as one can tell, one throttle;
    where each has a host of its own, its region only.

    Attributes:
        is_limited: there is a rate to be kept.
        requests: how many were counted.
    """

    def __init__(
        self, account_per_s: float, region_per_s: float, regions: list[str], *, has_own_hosts: bool = False
    ) -> None:
        self._account = Limit(account_per_s)
        limited = regions if region_per_s < inf or has_own_hosts else []
        self._regions = {region: Limit(region_per_s) for region in limited}
        self._has_own_hosts = has_own_hosts
        self._gate = Gate(account_per_s)
        self._gates = {region: Gate(region_per_s) for region in regions if region_per_s < inf}
        self.is_limited = min(account_per_s, region_per_s) < inf
        self.requests = 0

    def earliest(self, region: str, now_s: float) -> float:
        """Return the time at which the next request to ``region`` may start."""
        earliest = self._account.earliest(now_s)
        return max(earliest, self._regions[region].earliest(now_s)) if region in self._regions else earliest

    def take(self, region: str, now_s: float) -> None:
        """Count a request to ``region``."""
        self.requests += 1
        self._account.take(now_s)
        if region in self._regions:
            self._regions[region].take(now_s)

    def write(self, region: str, now_s: float) -> float:
        """Count a request to ``region`` that is written now, or return for how long it has to wait first: above 0."""
        if region not in self._gates:
            return self._gate.write(now_s)
        wait_s = max(self._gate.wait_s(now_s), self._gates[region].wait_s(now_s))
        if wait_s <= 0:
            self._gate.write(now_s)
            self._gates[region].write(now_s)
        return wait_s

    def refuse(self, region: str, now_s: float, pause_s: float = 0.0) -> float:
        """Slow down what stands behind the host that refused a request to ``region``; return its new rate."""
        limit = self._regions[region] if self._has_own_hosts else self._account
        limit.refuse(now_s, pause_s)
        return limit.rate_per_s

    def pace(self, now_s: float) -> Pace:
        """Return how fast requests may go at ``now_s``; changes nothing."""
        slowed = {place: one for place, one in {"": self._account, **self._regions}.items() if one.is_slowed(now_s)}
        of_regions = sum(one.rate_at(now_s) for one in self._regions.values()) if self._regions else inf
        return Pace(
            self.requests,
            allowed_per_s=min(self._account.rate_at(now_s), of_regions),
            throttled={place: one.rate_at(now_s) for place, one in slowed.items()},
            paused_s=min((one.paused_s(now_s) for one in slowed.values()), default=0.0),
        )
