"""The benchmark runs; what it measures is nobody's test."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_a_scenario_runs_and_prints_its_figure() -> None:
    """The benchmark's server and its measuring still agree with the program; the peers are not there to be run."""
    if not (ROOT / ".venv/bin/ncrawl").exists():
        pytest.skip("not run: the benchmark runs .venv/bin/ncrawl, which is not there")
    command = [sys.executable, "benchmarks/run.py", "--rounds", "1", "one-registry"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "| one registry of 400 pages, 50 ms, 64 in flight: crawl |" in done.stdout


@pytest.mark.parametrize(
    ("asked", "page", "names"), [(1000, 1, 50), (1000, 6, 50), (97, 6, 50), (40, 8, 20), (50, 7, 0)]
)
def test_the_server_gives_pages_up_to_its_cap(asked: int, page: int, names: int) -> None:
    """Whatever is asked for, a registry of 300 images is the same list, in pages of 50 at most."""
    found = asked_of_the_server(f"registry-00000?page={page}&pagesize={asked}", "--cap", "50")
    assert (found["count"], len(found["results"])) == (300, names)
    assert found["next"] == (None if page * min(asked, 50) >= 300 else page + 1)


@pytest.mark.parametrize(("image", "tags"), [("service-000000", 1), ("service-000999", 50), ("service-123500", 4)])
def test_the_server_gives_each_image_its_tags(image: str, tags: int) -> None:
    """As many as its name stands for, most images few, on one page."""
    found = asked_of_the_server(f"registry-00000/{image}/tags?page=1&pagesize=100", "--most-tags", "50")
    assert (found["count"], len(found["results"]), found["next"]) == (tags, tags, None)


def asked_of_the_server(target: str, *options: str) -> Any:
    """Start the server with a registry of 300 images, and return what it answers."""
    command = [
        sys.executable,
        "benchmarks/server.py",
        "--registries",
        "1",
        "--pages",
        "3",
        "--page-size",
        "100",
        *options,
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            connection = http.client.HTTPConnection("127.0.0.1", int(server.stdout.readline()), timeout=20)
            connection.request("GET", f"/ncr/api/v2/repositories/{target}")
            found = json.loads(connection.getresponse().read())
            connection.close()
        finally:
            server.terminate()
    return found
