"""The Python API: snapshots from any thread and any loop, made once for an id, without a trace in the process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from support.night import ROOT, Night, a_night, checked, path_of

import crawler
from crawler.core.errors import LockedError, UsageError
from crawler.emulation import EmulatorOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORLD = EmulatorOptions(registries=4, images=300)


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    """An emulated account in a thread of its own; nothing in this process's environment leads to it."""
    with a_night(tmp_path, WORLD) as night:
        yield night


def options_of(night: Night, **more: Any) -> Any:
    """Return the options that lead to the account."""
    return {"gateway": night.account.url, "keys": night.keys, "rate": None, **more}


def take(night: Night, **more: Any) -> crawler.SnapshotResult:
    """Take a snapshot as a caller does."""
    return crawler.take_snapshot(night.folder, **options_of(night, **more))


def until_requests(night: Night, number: int) -> threading.Event:
    """Return what is set when the n-th request from now arrives; neither it nor a later one is answered."""
    night.account.forget()
    arrived = threading.Event()

    def count(requests: int) -> None:
        if requests >= number:
            night.account.on_request = None
            night.account.silent = ("/",)
            arrived.set()

    night.account.on_request = count
    return arrived


# ── what it gives ──


def test_a_snapshot_and_its_result(night: Night) -> None:
    """The result says what is in the snapshot, is JSON, and the snapshot is proved by `verify`."""
    done = take(night, account="acme", compress="zstd")
    made = checked(night.newest())
    assert (done.path, done.id) == (str(night.newest()), night.newest().name)
    assert (done.verdict, done.exit_code, done.reasons, done.is_complete) == ("complete", 0, (), True)
    assert done.totals == made.totals
    told = json.loads(json.dumps(done.as_json()))
    assert told["totals"]["images"] == 300
    assert {one.account for one in made.registries} == {"acme"}
    assert "run_id" not in (night.newest() / "manifest.json").read_text()


def test_what_is_missing_is_a_result(night: Night) -> None:
    """Exit code 3, and a reason for each thing that is missing; `latest` is where the policy has it."""
    region, registry = night.account.registries()[0]
    night.account.silent = (path_of(region, registry),)
    done = take(night, timeout=1.5, accept="partial")
    assert (done.verdict, done.exit_code) == ("incomplete", 3)
    assert done.path == str((night.folder / "latest").resolve())
    assert done.reasons[0].startswith("the deadline came")
    assert any(reason.startswith(f"{region}/{registry}: ") for reason in done.reasons)


def test_nothing_at_all_is_no_snapshot(night: Night) -> None:
    """A time limit that came before the first answer: no path, and why."""
    night.account.silent = ("/",)
    done = take(night, timeout=0.3)
    assert (done.path, done.exit_code, night.names(), night.remains()) == (None, 3, [], set())
    assert done.reasons[0].startswith("the deadline came")


def test_a_refused_key_is_a_result(night: Night) -> None:
    """With the exit code that the command has for it."""
    done = take(night, keys=crawler.Keys(night.account.access_key, "wrong"))
    assert (done.path, done.exit_code) == (None, 4)


def test_what_makes_a_snapshot_impossible(night: Night) -> None:
    """It is an error of ours with one sentence, before a request is made."""
    with pytest.raises(UsageError, match="does not exist: make it with"):
        crawler.take_snapshot(night.home / "nowhere", **options_of(night))
    with pytest.raises(UsageError, match="concurrency: "):
        take(night, concurrency=0)
    with pytest.raises(UsageError, match="no keys were given: what was called for them raised ZeroDivisionError"):
        take(night, keys=lambda: 1 / 0)
    assert night.account.statistics.requests == 0


def test_the_observer_hears_of_the_run(night: Night) -> None:
    """In the order in which a command line would say it."""
    told: list[str] = []
    take(night, observe=lambda event: told.append(type(event).__name__))
    notable = [name for name in told if name != "ListingEnded"]
    assert notable == ["RunNamed", "ClientTaken", "RunEnded", "SnapshotPublished", "LatestSettled"]


# ── from anywhere ──


async def test_from_a_thread_whose_event_loop_runs(night: Night) -> None:
    """Where `asyncio.run` would refuse; the loop is as it was, and goes on afterwards."""
    loop = asyncio.get_running_loop()
    assert take(night).is_complete
    assert asyncio.get_running_loop() is loop
    await asyncio.sleep(0)


