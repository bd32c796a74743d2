"""Slots kept busy, and a rate that is used and kept: what `ncrawl images` does to a gateway, seen from there.

Usage: python benchmarks/pacing.py [--registries N] [--images N] [--rate N]

The emulator is a process of its own, on another core. Prints the figures; exits 1 if one is missed:

1. `--rate unlimited --concurrency 64`, 40 ms an answer: at least 60 requests are in flight for most of the run.
2. `--rate 100`: the whole process takes no longer than 1.05 x (requests / 100) + 1 s, and no second at the gateway
   holds more than rate and burst, and 1 % for what the network adds between the grant and the gateway's clock.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from crawler.emulation import Emulator, EmulatorOptions  # noqa: E402 - found by the path above

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

    from crawler.emulation.ledger import Statistics

CONCURRENCY = 64
BUSY = 60
LATENCY_MS = 40
EVERY_S = 0.001
ALLOWED = 1.01


@dataclass(frozen=True, slots=True)
class Seen:
    """What a gateway saw of a run.

    Attributes:
        requests: that arrived.
        busiest_second: the most in any second.
        most: requests in flight.
        busy_share: of the time from the first to the last arrival, with so many in flight as should be (0 to 1).
    """

    requests: int
    busiest_second: int
    most: int
    busy_share: float


def serve(options: EmulatorOptions, parent: Connection, core: int) -> None:
    """Serve an account until told to stop, on one core; send the way to it, then what was seen."""
    os.sched_setaffinity(0, {core})
    asyncio.run(_serve(options, parent))


async def _serve(options: EmulatorOptions, parent: Connection) -> None:
    async with Emulator(options) as emulator:
        parent.send((emulator.url, emulator.access_key, emulator.secret_key))
        samples: list[tuple[float, int]] = []
        while not parent.poll():
            samples.append((time.monotonic(), emulator.statistics.in_flight))
            await asyncio.sleep(EVERY_S)
        parent.send(_seen(emulator.statistics, samples))


def _seen(statistics: Statistics, samples: list[tuple[float, int]]) -> Seen:
    first_s, last_s = statistics.arrivals_s[0], statistics.arrivals_s[-1]
    during = [in_flight for time_s, in_flight in samples if first_s <= time_s <= last_s]
    busy = sum(in_flight >= BUSY for in_flight in during)
    return Seen(statistics.requests, statistics.peak_rate(), statistics.peak_in_flight, busy / len(during))


@contextmanager
def gateway(options: EmulatorOptions, core: int) -> Iterator[tuple[Connection, dict[str, str]]]:
    """Run an emulator; give the line to it, and the environment that leads to it."""
    context = multiprocessing.get_context("spawn")
    parent, child = context.Pipe()
    server = context.Process(target=serve, args=(options, child, core))
    server.start()
    child.close()  # or nobody would notice that it has died
    try:
        url, access_key, secret_key = parent.recv()
        keys = {"NCLOUD_ACCESS_KEY_ID": access_key, "NCLOUD_SECRET_KEY": secret_key, "NCRAWL_GATEWAY": url}
        yield parent, os.environ | keys | {"NCLOUD_METADATA_ENDPOINT": "http://127.0.0.1:1"}
    finally:
        server.terminate()
        server.join()


def measure(options: EmulatorOptions, rate: str) -> tuple[Seen, float]:
    """Crawl an account, and check that it came out whole; return what its gateway saw and the process' seconds."""
    others, *_, ours = sorted(os.sched_getaffinity(0)) * 2
    with tempfile.TemporaryDirectory() as home, gateway(options, others) as (line, environment):
        output = Path(home, "images.ndjson")
        pace = ["--rate", rate, "--concurrency", str(CONCURRENCY)]
        command = [sys.executable, "-m", "crawler", "images", *pace, "-q", "-o", str(output)]
        began_s = time.monotonic()
        subprocess.run(
            command, env=environment | {"HOME": home}, cwd=ROOT, check=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {ours}),
        )  # fmt: skip
        seconds = time.monotonic() - began_s
        assert output.read_bytes().count(b"\n") == options.images
        line.send("stop")
        seen = line.recv()
        assert isinstance(seen, Seen)
        return seen, seconds


def slots(registries: int, images: int) -> bool:
    """Measure how busy the slots are; print it, and return whether it is enough."""
    seen, seconds = measure(EmulatorOptions(registries=registries, images=images, latency_ms=LATENCY_MS), "unlimited")
    print(
        f"unlimited: at least {BUSY} in flight for {seen.busy_share:.0%} of the run (wanted: more than 50 %), "
        f"{seen.most} at most (allowed: {CONCURRENCY}); {seen.requests:,} requests, {seconds:.1f} s in all"
    )
    return seen.busy_share > 0.5 and seen.most <= CONCURRENCY


def pace(registries: int, images: int, rate: int) -> bool:
    """Measure whether a rate is kept and used; print it, and return whether it is."""
    seen, seconds = measure(EmulatorOptions(registries=registries, images=images, latency_ms=LATENCY_MS), str(rate))
    allowed_s = 1.05 * seen.requests / rate + 1
    allowed = ALLOWED * (rate + max(1, rate / 10))
    print(
        f"--rate {rate}: {seen.requests:,} requests in {seconds:.2f} s (allowed: {allowed_s:.2f} s), "
        f"busiest second {seen.busiest_second} (allowed: {allowed:.0f})"
    )
    return seconds <= allowed_s and seen.busiest_second <= allowed


def main() -> int:
    """Measure both and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--registries", type=int, default=300, help="in each of three regions")
    parser.add_argument("--images", type=int, default=200_000, help="in all, shared out heavy-tailed")
    parser.add_argument("--rate", type=int, default=100)
    chosen = parser.parse_args()
    is_busy = slots(chosen.registries, chosen.images)
    is_kept = pace(chosen.registries, chosen.images // 10, chosen.rate)
    return 0 if is_busy and is_kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
