"""`ncrawl history`: one registry, image or tag through all snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from crawler.cli.places import PLACE
from crawler.cli.sentences import tell
from crawler.cli.stdout import write_lines
from crawler.cli.working import Working, quiet_option
from crawler.jobs.history.changes import history
from crawler.jobs.history.wanted import parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crawler.jobs.history.changes import Change

_EPILOG = """\b
Examples:
  ncrawl history /var/lib/ncrawl kr/team-a
  ncrawl history /var/lib/ncrawl kr/team-a/app/web --format text
  ncrawl history --ignore pull_count /var/lib/ncrawl kr/team-a/app/web
  ncrawl history /var/lib/ncrawl kr/team-a/app/web/v1 | jq .snapshot

\b
A line a change: first (seen), changed (which fields), gone, unknown (a list
is not whole, excluded, or the snapshot is damaged), back (seen again, and
what has changed since it was seen last).

\b
Exit codes: 0 told, 2 usage, or no snapshot ever had it,
            3 unknown in some snapshot, 74 cannot write, 141 pipe closed"""


@click.command("history", epilog=_EPILOG)
@click.argument("folder", metavar="DIR|URL", type=PLACE)
@click.argument("what")
@click.option("--tag", metavar="TAG", help="Of an image: what became of this tag.")
@click.option("--ignore", "ignored", metavar="FIELD", multiple=True, help="Leave a field out. Repeatable.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["ndjson", "text"]),
    default="ndjson",
    show_default=True,
    help="Or for people.",
)
@quiet_option
def command(folder: Path, what: str, *, tag: str | None, ignored: tuple[str, ...], form: str, quiet: bool) -> int:
    """Tell what became of WHAT, REGION/REGISTRY[/IMAGE[/TAG]], through all snapshots of DIR.

    An image's name may hold slashes: kr/team-a/app/web is the image app/web, and only where no snapshot has that the
    tag web of app; --tag says which is meant. What a snapshot lacks because it is not whole is unknown, never gone.
    """
    wanted = parse(what, tag)
    unknowns: list[Change] = []
    with Working("looking through snapshots", is_quiet=quiet) as working:

        def lines() -> Iterator[bytes]:
            for change in history(
                folder, wanted, ignored=frozenset(ignored), watch=lambda at, of: working.tell(at, of, "snapshots")
            ):
                if change.change == "unknown":
                    unknowns.append(change)
                yield f"{change.text()}\n".encode() if form == "text" else change.line()

        write_lines(lines(), before_writing=working.clear)
    if form == "ndjson":
        _tell_reasons(unknowns)
    return 3 if unknowns else 0


def _tell_reasons(unknowns: list[Change]) -> None:
    for change in unknowns:
        tell(f"{change.wanted} is unknown in {change.snapshot}: {change.reason}")