async def test_within_a_running_event_loop(night: Night) -> None:
    """The async twin runs in the caller's loop, beside what else goes on there, and leaves no task."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    done = await crawler.take_snapshot_async(night.folder, **options_of(night))
    assert done.is_complete
    assert ticks > 10
    ticking.cancel()
    assert asyncio.all_tasks() == {ticking, asyncio.current_task()}


def test_from_several_threads_at_once(night: Night) -> None:
    """Each into a folder of its own; the same folder is one run's at a time."""
    folders = [night.home / str(number) for number in range(4)]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda folder: crawler.take_snapshot(folder, **options_of(night)), folders))
    assert [one.is_complete for one in done] == [True] * 4
    for one in done:
        checked(night.home / (one.path or ""))
    refused: list[str] = []

    def meanwhile(_event: object) -> None:
        with suppress(LockedError):
            crawler.take_snapshot(night.folder, **options_of(night))
            return
        refused.append("locked")

    assert take(night, observe=meanwhile).is_complete
    assert refused
    assert len(night.names()) == 1


# ── made once ──


def test_a_run_id_is_made_once(night: Night) -> None:
    """Asked for again, the same snapshot comes without a request; another id, or none, makes another one."""
    first = take(night, run_id="2026-11-26")
    night.account.forget()
    assert take(night, run_id="2026-11-26") == first
    assert night.account.statistics.requests == 0
    others = [take(night, run_id=run_id) for run_id in ("2026-11-27", "2026-11", None)]
    assert len({one.id for one in (first, *others)}) == 4
    assert take(night, run_id="2026-11-26") == first
    assert crawler.Snapshot(first.path or "").manifest.run.run_id == "2026-11-26"


def test_an_incomplete_snapshot_is_made_once_too(night: Night) -> None:
    """It is a result; with its reasons and its exit code as they were."""
    region, registry = night.account.registries()[0]
    night.account.silent = (path_of(region, registry),)
    first = take(night, timeout=1, run_id="x")
    night.account.silent = ()
    assert first.exit_code == 3
    assert take(night, run_id="x") == first


def test_a_damaged_snapshot_was_made_under_no_id(night: Night) -> None:
    """Nothing that it says can be relied on: another one is made."""
    first = take(night, run_id="x")
    manifest = night.newest() / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"images": 300', b'"images": 301', 1))
    second = take(night, run_id="x")
    assert second.is_complete
    assert second.id != first.id


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_cut_off_is_taken_up(night: Night, how: signal.Signals) -> None:
    """After a kill, or Ctrl-C while it is waited for: what was finished is not fetched again, and then it is made."""
    take(night, run_id="another")
    code = f"""
import crawler, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background processes are born deaf to it
keys = crawler.Keys({night.account.access_key!r}, {night.account.secret_key!r})
options = dict(gateway={night.account.url!r}, keys=keys, concurrency=1)
try:
    crawler.take_snapshot({str(night.folder)!r}, run_id="night", **options)
except KeyboardInterrupt:
    raise SystemExit(7)
"""
    arrived = until_requests(night, 9)
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE)
    assert arrived.wait(30)
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (7 if how is signal.SIGINT else -9, b"")
    finished = night.finished()
    assert finished
    night.account.silent = ()
    night.account.forget()
    done = take(night, run_id="night", concurrency=1)
    assert done.is_complete
    assert not night.fetched() & finished
    made = checked(night.newest())
    assert len(made.run.resumed) == 1
    night.account.forget()
    assert take(night, run_id="night") == done
    assert night.account.statistics.requests == 0


def test_only_the_run_of_an_id_is_taken_up(night: Night) -> None:
    """What another id, or nobody's, left is not this one's to finish."""
    cut_off(night, run_id="one")
    assert night.finished()
    done = take(night, run_id="other")
    assert checked(night.newest()).run.resumed == ()
    assert done.is_complete
    assert take(night, run_id="one").id != done.id


def test_a_run_of_an_id_with_other_options(night: Night) -> None:
    """They decide what is in the snapshot: one sentence, and the run is as it was."""
    cut_off(night, run_id="one")
    finished = night.finished()
    with pytest.raises(UsageError, match="cannot be taken up: --compress was none and is zstd"):
        take(night, run_id="one", compress="zstd")
    assert night.finished() == finished


def cut_off(night: Night, **more: Any) -> None:
    """Cancel a run when it has finished something."""

    async def main() -> None:
        arrived = until_requests(night, 9)
        run = asyncio.create_task(crawler.take_snapshot_async(night.folder, **options_of(night, concurrency=1, **more)))
        assert await asyncio.to_thread(arrived.wait, 30)
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run
        assert asyncio.all_tasks() == {asyncio.current_task()}
        night.account.silent = ()

    asyncio.run(main())
    night.account.on_request = None


