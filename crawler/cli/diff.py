"""`ncrawl diff`: what changed between two snapshots or files of images."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from crawler.cli.stdout import write_lines
from crawler.snapshot.diff import CHANGES, diff, open_side
from crawler.snapshot.latest import followed

if TYPE_CHECKING:
    from collections.abc import Iterator

_EPILOG = """\b
Examples:
  ncrawl diff /var/lib/ncrawl/20261122T020000Z /var/lib/ncrawl/latest
  ncrawl diff --ignore pull_count yesterday.ndjson.zst today.ndjson.zst | jq -r 'select(.change == "removed").name'
  ncrawl diff --summary --exit-code old.ndjson new.ndjson
"""


@click.command("diff", epilog=_EPILOG)
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--ignore", "ignored", metavar="FIELD", multiple=True, help="Leave a field out. Repeatable.")
@click.option("--summary", is_flag=True, help="Print how many there are of each change instead.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if there are differences, as git does.")
def command(old: Path, new: Path, ignored: tuple[str, ...], *, summary: bool, exit_code: bool) -> int:
    """Tell what was added, removed and changed, and what is unknown because a side is incomplete.

    OLD and NEW are snapshots, or files of images in any order: plain, .gz or .zst. Exits with 0, or with 3 if
    something is unknown: an image is called removed or added only if the other side has all of its registry.
    """
    differences = diff(open_side(followed(old)), open_side(followed(new)), ignored=frozenset(ignored))
    counts: Counter[str] = Counter()

    def lines() -> Iterator[bytes]:
        for difference in differences:
            counts[difference.change] += 1
            if not summary:
                yield difference.line()
        if summary:
            yield msgspec.json.encode({change: counts[change] for change in CHANGES}) + b"\n"

    write_lines(lines())
    if counts["unknown"]:
        return 3
    return 1 if exit_code and counts else 0
