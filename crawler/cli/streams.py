"""The three standard streams: always there, and whatever becomes of them, the exit code is the contract's."""

from __future__ import annotations

import io
import os
import select
import sys
from typing import TYPE_CHECKING

from crawler.errors import ClosedPipeError, OutputError

if TYPE_CHECKING:
    from typing import TextIO

    from _typeshed import ReadableBuffer

_STANDARD_OUTPUT = 1
_STANDARD_ERROR = 2


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
    """Let a standard error that takes nothing end no run, and make what ends a text to standard output ours."""
    output, error = sys.__stdout__, sys.__stderr__
    if output is not None and sys.stdout is output:
        sys.stdout = _as_text(_Output(_STANDARD_OUTPUT, "w", closefd=False), output)
    if error is not None and sys.stderr is error:
        sys.stderr = _as_text(_Told(_STANDARD_ERROR, "w", closefd=False), error)


def _as_text(raw: io.FileIO, like: TextIO) -> TextIO:
    return io.TextIOWrapper(io.BufferedWriter(raw), like.encoding, like.errors, line_buffering=True)


class _Output(io.FileIO):
    """Raises an error of ours once; what is left in buffers by then goes nowhere, so that the exit code stays."""

    _has_failed = False

    def write(self, data: ReadableBuffer) -> int:
        if self._has_failed:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except OSError as error:
            self._has_failed = True
            kind = ClosedPipeError if isinstance(error, BrokenPipeError) else OutputError
            raise kind("standard output", error) from error


class _Told(io.FileIO):
    """Drops what it cannot write, on a full disk for instance: nobody's data is in it, and the run is not to end."""

    def write(self, data: ReadableBuffer) -> int:
        try:
            while (written := super().write(data)) is None:  # full, and somebody made it non-blocking
                select.select([], [self], [])
        except OSError:
            return memoryview(data).nbytes
        return written
