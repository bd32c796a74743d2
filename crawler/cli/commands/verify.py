"""`ncrawl verify`: prove a snapshot whole, or say what is wrong with it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import click
import msgspec

from crawler.cli.completing import complete_snapshot
from crawler.cli.places import PLACE
from crawler.cli.stdout import write_lines
from crawler.cli.tables import what_was_had
from crawler.cli.working import Working, quiet_option
from crawler.core.text import visible
from crawler.snapshot.folder.latest import followed
from crawler.snapshot.manifest import read
from crawler.snapshot.verifying.verify import foreign_entries, verify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crawler.snapshot.manifest import Manifest

_MOST_PRINTED = 1_000
_MOST_COUNTED = 1_000_000
_MOST_FOREIGN_TOLD = 20
_EPILOG = """\b
Examples:
  ncrawl verify /var/lib/ncrawl/latest
  ncrawl verify /var/lib/ncrawl/20261123T020000Z | jq -r .problem

\b
Exit codes: 0 whole, 2 no snapshot, or one of another format, or it cannot be
            read, 3 damaged, 74 cannot write, 141 the reader closed the pipe"""


@click.command("verify", epilog=_EPILOG)
@click.argument("snapshot", type=PLACE, shell_complete=complete_snapshot)
@quiet_option
def command(snapshot: Path, *, quiet: bool) -> int:
    """Prove a snapshot whole: sizes, SHA-256, counts, order, every line.

    Reads all of it and prints a line of JSON for each thing that is wrong: file, registry, line and problem; 1,000 of
    them at most, and a count of the rest. Exits with 0 if there is none, else with 3. A snapshot that calls itself
    incomplete can be whole all the same. What others put into its folder is told, and no damage.
    """
    findings, place = 0, visible(str(snapshot))
    snapshot = followed(snapshot)

    with Working("verifying", is_quiet=quiet) as working:

        def lines() -> Iterator[bytes]:
            nonlocal findings
            for finding in islice(verify(snapshot, working.read), _MOST_COUNTED):
                findings += 1
                if findings <= _MOST_PRINTED:
                    yield msgspec.json.encode(finding) + b"\n"

        write_lines(lines(), before_writing=working.clear)
    if not quiet:
        _tell_foreign(snapshot)
    if findings:
        click.echo(f"ncrawl: {place} is damaged: {_counted(findings)}", err=True)
        return 3
    if not quiet:
        click.echo(f"ncrawl: {place} is whole: {_told(read(snapshot))}", err=True)
    return 0


def _told(manifest: Manifest) -> str:
    where = f" in {len(manifest.registries):,} registries" if manifest.has_images else ""
    return f"{what_was_had(manifest)}{where}; its verdict is {manifest.verdict}{_aside(manifest)}"


def _aside(manifest: Manifest) -> str:
    """Return what the verdict does not count."""
    gaps, excluded = len(manifest.expected_gaps), len(manifest.excluded)
    counted = [
        f"{number:,} {one if number == 1 else many}"
        for number, one, many in (
            (gaps, "expected gap", "expected gaps"),
            (excluded, "excluded registry", "excluded registries"),
        )
        if number
    ]
    return f", {' and '.join(counted)} aside" if counted else ""


def _tell_foreign(snapshot: Path) -> None:
    foreign = foreign_entries(snapshot)
    for name in foreign[:_MOST_FOREIGN_TOLD]:
        place = visible(str(snapshot / name))
        click.echo(f"ncrawl: note: {place} does not belong to the snapshot", err=True)
    if len(foreign) > _MOST_FOREIGN_TOLD:
        click.echo(f"ncrawl: note: nor do {len(foreign) - _MOST_FOREIGN_TOLD:,} other entries", err=True)


def _counted(findings: int) -> str:
    if findings <= _MOST_PRINTED:
        return "1 finding" if findings == 1 else f"{findings:,} findings"
    more = f"{findings - _MOST_PRINTED:,} more" + (" at least" if findings == _MOST_COUNTED else "")
    return f"{_MOST_PRINTED:,} findings, and {more}"
