"""CPU seconds and peak memory of `ncrawl snapshot`, as a whole process, beside those of `ncrawl images`.

Two accounts of 1,000,000 images: all in one registry, and in 10,000 registries. Both commands crawl the same emulator,
which runs in a process of its own. Exits with 1 if a snapshot takes more than 400 MB, or more than one and a half times
the CPU of `ncrawl images -o FILE`.

Usage: python benchmarks/snapshot_memory.py [--images N] [--registries N] [--page-size N] [--repeat N]
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from crawler.emulator import EmulatorOptions  # noqa: E402 - found by the path above
from crawler.emulator.world import World  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_MB = 400
MOST_TIMES = 1.5


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took; of several runs the least CPU and the most memory."""

    cpu_s: float
    peak_mb: float


def options_for_one_registry(images: int) -> tuple[EmulatorOptions, str]:
    """Return an account of which one region has a single registry with at least so many images, and that region."""
    for total in range(images, 3 * images, max(1, images // 1000)):
        world = World(1, 1, total)
        sizes = {region: world.listed(region)[0].registry.images for region in world.regions}
        region = max(sizes, key=lambda code: sizes[code])
        if sizes[region] >= images:
            return EmulatorOptions(registries=1, images=total), region
    raise AssertionError


@contextmanager
def emulator(options: EmulatorOptions, page_size: int) -> Iterator[dict[str, str]]:
    """Serve an account in a process of its own; yield the environment that leads to it."""
    arguments = ["--port", "0", "--registries", str(options.registries), "--images", str(options.images)]
    command = [sys.executable, "-m", "crawler", "emulator", *arguments, "--max-page-size", str(page_size)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        exports = dict(line.split()[1].split("=", 1) for line in lines if line.startswith("export"))
        yield {"PATH": os.environ["PATH"], "NCLOUD_METADATA_ENDPOINT": "http://127.0.0.1:9", **exports}
        process.send_signal(signal.SIGTERM)


def measure(environment: dict[str, str], *arguments: str, repeat: int) -> Cost:
    """Run ncrawl a few times and print what it cost."""
    costs = []
    for _ in range(repeat):
        with tempfile.TemporaryDirectory(prefix="ncrawl-benchmark-") as home:
            given = [argument.format(home=home) for argument in arguments]
            command = [sys.executable, "-m", "crawler", *given, "--quiet", "--rate", "unlimited"]
            process = subprocess.Popen(command, cwd=ROOT, env=environment | {"HOME": home})
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0, process.returncode
            costs.append(Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024))
    cost = Cost(min(one.cpu_s for one in costs), max(one.peak_mb for one in costs))
    shown = " ".join(argument.replace("{home}", "…") for argument in arguments)
    print(f"  {shown:60} {cost.cpu_s:6.2f} s CPU {cost.peak_mb:5.0f} MB RSS", flush=True)
    return cost


def compare(options: EmulatorOptions, *more: str, page_size: int, repeat: int) -> bool:
    """Measure both commands against an account; return whether the snapshot kept within its bounds."""
    more = (*more, "--page-size", str(page_size))
    with emulator(options, page_size) as environment:
        plain = measure(environment, "images", "-o", "{home}/images.ndjson", *more, repeat=repeat)
        snapshot = measure(environment, "snapshot", "{home}", *more, repeat=repeat)
        packed = measure(environment, "snapshot", "{home}", "--compress", "zstd", *more, repeat=1)
    times, peak_mb = snapshot.cpu_s / plain.cpu_s, max(snapshot.peak_mb, packed.peak_mb)
    print(f"  snapshot: {times:.2f} times the CPU (most {MOST_TIMES}), {peak_mb:.0f} MB (most {MOST_MB})\n", flush=True)
    return times <= MOST_TIMES and peak_mb <= MOST_MB


def main() -> None:
    """Measure both accounts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--registries", type=int, default=10_000)
    parser.add_argument("--page-size", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=3)
    chosen = parser.parse_args()
    assert shutil.disk_usage(tempfile.gettempdir()).free > 2000 * chosen.images, "too little disk for the snapshots"
    kept = []
    one, region = options_for_one_registry(chosen.images)
    print(f"One registry of {chosen.images:,} images:")
    kept.append(compare(one, "--region", region, page_size=chosen.page_size, repeat=chosen.repeat))
    many = EmulatorOptions(registries=-(-chosen.registries // 3), images=chosen.images)
    print(f"{chosen.registries:,} registries of {chosen.images:,} images in total:")
    kept.append(compare(many, page_size=chosen.page_size, repeat=chosen.repeat))
    sys.exit(0 if all(kept) else 1)


if __name__ == "__main__":
    main()
