"""What a proven inventory costs in requests and in time, at the usual rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from measuring import Server, World, spread
from report import Figure
from scenarios import tell

if TYPE_CHECKING:
    from bench import Bench
    from scenarios import Told

RATE = 50
CAPS = (1000, 100)
UNPROVED = "one unproved pass in pages of 100"


def proven(bench: Bench) -> None:
    """Prove 613,000 images by default, beside one pass in pages of 100, which is what every peer does."""
    told, least, full = {}, {}, {}
    for cap in CAPS:
        name, world = f"proven inventory, pages of up to {cap:,}", World(cap=cap)
        with Server(world) as server:
            told[name] = tell(bench, server, "--rate", RATE, is_proved=True)
        least[name], full[name] = least_requests(world)
    with Server(World()) as server:
        told[UNPROVED] = tell(bench, server, "--rate", RATE)
    note = f"613,000 images in 300 registries at `--rate {RATE}`, one run each; requests as the server counts them."
    head = ["", "requests", "least possible", "time, s", "registries"]
    bench.report.table("Proven inventory", note, head, [_row(name, told[name], least.get(name)) for name in told])
    for name, fewest in least.items():
        requests = told[name].arrivals.requests
        if requests < fewest:
            raise RuntimeError(f"{name}: {requests} requests prove nothing, for at least {fewest} are needed")
        share = spread([requests / fewest])
        bench.report.figure(Figure(f"{name}: requests ÷ the least possible", share, 1.1, 1.0, "less"))
        apart = spread([requests / (fewest + full[name])])
        bench.report.figure(Figure(f"{name}: requests ÷ the least with other boundaries in the second pass", apart))
        seconds = spread([told[name].seconds / told[UNPROVED].seconds])
        bench.report.figure(Figure(f"{name}: time ÷ that of {UNPROVED}", seconds))


def least_requests(world: World) -> tuple[int, int]:
    """Return the fewest requests for all that a server holds, and how many more it takes to move the boundaries.

    One a page, and two passes of longer lists; but two passes of k full pages have the same boundaries.
    """
    most = world.cap or world.page_size
    counts = [(length, -(-length // most)) for length in (*world.lengths, world.registries)]
    full = sum(pages > 1 and length > (most - 1) * pages for length, pages in counts)
    return sum(pages if pages == 1 else 2 * pages for _, pages in counts), full


def _row(name: str, told: Told, fewest: int | None) -> list[str]:
    verdicts = ", ".join(f"{number} {verdict}" for verdict, number in sorted(told.verdicts.items()))
    return [name, f"{told.arrivals.requests:,}", f"{fewest:,}" if fewest else "-", f"{told.seconds:.0f}", verdicts]
