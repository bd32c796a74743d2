"""Write lines of bytes to standard output, in chunks, for the commands that do not crawl."""

from __future__ import annotations

import os
from math import inf
from typing import TYPE_CHECKING

from crawler.core.errors import ClosedPipeError, OutputError
from crawler.core.text import escaped_for_terminal
from crawler.output.files import take_back_half_line
from crawler.output.outlets import Outlet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_STANDARD_OUTPUT = 1
_CHUNK_BYTES = 256 * 1024


def write_lines(lines: Iterable[bytes], *, before_writing: Callable[[], None] = lambda: None) -> None:
    """Write lines as they come; those that came before an error are written as well.

    On a terminal what could steer it is escaped. A signal that ends the process while the reader sleeps leaves no half
    line behind, as far as an `Outlet` can help it.

    Args:
        lines: each with its newline.
        before_writing: takes away what else stands on the terminal.

    Raises:
        ClosedPipeError: the reader went away.
        OutputError: the disk is full, for instance.
    """
    chunk = bytearray()
    terminal = os.isatty(_STANDARD_OUTPUT)
    with Outlet(os.dup(_STANDARD_OUTPUT)) as outlet:
        try:
            for line in lines:
                chunk += escaped_for_terminal(line) if terminal else line
                if len(chunk) >= _CHUNK_BYTES:
                    ready, chunk = chunk, bytearray()
                    before_writing()
                    _write(outlet, ready)
        finally:
            before_writing()
            _write(outlet, chunk)


def _write(outlet: Outlet, chunk: bytearray) -> None:
    rest = memoryview(chunk)
    try:
        while rest:
            written = outlet.take(rest)
            rest = rest[written:]
            if not written:
                outlet.is_ready(inf)
    except BrokenPipeError as error:
        raise ClosedPipeError("standard output", error) from error
    except OSError as error:
        take_back_half_line(_STANDARD_OUTPUT, bytes(chunk[: len(chunk) - len(rest)]))
        raise OutputError("standard output", error) from error
