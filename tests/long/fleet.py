"""A fleet on two workers of Dask, of which anything is killed at random: workers, the scheduler, tasks.

Each round takes all accounts under a run's id of its own, called again with it until it ends by itself; then everything
is complete, the merged bytes are those of an undisturbed run, no account was crawled twice at once, and no key is in
the engine's logs or in the storage.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.fleet import Cluster, Fleet, a_fleet

from crawler.snapshot.manifest import read

if TYPE_CHECKING:
    from collections.abc import Iterable

UNDISTURBED = "undisturbed"


class Killed(NamedTuple):
    """How many of each were killed in a round, and how often the run was called."""

    workers: int
    schedulers: int
    tasks: int
    calls: int


class Killer(threading.Thread):
    """Kills something every now and then, and puts another one in its place. Mutable state: what it did."""

    def __init__(self, fleet: Fleet, cluster: Cluster, rng: random.Random, every_s: float) -> None:
        super().__init__(daemon=True)
        self._fleet, self._cluster, self._rng, self._every_s = fleet, cluster, rng, every_s
        self.is_over = threading.Event()
        self.workers = self.schedulers = self.tasks = 0

    def run(self) -> None:
        """Kill until it is over."""
        while not self.is_over.wait(self._rng.uniform(0.5, 1.5) * self._every_s):
            self._rng.choice([self._worker, self._worker, self._task, self._task, self._task, self._scheduler])()

    def _worker(self) -> None:
        victim = self._cluster.processes.pop(self._rng.choice([1, 2]))
        victim.kill()
        victim.wait()
        self._cluster.start_worker()
        self.workers += 1

    def _scheduler(self) -> None:
        self._cluster.stop()
        self._cluster.start()
        self.schedulers += 1

    def _task(self) -> None:
        if victims := list(tasks_of(self._fleet)):
            with suppress(ProcessLookupError):
                os.kill(self._rng.choice(victims), signal.SIGKILL)
            self.tasks += 1


def tasks_of(fleet: Fleet) -> Iterable[int]:
    """Yield the processes of this fleet's tasks."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if b"task" in words and os.fsencode(fleet.folder) in words:
                yield int(path.parent.name)


def play(fleet: Fleet, cluster: Cluster, run_id: str, *, rng: random.Random, every_s: float) -> Killed:
    """Take a round: call the run until it ends with 0."""
    killer = Killer(fleet, cluster, rng, every_s)
    killer.start()
    calls, code = 0, 3
    while code != 0:
        calls += 1
        if calls == 4:  # what is killed for ever is never done
            killer.is_over.set()
            killer.join()
        assert calls < 8
        code, said = fleet(*fleet.run("--scheduler", cluster.url, "--compress", "zstd", run_id=run_id), timeout_s=1800)
        assert code in (0, 2, 3), said  # 2: the scheduler was dead when it began
        assert code != 3 or " missing: " in said or " incomplete: " in said, said
    killer.is_over.set()
    killer.join()
    return Killed(killer.workers, killer.schedulers, killer.tasks, calls)


def check(fleet: Fleet, cluster: Cluster, run_id: str) -> None:
    """See that a round came to what an undisturbed run does."""
    merged, other = (fleet.folder / "fleet" / name for name in (run_id, UNDISTURBED))
    made = read(merged)
    assert made.verdict == "complete"
    assert len(made.accounts or ()) == len(fleet.names)
    for file in made.files:
        assert (merged / file.name).read_bytes() == (other / file.name).read_bytes(), file.name
    assert fleet.emulator.accounts.crawls.at_once == {}
    assert b"secret-key" not in cluster.log.read_bytes()
    found = subprocess.run(["grep", "-rl", "secret-key", fleet.folder], capture_output=True, text=True, check=False)
    assert found.stdout == ""


def rounds(home: Path, *, accounts: int, how_many: int, seed: int, every_s: float) -> None:
    """Play all rounds, and print what was killed."""
    rng = random.Random(seed)
    with (
        a_fleet(home, accounts=accounts, registries=1, images=40, latency_ms=500) as fleet,
        Cluster(fleet, threads=4) as cluster,
    ):
        began_s = time.monotonic()
        assert fleet(*fleet.run("--compress", "zstd", run_id=UNDISTURBED), timeout_s=1800)[0] == 0
        say(f"undisturbed, without Dask: {accounts} accounts in {time.monotonic() - began_s:.0f} s")
        for number in range(1, how_many + 1):
            began_s = time.monotonic()
            killed = play(fleet, cluster, f"round-{number}", rng=rng, every_s=every_s)
            check(fleet, cluster, f"round-{number}")
            crawls = len(fleet.emulator.accounts.crawls)
            took_s = time.monotonic() - began_s
            say(f"round {number}: {killed}, {took_s:.0f} s; {crawls} crawls so far, none twice at once")


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--every", type=float, default=8.0, help="seconds between two kills")
    given = parser.parse_args()
    say(f"seed {given.seed}")
    with tempfile.TemporaryDirectory(prefix="ncrawl-fleet-") as folder:
        rounds(Path(folder), accounts=given.accounts, how_many=given.rounds, seed=given.seed, every_s=given.every)


if __name__ == "__main__":
    main()