def test_a_run_that_is_cancelled_lets_go_of_its_folder(night: Night) -> None:
    """Its lock and its files; what it finished stays for whoever takes it up."""
    cut_off(night, run_id="one")
    opened = [os.path.realpath(f"/dev/fd/{number}") for number in os.listdir("/dev/fd")]  # noqa: PTH208
    assert [path for path in opened if path.startswith(os.path.realpath(night.home))] == []
    assert night.names() == []
    assert night.finished()
    assert take(night, run_id="one").is_complete


# ── without a trace ──

STATE = """
import asyncio, gc, json, logging, os, resource, signal, sys, threading, warnings

def policy():
    with warnings.catch_warnings(action="ignore"):  # Python 3.14 would rather not be asked
        return str(type(asyncio.get_event_loop_policy()))

def state():
    loggers = [logging.getLogger(name) for name in (None, "ncrawl", "aiohttp", "aiohttp.client", "asyncio")]
    mask = os.umask(0)
    os.umask(mask)
    is_beside = threading.current_thread() is not threading.main_thread() or asyncio._get_running_loop() is not None
    return {
        "signals": [str(signal.getsignal(number)) for number in signal.valid_signals()],
        "mask": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ()))),
        "wakeup": None if is_beside else signal.set_wakeup_fd(-1),
        "gc": [gc.get_threshold(), gc.get_freeze_count(), gc.isenabled()],
        "logging": [[str(one.handlers), one.level, one.propagate, one.disabled] for one in loggers],
        "limits": [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")],
        "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) if sys.platform == "linux" else None,
        "policy": policy(),
        "environ": dict(os.environ),
        "streams": [str(sys.stdout), str(sys.stderr), str(sys.excepthook), str(threading.excepthook)],
        "others": [os.getcwd(), mask, str(warnings.filters), sys.getswitchinterval(), sys.getrecursionlimit()],
        "threads": [one.name for one in threading.enumerate()],
    }
"""


def test_nothing_of_the_process_is_touched(night: Night) -> None:
    """Signals, logging, limits, garbage collection, event loop's policy, streams: as before the first import."""
    code = f"""
import ctypes{STATE}
before = state()
import crawler, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background processes are born deaf to it
keys = crawler.Keys({night.account.access_key!r}, {night.account.secret_key!r})
options = dict(gateway={night.account.url!r}, keys=keys, rate=None)
during = []
done = crawler.take_snapshot({str(night.folder)!r}, observe=lambda _: during.append(state()), **options)
assert done.is_complete

async def main():
    async with crawler.connect(**options) as client:
        assert [one async for one in client.images()]
        during.append(state())

asyncio.run(main())
after = state()
for one in during:
    del one["threads"], one["signals"], one["wakeup"]  # asyncio.run has its own for Ctrl-C
left = {{name: (value, after[name]) for name, value in before.items() if after[name] != value}}
left |= {{name: (before[name], value) for one in during for name, value in one.items() if before[name] != value}}
print(json.dumps(left))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert json.loads(done.stdout) == {}


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("", {"aiohttp", "uvloop", "anyio", "asyncio", "msgspec", "orjson", "click", "zstandard"}),
        ("crawler.Keys; crawler.Snapshot; crawler.diff", {"aiohttp", "uvloop", "anyio._backends", "click"}),
        ("import crawler.jobs.snapshot.job, crawler.jobs.streaming, crawler.jobs.python.client", {"click", "uvloop"}),
    ],
)
def test_what_is_imported_when(code: str, absent: set[str]) -> None:
    """Importing the package is cheap, reading snapshots needs no network, and no job a command line."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, crawler; {code}\nprint(*sys.modules)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert absent & {*done.stdout.split()} == set()


def test_every_name_is_there() -> None:
    """What the module says that it has can be had, and nothing else."""
    found = {name: getattr(crawler, name) for name in crawler.__all__}
    assert all(one is not None for one in found.values())
    assert {*crawler._PLACES} <= {*crawler.__all__}
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = crawler.nothing


async def test_the_emulator_is_there_to_test_with() -> None:
    """It has what leads a client to it, and takes the emulator's own options."""
    async with crawler.emulator(registries=2, images=20, latency_ms=1) as emulator:
        keys = crawler.Keys(emulator.access_key, emulator.secret_key)
        async with crawler.connect(gateway=emulator.url, keys=keys) as client:
            assert len([one async for one in client.images()]) == 20
    assert emulator.statistics.requests > 6
    with pytest.raises(TypeError):
        crawler.emulator(registrys=2)
