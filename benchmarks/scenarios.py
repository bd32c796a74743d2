"""The scenarios in which ncrawl runs alone."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from contestants import NCRAWL, NCRAWL_ITSELF, ncrawl
from measuring import SERVER_CORE, Server, World, pin, ratios, run, spread
from report import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from bench import Bench
    from measuring import Arrivals, Cost

LATENCY_MS = 50
LONG_LISTS = "in 46 registries of 133,000 images"
NIGHTS = (0, 1)


class Told(NamedTuple):
    """What a crawl's own summary says, and what the server saw of it."""

    seconds: float
    requests: int
    arrivals: Arrivals
    verdicts: Counter[str]


def tell(bench: Bench, server: Server, *options: object, is_proved: bool = False, level: str = "images") -> Told:
    """Crawl once; the time is the crawl's own, from ``started`` to ``finished`` in its summary."""
    summary = bench.folder / "summary.json"
    server.arrivals()
    run(ncrawl(level, server, "--summary", summary, *options, is_proved=is_proved))
    arrivals, told = server.arrivals(), json.loads(summary.read_bytes())
    assert told["totals"]["images"] == server.world.images
    assert not arrivals.unsigned
    started, finished = (datetime.fromisoformat(told["run"][name]) for name in ("started", "finished"))
    verdicts = Counter(one["verdict"] for one in told["registries"])
    return Told((finished - started).total_seconds(), told["totals"]["requests"], arrivals, verdicts)


def latency(bench: Bench) -> None:
    """See how well waiting is hidden."""
    rows = []
    for concurrency, pages in ((16, 1532), (64, 6130), (256, 6130)):
        with Server(World(pages=pages, latency_ms=LATENCY_MS)) as server:
            several = [tell(bench, server, "--concurrency", concurrency) for _ in range(bench.times(3))]
        most_per_s = concurrency / LATENCY_MS * 1000
        share = spread(one.requests / one.seconds / most_per_s for one in several)
        rows.append([f"{concurrency} in flight", f"{most_per_s:,.0f}", f"{share.median * most_per_s:,.0f}", str(share)])
        bounds = (0.93, 0.97) if concurrency == 64 else (None, None)
        bench.report.figure(Figure(f"50 ms, {concurrency} in flight: pages/s ÷ ({concurrency} ÷ 0.05)", share, *bounds))
    note = "Every answer waits 50 ms; 300 registries, 6,130 pages (1,532 at 16). Over the crawl's own time."
    bench.report.table("Latency", note, ["", "possible, pages/s", "pages/s", "share"], rows)


def one_registry(bench: Bench) -> None:
    """List one large registry."""
    with Server(World(registries=1, pages=400, latency_ms=LATENCY_MS)) as server:
        seconds = spread(tell(bench, server).seconds for _ in range(bench.times(5)))
    figure = Figure("one registry of 400 pages, 50 ms, 64 in flight: crawl", seconds, 0.6, 0.5, "less", " s")
    bench.report.figure(figure)


def rates(bench: Bench) -> None:
    """See whether a rate is held, by the clock and in any second at the server."""
    for rate, pages in ((100, 1000), (1000, 6130)):
        with Server(World(pages=pages)) as server:
            keep_rate(bench, rate, [tell(bench, server, "--rate", rate) for _ in range(bench.times(2))])


def keep_rate(bench: Bench, rate: int, several: list[Told], what: str = "") -> None:
    """Tell how a rate was kept."""
    time = spread(one.seconds / (one.requests / rate) for one in several)
    most = spread(one.arrivals.most_in_a_second / (rate * 1.1) for one in several)
    bench.report.figure(Figure(f"{what}`--rate {rate}`: time ÷ (requests ÷ rate)", time, 1.01, 1.0, "less"))
    name = f"{what}`--rate {rate}`: most requests in any second ÷ (rate + burst)"
    bench.report.figure(Figure(name, most, 1.01, 1.003, "less"))


def startup(bench: Bench) -> None:
    """See how long a user waits for nothing."""
    for arguments, at_least, aim in ("--version", 0.15, 0.1), ("images --help", None, None):
        wall = spread(run([NCRAWL, *arguments.split()]).wall_s for _ in range(9))
        bench.report.figure(Figure(f"`ncrawl {arguments}`: wall", wall, at_least, aim, "less", " s"))


def outputs(bench: Bench) -> None:
    """Write to a file, to a pipe, and compressed."""
    with Server(World()) as server:
        NCRAWL_ITSELF.measure(server, bench.folder)
        costs: dict[str, list[Cost]] = {"file": [], "pipe": [], ".zst": [], ".gz": []}
        for _ in range(bench.times(3)):
            costs["file"].append(_to_file(bench, server, "images.ndjson"))
            costs["pipe"].append(_to_pipe(server))
            costs[".zst"].append(_to_file(bench, server, "images.ndjson.zst"))
            costs[".gz"].append(_to_file(bench, server, "images.ndjson.gz"))
    note = "6,130 pages of 100 images; the pipe's reader runs on the server's core."
    bench.report.table(
        "Outputs", note, ["", *COSTS], [[name, *_cells(several, 6130)] for name, several in costs.items()]
    )


