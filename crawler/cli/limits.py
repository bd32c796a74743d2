"""See before the first request whether the system gives a run what it takes: files that may be open, and memory."""

from __future__ import annotations

import logging
import mmap
import os
import resource
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from crawler.core.errors import UsageError

if TYPE_CHECKING:
    from crawler.settings.table import Settings

log = logging.getLogger("ncrawl")

OWN_FILES = 14
"""What a run has open besides connections: event loop 9, data files 3, and what is opened for a moment."""
COMFORT = 256
"""Files more than that, for the sorted runs that large listings put aside on the disk."""
MEMORY_BYTES = 40 * 1024 * 1024
"""Address space that event loop and four threads for name resolution take, measured on Linux with glibc."""
MORE_MEMORY = "give the process more (`ulimit -v`, or the limit of its container)"


def within_limits(settings: Settings, *, sockets: int = 1) -> Settings:
    """Return settings that the system can serve: more files are asked for, or fewer requests are in flight.

    Args:
        settings: what was asked for.
        sockets: open files that a request in flight takes.

    Raises:
        UsageError: not even one request, or too little memory to begin.
    """
    check_memory()
    opened = _open_files()
    most = _allow_files(opened + OWN_FILES + COMFORT + sockets * settings.concurrency)
    served = (most - opened - OWN_FILES) // sockets
    if served >= settings.concurrency:
        return settings
    if served < 1:
        needed = opened + OWN_FILES + sockets
        raise UsageError(f"only {most} files may be open, too few for a run: allow {needed} or more (`ulimit -n`)")
    log.warning(
        "--concurrency %d would end in 'Too many open files': %d may be open, so %d at most are in flight; "
        "allow more (`ulimit -n`)",
        settings.concurrency,
        most,
        served,
    )
    return replace(settings, concurrency=served)


def check_memory() -> None:
    """Take as much address space as a run's beginning does, for a moment; libraries in C only abort without it.

    Raises:
        UsageError: there is not as much.
    """
    try:
        mmap.mmap(-1, MEMORY_BYTES).close()
    except (OSError, MemoryError):
        raise UsageError(f"too little memory: {MORE_MEMORY}") from None


def _open_files() -> int:
    try:
        return len(os.listdir("/dev/fd")) - 1  # noqa: PTH208 - numbers, not paths; one is what lists them
    except OSError:
        return 3


def _allow_files(wanted: int) -> int:
    """Let this process have so many files open, as far as the hard limit allows; return how many it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if raised <= soft:
        return soft
    with suppress(OSError, ValueError):  # macOS has another limit besides, and does not say which
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
