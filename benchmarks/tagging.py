"""The scenarios of tags: a request an image, so here what a request costs by itself counts for most."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bench import HEAD, cpu_ratio, race, rows
from contestants import NCRAWL_ITSELF, TAGS
from measuring import Server, World, ratios, spread
from report import Figure
from scenarios import LATENCY_MS, keep_rate, take_snapshot, tell

if TYPE_CHECKING:
    from bench import Bench, Race
    from measuring import Cost, Spread

MOST_TAGS = 50
EACH = World(pages=300, most_tags=MOST_TAGS)
"""300 registries of 100 images: 30,000 lists of tags."""
TEN_A_PAGE = World(pages=30_000, page_size=10)
IN_FLIGHT = 64
RATE = 1000


def tags(bench: Bench) -> None:
    """List the tags of 30,000 images, beside a peer that does the same, and beside as many pages of ten images."""
    with Server(EACH) as server, Server(TEN_A_PAGE) as other:
        runs = {one.name: partial(one.measure, server, bench.folder) for one in TAGS}
        runs["ncrawl images, pages of 10"] = partial(NCRAWL_ITSELF.measure, other, bench.folder)
        samples = race(runs, bench.times(3))
    ours, peer, images = samples
    mean = EACH.tags / EACH.images
    note = (
        f"30,000 images in 300 registries, a page of 1 to {MOST_TAGS} tags each: {mean:.1f} on average, most have few."
        " A request counts as a page. Beside it 30,000 pages of 10 images."
    )
    bench.report.table("Tags", note, HEAD, rows(samples))
    per_request = _per_request(samples, ours, images)
    bench.report.figure(Figure("tags: CPU a request ÷ that of a page of 10 images", per_request, 1.2, 1.0, "less"))
    bench.report.figure(Figure(f"tags, same outcome: {peer}", cpu_ratio(samples, peer), 1.3, 1.5))


def tag_latency(bench: Bench) -> None:
    """See how well waiting is hidden where nearly every request is a list of its own."""
    most_per_s = IN_FLIGHT / LATENCY_MS * 1000
    with Server(replace(EACH, latency_ms=LATENCY_MS)) as server:
        several = [tell(bench, server, "--concurrency", IN_FLIGHT, level="tags") for _ in range(bench.times(3))]
    share = spread(one.requests / one.seconds / most_per_s for one in several)
    name = f"tags of 30,000 images, 50 ms, {IN_FLIGHT} in flight: requests/s ÷ ({IN_FLIGHT} ÷ 0.05)"
    bench.report.figure(Figure(name, share, 0.93, 0.97))


def tag_rates(bench: Bench) -> None:
    """See whether a rate is held."""
    with Server(World(pages=60, registries=60, most_tags=MOST_TAGS)) as server:
        keep_rate(
            bench, RATE, [tell(bench, server, "--rate", RATE, level="tags") for _ in range(bench.times(2))], "tags, "
        )


def tag_memory(bench: Bench) -> None:
    """Take snapshots down to tags of 1,000,000 images in 10,000 registries, and of 200,000 in one; a tag an image."""
    worlds = {
        "1,000,000 images in 10,000 registries": World(registries=10_000, pages=10_000),
        "200,000 images in one registry": World(registries=1, pages=2_000),
    }
    table = []
    for name, world in worlds.items():
        with Server(world) as server:
            cost = take_snapshot(server, bench.folder / "night", "--level", "tags", "--compress", "zstd")
        shutil.rmtree(bench.folder / "night")
        table.append([name, *_cells(cost, world)])
        peak = Figure(f"snapshot --level tags, {name}: RSS", spread([cost.peak_mb]), 250, None, "less", " MB")
        bench.report.figure(peak)
    note = "`snapshot --level tags --compress zstd`, a tag an image, one run each."
    bench.report.table("Tags: memory", note, ["", "CPU, s", "CPU, µs an image", "wall, s", "RSS, MB"], table)


def _per_request(samples: Race, *names: str) -> Spread:
    return ratios(*([one.cost.cpu_s / one.arrivals.requests for one in samples[name]] for name in names))


def _cells(cost: Cost, world: World) -> list[str]:
    cpu_us = cost.cpu_s / world.images * 1e6
    return [f"{cost.cpu_s:.1f}", f"{cpu_us:.0f}", f"{cost.wall_s:.1f}", f"{cost.peak_mb:.0f}"]
