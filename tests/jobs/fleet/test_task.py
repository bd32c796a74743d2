"""A fleet's task: an account's snapshot, once for each run, whoever asks for it, however often, whatever dies."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from support.fleet import RUN, Fleet, a_fleet, images_of
from support.night import path_of

from crawler.core.errors import UsageError
from crawler.jobs.fleet.layout import checked_account, checked_run_id
from crawler.snapshot.folder.lock import locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with a_fleet(tmp_path) as one:
        yield one


def test_once_for_each_run(fleet: Fleet) -> None:
    """An ordinary snapshot in the account's own folder; asked for again, not a request is made."""
    assert fleet(*fleet.task("account-2"))[0] == 0
    requests = fleet.emulator.statistics.requests
    assert fleet(*fleet.task("account-2", "--compress", "zstd"))[0] == 0
    assert fleet.emulator.statistics.requests == requests
    (made,) = fleet.snapshots("account-2")
    assert (made.run.run_id, made.verdict, made.totals.images) == (RUN, "complete", images_of(fleet.emulator, 2))
    assert {one.account for one in made.registries} == {"account-2"}
    assert fleet(*fleet.task("account-2", run_id="another"))[0] == 0
    assert [one.run.run_id for one in fleet.snapshots("account-2")] == [RUN, "another"]
    assert [one.name for one in fleet.folder.iterdir()] == ["account-2"]


def test_of_an_account_that_is_being_taken(fleet: Fleet) -> None:
    """Is for later: 75, and not a request."""
    (fleet.folder / "account-1").mkdir()
    with locked(fleet.folder / "account-1", started="now"):
        code, said = fleet(*fleet.task("account-1"))
    assert (code, fleet.emulator.statistics.requests) == (75, 0)
    assert "another run holds" in said


@pytest.mark.long
def test_started_twice_at_once(fleet: Fleet) -> None:
    """By an engine that takes the first for dead: one crawl, one snapshot; the other is for later, or gets the same."""
    processes = [fleet.start(*fleet.task("account-1")) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert sorted(process.returncode for process in processes) in ([0, 0], [0, 75]), said
    assert (len(fleet.snapshots("account-1")), len(fleet.emulator.accounts.crawls)) == (1, 1)


@pytest.mark.long
def test_what_it_lacks_is_fetched(tmp_path: Path) -> None:
    """With --retry-failed: as another snapshot of the run, once there is something to be had, and then no more."""
    with a_fleet(tmp_path, denied=1) as fleet:
        assert fleet(*fleet.task("account-3"))[0] == 3
        assert fleet(*fleet.task("account-3"))[0] == 3
        fleet.emulator.accounts.gateway(3).denied = frozenset()
        assert fleet(*fleet.task("account-3", "--retry-failed", "--reuse", "latest"))[0] == 0, "which gives way"
        first, second = fleet.snapshots("account-3")
        assert (first.verdict, second.verdict) == ("incomplete", "complete")
        assert (first.run.run_id, second.run.run_id) == (RUN, RUN)
        assert second.run.taken_over is not None
        requests = fleet.emulator.statistics.requests
        assert fleet(*fleet.task("account-3", "--retry-failed"))[0] == 0
        assert fleet(*fleet.task("account-3"))[0] == 0
        assert fleet.emulator.statistics.requests == requests


def test_dies_with_its_parent_and_goes_on(fleet: Fleet) -> None:
    """SIGKILL of what started it ends it, however busy; the next one finds the lock free and goes on."""
    asked = threading.Event()
    fleet.emulator.on_request = lambda number: asked.set() if number == 3 else None
    fleet.emulator.silent = (f"{path_of(fleet.emulator.world.regions[0])}/",)
    command = [sys.executable, "-m", "crawler", "fleet", *fleet.task("account-1", "--deadline", "10m")]
    parent = subprocess.Popen(
        [sys.executable, "-c", "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))", *command],
        env=fleet.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert asked.wait(30)
    parent.kill()
    _, said = parent.communicate(timeout=30)  # the pipe's other end is the task's as well
    assert "SIGTERM" in said or "terminated" in said
    fleet.emulator.silent = ()
    assert fleet(*fleet.task("account-1"))[0] == 0
    assert len(fleet.snapshots("account-1")) == 1


def test_a_parent_that_is_gone_already(fleet: Fleet) -> None:
    """143 before the first request: the engine had this task for dead when it began."""
    code, said = fleet(*fleet.task("account-1", "--parent", "1"))
    assert (code, fleet.emulator.statistics.requests) == (128 + signal.SIGTERM, 0)
    assert "has ended" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nobody"], "'nobody' is not in"),
        (["account-1", "--run-id", "../x"], "cannot be a folder's name"),
        (["account-1", "--accounts", ""], "accounts"),
    ],
)
def test_what_cannot_be_asked_for(fleet: Fleet, arguments: list[str], sentence: str) -> None:
    """Exit 2, a sentence, and nothing is left in the folder."""
    code, said = fleet(*fleet.task(arguments[0], *arguments[1:]))
    assert code == 2
    assert sentence in said
    assert list(fleet.folder.iterdir()) == []


def test_names() -> None:
    """What becomes a folder's name can be one, also as Airflow calls its runs; `fleet` is taken."""
    for good in ("2026-11-26", "scheduled__2026-11-26T00:00:00+00:00", "a" * 200):
        assert checked_run_id(good) == good
    for bad in ("", ".", "..", "a/b", "-x", "a" * 201, "a\n", "é"):
        with pytest.raises(UsageError):
            checked_run_id(bad)
    for nobody in (None, "fleet"):
        with pytest.raises(UsageError):
            checked_account(nobody)
