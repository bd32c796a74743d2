"""Let this process end when its parent does: a task must not go on when the worker that runs it was killed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from typing import Final

from crawler.core.errors import NcrawlError

_PR_SET_PDEATHSIG: Final = 1
_LOOK_EVERY_S: Final = 0.5


class OrphanedError(NcrawlError):
    """The parent is gone."""

    exit_code = 143


def end_with_parent(parent: int | None = None) -> None:
    """Have SIGTERM sent to this process when its parent ends: by the system on Linux, by a look twice a second else.

    Args:
        parent: whoever started this process, as it told; so that its end before this call is noticed as well.

    Raises:
        OrphanedError: it has ended.
    """
    own = os.getppid() if parent is None else parent
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    else:
        threading.Thread(target=_watch, args=(own,), daemon=True).start()
    if os.getppid() != own:
        raise OrphanedError("whoever started this task has ended")


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
