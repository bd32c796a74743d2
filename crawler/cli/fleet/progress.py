"""Where a fleet's run stands: a table on a terminal that is rewritten in its place, a line now and then in a log."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Final

import click

from crawler.cli.logs import say
from crawler.cli.progress import span
from crawler.cli.working import can_rewrite, fitted, terminal_columns

if TYPE_CHECKING:
    from crawler.jobs.fleet.running import Standing
    from crawler.settings.table import Settings

_MOST_ROWS: Final = 20
_UP_AND_CLEAR: Final = "\x1b[{}A\x1b[J"
_WORDS: Final = {0: "complete", 3: "incomplete"}


class FleetProgress:
    """Shows a standing: every half second on a terminal, every heartbeat else.

    Mutable state: how many lines stand on the terminal, and when the next one of a log is due.
    """

    def __init__(self, standing: Standing, settings: Settings) -> None:
        self._standing = standing
        self._settings = settings
        self._is_table = can_rewrite() and not settings.quiet and settings.log_format == "text"
        self._lines = 0
        self._began_s = time.monotonic()
        self._due_s = self._began_s + settings.heartbeat

    def look(self) -> None:
        """Show where it stands, if it is time to."""
        now_s = time.monotonic()
        if self._is_table:
            self._show(table_lines(self._standing, now_s, seconds=now_s - self._began_s))
        elif self._settings.heartbeat and now_s >= self._due_s:
            self._due_s = now_s + self._settings.heartbeat
            say(self._settings, headline(self._standing, seconds=now_s - self._began_s))

    def say(self, text: str) -> None:
        """Say something in between."""
        self.clear()
        say(self._settings, text)

    def clear(self) -> None:
        """Take the table away."""
        self._show([])

    def _show(self, lines: list[str]) -> None:
        rows = max(2, shutil.get_terminal_size().lines - 1)
        columns = terminal_columns() - 1
        text = "".join(f"{fitted(line, columns)}\n" for line in lines[:rows])
        if self._lines or text:
            click.echo((_UP_AND_CLEAR.format(self._lines) if self._lines else "") + text, nl=False, err=True)
        self._lines = len(lines[:rows])


def headline(standing: Standing, *, seconds: float) -> str:
    """Return how many accounts are in which state."""
    codes = standing.codes
    parts = [f"{codes[code]:,} {word}" for code, word in _WORDS.items() if codes[code]]
    failed = len(standing.ends) - sum(codes[code] for code in _WORDS)
    waiting = standing.accounts - len(standing.ends) - len(standing.under_way) - len(standing.again)
    more = ((failed, "failed"), (len(standing.under_way), "under way"), (len(standing.again), "again later"))
    parts += [f"{number:,} {word}" for number, word in (*more, (waiting, "waiting")) if number > 0]
    return f"{len(standing.ends):,} of {standing.accounts:,} accounts: {', '.join(parts)}; {span(seconds)}"


def table_lines(standing: Standing, now_s: float, *, seconds: float) -> list[str]:
    """Return the headline, and a row for each account whose task runs now, the longest first."""
    running = sorted(standing.under_way.items(), key=lambda one: one[1])
    width = max((len(account) for account, _ in running[:_MOST_ROWS]), default=0)
    rows = [f"  {account:{width}}  {span(now_s - since_s)}" for account, since_s in running[:_MOST_ROWS]]
    more = [f"  … and {len(running) - _MOST_ROWS:,} more"] if len(running) > _MOST_ROWS else []
    return [headline(standing, seconds=seconds), *rows, *more]
