"""Accounts whose snapshots are in an object storage: taken under a lease, sent, and merged there."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.fleet import RUN, Fleet, a_fleet
from support.night import path_of
from support.object_server import ObjectServer, Stored

from crawler.cli import run
from crawler.cli.fleet.task import scratch_folder
from crawler.core.errors import UsageError
from crawler.jobs.caller import Caller, providers_chain
from crawler.jobs.fleet.far import FarPlace, take_account_far
from crawler.jobs.fleet.lease import Lease, LeaseLostError, SystemClocks, holder
from crawler.jobs.fleet.merge import merge_far
from crawler.jobs.fleet.task import TaskOrder
from crawler.output.stores.opening import store_at
from crawler.settings.calling import given_settings
from crawler.snapshot.manifest import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from support.object_server import Misdeed, Request

URL = "s3://bucket/inventory"


@pytest.fixture(name="storage")
def _storage(server: ObjectServer) -> ObjectServer:
    return server


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setenv("HOME", str(tmp_path))
    with a_fleet(tmp_path, denied=1) as one:
        yield one


class Ahead(SystemClocks):
    """A machine whose date is a day late: no lease seems to last any more."""

    def now_s(self) -> float:
        """Return the date."""
        return super().now_s() + 86_400


FROZEN = """
import asyncio, sys
from pathlib import Path
from crawler.core.errors import NcrawlError
from crawler.jobs.caller import Caller, providers_chain
from crawler.jobs.fleet.far import FarPlace, take_account_far
from crawler.jobs.fleet.task import TaskOrder
from crawler.settings.calling import given_settings
chosen = {{"accounts": "{file}", "account": "account-1", "rate": 5.0}}
order = TaskOrder(given_settings(chosen, timeout_s=60), "{run_id}")
caller = Caller(find_keys=providers_chain({{"PATH": "/usr/bin:/bin"}}))
try:
    asyncio.run(take_account_far(FarPlace("{url}", Path("{folder}"), good_for_s=1.0), order, caller))
except NcrawlError as error:
    sys.exit(error.exit_code)
