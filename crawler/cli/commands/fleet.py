"""``ncrawl fleet``: many accounts, on one machine or many."""

from __future__ import annotations

import click

from crawler.cli.lazy import LazyGroup

SUBCOMMANDS = {
    "task": "Take the snapshot of one account: what an engine runs.",
    "run": "Take all of them, by workers here or anywhere, and merge.",
    "merge": "Make one snapshot of those of all accounts.",
    "status": "Say where a run stands, by what lies in the folder.",
}


@click.group(
    "fleet",
    cls=LazyGroup,
    known=SUBCOMMANDS,
    prefix="crawler.cli.fleet.",
    epilog="""\b
Examples:
  ncrawl fleet run acc.toml /srv/fleet --compress zstd
  ncrawl fleet task acme /srv/fleet --accounts acc.toml --run-id 2026-11-26
  ncrawl fleet status /srv/fleet --accounts acc.toml
  ncrawl fleet merge /srv/fleet --accounts acc.toml --run-id 2026-11-26
""",
)
def command() -> None:
    """Take the inventory of many accounts, each as an ordinary snapshot in a folder of its own.

    The accounts are those of a file (--accounts): their keys are looked for where the work is done. What belongs to one
    run bears its --run-id.
    """
