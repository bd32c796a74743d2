"""A fleet's run: every account is tried until it is done or given up, whoever runs the tasks and whatever dies."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import termios
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from support.fleet import RUN, Fleet, a_fleet, make_account

from crawler.cli.fleet.progress import headline, table_lines
from crawler.core.model import Verdict
from crawler.jobs.fleet import running
from crawler.jobs.fleet.earlier import done_before
from crawler.jobs.fleet.engines import EngineGoneError, Errand, LocalEngine
from crawler.jobs.fleet.policy import TaskEnd
from crawler.jobs.fleet.running import Standing, run_accounts
from crawler.snapshot.manifest import read
from crawler.snapshot.unfinished.journal import Header
from crawler.snapshot.unfinished.run import UnfinishedRun

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crawler.jobs.fleet.engines import Ended


@dataclass
class Scripted:
    """An engine whose tasks end at once, with the codes of a list, and then with 0."""

    codes: dict[str, list[int | None]]
    most: int = 2
    started: Counter[str] = field(default_factory=Counter)
    given: set[str] = field(default_factory=set)

    def start(self, account: str, ended: Ended) -> None:
        """End it; never is an account given twice at once, nor more than are wanted."""
        assert account not in self.given
        self.given.add(account)
        assert len(self.given) <= self.most
        self.started[account] += 1
        codes = self.codes.get(account, [])
        self.given.discard(account)
        ended(account, TaskEnd(codes.pop(0) if codes else 0))


def test_every_account_is_done_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that can come out better are tried again, and none costs another anything."""
    monkeypatch.setattr(running, "pause_s", lambda end, tries: 0.0 if end.code and tries.failed < 3 else None)
    engine = Scripted({"crashed": [-9, 1], "hopeless": [1, 1, 1, 1], "later": [75, 75]})
    standing, told = Standing(5), []
    accounts = ["crashed", "fine", "hopeless", "later", "other"]
    run_accounts(accounts, engine, standing, tell=lambda *one: told.append(one), look=lambda: None)
    assert {name: end.code for name, end in standing.ends.items()} == {
        **dict.fromkeys(("crashed", "fine", "later", "other"), 0),
        "hopeless": 1,
    }
    assert engine.started == {"crashed": 3, "fine": 1, "hopeless": 3, "later": 3, "other": 1}
    assert (standing.under_way, standing.again) == ({}, set())
    assert len(told) == 11


def test_what_was_done_before_is_left_alone() -> None:
    """It counts, and nobody is started for it."""
    engine, standing = Scripted({}), Standing(2, ends={"a": TaskEnd(3)})
    run_accounts(["a", "b"], engine, standing, tell=lambda *_: None, look=lambda: None)
    assert engine.started == {"b": 1}
    assert standing.codes == {3: 1, 0: 1}


def test_what_was_done_before(tmp_path: Path) -> None:
    """The newest snapshot tells: of this run, and whole, or not to be mended; with nothing left undone beside it."""
    make_account(tmp_path, "done", "x")
    make_account(tmp_path, "lacking", "x", verdicts={("lacking", "kr", "locked"): Verdict.DENIED})
    make_account(tmp_path, "old", "x", run_id="another")
    make_account(tmp_path, "nobody's", "x")
    make_account(tmp_path, "unsettled", "x")
    header = Header(id="20261123T020000Z", started_ms=0, account="x", identity="", options={"compress": "none"})
    UnfinishedRun.begin(tmp_path / "unsettled", header).close()
    names = ["done", "lacking", "old", "unsettled", "nothing"]
    found = done_before(str(tmp_path), RUN, names, retries_failed=False)
    assert found == {"done": TaskEnd(0), "lacking": TaskEnd(3)}
    assert done_before(str(tmp_path), RUN, names, retries_failed=True) == {"done": TaskEnd(0)}


def test_an_engine_that_is_gone() -> None:
    """Ends what has not ended, each with the reason; what was done stays."""

    class Mortal(Scripted):
        def start(self, account: str, ended: Ended) -> None:
            """End one more, and then be gone."""
            if self.started:
                raise EngineGoneError("gone")
            super().start(account, ended)

    standing, told = Standing(3), []
    tell = lambda account, end, after_s: told.append((account, end.said, after_s))  # noqa: E731 - a line
    run_accounts(list("abc"), Mortal({"a": [75]}), standing, tell=tell, look=lambda: None)
    assert [end.code for end in standing.ends.values()] == [None, None, None]
    assert told[-3:] == [("a", "gone", None), ("b", "gone", None), ("c", "gone", None)]


