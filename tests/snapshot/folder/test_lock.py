"""One run a folder: the lock names its holder, ends with it, and is nobody else's."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.night import ROOT, a_night, a_night_here, checked

from crawler.core.errors import LockedError, OutputError
from crawler.emulation import EmulatorOptions
from crawler.snapshot.folder.lock import LOCK, locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STARTED = "2026-11-23T02:00:00.000Z"

HOLDER = """
import subprocess, sys
from pathlib import Path
from crawler.snapshot.folder.lock import locked
with locked(Path(sys.argv[1]), started="2026-11-23T02:00:00.000Z"):
    if sys.argv[2:]:
        child = subprocess.Popen(["sleep", "60"], close_fds=False, stdin=sys.stdin, stdout=subprocess.DEVNULL)
        print(child.pid, flush=True)
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of tmp_path until its standard input ends."""
    with hold(tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def hold(folder: Path, *more: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", HOLDER, str(folder), *more]
    return subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_the_second_run_is_told_whom_it_has_to_wait_for(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """Process and start of the first are in the message; the first goes on undisturbed."""
    complaint = rf"another run holds {tmp_path}: process {holder.pid}, started {STARTED}; wait for it, or stop it"
    for _ in range(2):
        with pytest.raises(LockedError, match=re.escape(complaint)), locked(tmp_path, started="later"):
            pytest.fail("two hold the lock")
    assert holder.poll() is None


def test_the_lock_ends_with_its_owner_even_by_kill_9(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """Nobody has to remove a stale file in the morning."""
    holder.kill()
    holder.wait()
    with locked(tmp_path, started=STARTED):
        assert (tmp_path / LOCK).read_text() == f"process {os.getpid()}, started {STARTED}\n"


def test_children_do_not_inherit_it(tmp_path: Path) -> None:
    """A child that outlives its parent, with every descriptor that it could get, does not hold the folder."""
    with hold(tmp_path, "with a child") as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            assert process.stdout.readline() == "held\n"
            process.kill()
            process.wait()
            with locked(tmp_path, started=STARTED):
                os.kill(child, 0)  # it is still there
        finally:
            os.kill(child, signal.SIGKILL)


def test_it_can_be_taken_again_and_again(tmp_path: Path) -> None:
    """The file stays, and a shorter text leaves nothing of a longer one."""
    for started in ("a rather long time ago", "now"):
        with locked(tmp_path, started=started):
            pass
    assert (tmp_path / LOCK).read_text() == f"process {os.getpid()}, started now\n"


def test_folders_have_locks_of_their_own(tmp_path: Path) -> None:
    """Two folders, two runs."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with locked(tmp_path / "a", started=STARTED), locked(tmp_path / "b", started=STARTED):
        pass


def test_a_holder_that_has_not_signed_yet_is_a_holder(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """Between taking the lock and writing who took it there is a moment."""
    (tmp_path / LOCK).write_text("")
    with pytest.raises(LockedError, match="a process that just began"), locked(tmp_path, started=STARTED):
        pytest.fail("two hold the lock")
    assert holder.poll() is None


def test_a_lock_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    """The path is named."""
    (tmp_path / LOCK).mkdir()
    with pytest.raises(OutputError, match=rf"{LOCK}: Is a directory"), locked(tmp_path, started=STARTED):
        pytest.fail("a folder is no lock")


def test_a_run_exits_75_at_once_while_another_is_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before its first request, whatever its options; a second folder is free meanwhile."""
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=1, images=3)) as night:
        with locked(night.folder, started=STARTED):
            for options in ((), ("--resume",), ("--quiet",)):
                assert night.snapshot(*options) == 75
                assert night.account.statistics.requests == 0
                assert f"process {os.getpid()}, started {STARTED}" in capsys.readouterr().err
        assert night.snapshot() == 0


def test_two_runs_at_once_make_one_snapshot(tmp_path: Path) -> None:
    """The second of two real runs ends with 75 while the first, held up by its gateway, goes on and publishes."""
    with a_night(tmp_path, EmulatorOptions(registries=1, images=3)) as night:
        seconds: list[int] = []

        def second_run(requests: int) -> None:
            if requests == 1:  # the first run waits for its answer until the second one is over
                with night.start() as second:
                    second.communicate()
                    seconds.append(second.returncode)

        night.account.on_request = second_run
        with night.start() as first:
            first.communicate()
        assert (first.returncode, seconds) == (0, [75])
        checked(night.newest())
        assert len(night.names()) == 1
