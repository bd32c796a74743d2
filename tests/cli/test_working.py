"""The line that says how far a command is: late enough, short enough, and gone before anything else is written."""

from __future__ import annotations

import fcntl
import struct
import termios
from contextlib import contextmanager, redirect_stderr
from typing import TYPE_CHECKING

import pytest
from support.snapshot_maker import image, make_snapshot
from support.streams import drained, stream

from crawler.cli import run, working
from crawler.cli.working import Working, fitted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

A = ("default", "kr", "team-a")
CLEAR = "\r\x1b[K"


@contextmanager
def terminal(columns: int = 40) -> Iterator[Callable[[], str]]:
    """Let standard error be a terminal; give what returns all that was written to it."""
    with stream("terminal") as (ours, theirs):
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        with open(theirs, "w", encoding="utf-8", closefd=False) as file, redirect_stderr(file):

            def written() -> str:
                file.flush()
                return drained(ours).decode()

            yield written


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


def test_a_line() -> None:
    """Nothing within the first second, then a line a quarter of a second at most, which is taken away in the end."""
    clock = Clock()
    with terminal() as written:
        with Working("verifying", total_bytes=3_000_000, clock_s=clock) as shown:
            for now_s in (0.0, 0.9, 1.0, 1.1, 1.2, 1.3):
                clock.now_s = now_s
                shown.read(500_000)
            shown.clear()
            shown.clear()
            clock.now_s = 2.0
            shown.tell(1, 2, "snapshots")
        lines = (
            "",
            "verifying · 2 of 3 MB · 1 s",
            "verifying · 3 of 3 MB · 1 s",
            "",
            "verifying · 1 of 2 snapshots · 2 s",
            "",
        )
        assert written().split(CLEAR) == list(lines)


def test_an_error_takes_it_away() -> None:
    """What is said of an error stands on a line of its own."""
    clock = Clock()

    def fail() -> None:
        with Working("verifying", clock_s=clock) as shown:
            clock.now_s = 1.0
            shown.read(1)
            raise ValueError("damaged")

    with terminal() as written:
        with pytest.raises(ValueError, match="damaged"):
            fail()
        assert written() == f"{CLEAR}verifying · 0 MB · 1 s{CLEAR}"


def test_quiet() -> None:
    """Nothing is shown where nothing is to be said."""
    clock = Clock()
    with terminal() as written:
        with Working("verifying", is_quiet=True, clock_s=clock) as shown:
            clock.now_s = 1.0
            shown.read(1)
        assert written() == ""


def test_off_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """Nor where nobody looks."""
    clock = Clock()
    with Working("verifying", clock_s=clock) as shown:
        clock.now_s = 1.0
        shown.read(1)
        shown.tell(1, 2, "snapshots")
    assert capfd.readouterr().err == ""


def test_a_dumb_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor on a terminal that could not take it away again."""
    monkeypatch.setenv("TERM", "dumb")
    clock = Clock()
    with terminal() as written:
        with Working("verifying", clock_s=clock) as shown:
            clock.now_s = 1.0
            shown.read(1)
        assert written() == ""


@pytest.mark.parametrize(
    ("text", "columns", "left"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "abc"),
        ("한국어", 5, "한국"),
        ("한국어", 6, "한국어"),
        ("a한", 2, "a"),
        ("", 3, ""),
    ],
)
def test_it_fits(text: str, columns: int, left: str) -> None:
    """No line is longer than the terminal is wide, also where characters take two columns."""
    assert fitted(text, columns) == left


def test_a_narrow_terminal() -> None:
    """A long line is cut, so that it can be taken away: 39 columns of 40."""
    clock = Clock()
    with terminal(40) as written:
        with Working("한" * 40, clock_s=clock) as shown:
            clock.now_s = 1.0
            shown.read(1)
        assert written() == CLEAR + "한" * 19 + CLEAR


@pytest.mark.parametrize("command", ["verify", "diff", "history", "report", "export"])
def test_commands(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each shows one, if it takes long enough, and its own words come after; standard output has none of it."""
    monkeypatch.setattr(working, "FIRST_AFTER_S", -1.0)
    snapshot = make_snapshot(tmp_path / "nights/20261123T020000Z", {A: [image("a")]})
    arguments = {
        "verify": [str(snapshot)],
        "diff": [str(snapshot), str(snapshot)],
        "history": [str(tmp_path / "nights"), "kr/team-a/a"],
        "report": [str(snapshot)],
        "export": [str(snapshot), "-o", str(tmp_path / "out"), "--format", "csv"],
    }
    with terminal(200) as written:
        assert run([command, *arguments[command]]) == 0
        shown, _, words = written().rpartition(CLEAR)
    assert " · " in shown
    assert " · " not in words
    assert "\x1b" not in capfd.readouterr().out
