"""Run one task of a fleet as a process: in a thread of `fleet run`, or of a Dask worker on any machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from typing import TYPE_CHECKING, Final

from crawler.jobs.fleet.policy import TaskEnd

if TYPE_CHECKING:
    from crawler.jobs.fleet.engines import Errand

_LAST_LINES: Final = 5
_LONGEST_LINE: Final = 500


def run_child(errand: Errand, account: str) -> TaskEnd:
    """Run `ncrawl fleet task` to its end; it ends with this process, or with the thread that is in here.

    Its keys come from this machine's places, and this process's environment is its.
    """
    command = [sys.executable, "-m", "crawler", "fleet", "task", account, errand.place]
    command += ["--accounts", errand.accounts, "--run-id", errand.run_id, "--parent", str(os.getpid()), *errand.words]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    try:
        with subprocess.Popen(command, **streams) as process:  # type: ignore[call-overload] # noqa: S603 - it is ncrawl
            lines = deque(process.stderr, maxlen=_LAST_LINES)
    except OSError as error:
        return TaskEnd(None, f"no process can be made: {error.strerror}")
    said = [line.decode(errors="replace").strip()[:_LONGEST_LINE] for line in lines]
    return TaskEnd(process.returncode, "\n".join(said))
