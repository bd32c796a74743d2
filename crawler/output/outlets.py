"""Write into what may take nothing, a pipe, a socket, a terminal, without ever being held up by it.

O_NONBLOCK belongs to an open file that the shell and other programs share, so theirs is never set: a pipe or a terminal
is opened anew, a socket is asked for each piece not to block, and where neither can be (a pipe of another user, macOS),
pieces are as small as what is ready to be written to takes at once.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import selectors
import stat
import sys
import termios
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from socket import socket

_SOCKET_PIECE_BYTES = 32 * 1024  # a socket of this machine takes as much all at once or not at all
_TERMINAL_PIECE_BYTES = 256
_MSG_DONTWAIT = 0x80 if sys.platform == "darwin" else 0x40  # socket.MSG_DONTWAIT, without its module
_LONGEST_WAIT_S = 60.0
PAUSE_S = 0.002
"""How often one looks again where nobody tells: whether a pipe is empty, whether somebody reads a named one."""


class Outlet:
    """An open file that is written to as far as it takes something now.

    Where it can, it takes whole lines all at once or not at all, so that a run that is stopped while its reader sleeps
    leaves no half line behind: in a pipe any line that it has room for, in a local socket those up to 100 kB or so. A
    terminal and a socket of a network may take a part.

    Mutable state: the selector, and whether a pipe has to be empty before more of it goes.
    """

    def __init__(self, fd: int, *, holds_lines: bool = True) -> None:
        """Take over a descriptor.

        Args:
            fd: closed by `close`.
            holds_lines: False where what is written is compressed, and so no lines.
        """
        mode = os.fstat(fd).st_mode
        self._is_pipe, self._is_terminal = stat.S_ISFIFO(mode), os.isatty(fd)
        self._holds_lines = holds_lines
        self._needs_empty = False
        self._selector: selectors.DefaultSelector | None = None
        self.fd = _opened_anew(fd) if self._is_pipe or self._is_terminal else fd
        self._socket = _socket_of(self.fd) if stat.S_ISSOCK(mode) else None
        self._may_block = (self._is_pipe or self._is_terminal) and os.get_blocking(self.fd)

    def take(self, data: memoryview) -> int:
        """Write from the front of ``data`` what goes now, and return how many bytes that were.

        Raises:
            OSError: nothing will ever go again.
        """
        piece = self._piece(data)
        self._needs_empty = not piece
        if not piece or (self._may_block and not self.is_ready()):
            return 0
        try:
            if self._socket is not None:
                return self._socket.send(piece, _MSG_DONTWAIT)
            return os.write(self.fd, piece)
        except BlockingIOError:
            return 0

    def is_ready(self, timeout_s: float = 0.0) -> bool:
        """Wait so long at most until it can be tried again; return whether it can."""
        if self._needs_empty:
            time.sleep(min(timeout_s, PAUSE_S))
            return True
        return bool(self._watching().select(min(timeout_s, _LONGEST_WAIT_S)))

    def watch(self) -> int | None:
        """Return what becomes readable once it can be tried again, for event loops; None: `PAUSE_S` later.

        Not the descriptor itself: event loops set O_NONBLOCK.
        """
        return None if self._needs_empty else self._watching().fileno()

    def close(self) -> None:
        """Close the descriptor."""
        if self._selector is not None:
            self._selector.close()
        if self._socket is not None:
            self._socket.close()
        else:
            os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _watching(self) -> selectors.DefaultSelector:
        if self._selector is None:
            self._selector = selectors.DefaultSelector()
            self._selector.register(self.fd, selectors.EVENT_WRITE)
        return self._selector

    def _piece(self, data: memoryview) -> memoryview:
        """Return what to write at once; nothing if that has to wait for an empty pipe."""
        most = self._most_bytes()
        if len(data) <= most or not (self._holds_lines or self._may_block):
            return data
        if not self._holds_lines:
            return data[:most]
        if end := bytes(data[:most]).rfind(b"\n") + 1:
            return data[:end]
        return self._long_line(data, most)

    def _most_bytes(self) -> int:
        if self._is_pipe:
            return select.PIPE_BUF
        if self._socket is not None:
            return _SOCKET_PIECE_BYTES
        return _TERMINAL_PIECE_BYTES if self._may_block else sys.maxsize

    def _long_line(self, data: memoryview, most: int) -> memoryview:
        if self._socket is not None:
            return data[: bytes(data).find(b"\n") + 1 or None]
        room = _room_of(self.fd) if self._is_pipe and not self._may_block else 0
        end = bytes(data[:room]).rfind(b"\n") + 1
        if not end:
            return data[:most]
        return data[:end] if _unread(self.fd) == 0 else data[:0]


def open_outlet(name: str, until_s: float, *, holds_lines: bool = True) -> Outlet:
    """Open a pipe or a device by its path; a named pipe waits for its reader.

    Raises:
        OSError: it cannot be opened; a TimeoutError if nobody reads it by then (monotonic time).
    """
    while True:
        try:
            fd = os.open(name, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            return Outlet(fd, holds_lines=holds_lines)
        except OSError as error:
            if error.errno != errno.ENXIO or not stat.S_ISFIFO(os.stat(name).st_mode):  # noqa: PTH116 - a text
                raise
        if time.monotonic() >= until_s:
            raise TimeoutError("nobody reads it")
        time.sleep(PAUSE_S)


def write_in_time(outlet: Outlet, data: bytes, until_s: float) -> None:
    """Write everything.

    Raises:
        OSError: it cannot be written; a TimeoutError if not all of it is taken by then (monotonic time).
    """
    rest = memoryview(data)
    while rest:
        written = outlet.take(rest)
        rest = rest[written:]
        if written:
            continue
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("nobody reads on")
        outlet.is_ready(left_s)


def _socket_of(fd: int) -> socket:
    import socket  # noqa: PLC0415 - most standard streams are none

    return socket.socket(fileno=fd)


def _opened_anew(fd: int) -> int:
    """Return a descriptor of our own for a pipe or a terminal, which does not block; else the one that there is."""
    for path in _paths_of(fd):
        try:
            fresh = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            continue
        os.close(fd)
        return fresh
    return fd


def _paths_of(fd: int) -> list[str]:
    """Return by which names an open file can be opened once more: /dev/fd of macOS only duplicates it."""
    paths = [f"/proc/self/fd/{fd}"]
    with suppress(OSError):
        paths.append(os.ttyname(fd))
    return paths


def _unread(fd: int) -> int:
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder)


def _room_of(fd: int) -> int:
    """Return how many bytes an empty pipe takes at once; PIPE_BUF where nobody tells."""
    asked = getattr(fcntl, "F_GETPIPE_SZ", None)  # Linux only
    return select.PIPE_BUF if asked is None else fcntl.fcntl(fd, asked)
