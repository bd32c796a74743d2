"""`ncrawl diff`: what changed between two snapshots or files of images."""

from __future__ import annotations

from collections import Counter, deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from crawler.cli.completing import complete_snapshot
from crawler.cli.differences import as_text, totals_as_text
from crawler.cli.places import PLACE
from crawler.cli.sentences import tell
from crawler.cli.stdout import write_lines
from crawler.cli.working import Working, quiet_option
from crawler.snapshot.comparing.diff import CHANGES, diff
from crawler.snapshot.comparing.opening import open_side, relate
from crawler.snapshot.folder.latest import followed
from crawler.snapshot.reading.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from crawler.cli.differences import Counts
    from crawler.snapshot.comparing.diff import Difference
    from crawler.snapshot.comparing.sides import Side

_EPILOG = """\b
Examples:
  ncrawl diff /var/lib/ncrawl/20261122T020000Z /var/lib/ncrawl/latest
  ncrawl diff --ignore pull_count OLD NEW | jq 'select(.change == "removed")'
  ncrawl diff --format text OLD NEW | less
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
@click.argument("old", type=PLACE, shell_complete=complete_snapshot)
@click.argument("new", type=PLACE, shell_complete=complete_snapshot)
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
@click.option(
    "--format",
    "form",
    type=click.Choice(["ndjson", "text"]),
    default="ndjson",
    help="A line of JSON a difference, or text for people, grouped by registry.  [default: ndjson]",
)
@click.option("--summary", is_flag=True, help="Print how many there are of each change instead.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if there are differences, as git does.")
@quiet_option
def command(
    old: Path,
    new: Path,
    *,
    ignored: tuple[str, ...],
    form: str,
    summary: bool,
    exit_code: bool,
    quiet: bool,
    **trust: Any,
) -> int:
    """Tell what was added, removed and changed, and what is unknown because a side is incomplete or damaged.

    OLD and NEW are snapshots, or files of images in any order: plain, .gz or .zst, with the summary of the run that
    wrote them. Of snapshots registries are compared, then images, then tags. A registry or an image is called removed
    or added only if the other side has all of its list; else it is unknown. What is read is checked against its
    manifest: what is damaged is named, and unknown.
    """
    before, after = _opened(old, new, trust)
    working = Working("comparing", is_quiet=quiet)
    witness = Witness(ignored, working.say, working.read)
    differences = diff(before, after, witness)
    counts: Counts = Counter()
    account = before.account if before.account == after.account else None
    with working:
        told = _lines(_counted(differences, counts), counts, form=form, summary=summary, account=account)
        write_lines(told, before_writing=working.clear)
    _tell_rest(witness)
    if any(change == "unknown" for _, change in counts) or witness.damages:
        return 3
    return 1 if exit_code and counts else 0


def _opened(old: Path, new: Path, trust: Mapping[str, Any]) -> tuple[Side, Side]:
    before, after = (
        open_side(followed(path), summary=trust[f"{side}_summary"], assume_complete=trust["assume_complete"], side=side)
        for side, path in (("old", old), ("new", new))
    )
    for note in relate(before, after):
        tell(f"note: {note}")
    return before, after


def _counted(differences: Iterable[Difference], counts: Counts) -> Iterator[Difference]:
    for difference in differences:
        counts[difference.level, difference.change] += 1
        yield difference


def _lines(
    differences: Iterable[Difference], counts: Counts, *, form: str, summary: bool, account: str | None
) -> Iterator[bytes]:
    """Yield what is printed; ``counts`` are those of the differences that were taken so far."""
    if not summary:
        yield from as_text(differences, account) if form == "text" else (one.line() for one in differences)
        return
    deque(differences, maxlen=0)
    if form == "text":
        yield from totals_as_text(counts)
    else:
        sums = {change: sum(n for (_, one), n in counts.items() if one == change) for change in CHANGES}
        yield msgspec.json.encode(sums) + b"\n"


def _tell_rest(witness: Witness) -> None:
    """Say what is known in the end only."""
    if witness.damages > witness.most_told:
        tell(f"… and {witness.damages - witness.most_told:,} more are damaged")
    for name in witness.unseen:
        tell(f"warning: --ignore {name}: no record has such a field")
