"""`ncrawl report`: one HTML file to look at, offline."""

from __future__ import annotations

from pathlib import Path

import click

from crawler.cli.places import PLACE
from crawler.cli.working import Working, quiet_option
from crawler.core.errors import UsageError
from crawler.core.text import visible

_MOST_PROBLEMS = 20
_EPILOG = """\b
Examples:
  ncrawl report /var/lib/ncrawl -o report.html          the newest snapshot
  ncrawl report /var/lib/ncrawl/latest -o report.html   what `latest` means
  ncrawl report /var/lib/ncrawl/20261123T020000Z > report.html

\b
The list of images that can be searched holds the 100,000 stalest at most.
Exit codes: 0 written, 2 usage or no snapshot that can be read,
            3 the snapshot is damaged, and nothing is written, or one before
            it is, and the page says so, 74 cannot write, 141 pipe closed"""


@click.command("report", epilog=_EPILOG)
@click.argument("path", metavar="SNAPSHOT|DIR|URL", type=PLACE)
@click.option("-o", "--output", metavar="PATH", default="-", help="File instead of standard output.  [default: -]")
@quiet_option
def command(path: Path, *, output: str, quiet: bool) -> int:
    """Make one HTML file to look at: is it whole, how much is there, what changed, how it grew, what is stale.

    Of a folder of snapshots the newest is shown. The file needs nothing else: no server, no network, no JavaScript but
    for searching and sorting. What changed and how it grew is told from the snapshots beside it that are older.
    """
    from crawler.cli.stdout import write_lines  # noqa: PLC0415 - `--help` should not wait for it
    from crawler.jobs.report.report import report  # noqa: PLC0415 - likewise
    from crawler.output.files import check_place, write_file  # noqa: PLC0415 - likewise

    _check_ending(output)
    if output != "-":
        check_place(output)
    with Working("reporting", is_quiet=quiet) as working:
        made = report(path, watch=working.read)
    if output == "-":
        write_lines(made.html.splitlines(keepends=True))
    else:
        write_file(output, made.html)
    for problem in made.problems[:_MOST_PROBLEMS]:
        click.echo(f"ncrawl: warning: {visible(problem, 1_000)}", err=True)
    if len(made.problems) > _MOST_PROBLEMS:
        click.echo(f"ncrawl: warning: … and {len(made.problems) - _MOST_PROBLEMS:,} more", err=True)
    return 3 if made.problems else 0


def _check_ending(output: str) -> None:
    """Refuse a name that promises something else than what is written."""
    from crawler.output.files import is_special  # noqa: PLC0415 - `--help` should not wait for it

    if Path(output).suffix.lower() not in ("", ".html", ".htm") and not is_special(output):
        raise UsageError(f"--output: {visible(output)} will not do: what is written is HTML: let it end in .html")
