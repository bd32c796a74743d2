"""`ncrawl verify`: prove a snapshot whole, or say what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from crawler.cli.stdout import write_lines
from crawler.snapshot.latest import followed
from crawler.snapshot.manifest import read
from crawler.snapshot.verify import verify
from crawler.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

_EPILOG = """\b
Examples:
  ncrawl verify /var/lib/ncrawl/latest
  ncrawl verify /var/lib/ncrawl/20261123T020000Z | jq -r .problem
"""


@click.command("verify", epilog=_EPILOG)
@click.argument("snapshot", type=click.Path(path_type=Path))
def command(snapshot: Path) -> int:
    """Prove a snapshot whole: sizes, SHA-256, counts, order, every line.

    Reads all of it and prints a line of JSON for each thing that is wrong: file, registry, line and problem. Exits
    with 0 if there is none, else with 3. A snapshot that calls itself incomplete can be whole all the same.
    """
    findings, place = 0, visible(str(snapshot))
    snapshot = followed(snapshot)

    def lines() -> Iterator[bytes]:
        nonlocal findings
        for finding in verify(snapshot):
            findings += 1
            yield msgspec.json.encode(finding) + b"\n"

    write_lines(lines())
    if findings:
        counted = "1 finding" if findings == 1 else f"{findings:,} findings"
        click.echo(f"ncrawl: {place} is damaged: {counted}", err=True)
        return 3
    manifest = read(snapshot)
    totals = f"{manifest.totals.images:,} images in {len(manifest.registries):,} registries"
    click.echo(f"ncrawl: {place} is whole: {totals}; its verdict is {manifest.verdict}", err=True)
    return 0
