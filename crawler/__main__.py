"""Entry point of ``ncrawl`` and of ``python -m crawler``."""

from __future__ import annotations

import os
import signal


def main() -> int:
    """Run the program and return its exit code; signals count from the first moment.

    SIGINT also where it is ignored: that is how scripts start background jobs, and whoever sends it wants an end.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(128 + signal.SIGTERM))
    try:
        from crawler.cli import run  # noqa: PLC0415 - the signals come first
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except MemoryError:
        os.write(2, b"ncrawl: too little memory to start: give the process more (`ulimit -v`)\n")
        return 2
    return run()


if __name__ == "__main__":
    raise SystemExit(main())
