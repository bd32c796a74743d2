"""One line on a terminal's standard error that says how far a command is which takes longer than a second."""

from __future__ import annotations

import os
import shutil
import sys
import time
import unicodedata
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click

from crawler.cli.sentences import tell
from crawler.cli.streams import CLEAR, standard_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

FIRST_AFTER_S = 1.0
EVERY_S = 0.25
_WIDE = ("F", "W")

_Function = TypeVar("_Function", bound="Callable[..., Any]")


def quiet_option(function: _Function) -> _Function:
    """Add ``-q``."""
    return click.option("-q", "--quiet", is_flag=True, help="Say nothing but what is wrong.")(function)


class Working:
    """Shows what it is told, a few times a second; nothing off-terminal, or if ``is_quiet``.

    As a context manager it takes the line away in the end, whatever comes after it. Whoever writes something else in
    between calls `clear` before.

    Args:
        doing: what the command does, such as ``verifying``.
        is_quiet: shows nothing.
        clock_s: seconds that pass.

    Mutable state: when the line is due, whether one stands there, and how much was counted.
    """

    def __init__(
        self, doing: str, *, is_quiet: bool = False, total_bytes: int = 0, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._doing = doing
        self._is_shown = not is_quiet and can_rewrite()
        self._total_bytes = total_bytes
        self._clock_s = clock_s
        self._started_s = clock_s()
        self._due_s = self._started_s + FIRST_AFTER_S
        self._bytes = 0
        self._is_there = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.clear()

    def read(self, size: int) -> None:
        """Count bytes that were read."""
        self._bytes += size
        if self._is_shown and self._clock_s() >= self._due_s:
            of = f" of {max(self._total_bytes, self._bytes) / 1e6:,.0f}" if self._total_bytes else ""
            self._show(f"{self._bytes / 1e6:,.0f}{of} MB")

    def tell(self, done: int, total: int, what: str) -> None:
        """Say how many of how many are done."""
        if self._is_shown and self._clock_s() >= self._due_s:
            self._show(f"{done:,} of {total:,} {what}")

    def _show(self, text: str) -> None:
        now_s = self._clock_s()
        self._due_s = now_s + EVERY_S
        told = standard_error()
        if told is not None and told.is_behind:  # the terminal is stopped: no line waits there to be out of date
            return
        line = f"{self._doing} · {text} · {now_s - self._started_s:.0f} s"
        click.echo(CLEAR + fitted(line, terminal_columns() - 1), nl=False, err=True)
        self._is_there = True

    def say(self, sentence: str) -> None:
        """Say a sentence where the line was."""
        self.clear()
        tell(sentence)

    def clear(self) -> None:
        """Take the line away."""
        if self._is_there:
            self._is_there = False
            click.echo(CLEAR, nl=False, err=True)


def can_rewrite() -> bool:
    """Whether standard error is a terminal that can take a line away again."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def terminal_columns() -> int:
    """Return how wide the terminal on standard error is now; as COLUMNS says, or 80, where it does not know."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except OSError:  # it went away
        columns = 0
    return columns or shutil.get_terminal_size().columns


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(2 if unicodedata.east_asian_width(character) in _WIDE else 1 for character in text)


def fitted(text: str, columns: int) -> str:
    """Return as much of a text as fits into so many columns of a terminal, on which some characters take two."""
    width, end = 0, 0
    for end, character in enumerate(text, 1):
        width += 2 if unicodedata.east_asian_width(character) in _WIDE else 1
        if width > columns:
            return text[: end - 1]
    return text
