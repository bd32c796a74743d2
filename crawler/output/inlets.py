"""Read what may make one wait: a pipe that nobody writes to, a terminal that nobody types at."""

from __future__ import annotations

import errno
import os
import selectors
import sys
import time
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# epoll knows no regular files; macOS's poll no terminals
_Selector = selectors.PollSelector if sys.platform == "linux" else selectors.SelectSelector
MOST_BYTES = 256 * 1024 * 1024
"""What is larger is no list of settings or registries, and may have no end."""


def open_at_once(path: Path | str) -> int:
    """Return a descriptor to read from; a named pipe is not waited for until somebody writes to it."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)


def read_in_time(source: Path | str | int, until_s: float = inf) -> bytes:
    """Return everything up to the end of a file, a pipe or a terminal.

    Args:
        source: path or descriptor.
        until_s: monotonic time by which the end has to have come.

    Raises:
        OSError: it cannot be read; a TimeoutError if the end has not come by then.
    """
    fd = source if isinstance(source, int) else open_at_once(source)
    try:
        return b"".join(_chunks(fd, until_s))
    finally:
        if fd is not source:
            os.close(fd)


def _chunks(fd: int, until_s: float) -> Iterator[bytes]:
    total = 0
    while _comes(fd, until_s):
        try:
            chunk = os.read(fd, 1 << 16)
        except BlockingIOError:  # somebody else who reads there was faster
            continue
        if not chunk:
            return
        total += len(chunk)
        if total > MOST_BYTES:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        yield chunk
    raise TimeoutError(errno.ETIMEDOUT, "its end did not come before the deadline")


def _comes(fd: int, until_s: float) -> bool:
    """Wait until there is something to read, or the end; a named pipe without a writer has neither."""
    left_s = None if until_s == inf else max(0.0, until_s - time.monotonic())
    with _Selector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        return bool(selector.select(left_s))
