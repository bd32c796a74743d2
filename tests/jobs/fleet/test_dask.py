"""A fleet's run by Dask's workers, of which one is killed. `make fleet` kills more of them, and the scheduler."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from support.fleet import RUN, Cluster, a_fleet

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


def test_with_tls(tmp_path: Path) -> None:
    """By the variables that the documentation names; whoever has no certificate runs nothing."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "own.pem")
    variables = {
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true",
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(tmp_path / "ca.pem"),
    }
    for role in ("CLIENT", "SCHEDULER", "WORKER"):
        for what in ("CERT", "KEY"):
            variables[f"DASK_DISTRIBUTED__COMM__TLS__{role}__{what}"] = str(tmp_path / "own.pem")
    told = (Path(__file__).parents[3] / "docs/how-to/fleet.md").read_text()
    assert {name for name in variables if "TLS" not in name or "CA_FILE" in name} <= set(re.findall(r"DASK_\w+", told))
    with a_fleet(tmp_path, accounts=2, registries=1, images=8) as plain:
        fleet = replace(plain, variables=variables)
        with Cluster(fleet) as cluster:
            code, said = fleet(*fleet.run("--scheduler", cluster.url), timeout_s=120)
            assert code == 0, said
            code, said = plain(*plain.run("--scheduler", cluster.url, run_id="other"), timeout_s=120)
            assert (code, plain.snapshots("account-1")[1:]) == (2, []), said


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
