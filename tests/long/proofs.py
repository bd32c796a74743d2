"""List 100,000 lists that change meanwhile: no whole verdict may lack what was there throughout.

    make proofs                          100,000 listings, and 20,000 crawls down to tags, on all cores, some minutes
    make proofs ARGS="--listings 2000 --crawls 0"
                                         as many as one likes; `tests/engine/test_proof.py` runs 2,000 and 140

Each listing draws what changes and how often, the order of the list, what `count` means, how many back-ends answer and
how far they lag, the largest page, the requests in flight, `auto` or `always`. The seed is the number of the listing.
The crawls are described in tag_proofs.py.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import get_args

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from long.tag_proofs import TagTally, prove_tags, told_tags
from support.virtual_time import ChangingList, Count, Kind, Order, list_in_time

from crawler.core.model import Verdict, VerifyMode
from crawler.engine.listing import Listing
from crawler.engine.page_size import PageSize

KINDS: tuple[Kind, ...] = get_args(Kind)
PAGES = (20, 50, 100, 300, 1000)
LAGS_S = (0.1, 0.4, 0.8)
MOST_IMAGES = 5000
AT_A_TIME = 250


@dataclass
class Tally:
    """What listings came to.

    Attributes:
        verdicts: how many ended with each, by kind of change.
        multiples: requests as a multiple of the first pass, of lists of several pages, by kind of change.
        lost: seeds of listings that were called whole and lacked an image.
    """

    verdicts: dict[str, Counter[Verdict]] = field(default_factory=lambda: defaultdict(Counter))
    multiples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    lost: list[int] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take in what others came to."""
        for kind, verdicts in other.verdicts.items():
            self.verdicts[kind] += verdicts
        for kind, multiples in other.multiples.items():
            self.multiples[kind] += multiples
        self.lost += other.lost


def prove(seeds: range) -> Tally:
    """List once for each seed."""
    tally = Tally()
    for seed in seeds:
        chance = random.Random(seed)
        gateway = drawn(chance, KINDS[seed % len(KINDS)])
        listing = Listing(PageSize(1000), chance.choice((VerifyMode.AUTO, VerifyMode.ALWAYS)))
        requests, written = list_in_time(
            listing, gateway, largest=chance.choice(PAGES), in_flight=chance.choice((8, 64))
        )
        assert listing.outcome is not None
        verdict = listing.outcome.verdict
        tally.verdicts[gateway.kind][verdict] += 1
        if requests[0] > 1:
            tally.multiples[gateway.kind].append(sum(requests) / requests[0])
        if verdict.is_whole and not gateway.throughout <= written:
            tally.lost.append(seed)
    return tally


def drawn(chance: random.Random, kind: Kind) -> ChangingList:
    """Return a list that changes so."""
    back_ends = chance.choice((1, 1, 2, 3))
    return ChangingList(
        chance,
        images=round(MOST_IMAGES ** chance.uniform(0.3, 1.0)),
        kind=kind,
        order=chance.choice(get_args(Order)),
        changes_per_s=10 ** chance.uniform(-1.0, 0.7),
        lags_s=(0.0, *(chance.uniform(0.0, chance.choice(LAGS_S)) for _ in range(back_ends - 1))),
        count=chance.choice(get_args(Count)),
    )


def told(tally: Tally) -> str:
    """Return a table, a line for each kind of change."""
    lines = [
        f"{'change':<8} {'listings':>9} {'whole':>8} {'incomplete':>11}   requests / first pass: median, 9 of 10, most"
    ]
    for kind in KINDS:
        verdicts, multiples = tally.verdicts[kind], sorted(tally.multiples[kind])
        whole = sum(number for verdict, number in verdicts.items() if verdict.is_whole)
        figures = (median(multiples), multiples[len(multiples) * 9 // 10], multiples[-1]) if multiples else ()
        counted = f"{verdicts.total():>9,} {whole:>8,} {verdicts.total() - whole:>11,}"
        lines.append(f"{kind:<8} {counted}   {', '.join(f'{figure:.2f}' for figure in figures)}")
    seeds = f", seeds {tally.lost[:20]}" if tally.lost else ""
    return "\n".join([*lines, f"called whole and lacking an image: {len(tally.lost)}{seeds}"])


def main() -> int:
    """Tell what the listings came to; 1 if one was called whole that was not."""
    parser = argparse.ArgumentParser(description="List lists that change meanwhile.")
    parser.add_argument("--listings", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first one")
    parser.add_argument("--crawls", type=int, default=20_000, help="down to tags")
    options = parser.parse_args()
    tally, tags = Tally(), TagTally()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for one in pool.map(prove, _lots(options.first, options.listings)):
            tally.add(one)
        sys.stdout.write(f"{told(tally)}\n\n")
        for other in pool.map(prove_tags, _lots(options.first, options.crawls)):
            tags.add(other)
    sys.stdout.write(f"{told_tags(tags)}\n")
    return 1 if tally.lost or tags.wrong else 0


def _lots(first: int, how_many: int) -> list[range]:
    """Return seeds in lots that are worth a process's while."""
    last = first + how_many
    return [range(at, min(at + AT_A_TIME, last)) for at in range(first, last, AT_A_TIME)]


if __name__ == "__main__":
    sys.exit(main())
