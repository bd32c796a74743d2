"""The scenarios of fleets: what an engine costs beside its tasks, what its scheduler holds, and a large merge."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from contestants import NCRAWL, ncrawl
from measuring import HERE, KEYS, Server, World, ratios, run, spread
from report import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench import Bench
    from measuring import Cost, Spread

PYTHON = NCRAWL.with_name("python")
CONFIG = HERE.parent / "config/ncrawl-dask.yaml"
ACCOUNTS = [f"account-{number:02}" for number in range(50)]
TINY = World(registries=1, pages=1)
MANY = 10_000
MERGED_MB = 10_000
RUN_ID = "2026-11-26"
LOOP, LOCAL = "a loop of `ncrawl snapshot`: all", "`fleet run`: all, and the merge"
SENDER, WORKER = "`fleet run --scheduler`: itself, and the merge", "Dask's worker, beside its tasks"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Used(NamedTuple):
    """What a process took by itself, without those that it started, so far."""

    cpu_s: float
    peak_mb: float


class Cluster:
    """A scheduler of Dask and a worker of one thread, as processes of their own."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.url = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        quiet = ("--no-dashboard",)
        self.scheduler = _dask(
            folder, "scheduler", "--host", "127.0.0.1", "--port", self.url.rpartition(":")[2], *quiet
        )
        self.worker = _dask(folder, "worker", self.url, "--nthreads", "1", "--no-nanny", *quiet)

    def used(self) -> tuple[Used, Used]:
        """Return what scheduler and worker took."""
        return _used(self.scheduler.pid), _used(self.worker.pid)

    def stop(self) -> None:
        """End both."""
        for process in (self.worker, self.scheduler):
            process.terminate()
            process.wait()


@contextmanager
def cluster(bench: Bench) -> Iterator[Cluster]:
    """Have a cluster that has begun: a run of one task waits for its worker."""
    made = Cluster(bench.folder)
    try:
        _nothings(made, 1)
        yield made
    finally:
        made.stop()


def fleet_tasks(bench: Bench) -> None:
    """Take 50 small accounts one after the other: by a loop of `ncrawl snapshot`, by `fleet run`, by Dask's worker."""
    rows: dict[str, list[float]] = {name: [] for name in (LOOP, LOCAL, SENDER, "Dask's scheduler", WORKER)}
    with Server(TINY) as server, cluster(bench) as engine:
        for _ in range(bench.times(3)):
            rows[LOOP].append(sum(one.cpu_s for one in _loop(bench, server)))
            rows[LOCAL].append(_fleet(bench, server, "--workers", "1").cpu_s)
            before = engine.used()
            rows[SENDER].append(_fleet(bench, server, "--scheduler", engine.url).cpu_s)
            for name, old, new in zip(("Dask's scheduler", WORKER), before, engine.used(), strict=True):
                rows[name].append(new.cpu_s - old.cpu_s)
    note = f"{len(ACCOUNTS)} accounts of 100 images, one at a time; each is a process."
    table = [[name, str(_each_ms(values))] for name, values in rows.items()]
    bench.report.table("Fleet: what an account costs", note, ["", "CPU, ms an account"], table)
    name = "fleet: CPU of Dask's worker an account, beside its task"
    bench.report.figure(Figure(name, _each_ms(rows[WORKER]), 10, 5, "less", " ms"))
    ratio = ratios(rows[LOCAL], rows[LOOP])
    bench.report.figure(Figure("fleet: CPU of `fleet run` ÷ that of a loop of `ncrawl snapshot`", ratio, better="less"))


