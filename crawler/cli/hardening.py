"""What a process needs before it does anything: its three streams, and keys that stay in it."""

from __future__ import annotations

import ctypes
import os
import resource
import sys

_PR_SET_DUMPABLE = 4  # prctl(2)
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


def forbid_dumps() -> None:
    """Let the kernel write no core file of this process, and let only root look into it. Costs a system call."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
