"""Crawl 200,000 pages and see that nothing grows: `make soak`, or `python tests/long/soak.py 200000`.

The gateway is a process of its own, so that memory, file descriptors and tasks are the crawl's alone. Registries are
many and pages small, so that what a crawl remembers, the names of the listings under way, soon is as much as it gets.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

import uvloop
from faults.harness import crawl_at
from faults.server import ACCESS_KEY, REGIONS, SECRET_KEY, Attempt, Gateway, World

if TYPE_CHECKING:
    from faults.harness import Outcome

REGISTRIES = 300
IMAGES_A_PAGE = 2
EVERY_S = 0.2
MOST_GROWTH_MB = 1.0
"""In 100,000 pages."""


class _Forgetful(list[Attempt]):
    """Keeps no attempt: a gateway that served 200,000 would need more memory than the crawl."""

    def append(self, _attempt: Attempt) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Sample:
    """The crawl's process at one moment."""

    at_s: float
    rss_mb: float
    descriptors: int
    tasks: int


def slope(samples: list[Sample]) -> float:
    """Return the growth of memory in MB a second, by least squares."""
    middle_x = sum(each.at_s for each in samples) / len(samples)
    middle_y = sum(each.rss_mb for each in samples) / len(samples)
    both = sum((each.at_s - middle_x) * (each.rss_mb - middle_y) for each in samples)
    return both / sum((each.at_s - middle_x) ** 2 for each in samples)


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201 - a script


async def serve(images: int) -> None:
    """Serve until the standard input is closed; say where first."""
    async with Gateway(World.of(REGISTRIES, images), attempts=_Forgetful(), largest_page=IMAGES_A_PAGE) as gateway:
        say(gateway.url)
        await asyncio.to_thread(sys.stdin.read)


async def sample(samples: list[Sample]) -> None:
    """Take a sample now and then."""
    page_mb = os.sysconf("SC_PAGE_SIZE") / 2**20
    while True:
        await asyncio.sleep(EVERY_S)
        rss_mb = int(Path("/proc/self/statm").read_text().split()[1]) * page_mb  # noqa: ASYNC240 - no disk
        descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are enough
        samples.append(Sample(time.monotonic(), rss_mb, descriptors, len(asyncio.all_tasks())))


async def crawl(url: str, folder: Path) -> tuple[list[Sample], Outcome]:
    """Crawl, and sample meanwhile."""
    samples: list[Sample] = []
    sampling = asyncio.create_task(sample(samples))
    outcome = await crawl_at(url, folder, output="/dev/null", concurrency="32", deadline="2h", verbose="0")
    sampling.cancel()
    return samples, outcome


async def soak(pages: int, folder: Path) -> bool:
    """Run the soak, print its figures and return whether nothing grew."""
    images = pages // (REGISTRIES * len(REGIONS)) * IMAGES_A_PAGE
    server = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--serve", str(images), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert server.stdin is not None
    assert server.stdout is not None
    url = (await server.stdout.readline()).decode().strip()
    began_s = time.monotonic()
    samples, outcome = await crawl(url, folder)
    server.stdin.close()
    await server.wait()
    lasted_s = time.monotonic() - began_s
    first, second = samples[: len(samples) // 2], samples[len(samples) // 2 : -1]
    done, found = outcome.summary["totals"]["pages"], outcome.summary["totals"]["images"]
    growth = slope(second) * lasted_s / done * 100_000
    descriptors = [max(each.descriptors for each in half) for half in (first, second)]
    tasks = [max(each.tasks for each in half) for half in (first, second)]
    say(f"{done:,} pages in {lasted_s:.0f} s, {found:,} images, exit {outcome.exit_code}")
    begin, middle, end = samples[0].rss_mb, second[0].rss_mb, second[-1].rss_mb
    say(f"memory: {begin:.1f} MB at first, {middle:.1f} in the middle, {end:.1f} at last")
    say(f"growth: {growth:+.2f} MB per 100,000 pages in the second half; {MOST_GROWTH_MB} is allowed")
    say(f"descriptors: {descriptors[0]} at most in the first half, {descriptors[1]} in the second")
    say(f"tasks: {tasks[0]} at most in the first half, {tasks[1]} in the second")
    whole = outcome.exit_code == 0 and found == REGISTRIES * len(REGIONS) * images
    return whole and growth < MOST_GROWTH_MB and descriptors[1] <= descriptors[0] and tasks[1] <= tasks[0]


def main() -> int:
    """Serve or soak, as the command line says."""
    if sys.argv[1:2] == ["--serve"]:
        uvloop.run(serve(int(sys.argv[2])))
        return 0
    pages = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(NCLOUD_ACCESS_KEY_ID=ACCESS_KEY, NCLOUD_SECRET_ACCESS_KEY=SECRET_KEY, HOME=folder)
        os.environ["NCLOUD_METADATA_ENDPOINT"] = "http://127.0.0.1:9"
        return 0 if uvloop.run(soak(pages, Path(folder))) else 1


if __name__ == "__main__":
    raise SystemExit(main())