def memory(bench: Bench) -> None:
    """See whether memory follows the pages: those of more registries, and those of longer ones."""
    worlds = {
        "": World(),
        "in 10 times the registries": World(3000, 61_300),
        "in as many registries": World(300, 61_300),
        LONG_LISTS: World(46, 61_300),
    }
    costs: dict[str, Cost] = {}
    for name, world in worlds.items():
        with Server(world) as server:
            costs[name] = run(ncrawl("images", server))
    rows = [[f"{world.pages:,} pages {name}", *_cells([costs[name]], world.pages)] for name, world in worlds.items()]
    note = (
        "64 in flight, to /dev/null; one run each. The names of a listing under way are held, so that none comes out "
        "twice: longer listings take more memory, more of them do not."
    )
    bench.report.table("Memory", note, ["", *COSTS], rows)
    few = costs.pop("")
    for name, cost in costs.items():
        growth = cost.peak_mb - few.peak_mb
        peak = Figure(f"RSS at 64 in flight, 61,300 pages {name}", spread([cost.peak_mb]), 75, 55, "less", " MB")
        more = Figure(f"growth of RSS over 10 times the pages {name}", spread([growth]), 3, 1, "less", " MB")
        for figure in (peak, more):
            bench.report.figure(replace(figure, at_least=None, aim=None) if name == LONG_LISTS else figure)


def many_registries(bench: Bench) -> None:
    """See whether the cost of a page follows the number of registries."""
    few, many = World(pages=20_000), World(registries=10_000, pages=20_000)
    costs: dict[int, list[Cost]] = {few.registries: [], many.registries: []}
    with Server(few) as server, Server(many) as other:
        for one in (server, other) * (1 + bench.times(3)):
            costs[one.world.registries].append(_to_file(bench, one, "images.ndjson"))
    warm = {registries: several[1:] for registries, several in costs.items()}
    rows = [[f"{registries:,} registries", *_cells(several, 20_000)] for registries, several in warm.items()]
    bench.report.table("Many registries", "20,000 pages of 100 images, to a file.", ["", *COSTS], rows)
    ratio = ratios(*([cost.cpu_s for cost in warm[world.registries]] for world in (many, few)))
    bench.report.figure(Figure("CPU a page at 10,000 registries ÷ at 300", ratio, 1.1, 1.0, "less"))
    peak = spread(cost.peak_mb for cost in warm[many.registries])
    bench.report.figure(Figure("RSS at 10,000 registries", peak, 150, None, "less", " MB"))


def snapshots(bench: Bench) -> None:
    """Take snapshots of 1,000,000 images, however they are spread; verify and compare those of two nights."""
    for registries in (300, 1, 10_000):
        _snapshots(bench, World(registries=registries, pages=10_000), rounds=bench.times(3 if registries == 300 else 1))


def _snapshots(bench: Bench, world: World, *, rounds: int) -> None:
    costs: dict[str, list[Cost]] = {"images to a file": [], "snapshot": [], "snapshot --compress zstd": []}
    places = [bench.folder / f"night-{night}" for night in NIGHTS]
    with Server(world) as server:
        _to_file(bench, server, "images.ndjson")
        for _ in range(rounds):
            costs["images to a file"].append(_to_file(bench, server, "images.ndjson"))
            costs["snapshot"].append(take_snapshot(server, places[0]))
            costs["snapshot --compress zstd"].append(take_snapshot(server, places[1], "--compress", "zstd"))
    ratio = ratios(*([one.cpu_s for one in costs[name]] for name in ("snapshot", "images to a file")))
    peak = spread(one.peak_mb for name in ("snapshot", "snapshot --compress zstd") for one in costs[name])
    if world.registries == 300:
        for night, place in zip(
            NIGHTS, places, strict=True
        ):  # proved, for of what is not nothing is said to be removed
            with Server(replace(world, night=night)) as server:
                take_snapshot(server, place, is_proved=True)
        old, new = (place / "latest" for place in places)
        costs["verify"] = [run([NCRAWL, "verify", old]) for _ in range(rounds)]
        costs["diff, nothing differs"] = [run([NCRAWL, "diff", old, old]) for _ in range(rounds)]
        costs["diff, a tenth differs"] = [run([NCRAWL, "diff", old, new]) for _ in range(rounds)]
    for place in places:
        shutil.rmtree(place)
    where = f"{world.registries:,} registr{'y' if world.registries == 1 else 'ies'}"
    rows = [[name, *_cells(several, world.pages)] for name, several in costs.items()]
    bench.report.table(f"Snapshots: 1,000,000 images in {where}", "10,000 pages.", ["", *COSTS], rows)
    bench.report.figure(Figure(f"snapshot, {where}: CPU ÷ that of `images` to a file", ratio, 1.5, 1.2, "less"))
    bench.report.figure(Figure(f"snapshot, {where}: RSS", peak, 400, None, "less", " MB"))


def take_snapshot(server: Server, place: Path, *options: str, is_proved: bool = False) -> Cost:
    """Take a snapshot into an empty folder."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    return run(ncrawl("snapshot", server, *options, place, is_proved=is_proved))


def _to_file(bench: Bench, server: Server, name: str) -> Cost:
    output = bench.folder / name
    cost = run(ncrawl("images", server, "--output", output))
    output.unlink()
    return cost


def _to_pipe(server: Server) -> Cost:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as reader:
        assert reader.stdin
        pin(SERVER_CORE, reader.pid)
        return run(ncrawl("images", server), stdout=reader.stdin.fileno())


COSTS = ("CPU, s", "CPU, µs a page", "wall, s", "RSS, MB")


def _cells(several: list[Cost], pages: int) -> list[str]:
    cpu_s, wall_s = (
        spread(values).median for values in ([one.cpu_s for one in several], [one.wall_s for one in several])
    )
    peak_mb = max(one.peak_mb for one in several)
    return [f"{cpu_s:.2f}", f"{cpu_s / pages * 1e6:.0f}", f"{wall_s:.2f}", f"{peak_mb:.0f}"]
