"""Entry point of ``ncrawl`` and of ``python -m crawler``."""

from __future__ import annotations

import os
import signal
from typing import NoReturn

from crawler.core import lifetime


def main() -> NoReturn:
    """Run the program and end the process with its exit code; signals and the deadline count from the first moment.

    Not by Python's own way to the end, in whose last milliseconds a signal is a death by that signal again, and which
    waits for threads.
    """
    lifetime.begin()
    heed_signals()
    try:
        from crawler.cli import run  # noqa: PLC0415 - the signals come first
    except MemoryError:
        os.write(2, b"ncrawl: too little memory to start: give the process more (`ulimit -v`)\n")
        os._exit(2)
    os._exit(run())


def heed_signals() -> None:
    """Let SIGINT, SIGTERM and SIGHUP end the process at once with the contract's exit code, until a crawl takes over.

    Also where the caller left them blocked. SIGINT also where it is ignored: that is how scripts start background jobs,
    and whoever sends it wants an end. SIGHUP not: who ignores that (nohup) wants a run that outlives its terminal.
    """
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    for number in numbers:
        signal.signal(number, lambda number, _frame: os._exit(128 + number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


if __name__ == "__main__":
    main()
