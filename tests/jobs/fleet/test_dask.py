"""A fleet's run by Dask's workers, of which one is killed. `make fleet` kills more of them, and the scheduler."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.fleet import RUN, Cluster, a_fleet

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.long


def test_one_worker_is_killed(tmp_path: Path) -> None:
    """Its task dies with it and is done by the other; the files are those of an undisturbed run; no key is anywhere."""
    with a_fleet(tmp_path, accounts=8, registries=1, images=8) as fleet, Cluster(fleet) as cluster:
        victim = cluster.processes[1]
        fleet.emulator.on_request = lambda number: os.kill(victim.pid, signal.SIGKILL) if number == 3 else None
        code, said = fleet(*fleet.run("--scheduler", cluster.url), timeout_s=120)
        assert code == 0, said
        assert victim.wait(10) == -signal.SIGKILL
        assert fleet(*fleet.run(run_id="undisturbed"))[0] == 0
        merged, other = (fleet.folder / "fleet" / name for name in (RUN, "undisturbed"))
        assert (merged / "images.ndjson").read_bytes() == (other / "images.ndjson").read_bytes()
        everything = [cluster.log, *(path for path in fleet.folder.rglob("*") if path.is_file())]
        assert [path for path in everything if b"secret-key" in path.read_bytes()] == []


def test_no_scheduler(tmp_path: Path) -> None:
    """Exit 2, and one sentence, where nobody listens; where Dask is not installed, what to install."""
    with a_fleet(tmp_path, accounts=1) as fleet:
        code, said = fleet(*fleet.run("--scheduler", "nonsense://x"))
        assert (code, said.count("\n")) == (2, 2), said
        hidden = (
            "import sys; sys.modules['distributed'] = None; from crawler.cli import run; sys.exit(run(sys.argv[1:]))"
        )
        words = ["fleet", *fleet.run("--scheduler", "tcp://127.0.0.1:9")]
        done = subprocess.run(
            [sys.executable, "-c", hidden, *words], env=fleet.environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 2
    assert "pip install 'ncrawl[fleet]'" in done.stderr
