"""``ncrawl fleet merge``: one snapshot of those of all accounts."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crawler.cli.completing import complete_folder
from crawler.cli.fleet.options import run_id_option
from crawler.cli.options import GroupedCommand, crawl_options, settings_from

if TYPE_CHECKING:
    from crawler.settings.table import Settings
    from crawler.snapshot.manifest import Manifest


def _seconds(_ctx: click.Context, _option: click.Parameter, text: str | None) -> float:
    from crawler.settings.options import parse_duration  # noqa: PLC0415 - `--help` should not wait for it

    try:
        return 0.0 if text is None else parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command(
    "merge",
    cls=GroupedCommand,
    epilog="""\b
Examples:
  ncrawl fleet merge /srv/fleet --accounts acc.toml --run-id 2026-11-26
  ncrawl report /srv/fleet/fleet/2026-11-26 -o report.html

\b
Exit codes: 0 every account is complete, 3 something is missing, 2 usage, no
            keys, or there is nothing of this run, 74 cannot write, 75 another
            merge goes on""",
)
@click.argument("place", metavar="DIR|URL", shell_complete=complete_folder)
@run_id_option
@click.option(
    "--wait",
    "wait_s",
    metavar="DURATION",
    callback=_seconds,
    help="Wait so long for accounts of --accounts that have no snapshot yet.",
)
@crawl_options("accounts", "summary", "log_format", "quiet")
def command(place: str, *, run_id: str, wait_s: float, **flags: Any) -> int:
    """Merge the snapshots of a run below DIR into DIR/fleet/ID, in the order of the accounts.

    Data files are appended to each other as they are, so the result is the same byte for byte, whichever machine took
    what, and a snapshot like any other: `verify`, `diff`, `report` and `export` read it. Its manifest says what is
    missing of which account; with --accounts also which have no snapshot at all.
    """
    settings = settings_from(flags)
    from crawler.cli.logs import configure_logging  # noqa: PLC0415 - `--help` should not wait for it
    from crawler.jobs.fleet.layout import account_names  # noqa: PLC0415 - likewise
    from crawler.jobs.fleet.status import await_accounts  # noqa: PLC0415 - likewise

    configure_logging(settings)
    expected = account_names(settings)
    if wait_s:
        await_accounts(place, run_id, expected, patience_s=wait_s)
    return merge_and_tell(place, run_id, settings, expected=expected)


def merge_and_tell(place: str, run_id: str, settings: Settings, *, expected: list[str]) -> int:
    """Merge a run, say what came of it, and return the exit code."""
    from crawler.cli.logs import log, say  # noqa: PLC0415 - likewise
    from crawler.cli.working import Working  # noqa: PLC0415 - likewise
    from crawler.core.text import visible  # noqa: PLC0415 - likewise
    from crawler.jobs.fleet.layout import merged_folder, opened  # noqa: PLC0415 - likewise
    from crawler.jobs.fleet.merge import merge, merge_far  # noqa: PLC0415 - likewise
    from crawler.output.stores.opening import is_url  # noqa: PLC0415 - likewise

    with Working("merging", is_quiet=settings.quiet) as working:
        store, tell = opened(place), partial(working.tell, what="accounts")
        if is_url(place):
            made = merge_far(store, run_id, expected=expected, tell=tell)
        else:
            made = merge(Path(place), run_id, store, expected=expected, tell=tell)
    for line in lacking_lines(made):
        if settings.quiet:
            log.error("%s", line)  # as cron mails it
        else:
            say(settings, line)
    whole = f"{len(made.accounts or ()):,} accounts, {made.totals.images:,} images"
    say(settings, f"{visible(f'{place}/{merged_folder(run_id)}')}: {made.verdict}, {whole}")
    _summarize(settings, made)
    return 0 if made.verdict == "complete" else 3


def lacking_lines(made: Manifest) -> list[str]:
    """Return a line for each account of which something is missing."""
    from crawler.core.text import visible  # noqa: PLC0415 - likewise

    return [
        f"{one.account}: {one.verdict}: {visible(one.reason or 'no reason given')}" for one in made.lacking_accounts
    ]


def _summarize(settings: Settings, made: Manifest) -> None:
    from crawler.cli.logs import log  # noqa: PLC0415 - likewise
    from crawler.core.errors import OutputError  # noqa: PLC0415 - likewise
    from crawler.output.files import write_file  # noqa: PLC0415 - likewise
    from crawler.snapshot.manifest import dump  # noqa: PLC0415 - likewise

    if settings.summary is None:
        return
    try:
        write_file(settings.summary, dump(made))
    except OutputError as error:
        log.warning("%s; the manifest says the same", error)
