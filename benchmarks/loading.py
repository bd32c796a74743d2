"""The scenarios of what comes after a snapshot: its export, and the history of one image through a year of them."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from contestants import NCRAWL, ncrawl
from measuring import Server, World, run, spread
from report import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench import Bench
    from measuring import Cost

COSTS = ("CPU, s", "wall, s", "RSS, MB")
IMAGES = World(pages=10_000)
NIGHTLY = World(pages=1_000)
NIGHTS = 365


def exports(bench: Bench) -> None:
    """Export 1,000,000 images."""
    place, out = bench.folder / "snapshots", bench.folder / "out"
    costs: dict[str, list[Cost]] = {}
    for packing in ("none", "zstd"):
        with Server(IMAGES) as server:
            _snapshot(server, place, "--compress", packing)
        for form, rounds in (("parquet", bench.times(3)), ("csv", 1)):
            for _ in range(rounds):
                shutil.rmtree(out, ignore_errors=True)
                cost = run([NCRAWL, "export", "--format", form, place / "latest", "-o", out])
                costs.setdefault(f"{form}, of a snapshot with --compress {packing}", []).append(cost)
        shutil.rmtree(place)
    shutil.rmtree(out)
    _table(bench, "Export: 1,000,000 images in 300 registries", costs)
    parquet = [one for name, several in costs.items() if name.startswith("parquet") for one in several]
    bench.report.figure(
        Figure("export of 1,000,000 images: CPU", spread(one.cpu_s for one in parquet), 3.0, None, "less", " s")
    )
    bench.report.figure(
        Figure("export of 1,000,000 images: RSS", spread(one.peak_mb for one in parquet), 300, None, "less", " MB")
    )


def histories(bench: Bench) -> None:
    """Follow one image through a year of nights of 100,000 images, in each of which some of its registry changed."""
    costs: dict[str, list[Cost]] = {}
    what = ""
    for registries, packing in ((300, "none"), (300, "zstd"), (1, "none")):
        year = _year(bench, replace(NIGHTLY, registries=registries), packing)
        what = _first_image(year) if packing == "none" else what
        name = f"{registries:,} registr{'y' if registries == 1 else 'ies'}, --compress {packing}"
        costs[name] = [run([NCRAWL, "history", year, what]) for _ in range(bench.times(3))]
        shutil.rmtree(year)
    _table(bench, f"History: one image through {NIGHTS} nights of 100,000", costs)
    walls = spread(one.wall_s for several in costs.values() for one in several)
    bench.report.figure(Figure(f"history through {NIGHTS} nights of 100,000 images", walls, 2.0, None, "less", " s"))


def _year(bench: Bench, world: World, packing: str) -> Path:
    """Return a folder of snapshots: two nights by turns, for a disk has no room for more."""
    year = bench.folder / "year"
    for night in (0, 1):
        with Server(replace(world, night=night)) as server:
            _snapshot(server, year / f".two-{night}", "--compress", packing)
    first = datetime(2026, 1, 1, 2)  # noqa: DTZ001 - a name
    for number in range(NIGHTS):
        folder = year / f"{first + timedelta(days=number):%Y%m%dT%H%M%SZ}"
        folder.mkdir()
        (made,) = (year / f".two-{number % 2}").glob("2*")
        for file in made.iterdir():
            os.link(file, folder / file.name)
    return year


def _first_image(year: Path) -> str:
    """Return an image as `history` takes it."""
    with (next(year.glob(".two-0/2*")) / "images.ndjson").open("rb") as file:
        line = json.loads(file.readline())
    return f"{line['region']}/{line['registry']}/{line['name']}"


def _snapshot(server: Server, place: Path, *options: str) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    run(ncrawl("snapshot", server, *options, place, is_proved=True))


def _table(bench: Bench, title: str, costs: dict[str, list[Cost]]) -> None:
    rows = [[name, *_cells(several)] for name, several in costs.items()]
    bench.report.table(title, "Whole processes, medians.", ["", *COSTS], rows)


def _cells(several: Sequence[Cost]) -> list[str]:
    cpu_s, wall_s = (
        spread(values).median for values in ([one.cpu_s for one in several], [one.wall_s for one in several])
    )
    return [f"{cpu_s:.2f}", f"{wall_s:.2f}", f"{max(one.peak_mb for one in several):.0f}"]
