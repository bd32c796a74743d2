"""Where the time of a page goes: a crawl under py-spy, its samples shared out among the parts of the program.

Usage: python benchmarks/stages.py [--snapshot] [--registries N] [--pages N] [--page-size N] [--content NAME]
                                   [--stacks FILE]

A sample belongs to the innermost Python frame of a part: what C code does on behalf of a frame counts as the frame's,
a system call too. The shares are those of a run under py-spy, the microseconds those of a run without it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from contestants import ncrawl
from measuring import CLIENT_CORE, CONTENTS, Server, World, pin, run, spread
from report import markdown

if TYPE_CHECKING:
    from collections.abc import Iterable

    Samples = dict[str, Counter[str]]

FRAME = re.compile(r"(?P<function>.*) \((?P<file>[^()]*?)(:\d+)?\)$")
PARTS = {
    "decoding": ("api/records", "api/v2", "api/v3", "api/surrogates", "api/nesting"),
    "listing": ("engine/listing", "engine/passes", "engine/proof", "engine/sightings"),
    "crawl and schedule": ("engine/", "core/events", "core/model"),
    "transport and rate limiter": ("transport/",),
    "signing": ("api/signing", "api/zones", "api/paths", "settings/credentials", "core/secret"),
    "sinks": ("output/sinks", "output/compression"),
    "spooling and sorting": ("snapshot/unfinished/spool", "snapshot/unfinished/writer"),
    "committing": ("snapshot/unfinished/run",),
    "writing": ("output/files",),
    "publishing": ("snapshot/unfinished/publishing", "snapshot/manifest", "jobs/"),
}
PART_OF = {f"crawler/{file}": part for part, files in PARTS.items() for file in files}
LIBRARIES = {
    "aiohttp": ("aiohttp/", "aiohappyeyeballs/", "aiosignal/", "frozenlist/", "multidict/", "propcache/", "yarl/"),
    "event loop and anyio": ("asyncio/", "anyio/", "uvloop/", "selectors.py"),
}
START = "start-up, once"
RATE_HZ = 500


def part_of(frames: list[tuple[str, str]]) -> tuple[str, str]:
    """Return the part of a stack, outermost frame first, and the function that was found in it."""
    if any(function == "_find_and_load" for function, _ in frames):
        return START, "import"
    for function, file in reversed(frames):
        part = next((part for begins, part in PART_OF.items() if file.startswith(begins)), None)
        if part is not None:
            return part, function
        for library, folders in LIBRARIES.items():
            if file.startswith(folders):
                return library, function
        if file.startswith("crawler/"):
            return file, function
    return START, frames[-1][0]


def share_out(stacks: Iterable[str]) -> Samples:
    """Return for each part how often each of its functions was met."""
    samples: Samples = defaultdict(Counter)
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        frames = [(found["function"], found["file"]) for one in stack.split(";") if (found := FRAME.match(one))]
        if frames:
            part, function = part_of(frames)
            samples[part][function] += int(count)
    return samples


def show(samples: Samples, cpu_us: float) -> None:
    """Print the parts, dearest first."""
    whole = sum(map(Counter.total, samples.values()))
    rows = [
        [
            part,
            f"{functions.total() / whole * cpu_us:.1f}",
            f"{functions.total() / whole:.1%}",
            ", ".join(f"{name} {count / whole * cpu_us:.0f}" for name, count in functions.most_common(4)),
        ]
        for part, functions in sorted(samples.items(), key=lambda item: -item[1].total())
    ]
    rows.append(["together", f"{cpu_us:.1f}", "100.0%", ""])
    print(markdown(["part", "µs a page", "share", "of which, µs"], rows))


def command(server: Server, folder: Path, *, snapshot: bool) -> list[str]:
    """Return the command line of a crawl into a place that has nothing yet."""
    place = folder / "place"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    return ncrawl("snapshot", server, place) if snapshot else ncrawl("images", server, "--output", place / "images")


def profile(world: World, folder: Path, stacks: Path, *, snapshot: bool) -> tuple[float, Samples]:
    """Return the CPU of a page in µs, and the samples of another crawl."""
    with Server(world) as server:
        run(command(server, folder, snapshot=snapshot))  # the server bakes its pages
        cpu_s = spread(run(command(server, folder, snapshot=snapshot)).cpu_s for _ in range(3)).median
        spy = [str(Path(sys.executable).with_name("py-spy")), "record", "--format", "raw", "--rate", str(RATE_HZ)]
        run([*spy, "--output", stacks, "--", *command(server, folder, snapshot=snapshot)])
    with stacks.open() as lines:
        return cpu_s / world.pages * 1e6, share_out(lines)


def main() -> None:
    """Profile one crawl and print its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--snapshot", action="store_true", help="of `ncrawl snapshot` instead of `ncrawl images`")
    parser.add_argument("--registries", type=int, default=300)
    parser.add_argument("--pages", type=int, default=12_260)
    parser.add_argument("--page-size", type=int, default=100)
    parser.add_argument("--content", choices=CONTENTS, default="ascii")
    parser.add_argument("--stacks", type=Path, help="keep the stacks here, for a flame graph")
    chosen = parser.parse_args()
    pin(CLIENT_CORE)
    world = World(chosen.registries, chosen.pages, chosen.page_size, chosen.content)
    with tempfile.TemporaryDirectory(prefix="ncrawl-profile-") as folder:
        stacks = chosen.stacks or Path(folder, "stacks")
        cpu_us, samples = profile(world, Path(folder), stacks, snapshot=chosen.snapshot)
    print(f"{world.pages:,} pages of {world.page_size} images ({world.content}) in {world.registries} registries\n")
    show(samples, cpu_us)


if __name__ == "__main__":
    main()
