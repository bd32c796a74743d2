"""Crawl accounts down to tags while images and tags change: what is called whole lacks nothing, and nothing is foreign.

Part of `make proofs`. Each crawl draws what changes and how often, the order of the lists, whether `count` is told, how
many back-ends answer and how far they lag, the largest page, the requests in flight, and what a vanished image answers.
The seed is the number of the crawl.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

from support.changing_account import ChangingAccount, Kind, Order, Taken, run

from crawler.api.collections import TAGS
from crawler.api.zones import ZONES
from crawler.core.model import Verdict, VerifyMode
from crawler.engine.crawl import Crawl
from crawler.engine.spec import CrawlSpec
from crawler.jobs.entries import registry_records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crawler.engine.spec import CrawlResult
    from crawler.snapshot.entries import RegistryRecord

KINDS: tuple[Kind, ...] = get_args(Kind)
PAGES = (3, 5, 10, 100)
LAGS_S = (0.1, 0.4, 0.8)
MOST_IMAGES = 40
REGION = ZONES["public"].regions[0]


@dataclass
class TagTally:
    """What crawls came to.

    Attributes:
        counts: registries that were whole or not, images that were found gone, and requests, by kind of change.
        wrong: a sentence for each thing that must not be, with its seed.
    """

    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    wrong: list[str] = field(default_factory=list)

    def add(self, other: TagTally) -> None:
        """Take in what others came to."""
        for kind, counts in other.counts.items():
            self.counts[kind] += counts
        self.wrong += other.wrong


def prove_tags(seeds: range) -> TagTally:
    """Crawl once for each seed."""
    tally = TagTally()
    for seed in seeds:
        account, taken, result = crawled(seed)
        counts = tally.counts[account.kind]
        counts.update("whole" if one.verdict.is_whole else "flagged" for one in records_of(result))
        counts.update("gone" for one in result.deeper if one.verdict is Verdict.GONE)
        counts.update({"crawls": 1, "requests": account.requests})
        tally.wrong += [f"seed {seed}, {account.kind}: {problem}" for problem in wrong(account, taken, result)]
    return tally


def crawled(seed: int) -> tuple[ChangingAccount, Taken, CrawlResult]:
    """Crawl an account that changes as the seed has it, by the program's own crawl, in virtual time."""
    chance = random.Random(seed)
    random.seed(seed)  # the jitter of retries
    account, taken = drawn(chance, KINDS[seed % len(KINDS)]), Taken()
    spec = CrawlSpec(
        account="default",
        regions=(REGION,),
        roots=None,
        level=TAGS,
        page_size=1000,
        verify=chance.choice((VerifyMode.AUTO, VerifyMode.ALWAYS)),
        concurrency=chance.choice((8, 64)),
        deadline_s=3600.0,
    )

    async def main() -> CrawlResult:
        return await Crawl(spec, account, taken, observe=lambda _event: None).run()

    return account, taken, run(main)


def drawn(chance: random.Random, kind: Kind) -> ChangingAccount:
    """Return an account that changes so."""
    back_ends = chance.choice((1, 1, 2))
    return ChangingAccount(
        chance,
        images=tuple(round(MOST_IMAGES ** chance.uniform(0.0, 1.0)) for _ in range(2)),
        kind=kind,
        changes_per_s=10 ** chance.uniform(-0.5, 1.0),
        order=chance.choice(get_args(Order)),
        lags_s=(0.0, *(chance.uniform(0.0, chance.choice(LAGS_S)) for _ in range(back_ends - 1))),
        largest=chance.choice(PAGES),
        has_count=chance.random() < 0.7,
        vanished=chance.choice((404, 404, 500)),
    )


def records_of(result: CrawlResult) -> list[RegistryRecord]:
    """Return what a manifest says of each registry."""
    return registry_records(result, "default", (TAGS,), extents=None)


def wrong(account: ChangingAccount, taken: Taken, result: CrawlResult) -> Iterator[str]:
    """Yield what must not be: something lost without a word, called whole wrongly, foreign, or twice."""
    images, tags = set(taken.images), set(taken.tags)
    if (len(images), len(tags)) != (len(taken.images), len(taken.tags)):
        yield "something stands twice"
    if foreign := tags - account.ever:
        yield f"foreign: {sorted(foreign)}"
    gaps = {one.within: one.verdict for one in result.deeper if not one.verdict.is_good}
    if gone := {place for place, verdict in gaps.items() if verdict is Verdict.GONE} & account.images_throughout:
        yield f"called gone and was there: {sorted(gone)}"
    records = records_of(result)
    if len(records) != len(account.images):
        yield f"{len(records)} registries"
    for one in records:
        lost = {image for image in account.images_throughout - images if image[0] == one.registry}
        lacking = {tag for tag in account.throughout - tags if tag[0] == one.registry}
        if one.own_verdict.is_whole and lost:
            yield f"the images of {one.registry} are called whole and lack {sorted(lost)}"
        if one.own_verdict.is_whole and (untold := {tag for tag in lacking if tag[:2] not in gaps}):
            yield f"nothing is said of {sorted(untold)}"
        if one.verdict.is_whole and lacking:
            yield f"{one.registry} is called whole and lacks {sorted(lacking)}"


def told_tags(tally: TagTally) -> str:
    """Return a table, a line for each kind of change."""
    lines = [
        f"{'change':<14} {'crawls':>7} {'registries whole':>17} {'flagged':>8} {'images gone':>12} {'requests':>10}"
    ]
    for kind in KINDS:
        counts = tally.counts[kind]
        figures = f"{counts['whole']:>17,} {counts['flagged']:>8,} {counts['gone']:>12,} {counts['requests']:>10,}"
        lines.append(f"{kind:<14} {counts['crawls']:>7,} {figures}")
    return "\n".join([*lines, f"lost, foreign, or called whole wrongly: {len(tally.wrong)}", *tally.wrong[:20]])