def fleet_engine(bench: Bench) -> None:
    """Run 10,000 tasks that do nothing: what is left is the engine."""
    with cluster(bench) as engine:
        before = engine.used()
        cost = _nothings(engine, MANY)
        after = engine.used()
    scheduler, worker = (_between(*one) for one in zip(before, after, strict=True))
    rows = [
        [name, f"{used.cpu_s:.1f}", f"{used.cpu_s / MANY * 1000:.2f}", f"{used.peak_mb:.0f}"]
        for name, used in (
            ("scheduler", scheduler),
            ("worker", worker),
            ("`run_accounts`", Used(cost.cpu_s, cost.peak_mb)),
        )
    ]
    note = f"{MANY:,} tasks that do nothing, by one worker of one thread, in {cost.wall_s:.0f} s."
    bench.report.table("Fleet: the engine", note, ["", "CPU, s", "CPU, ms a task", "RSS, MB"], rows)
    grown = scheduler.peak_mb - before[0].peak_mb
    name = f"fleet: RSS of Dask's scheduler, {MANY:,} accounts"
    bench.report.figure(Figure(name, spread([scheduler.peak_mb]), 250, 150, "less", " MB"))
    bench.report.figure(Figure(f"{name}: growth from one account on", spread([grown]), 100, 50, "less", " MB"))


def fleet_merge(bench: Bench) -> None:
    """Merge 10,000 accounts of 10 GB of frames; what fits into memory may still be there since it was written."""
    folder = bench.folder / "fleet"
    run([PYTHON, HERE / "many_accounts.py", folder, str(MANY), str(MERGED_MB)])
    cost = run([NCRAWL, "fleet", "merge", folder, "--run-id", RUN_ID, "--quiet"])
    merged = sum(path.stat().st_size for path in (folder / "fleet" / RUN_ID).iterdir())
    shutil.rmtree(folder)
    row = [
        f"{MANY:,} accounts, {merged / 1e9:.1f} GB",
        f"{cost.cpu_s:.1f}",
        f"{cost.wall_s:.1f}",
        f"{cost.peak_mb:.0f}",
    ]
    bench.report.table("Fleet: merge", "Compressed; one run.", ["", "CPU, s", "wall, s", "RSS, MB"], [row])
    bench.report.figure(
        Figure("fleet: merge of 10,000 accounts, 10 GB: wall", spread([cost.wall_s]), 60, 30, "less", " s")
    )
    bench.report.figure(
        Figure("fleet: merge of 10,000 accounts, 10 GB: RSS", spread([cost.peak_mb]), 250, None, "less", " MB")
    )


def _loop(bench: Bench, server: Server) -> Iterator[Cost]:
    """Take all accounts by a command each."""
    for name in ACCOUNTS:
        place = _empty(bench.folder / "loop" / name)
        yield run(ncrawl("snapshot", server, "--account", name, "--compress", "zstd", place))


def _fleet(bench: Bench, server: Server, *options: str) -> Cost:
    """Take all accounts by a run, with the options that a loop has."""
    file, place = bench.folder / "accounts.toml", _empty(bench.folder / "fleet")
    access, secret, *_ = KEYS
    keys = f'access_key_env = "{access}"\nsecret_key_env = "{secret}"\ngateway = ["{server.origin}"]\n'
    file.write_text("".join(f'[[account]]\nname = "{name}"\n{keys}' for name in ACCOUNTS))
    _, _, _, _, *same = ncrawl("run", server, "--compress", "zstd")  # its gateway is the accounts'
    return run([NCRAWL, "fleet", "run", file, place, *same, *options])


def _empty(place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    return place


def _nothings(engine: Cluster, number: int) -> Cost:
    return run([PYTHON, HERE / "idle_fleet.py", engine.url, str(number)])


def _dask(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = os.environ | KEYS | {"TMPDIR": str(folder), "DASK_CONFIG": str(CONFIG)}
    return subprocess.Popen([PYTHON.with_name("dask"), *words], cwd=folder, env=environment, **quiet)  # type: ignore[call-overload, no-any-return]


def _used(process: int) -> Used:
    times = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert peak
    return Used((int(times[11]) + int(times[12])) / _TICKS_PER_S, int(peak[1]) / 1024)


def _between(before: Used, after: Used) -> Used:
    return Used(after.cpu_s - before.cpu_s, after.peak_mb)


def _each_ms(cpu_s: list[float]) -> Spread:
    return spread(1000 * one / len(ACCOUNTS) for one in cpu_s)