"""


def far_task(fleet: Fleet, rate: float | None) -> tuple[FarPlace, TaskOrder, Caller]:
    """Return what takes an account under a lease that is good for a second."""
    chosen = {"accounts": str(fleet.file), "account": "account-1", "rate": rate, "compress": "zstd"}
    order = TaskOrder(given_settings(chosen, timeout_s=60), RUN)
    place = FarPlace(URL, fleet.folder, good_for_s=1.0)
    return place, order, Caller(find_keys=providers_chain({"PATH": "/usr/bin:/bin"}))


def task(fleet: Fleet, account: str, *more: str) -> int:
    """Take an account in this process."""
    words = ["fleet", "task", account, URL, "--run-id", RUN, "--accounts", str(fleet.file), "--rate", "unlimited"]
    return run([*words, "--scratch", str(fleet.folder), "--compress", "zstd", "-q", *more])


def test_taken_sent_and_merged(fleet: Fleet, storage: ObjectServer) -> None:
    """Once a run; nothing stays behind; what it lacks is fetched later; no key is in the storage."""
    assert [task(fleet, name) for name in fleet.names] == [3, 3, 3]
    requests = fleet.emulator.statistics.requests
    assert task(fleet, "account-1") == 3
    assert fleet.emulator.statistics.requests == requests
    assert [path.name for path in fleet.folder.glob("*/account-1/*")] == [".ncrawl.lock"]
    fleet.emulator.accounts.gateway(1).denied = frozenset()
    assert task(fleet, "account-1", "--retry-failed") == 0
    assert run(["fleet", "merge", URL, "--run-id", RUN, "--accounts", str(fleet.file), "-q"]) == 3
    made = load(storage.files[f"inventory/fleet/{RUN}/manifest.json"].data)
    assert [one.verdict for one in made.accounts or ()] == ["complete", "incomplete", "incomplete"]
    latest = json.loads(storage.files["inventory/account-1/latest.json"].data)
    assert latest["snapshot"] == (made.accounts or ())[0].snapshot
    merged = storage.files[f"inventory/fleet/{RUN}/images.ndjson.zst"].data
    folders = [f"inventory/{one.account}/{one.snapshot}" for one in made.accounts or ()]
    assert merged == b"".join(storage.files[f"{folder}/images.ndjson.zst"].data for folder in folders)
    assert run(["fleet", "merge", URL, "--run-id", RUN, "-q"]) == 3
    assert run(["verify", f"{URL}/fleet/{RUN}", "-q"]) == 0
    assert b"secret-key" not in b"".join(file.data for file in storage.files.values())


@pytest.mark.long
def test_a_task_that_is_started_twice_at_once(fleet: Fleet, storage: ObjectServer) -> None:
    """By an engine that takes the first for dead, each with a scratch folder of its own: one crawl, one snapshot."""
    both = replace(fleet, variables=storage.environ)
    words = ("task", "account-1", URL, "--run-id", RUN, "--accounts", str(fleet.file), "--rate", "unlimited")
    for name in ("one", "other"):
        (fleet.home / name).mkdir()
    processes = [both.start(*words, "--scratch", str(fleet.home / name)) for name in ("one", "other")]
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert sorted(process.returncode for process in processes) in ([3, 3], [3, 75]), said
    assert len([name for name in storage.files if name.endswith("Z/manifest.json")]) == 1
    assert fleet.emulator.accounts.crawls.at_once == {}
    assert len(fleet.emulator.accounts.crawls) == 1


def test_of_an_account_that_somebody_has(fleet: Fleet, storage: ObjectServer) -> None:
    """Is for later: 75, not a request; given back, it is free at once."""
    lease = Lease(store_at(URL), "account-1", RUN)
    lease.take()
    assert (task(fleet, "account-1"), fleet.emulator.statistics.requests) == (75, 0)
    assert run(["fleet", "status", URL, "--run-id", RUN, "--accounts", str(fleet.file)]) == 3
    lease.give_back()
    assert task(fleet, "account-1") == 3
    assert json.loads(storage.files["inventory/account-1/lease.json"].data)["owner"] is None


def test_a_lease_that_is_lost(fleet: Fleet, storage: ObjectServer) -> None:
    """Stops the crawl, which waits for an answer; nothing is sent, and what was had is taken up later."""
    fleet.emulator.silent = (f"{path_of(fleet.emulator.world.regions[0])}/",)
    lease = "inventory/account-1/lease.json"

    def take_it(number: int) -> None:
        if number == 5:
            storage.files[lease] = Stored(b'{"owner": "another", "run_id": "x"}', {})

    fleet.emulator.on_request = take_it
    with pytest.raises(LeaseLostError):
        asyncio.run(take_account_far(*far_task(fleet, rate=None)))
    assert b"another" in storage.files[lease].data
    assert [name for name in storage.files if name.endswith(".zst")] == []
    fleet.emulator.on_request, fleet.emulator.silent = None, ()
    del storage.files[lease]
    assert task(fleet, "account-1") == 3


@pytest.mark.long
def test_a_storage_that_hangs(fleet: Fleet, storage: ObjectServer) -> None:
    """Whoever cannot renew the lease asks the gateway nothing more once its time is up, however long the storage takes.

    So another machine, which had to watch it for as long, is alone.
    """
    requests, lease = fleet.emulator.statistics, "inventory/account-1/lease.json"
    started, over = threading.Event(), threading.Event()

    @asynccontextmanager
    async def until_over(*_: object) -> AsyncIterator[None]:
        try:
            yield
        finally:
            over.set()

    def hang(request: Request) -> Misdeed | None:
        mine = request.name == lease and request.method == "PUT" and b"another" not in request.body
        return "hang" if mine and started.is_set() else None

    storage.misdeed = hang
    fleet.emulator.on_request = lambda number: started.set() if number == 2 else None
    with ThreadPoolExecutor(1) as beside:
        place, order, caller = far_task(fleet, rate=2.0)
        ended = beside.submit(asyncio.run, take_account_far(place, order, replace(caller, beside=until_over)))
        assert started.wait(30)
        other = Lease(store_at(URL), "account-1", RUN, good_for_s=1.5, clocks=Ahead())
        other.owner = "another"
        other.take()
        asked = requests.requests
        assert over.wait(30)
        assert requests.requests == asked
        storage.let_go.set()
        with pytest.raises(LeaseLostError):
            ended.result(30)
    assert holder(store_at(URL), "account-1") is not None


@pytest.mark.long
def test_a_task_that_was_frozen(fleet: Fleet, storage: ObjectServer) -> None:
    """SIGSTOP past its lease's end, and SIGCONT when another has it: not a request more, 75, and nothing is sent."""
    asked = threading.Event()
    fleet.emulator.on_request = lambda number: asked.set() if number == 2 else None
    code = FROZEN.format(folder=str(fleet.folder), file=str(fleet.file), url=URL, run_id=RUN)
    with subprocess.Popen([sys.executable, "-c", code], env=fleet.environment | storage.environ) as process:
        assert asked.wait(30)
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        other = Lease(store_at(URL), "account-1", RUN, good_for_s=1.5, clocks=Ahead())
        other.take()
        before = fleet.emulator.statistics.requests
        process.send_signal(signal.SIGCONT)
        assert process.wait(30) == 75
    assert fleet.emulator.statistics.requests == before
    assert [name for name in storage.files if name.endswith(".ndjson")] == []
    other.renew()


