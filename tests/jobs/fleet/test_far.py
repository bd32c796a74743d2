"""Accounts whose snapshots are in an object storage: taken under a lease, sent, and merged there."""

from __future__ import annotations

import asyncio
import json
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
from crawler.jobs.fleet.lease import Lease, LeaseLostError
from crawler.jobs.fleet.task import TaskOrder
from crawler.output.stores.opening import store_at
from crawler.settings.calling import given_settings
from crawler.snapshot.manifest import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

URL = "s3://bucket/inventory"


@pytest.fixture(name="storage")
def _storage(server: ObjectServer) -> ObjectServer:
    return server


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setenv("HOME", str(tmp_path))
    with a_fleet(tmp_path, denied=1) as one:
        yield one


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
    assert [path.name for path in (fleet.folder / "account-1").iterdir()] == [".ncrawl.lock"]
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
    chosen = {"accounts": str(fleet.file), "account": "account-1", "rate": None, "compress": "zstd"}
    settings = given_settings(chosen, timeout_s=60)
    place = FarPlace(URL, fleet.folder, good_for_s=1.0)
    caller = Caller(find_keys=providers_chain({"PATH": "/usr/bin:/bin"}))
    with pytest.raises(LeaseLostError):
        asyncio.run(take_account_far(place, TaskOrder(settings, RUN), caller))
    assert b"another" in storage.files[lease].data
    assert [name for name in storage.files if name.endswith(".zst")] == []
    fleet.emulator.on_request, fleet.emulator.silent = None, ()
    del storage.files[lease]
    assert task(fleet, "account-1") == 3


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
