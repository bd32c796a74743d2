"""CPU seconds and peak memory of `ncrawl verify` and `ncrawl diff`, as whole processes, on two large snapshots.

Usage: python benchmarks/snapshot_reading.py [--images N] [--suffix .zst] [--changed SHARE]
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from multiprocessing import Process
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from snapshot_maker import make_snapshot  # noqa: E402 - found by the path above

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from snapshot_maker import Place

RECORD = (
    b'{"can_edit":true,"description":null,"is_automated":null,"is_private":null,"last_updated":1711928488000,'
    b'"name":"service-%07d","namespace":"team","pull_count":%d,"repository_type":"image","star_count":null,'
    b'"status":0,"user":null}'
)


class Registry:
    """Records of one registry, made up when they are asked for; the same for the same seed."""

    def __init__(self, seed: int, images: int, night: int, changed: float) -> None:
        self._seed, self._images, self._night, self._changed = seed, images, night, changed

    def __iter__(self) -> Iterator[bytes]:
        chance = random.Random(self._seed)
        for number in range(self._images):
            pulls = int(chance.random() * 100_000)
            is_changed, is_removed = chance.random() < self._changed, chance.random() < self._changed / 100
            if not (is_removed and self._night):
                yield RECORD % (number, pulls + is_changed * self._night)


def world(images: int, night: int, changed: float) -> Mapping[Place, Registry]:
    """Return an account whose first registry holds a fifth of all images and the others 300 each."""
    sizes = [images // 5, *[300] * ((images - images // 5) // 300)]
    regions = ("jpn", "kr", "sgn")
    return {
        ("default", regions[number % 3], f"team-{number:05d}"): Registry(number, size, night, changed)
        for number, size in enumerate(sizes)
    }


def make_both(old: str, new: str, chosen: argparse.Namespace) -> None:
    """Write the snapshots of two nights."""
    for night, folder in enumerate((old, new)):
        make_snapshot(Path(folder), world(chosen.images, night, chosen.changed), suffix=chosen.suffix)


def measure(*arguments: str) -> None:
    """Run ncrawl and print what it cost."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([sys.executable, "-m", "crawler", *arguments], cwd=ROOT, stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        size = output.tell() or os.fstat(output.fileno()).st_size
    cpu_s, peak_mb = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    shown = " ".join(Path(argument).name for argument in arguments)
    print(f"{shown:46} {cpu_s:6.2f} s CPU {peak_mb:5.0f} MB RSS   exit {process.returncode}, {size:,} bytes out")


def main() -> None:
    """Make two snapshots and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--suffix", choices=["", ".gz", ".zst"], default="")
    parser.add_argument("--changed", type=float, default=0.1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ncrawl-benchmark-") as folder:
        old, new = str(Path(folder, "old")), str(Path(folder, "new"))
        # In a process of its own: a child's peak memory counts from its parent's.
        maker = Process(target=make_both, args=(old, new, chosen))
        maker.start()
        maker.join()
        measure("verify", old)
        measure("diff", old, old)
        measure("diff", old, new)
        measure("diff", "--summary", "--ignore", "pull_count", old, new)
        images = "images.ndjson" + chosen.suffix
        measure("diff", str(Path(old, images)), str(Path(new, images)))


if __name__ == "__main__":
    main()
