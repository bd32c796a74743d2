"""``ncrawl fleet status``: where a run stands, by what lies in its folder or storage."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from crawler.cli.completing import complete_folder
from crawler.cli.options import GroupedCommand, crawl_options, settings_from

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crawler.jobs.fleet.status import AccountStatus, FleetStatus


@click.command(
    "status",
    cls=GroupedCommand,
    epilog="""\b
Examples:
  ncrawl fleet status /srv/fleet --accounts accounts.toml
  ncrawl fleet status s3://inventory/fleet --run-id 2026-11-26 --json

\b
Exit codes: 0 every account is complete, 3 something is missing, or not yet
            there, 2 usage, 74 the storage cannot be used""",
)
@click.argument("place", metavar="DIR|URL", shell_complete=complete_folder)
@click.option("--run-id", metavar="ID", help="Which run.  [default: that of the newest snapshot]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@crawl_options("accounts")
def command(place: str, *, run_id: str | None, as_json: bool, **flags: Any) -> int:
    """Say of each account whether it is done in a run, under way or missing, and with which verdict.

    Nobody is asked, and nothing locked: it is what lies below DIR that tells, also while a run goes on elsewhere. With
    --accounts those are named, too, of which there is nothing yet.
    """
    settings = settings_from(flags)
    import msgspec  # noqa: PLC0415 - `--help` should not wait for it

    from crawler.cli.stdout import write_lines  # noqa: PLC0415 - likewise
    from crawler.jobs.fleet.layout import account_names  # noqa: PLC0415 - likewise
    from crawler.jobs.fleet.status import fleet_status  # noqa: PLC0415 - likewise

    found = fleet_status(place, run_id, account_names(settings))
    lines = [msgspec.json.encode(found) + b"\n"] if as_json else (f"{line}\n".encode() for line in _lines(found))
    write_lines(lines)
    return 0 if found.is_complete else 3


def _lines(found: FleetStatus) -> Iterator[str]:
    """Yield a line for each account, and one for all."""
    from crawler.core.text import visible  # noqa: PLC0415 - likewise

    width = max((len(one.account) for one in found.accounts), default=0)
    for one in found.accounts:
        yield f"{one.account:{width}}  {visible(_state(one))}".rstrip()
    counts = Counter(one.verdict or one.state for one in found.accounts)
    merged = f"merged: {found.merged}" if found.merged else "not merged yet"
    told = ", ".join(f"{number:,} {word}" for word, number in sorted(counts.items()))
    yield f"run {found.run_id}: {len(found.accounts):,} accounts: {told}; {merged}"


def _state(one: AccountStatus) -> str:
    if one.state == "under way":
        return f"under way: {one.owner}; its lease ends at {one.until} unless it is renewed"
    if one.state == "done":
        return f"{one.verdict}  {one.snapshot}  {one.reason or ''}"
    return one.state
