"""The benchmark: ncrawl beside its peers, and ncrawl under other conditions, as whole processes on a core of their own.

Usage: python benchmarks/run.py [--quick] [--rounds N] [SCENARIO…]

The server runs on one core, whoever crawls on the other. Tables are printed as they are measured, figures at the
end; a whole run also writes them to RESULTS.md.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import fleets
import loading
import proving
import racing
import scenarios
import tagging
from bench import Bench
from measuring import CLIENT_CORE, pin
from report import LOAD, Report

QUICK = (racing.same_outcome, racing.like_for_like, scenarios.one_registry, scenarios.startup)
WHOLE = (
    *(racing.same_outcome, racing.slow_peers, racing.like_for_like, racing.page_sizes, racing.contents, racing.tls),
    *(scenarios.latency, scenarios.one_registry, scenarios.rates, proving.proven, scenarios.outputs, scenarios.memory),
    *(scenarios.many_registries, scenarios.snapshots, scenarios.startup),
    *(tagging.tags, tagging.tag_latency, tagging.tag_rates, tagging.tag_memory),
    *(loading.exports, loading.histories),
    *(fleets.fleet_tasks, fleets.fleet_engine, fleets.fleet_merge),
)
SCENARIOS = {scenario.__name__.replace("_", "-"): scenario for scenario in WHOLE}
MOST_LOAD = 0.5


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--quick", action="store_true", help="the fast peers, about a minute")
    parser.add_argument("--rounds", type=int, help="of the main races: 7, or 2 if --quick")
    chosen = parser.parse_args()
    if unknown := set(chosen.scenarios) - SCENARIOS.keys():
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    if LOAD[0] > MOST_LOAD:
        print(f"This machine is not idle: its load average is {LOAD[0]:.1f}. Do not trust what follows.")
    pin(CLIENT_CORE)
    with tempfile.TemporaryDirectory(prefix="ncrawl-benchmark-") as folder:
        bench = Bench(Path(folder), chosen.rounds or (2 if chosen.quick else 7), Report())
        for scenario in [SCENARIOS[name] for name in chosen.scenarios] or (QUICK if chosen.quick else WHOLE):
            scenario(bench)
    print(f"\n## Figures\n\n{bench.report.summary()}")
    if not chosen.quick and not chosen.scenarios:
        bench.report.write()


if __name__ == "__main__":
    main()
