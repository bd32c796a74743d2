"""What every scenario needs, and the race: the same work, interleaved, so that the ratios of a round can be paired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from measuring import ratios, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from contestants import Sample
    from measuring import Spread
    from report import Report

    Race = dict[str, list[Sample]]

HEAD = ("", "CPU, µs a page", "wall, µs a page", "RSS, MB", "CPU ÷ ncrawl's", "wall ÷ ncrawl's")


@dataclass(frozen=True, slots=True)
class Bench:
    """Where outputs go, how often the main races are run, and where what was found is kept."""

    folder: Path
    rounds: int
    report: Report

    def times(self, most: int) -> int:
        """Return the rounds of a scenario that needs fewer."""
        return min(self.rounds, most)


def race(runs: Mapping[str, Callable[[], Sample]], rounds: int) -> Race:
    """Run everybody once a round, each round beginning with the next one; before them ncrawl, the first, to warm up."""
    next(iter(runs.values()))()
    samples: Race = {name: [] for name in runs}
    for number in range(rounds):
        shift = number % len(runs)
        for name in [*list(runs)[shift:], *list(runs)[:shift]]:
            samples[name].append(runs[name]())
    return samples


def cpu_ratio(samples: Race, name: str) -> Spread:
    """Return somebody's CPU a page over ncrawl's, paired by rounds."""
    return ratios([one.cpu_us for one in samples[name]], [one.cpu_us for one in _of_ncrawl(samples)])


def wall_ratio(samples: Race, name: str) -> Spread:
    """Return somebody's wall time a page over ncrawl's, paired by rounds."""
    return ratios([one.wall_us for one in samples[name]], [one.wall_us for one in _of_ncrawl(samples)])


def _of_ncrawl(samples: Race) -> list[Sample]:
    return next(iter(samples.values()))


def rows(samples: Race) -> list[list[str]]:
    """Return the race's table."""
    return [
        [
            name,
            f"{spread(one.cpu_us for one in several).median:,.0f}",
            f"{spread(one.wall_us for one in several).median:,.0f}",
            f"{max(one.cost.peak_mb for one in several):.0f}",
            str(cpu_ratio(samples, name)),
            str(wall_ratio(samples, name)),
        ]
        for name, several in samples.items()
    ]
