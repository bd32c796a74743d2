"""Streams that a program may be given as standard output or standard error, and that nobody reads."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import sys
import termios
import tty
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ("pipe", "socket", "network socket", "terminal")


@contextmanager
def stream(kind: str, *, full: bool = False) -> Iterator[tuple[int, int]]:
    """Give the reader's and the program's side of a stream; ``full`` takes nothing any more until it is read."""
    ours, theirs = _opened(kind)
    if full:
        _fill(theirs)
    try:
        yield ours, theirs
    finally:
        for end in (ours, theirs):
            with suppress(OSError):
                os.close(end)


def _fill(theirs: int) -> None:
    os.set_blocking(theirs, False)
    while select.select([], [theirs], [], 0.3)[1]:  # terminals and networks move on what they hold by themselves
        for piece in (bytes(1024), b"\0"):
            with suppress(BlockingIOError):
                while os.write(theirs, piece):
                    pass
    os.set_blocking(theirs, True)


def _opened(kind: str) -> tuple[int, int]:
    if kind == "pipe":
        return os.pipe()
    if kind == "terminal":
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        return ours, theirs
    if kind == "socket":
        one, other = socket.socketpair()
        return one.detach(), other.detach()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # else it grows
        one = socket.create_connection(server.getsockname())
        other, _ = server.accept()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    return one.detach(), other.detach()


def unread(ours: int) -> int:
    """Return how many bytes wait to be read."""
    return int.from_bytes(fcntl.ioctl(ours, termios.FIONREAD, bytes(4)), sys.byteorder)


def drained(ours: int) -> bytes:
    """Return what a stream holds now."""
    os.set_blocking(ours, False)
    data = b""
    with suppress(OSError):  # nothing more; how a terminal says that nobody holds the other end
        while piece := os.read(ours, 1 << 20):
            data += piece
    return data


def read_all(ours: int) -> bytes:
    """Return everything that comes until nobody holds the other side."""
    data = b""
    with suppress(OSError):
        while piece := os.read(ours, 1 << 16):
            data += piece
    return data
