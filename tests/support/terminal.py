"""A terminal of any width that a program writes to: what a person sees on it, and has seen."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import struct
import termios
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_STEP = re.compile(r"\r\n|\r|\n|\x1b\[K|\x1b\[\d*m|[^\r\n\x1b]+")


class Terminal:
    """What stands on a terminal that knows carriage return, erasing to the end of a line, and colours.

    Attributes:
        theirs: the program's side; `let_go` closes ours of it.
        lines: finished ones, as they stood when the cursor left them.
        shown: every state of the line that the cursor is in, one after the other.
        raw: all that was written.
    """

    def __init__(self, columns: int) -> None:
        self._ours, self.theirs = os.openpty()
        self.resize(columns)
        os.set_blocking(self._ours, False)
        self.lines: list[str] = []
        self.shown: list[str] = []
        self.raw = ""
        self._line = ""
        self._at = 0
        self._changed = asyncio.Event()
        self._is_over = False
        asyncio.get_running_loop().add_reader(self._ours, self._read)

    def resize(self, columns: int) -> None:
        """Make it so wide; 0 is what some terminals say that do not know."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def let_go(self) -> None:
        """Leave the program's side to the program alone."""
        os.close(self.theirs)

    def close(self) -> None:
        """Take it away."""
        asyncio.get_running_loop().remove_reader(self._ours)
        os.close(self._ours)

    async def sees(self, pattern: str) -> str:
        """Wait until the line of the cursor, or one that it left, holds something; return that line."""
        async with asyncio.timeout(60):
            while True:
                for line in (*self.shown, *self.lines):
                    if re.search(pattern, line):
                        return line
                assert not self._is_over, f"{pattern} was not seen in {self.raw!r}"
                self._changed.clear()
                await self._changed.wait()

    async def end(self) -> None:
        """Wait until the program has let go of it."""
        async with asyncio.timeout(60):
            while not self._is_over:
                self._changed.clear()
                await self._changed.wait()

    def _read(self) -> None:
        try:
            text = os.read(self._ours, 1 << 16).decode(errors="replace")
        except BlockingIOError:
            return
        except OSError:  # how Linux says that nobody holds the other side
            text = ""
        if not text:
            asyncio.get_running_loop().remove_reader(self._ours)
            self._is_over = True
        self.raw += text
        for step in _STEP.findall(text):
            self._take(step)
        self.shown.append(self._line)
        self._changed.set()

    def _take(self, step: str) -> None:
        if step in ("\n", "\r\n"):
            self.lines.append(self._line)
            self._line, self._at = "", 0
        elif step == "\r":
            self.shown.append(self._line)
            self._at = 0
        elif step == "\x1b[K":
            self._line = self._line[: self._at]
        elif not step.startswith("\x1b"):
            self._line = self._line[: self._at] + step + self._line[self._at + len(step) :]
            self._at += len(step)


@contextmanager
def terminal(columns: int) -> Iterator[Terminal]:
    """Give a terminal of so many columns."""
    made = Terminal(columns)
    try:
        yield made
    finally:
        made.close()
