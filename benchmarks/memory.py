"""Peak memory of `ncrawl images` on a whole large account: 10,002 registries and 1,000,000 images in three regions.

Usage: python benchmarks/memory.py [--registries N] [--images N] [--concurrency N] [--output SUFFIX]

The emulator is a process of its own on the other core. Prints peak RSS, seconds, requests and lines; exits 1 if the
crawl did not end well, a line is missing, or the peak is above the 150 MB that the project promises.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROMISED_MB = 150
COMMAND = [sys.executable, "-m", "crawler"]


@contextmanager
def emulator(registries: int, images: int) -> Iterator[dict[str, str]]:
    """Run an emulator; give the environment variables that it prints."""
    options = ["--port", "0", "--registries", str(registries), "--images", str(images)]
    with subprocess.Popen([*COMMAND, "emulator", *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        variables: dict[str, str] = {}
        while len(variables) < 3:
            line = process.stdout.readline()
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").strip().partition("=")
                variables[name] = value
        try:
            yield variables
        finally:
            process.terminate()


def main() -> int:
    """Measure once and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--registries", type=int, default=3334, help="in each of three regions")
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--output", default="images.ndjson", help="name of the file: .gz and .zst compress")
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        emulator(chosen.registries, chosen.images) as variables,
    ):
        summary = Path(folder, "run.json")
        environment = os.environ | variables | {"HOME": folder, "NCLOUD_METADATA_ENDPOINT": "http://127.0.0.1:1"}
        options = ["--rate", "unlimited", "--concurrency", str(chosen.concurrency), "--summary", str(summary)]
        started_s = time.monotonic()
        done = subprocess.run(
            [*COMMAND, "images", *options, "-o", str(Path(folder, chosen.output))],
            env=environment, cwd=folder, check=False,
        )  # fmt: skip
        seconds = time.monotonic() - started_s
        peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # the emulator still runs: it is not in
        told = json.loads(summary.read_bytes())
    (file,) = told["files"]
    pages, requests = told["totals"]["pages"], told["totals"]["requests"]
    print(f"peak RSS {peak_mb:.0f} MB (promised: below {PROMISED_MB}), {seconds:.1f} s, {pages / seconds:,.0f} pages/s")
    print(f"{requests:,} requests, {file['lines']:,} lines, {file['bytes'] / 1e6:,.0f} MB, exit code {done.returncode}")
    good = done.returncode == 0 and file["lines"] == chosen.images and peak_mb < PROMISED_MB
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