def test_ten_thousand_accounts() -> None:
    """The loop itself costs next to nothing an account."""
    standing = Standing(10_000)
    accounts = [f"account-{number:05}" for number in range(10_000)]
    run_accounts(accounts, Scripted({}, most=1_000), standing, tell=lambda *_: None, look=lambda: None)
    assert list(standing.ends) == accounts


def test_threads_run_tasks() -> None:
    """As many at once as was said; the standing knows which."""
    both, standing = threading.Barrier(2, timeout=10), Standing(4)

    def run_task(errand: Errand, account: str) -> TaskEnd:
        assert len(standing.under_way) <= 2
        assert account in standing.under_way
        both.wait()
        return TaskEnd(0, errand.run_id)

    engine = LocalEngine(run_task, Errand("/x", "/y", RUN), workers=2, started=standing.started)
    run_accounts(list("abcd"), engine, standing, tell=lambda *_: None, look=lambda: None)
    assert set(standing.ends) == set("abcd")


def test_what_is_shown() -> None:
    """Each state is counted; the table has a row for each that runs, the longest first."""
    standing = Standing(40, ends={"a": TaskEnd(0), "b": TaskEnd(3), "c": TaskEnd(4)}, again={"d"})
    standing.under_way = {f"run-{number}": 100.0 - number for number in range(25)}
    said = "3 of 40 accounts: 1 complete, 1 incomplete, 1 failed, 25 under way, 1 again later, 11 waiting; 62 s"
    assert headline(standing, seconds=62) == said
    lines = table_lines(standing, 110.0, seconds=62)
    assert lines[:2] == [said, "  run-24  34 s"]
    assert (len(lines), lines[-1]) == (22, "  … and 5 more")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with a_fleet(tmp_path, accounts=4, registries=1, images=8) as one:
        yield one


@pytest.mark.long
def test_on_one_machine(fleet: Fleet) -> None:
    """All accounts, and the merge; an account without keys costs itself alone, and is said."""
    broken = fleet.file.read_text().replace('"sh", "-c"', '"false"', 1)
    fleet.file.write_text(broken)
    code, said = fleet(*fleet.run("--workers", "4", "--summary", "s.json"))
    assert code == 3
    assert "account-1: its task ended with 2; given up" in said
    assert "account-1: missing: has no snapshot of this run" in said
    made = read(fleet.folder / "fleet" / RUN)
    assert [one.verdict for one in made.accounts or ()] == ["missing", "complete", "complete", "complete"]
    assert (fleet.home / "s.json").exists()
    fleet.file.write_text(fleet.emulator.accounts.file(fleet.emulator.url))
    shares = [fleet(*fleet.run("--share", f"{number}/2"))[0] for number in range(2)]
    assert shares == [0, 0]
    assert fleet("merge", str(fleet.folder), "--run-id", RUN, "--accounts", str(fleet.file))[0] == 0
    code, said = fleet(*fleet.run())
    assert code == 0
    assert "4 accounts, 4 of them done before" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--scheduler", "tcp://127.0.0.1:9", "--workers", "2"], "drop --workers"),
        (["--share", "2/2"], "is no share"),
        (["--run-id", "a/b"], "cannot be a folder's name"),
    ],
)
def test_what_cannot_be_asked_for(fleet: Fleet, words: list[str], sentence: str) -> None:
    """Exit 2, a sentence, no request."""
    code, said = fleet(*fleet.run(), *words)
    assert code == 2
    assert sentence in said
    assert fleet.emulator.statistics.requests == 0


ON_A_TERMINAL = """
from crawler.cli.fleet.progress import FleetProgress
from crawler.jobs.fleet.running import Standing
from crawler.settings.table import Settings
standing = Standing(2)
progress = FleetProgress(standing, Settings())
standing.started("account-1")
progress.look()
progress.say("something")
progress.look()
progress.clear()
"""


def test_a_table_on_a_terminal() -> None:
    """It is taken away before each line, and in the end; no line is wider than the terminal."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 30, 0, 0))
    environ = {"PATH": os.environ["PATH"], "TERM": "xterm"}
    subprocess.run([sys.executable, "-c", ON_A_TERMINAL], stderr=theirs, env=environ, check=True)
    written = os.read(ours, 10_000).decode().replace("\r\n", "\n")
    os.close(ours)
    os.close(theirs)
    table = "0 of 2 accounts: 1 under way,\n  account-1  0 s\n"
    away = "\x1b[2A\x1b[J"
    assert written == f"{table}{away}something\n{table}{away}"
