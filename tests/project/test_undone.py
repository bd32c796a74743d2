"""What tests do to the machine is taken back however they end."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from support.undone import mounted, undone

if TYPE_CHECKING:
    import pytest

KILLED = """
import os, signal, sys
from support.undone import undone
with undone("touch", sys.argv[1]):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_at_the_end_of_a_test_that_fails(tmp_path: Path) -> None:
    """By then it is done, and not before."""
    done = tmp_path / "done"
    seen = []
    with suppress(ZeroDivisionError), undone("touch", done):
        seen.append(done.exists())
        raise ZeroDivisionError
    assert [*seen, done.exists()] == [False, True]


def test_of_a_process_that_is_killed(tmp_path: Path) -> None:
    """No `finally` runs there; what waits for its end holds its standard error until all is done."""
    command = [sys.executable, "-c", KILLED, str(tmp_path / "done")]
    assert subprocess.run(command, cwd=Path(__file__).parents[1], stderr=subprocess.PIPE, check=False).returncode == -9
    assert (tmp_path / "done").exists()


def test_a_mount_that_is_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes all the same, and the folder with it can be removed."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "tmpfs"):
        (tmp_path / "disk" / "file").touch()
        monkeypatch.chdir(tmp_path / "disk")
    (tmp_path / "disk").rmdir()
