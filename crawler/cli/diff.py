"""`ncrawl diff`: what changed between two snapshots or files of images."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from crawler.cli.completing import complete_snapshot
from crawler.cli.stdout import write_lines
from crawler.cli.working import Working, quiet_option
from crawler.core.text import visible
from crawler.snapshot.comparing.diff import CHANGES, diff
from crawler.snapshot.comparing.opening import open_side, relate
from crawler.snapshot.folder.latest import followed
from crawler.snapshot.reading.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST_SENTENCE = 1_000
_EPILOG = """\b
Examples:
  ncrawl diff /var/lib/ncrawl/20261122T020000Z /var/lib/ncrawl/latest
  ncrawl diff --ignore pull_count OLD NEW | jq 'select(.change == "removed")'
  ncrawl diff old.ndjson new.ndjson --old-summary o.json --new-summary n.json
  ncrawl diff --summary --exit-code --assume-complete old.ndjson new.ndjson

\b
What is no difference: 1 and 1.0, 1e2 and 100, é and \\u00e9, blanks, the order
  of fields at any depth; of a field twice, the last counts. Numbers are never
  rounded.
What is one: null and no field at all, 1 and "1", another order in a list.

\b
Exit codes: 0 compared, 1 differences under --exit-code, 2 usage, or what
            cannot be read or compared, 3 something is unknown or damaged,
            74 cannot write, 141 the reader closed the pipe"""


@click.command("diff", epilog=_EPILOG)
@click.argument("old", type=click.Path(path_type=Path), shell_complete=complete_snapshot)
@click.argument("new", type=click.Path(path_type=Path), shell_complete=complete_snapshot)
@click.option("--ignore", "ignored", metavar="FIELD", multiple=True, help="Leave a field out. Repeatable.")
@click.option(
    "--old-summary",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="What the run that wrote OLD, a file, said of itself: its --summary.",
)
@click.option("--new-summary", metavar="FILE", type=click.Path(path_type=Path), help="Likewise of NEW.")
@click.option(
    "--assume-complete", is_flag=True, help="Take files without a summary as complete: what is not there, was not."
)
@click.option("--summary", is_flag=True, help="Print how many there are of each change instead.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if there are differences, as git does.")
@quiet_option
def command(  # noqa: PLR0913 - an option each
    old: Path,
    new: Path,
    *,
    ignored: tuple[str, ...],
    old_summary: Path | None,
    new_summary: Path | None,
    assume_complete: bool,
    summary: bool,
    exit_code: bool,
    quiet: bool,
) -> int:
    """Tell what was added, removed and changed, and what is unknown because a side is incomplete or damaged.

    OLD and NEW are snapshots, or files of images in any order: plain, .gz or .zst, with the summary of the run that
    wrote them. An image is called removed or added only if the other side has all of its registry; else it is
    unknown. What is read is checked against its manifest: what is damaged is named, and unknown.
    """
    before = open_side(followed(old), summary=old_summary, assume_complete=assume_complete, side="old")
    after = open_side(followed(new), summary=new_summary, assume_complete=assume_complete, side="new")
    for note in relate(before, after):
        _say(f"note: {note}")
    working = Working("comparing", is_quiet=quiet)
    witness = Witness(ignored, lambda sentence: _say(sentence, working), working.read)
    differences = diff(before, after, witness)
    counts: Counter[str] = Counter()

    def lines() -> Iterator[bytes]:
        for difference in differences:
            counts[difference.change] += 1
            if not summary:
                yield difference.line()
        if summary:
            yield msgspec.json.encode({change: counts[change] for change in CHANGES}) + b"\n"

    with working:
        write_lines(lines(), before_writing=working.clear)
    _tell_rest(witness)
    if counts["unknown"] or witness.damages:
        return 3
    return 1 if exit_code and counts else 0


def _tell_rest(witness: Witness) -> None:
    """Say what is known in the end only."""
    if witness.damages > witness.most_told:
        _say(f"… and {witness.damages - witness.most_told:,} more are damaged")
    for name in witness.unseen:
        _say(f"warning: --ignore {name}: no record has such a field")


def _say(sentence: str, working: Working | None = None) -> None:
    if working is not None:
        working.clear()
    click.echo(f"ncrawl: {visible(sentence, _LONGEST_SENTENCE)}", err=True)
