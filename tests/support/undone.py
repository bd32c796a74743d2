"""What a test does to the machine itself and takes back however it ends, also where its process is killed."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def undone(*command: str | Path) -> Iterator[None]:
    """Run a command in the end; a failure of it is the test's to notice.

    A shell waits for it, which reads a pipe that this process has the other end of: a process that is killed runs no
    `finally`, but the kernel closes its pipes.
    """
    script = ["sh", "-c", 'read -r _; "$@" 2>/dev/null', "sh", *command]
    with subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True):
        yield


@contextmanager
def mounted(place: Path, *command: str) -> Iterator[None]:
    """Mount something at a new folder, by ``mount`` with these arguments, until the test is over.

    A mount that is left behind stops pytest from removing old folders, that of other people's tests too. What cannot be
    mounted here is no failure: the test is skipped.
    """
    place.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("not run: nothing can be mounted here (it takes root)")
    with undone("umount", "--lazy", place):
        done = subprocess.run(["mount", *command, place], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"not run: mount {' '.join(command)}: {done.stderr.strip()}")
        yield
    assert not place.is_mount()
