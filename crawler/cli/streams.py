"""The three standard streams: always there, and whatever becomes of them, the exit code is the contract's."""

from __future__ import annotations

import io
import os
import select
import sys
import threading
import time
from typing import TYPE_CHECKING

from crawler.core.errors import ClosedPipeError, OutputError
from crawler.output.outlets import Outlet

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import ReadableBuffer

_STANDARD_OUTPUT = 1
_STANDARD_ERROR = 2
MOST_BACKLOG_BYTES = 1024 * 1024
"""What waits for a reader of standard error at most; what comes on top of it is dropped."""
_WINDOW_BYTES = 64 * 1024
CLEAR = "\r\x1b[K"
"""Takes away the line that a terminal's cursor is in."""
LAST_WORDS_S = 0.5
"""How long the end of a process waits for a reader of standard error that takes nothing."""
LONGEST_LAST_WORDS_S = 5.0
"""How long for one that takes a little now and then."""


def fill_standard_streams() -> None:
    """Put the null device where the caller closed standard input, output or error.

    Else a socket would take the number, and libuv aborts. Output is opened for reading: writing to it has to fail.
    """
    for number, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, mode)  # the lowest number that is free: this one
            if opened == _STANDARD_ERROR:
                sys.stderr = os.fdopen(opened, "w")


def tame_standard_streams() -> None:
    """Let a standard error that takes nothing hold up or end no run, and make what ends a text to output ours."""
    output, error = sys.__stdout__, sys.__stderr__
    if output is not None and sys.stdout is output:
        raw = io.BufferedWriter(_Output(_STANDARD_OUTPUT, "w", closefd=False))
        sys.stdout = io.TextIOWrapper(raw, output.encoding, output.errors, line_buffering=True)
    if error is not None and sys.stderr is error:
        told = StandardError()
        # Without a buffer, so that a signal's handler can write while another text is being written.
        sys.stderr = io.TextIOWrapper(told, error.encoding, error.errors, write_through=True)


def standard_error() -> StandardError | None:
    """Return standard error as it was made here; None where somebody else's is in its place."""
    raw = getattr(sys.stderr, "buffer", None)
    return raw if isinstance(raw, StandardError) else None


class _Output(io.FileIO):
    """Raises an error of ours once; what is left in buffers by then goes nowhere, so that the exit code stays."""

    _has_failed = False

    def write(self, data: ReadableBuffer) -> int:
        if self._has_failed:
            return memoryview(data).nbytes
        try:
            while (written := super().write(data)) is None:  # full, and somebody made it non-blocking
                select.select([], [self], [])
        except OSError as error:
            self._has_failed = True
            kind = ClosedPipeError if isinstance(error, BrokenPipeError) else OutputError
            raise kind("standard output", error) from error
        return written


class StandardError(io.FileIO):
    """Takes every text at once, and passes on what its reader takes; a text is passed on as a whole or dropped.

    What cannot be written, on a full disk for instance, is dropped: nobody's data is in it, and it ends no run.

    Attributes:
        tell_loss: says that so many lines were dropped, in the form of all others.

    Mutable state: the texts that wait, whether a line stands that will be taken away, how many lines were dropped since
    somebody was told, and the outlet.
    """

    def __init__(self, fd: int = _STANDARD_ERROR) -> None:
        super().__init__(fd, "w", closefd=False)
        self.tell_loss: Callable[[str], object] = lambda text: self.write(f"ncrawl: warning: {text}\n".encode())
        self._backlog = bytearray()
        self._lost_lines = 0
        self._outlet = Outlet(os.dup(fd))
        self._lock = threading.RLock()
        self._is_passing_on = False
        self._has_line = False

    @property
    def is_behind(self) -> bool:
        """Whether texts wait for a reader."""
        return bool(self._backlog)

    def write(self, data: ReadableBuffer) -> int:
        """Take a text."""
        text = bytes(data)
        with self._lock:
            self._take_line_away()
            if self._has_room_for(text):
                self._tell_loss()
            if self._has_room_for(text):
                self._backlog += text
            else:
                self._lost_lines += text.count(b"\n")
            self.pass_on()
        return len(text)

    def show_line(self, line: str) -> None:
        """Let a line stand on the terminal until the next text or the next such line comes; an empty one ends it.

        None is shown to a terminal that is stopped (Ctrl-S): it would be out of date when it is.
        """
        with self._lock:
            is_behind = self.is_behind
            self._take_line_away()
            if line and not is_behind:
                self._backlog += line.encode(errors="backslashreplace")
                self._has_line = True
            self.pass_on()

    def _take_line_away(self) -> None:
        if self._has_line:
            self._backlog += CLEAR.encode()
            self._has_line = False

    def _tell_loss(self) -> None:
        if self._lost_lines:
            lost, self._lost_lines = self._lost_lines, 0
            lines = "a line was" if lost == 1 else f"{lost:,} lines were"
            self.tell_loss(f"{lines} dropped here: nobody read standard error")

    def _has_room_for(self, text: bytes) -> bool:
        return not self._backlog or len(self._backlog) + len(text) <= MOST_BACKLOG_BYTES

    def pass_on(self) -> bool:
        """Write what goes now; return whether anything went."""
        with self._lock:
            if self._is_passing_on:  # a signal's handler, in between
                return False
            self._is_passing_on, before = True, len(self._backlog)
            try:
                self._write_what_goes()
            except OSError:
                self._backlog.clear()
            finally:
                self._is_passing_on = False
            return len(self._backlog) < before

    def _write_what_goes(self) -> None:
        while self._backlog and (written := self._outlet.take(memoryview(bytes(self._backlog[:_WINDOW_BYTES])))):
            del self._backlog[:written]

    def finish(self) -> None:
        """Wait a little for a reader that is behind; the process ends then."""
        self._tell_loss()
        ends_s = time.monotonic() + LONGEST_LAST_WORDS_S
        patience_s = time.monotonic() + LAST_WORDS_S
        while self._backlog and time.monotonic() < min(ends_s, patience_s):
            if self.pass_on():
                patience_s = time.monotonic() + LAST_WORDS_S
            else:
                self._outlet.is_ready(patience_s - time.monotonic())