def test_two_fleets_with_one_scratch_folder(fleet: Fleet, storage: ObjectServer) -> None:
    """What one could not send is not the other's, though account and run are called the same."""
    storage.misdeed = lambda request: (
        507 if request.name.endswith("manifest.json") and request.method == "PUT" else None
    )
    assert task(fleet, "account-1") == 74
    storage.misdeed = lambda _: None
    requests = fleet.emulator.statistics.requests
    words = ["fleet", "task", "account-1", "s3://bucket/other", "--run-id", RUN, "--accounts", str(fleet.file)]
    assert run([*words, "--scratch", str(fleet.folder), "--rate", "unlimited", "-q"]) == 3
    assert fleet.emulator.statistics.requests > requests
    requests = fleet.emulator.statistics.requests
    assert task(fleet, "account-1") == 3
    assert fleet.emulator.statistics.requests == requests, "which was had, and is sent now"


def test_a_storage_that_ignores_conditions(
    fleet: Fleet, storage: ObjectServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, not a request, unless it is said that nobody else crawls these accounts; it is merged all the same."""
    storage.ignores_conditions = frozenset({"if-match"})
    assert (task(fleet, "account-1"), fleet.emulator.statistics.requests) == (2, 0)
    assert "add --without-lease" in capfd.readouterr().err
    assert task(fleet, "account-1", "--without-lease") == 3
    assert run(["fleet", "merge", URL, "--run-id", RUN, "-q"]) == 3
    assert run(["verify", f"{URL}/fleet/{RUN}", "-q"]) == 0


def test_two_merges_at_once(fleet: Fleet, storage: ObjectServer) -> None:
    """One has a lease while it goes on; one that lost it writes nothing more, and what it took away stays away."""
    assert task(fleet, "account-1") == 3
    store, name = store_at(URL), f"fleet/{RUN}"
    seen = []

    def look(request: Request) -> None:
        if request.method == "PUT" and request.name.endswith(f"{name}/images.ndjson.zst"):
            seen.append(json.loads(storage.files[f"inventory/{name}/lease.json"].data)["owner"])

    storage.misdeed = look
    assert merge_far(store, RUN).verdict == "incomplete"
    assert seen != [None]
    assert holder(store, name) is None
    storage.files[f"inventory/{name}/images.ndjson.zst"].headers.clear()  # so that it is sent again

    def take_it(request: Request) -> None:
        if request.method == "PUT" and request.name.endswith(f"{name}/images.ndjson.zst"):
            storage.files[f"inventory/{name}/lease.json"] = Stored(b'{"owner": "another"}', {})

    storage.misdeed = take_it
    with pytest.raises(LeaseLostError):
        merge_far(store, RUN)
    assert f"inventory/{name}/manifest.json" not in storage.files
    assert b"another" in storage.files[f"inventory/{name}/lease.json"].data


def test_a_scratch_folder_of_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made for this user alone, and refused where it is a link."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert scratch_folder("x").name == "x"
    folder = scratch_folder(None)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(UsageError, match="--scratch"):
        scratch_folder(None)
