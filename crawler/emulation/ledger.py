"""What arrived, when, and what became of it: the emulator's side of every claim about load."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from crawler.emulation.options import REGIONS


def most_in_window(times_s: list[float], window_s: float) -> int:
    """Return the most entries of an ascending list that lie in any window of that length. O(n)."""
    most = first = 0
    for last, time_s in enumerate(times_s):
        while times_s[first] <= time_s - window_s:
            first += 1
        most = max(most, last - first + 1)
    return most


@dataclass(slots=True)
class Statistics:
    """Counts of all that came over the wire, refused requests and faults included.

    Attributes:
        connections: that were opened.
        arrivals_s: when each request arrived, monotonic seconds, ascending.
        arrivals_by_region_s: the same for each region.
        in_flight_at_arrival: parallel to ``arrivals_s``: requests without an answer yet, the new one included.
        in_flight: requests without an answer yet.
        peak_in_flight: the most there ever were.
        targets: requests by target (path and query).
        statuses: answers sent, by HTTP status; a request that was reset or cut short has none.
        unanswered: requests that ended without a whole answer.
        bad_signatures: answered 401/200.
        faults: injected, by kind.
    """

    connections: int = 0
    arrivals_s: list[float] = field(default_factory=list)
    arrivals_by_region_s: dict[str, list[float]] = field(
        default_factory=lambda: {region.code: [] for region in REGIONS}
    )
    in_flight_at_arrival: list[int] = field(default_factory=list)
    in_flight: int = 0
    peak_in_flight: int = 0
    targets: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    bad_signatures: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def requests(self) -> int:
        """Requests in total."""
        return len(self.arrivals_s)

    @property
    def requests_by_region(self) -> dict[str, int]:
        """Requests to each region."""
        return {region: len(times) for region, times in self.arrivals_by_region_s.items()}

    @property
    def requests_by_path(self) -> Counter[str]:
        """Requests by path, whatever the query."""
        paths: Counter[str] = Counter()
        for target, times in self.targets.items():
            paths[target.partition("?")[0]] += times
        return paths

    def peak_rate(self, window_s: float = 1.0) -> int:
        """Return the most requests that arrived in any window of that length."""
        return most_in_window(self.arrivals_s, window_s)

    def busy_share(self, at_least: int) -> float:
        """Return the share of arrivals (0 to 1) that found or made at least so many requests in flight."""
        busy = sum(in_flight >= at_least for in_flight in self.in_flight_at_arrival)
        return busy / max(1, self.requests)

    def arrived(self, target: str, now_s: float, region: str | None) -> None:
        """Note a request to a region, or to none."""
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        self.in_flight_at_arrival.append(self.in_flight)
        self.arrivals_s.append(now_s)
        self.targets[target] += 1
        if region is not None:
            self.arrivals_by_region_s[region].append(now_s)

    def left(self, status: int | None) -> None:
        """Note that a request has its whole answer, or (None) will have none."""
        self.in_flight -= 1
        if status is None:
            self.unanswered += 1
        else:
            self.statuses[status] += 1


class NoStatistics(Statistics):
    """Books without what grows with the requests, for a server that runs for days and is not asked."""

    __slots__ = ()

    def arrived(self, target: str, now_s: float, region: str | None) -> None:
        """Note nothing."""

    def left(self, status: int | None) -> None:
        """Note nothing."""
