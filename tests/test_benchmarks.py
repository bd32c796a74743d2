"""The benchmark runs; what it measures is nobody's test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_a_scenario_runs_and_prints_its_figure() -> None:
    """The benchmark's server and its measuring still agree with the program; the peers are not there to be run."""
    if not (ROOT / ".venv/bin/ncrawl").exists():
        pytest.skip("not run: the benchmark runs .venv/bin/ncrawl, which is not there")
    command = [sys.executable, "benchmarks/run.py", "--rounds", "1", "one-registry"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "| one registry of 400 pages, 50 ms, 64 in flight: crawl |" in done.stdout
