"""``ncrawl plan``: what a run would cost, before it is run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crawler.cli.completing import complete_snapshot
from crawler.cli.options import GroupedCommand, crawl_options, settings_from
from crawler.settings.table import CRAWL_OPTIONS

if TYPE_CHECKING:
    from crawler.core.collection import Collection
    from crawler.jobs.plan.facts import Facts
    from crawler.settings.table import Settings

_OF_RESULTS = ("output", "summary", "metrics_file", "ping", "expect_gap")


@click.command(
    "plan",
    cls=GroupedCommand,
    epilog="""\b
Examples:
  ncrawl plan                                   of a run with these settings
  ncrawl plan --from /var/lib/ncrawl            by the newest snapshot there
  ncrawl plan --level tags --rate 20 --json | jq .seconds
  ncrawl plan --level tags --reuse latest       of a night of a million images

\b
Exit codes: 0 told, 2 usage, 3 something is not known, 4 key, clock or
            quota, 129, 130 and 143 stopped""",
)
@crawl_options(*(name for name in CRAWL_OPTIONS if name not in _OF_RESULTS), "level", "reuse", "refresh")
@click.option(
    "--from",
    "source",
    metavar="SNAPSHOT|DIR",
    shell_complete=complete_snapshot,
    help="Ask this snapshot, or the newest one in DIR, and not the gateway.",
)
@click.option("--json", "as_json", is_flag=True, help="One object; what is not known is null.")
def command(source: str | None, *, as_json: bool, **flags: Any) -> int:
    """Say what a run would cost before it is run: requests, time at the limits, bytes.

    Asks the gateway for the lists of registries and page 1 of each list of images, within the limits; or a snapshot,
    without any request. What other options would cost stands below.
    """
    settings = settings_from(flags)
    from crawler.api.collections import COLLECTIONS, IMAGES  # noqa: PLC0415 - `--help` should not wait for it
    from crawler.cli.hardening import forbid_dumps  # noqa: PLC0415 - likewise
    from crawler.cli.logs import configure_logging  # noqa: PLC0415 - likewise
    from crawler.jobs.snapshot.reusing import check_reuse  # noqa: PLC0415 - likewise

    configure_logging(settings)
    check_reuse(settings)
    forbid_dumps()
    level = COLLECTIONS[settings.level]
    if source is None:
        return _ask(settings, level, as_json=as_json)
    from crawler.core.lifetime import ends_s  # noqa: PLC0415 - likewise
    from crawler.jobs.naming import named_roots  # noqa: PLC0415 - likewise
    from crawler.jobs.plan.snapshot import from_snapshot  # noqa: PLC0415 - likewise

    roots = named_roots(settings, IMAGES, ends_s(settings.deadline))
    return _tell(from_snapshot(Path(source), settings, roots), settings, level, as_json=as_json)


def _ask(settings: Settings, level: Collection, *, as_json: bool) -> int:
    from crawler.api.collections import IMAGES  # noqa: PLC0415 - likewise
    from crawler.cli.crawling import calling  # noqa: PLC0415 - likewise
    from crawler.cli.limits import within_limits  # noqa: PLC0415 - likewise
    from crawler.cli.signals import run  # noqa: PLC0415 - likewise
    from crawler.jobs.crawling import check_surroundings  # noqa: PLC0415 - likewise
    from crawler.jobs.ends import code_of  # noqa: PLC0415 - likewise
    from crawler.jobs.naming import named_roots  # noqa: PLC0415 - likewise
    from crawler.jobs.plan.gateway import from_gateway  # noqa: PLC0415 - likewise

    within = within_limits(settings)
    caller = calling(within)
    check_surroundings(within, caller.observe)

    async def ask() -> int:
        roots = named_roots(within, IMAGES, caller.ends_s(within))
        asked = await from_gateway(within, roots, level, caller=caller)
        if asked.stop is not None:
            return code_of(asked.stop, is_complete=False)
        return _tell(asked.facts, settings, level, as_json=as_json)

    return run(ask)


def _tell(facts: Facts, settings: Settings, level: Collection, *, as_json: bool) -> int:
    import msgspec  # noqa: PLC0415 - likewise

    from crawler.cli.plan_table import lines  # noqa: PLC0415 - likewise
    from crawler.cli.stdout import write_lines  # noqa: PLC0415 - likewise
    from crawler.engine.page_size import LARGEST  # noqa: PLC0415 - likewise
    from crawler.jobs.plan.estimate import Choice, Limits, plan  # noqa: PLC0415 - likewise
    from crawler.jobs.snapshot.reusing import reuses, share_of  # noqa: PLC0415 - likewise
    from crawler.snapshot.rotation import CLASSES  # noqa: PLC0415 - likewise

    page_size = settings.page_size if isinstance(settings.page_size, int) else LARGEST
    choice = Choice(level, settings.verify, page_size, share_of(settings.refresh) if reuses(settings) else CLASSES)
    limits = Limits(settings.rate, settings.region_rate, settings.concurrency)
    made = plan(facts, choice, limits)
    write_lines(
        [msgspec.json.encode(made) + b"\n"]
        if as_json
        else (f"{line}\n".encode() for line in lines(facts, choice, limits))
    )
    return 3 if made.requests is None else 0
