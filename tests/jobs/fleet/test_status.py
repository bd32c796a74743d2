"""Where a run stands, by what lies there: done, under way, unfinished, missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.fleet import RUN, make_account
from support.object_server import ObjectServer, Stored

from crawler.cli import run
from crawler.core.errors import UsageError
from crawler.core.model import Verdict
from crawler.jobs.fleet.layout import opened
from crawler.jobs.fleet.lease import Lease
from crawler.jobs.fleet.merge import merge
from crawler.jobs.fleet.status import fleet_status
from crawler.snapshot.unfinished.journal import Header
from crawler.snapshot.unfinished.run import UnfinishedRun

if TYPE_CHECKING:
    from pathlib import Path


def begin(folder: Path, run_id: str) -> None:
    """Let a run begin, and be cut off."""
    folder.mkdir()
    header = Header(
        id="20261126T020000Z", started_ms=0, account="x", identity="", options={"compress": "none"}, run_id=run_id
    )
    UnfinishedRun.begin(folder, header).close()


def test_each_state(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A snapshot, a lease, a run that has begun, and nothing: of this run, not of another."""
    make_account(tmp_path, "done", "x")
    make_account(tmp_path, "lacking", "x", verdicts={("lacking", "kr", "locked"): Verdict.DENIED})
    make_account(tmp_path, "old", "x", run_id="another")
    begin(tmp_path / "begun", RUN)
    begin(tmp_path / "begun-else", "another")
    lease = Lease(opened(str(tmp_path)), "leased", RUN)
    lease.take()
    accounts = tmp_path / "accounts.toml"
    names = ("done", "lacking", "old", "begun", "begun-else", "leased", "nothing")
    accounts.write_text("".join(f'[[account]]\nname = "{name}"\nprofile = "{name}"\n' for name in names))
    words = ["fleet", "status", str(tmp_path), "--run-id", RUN, "--accounts", str(accounts)]
    assert run([*words, "--json"]) == 3
    found = json.loads(capfd.readouterr().out)
    states = {one["account"]: (one["state"], one["verdict"]) for one in found["accounts"]}
    assert states == {
        "done": ("done", "complete"),
        "lacking": ("done", "incomplete"),
        "begun": ("unfinished", None),
        "leased": ("under way", None),
        **dict.fromkeys(("old", "begun-else", "nothing"), ("missing", None)),
    }
    assert found["merged"] is None
    merge(tmp_path, RUN, opened(str(tmp_path)))
    assert run(words) == 3
    out = capfd.readouterr().out
    assert f"under way: {lease.owner}" in out
    assert f"run {RUN}: 7 accounts: 1 complete, 1 incomplete, 3 missing, 1 under way, 1 unfinished; merged: inc" in out


def test_of_a_storage_that_cannot_be_read(server: ObjectServer, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit 74, and a sentence: it denies, or has a file whose name leads elsewhere; with a run's name or without."""
    for run_id in ([], ["--run-id", RUN]):
        server.misdeed = lambda _: 403
        assert run(["fleet", "status", "s3://bucket/x", *run_id]) == 74
        assert "the store denies it" in capfd.readouterr().err
        server.misdeed = lambda _: None
        server.files = {"x/../20261123T020000Z/manifest.json": Stored(b"", {})}
        assert run(["fleet", "status", "s3://bucket/x", *run_id]) == 74
        assert "use another prefix" in capfd.readouterr().err


def test_of_the_newest_run(tmp_path: Path) -> None:
    """Where none is named; and of those accounts that have anything of it."""
    with pytest.raises(UsageError, match="no snapshot of any run"):
        fleet_status(str(tmp_path), None)
    make_account(tmp_path, "a", "x")
    make_account(tmp_path, "b", "x", run_id="0")
    (tmp_path / "c" / "20261123T020000Z").mkdir(parents=True)
    found = fleet_status(str(tmp_path), None)
    assert (found.run_id, [one.account for one in found.accounts], found.is_complete) == (RUN, ["a"], True)
