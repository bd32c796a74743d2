"""``ncrawl fleet run``: all accounts, by threads of this process or by Dask's workers, then the merge."""

from __future__ import annotations

import os
import re
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from crawler.cli.completing import complete_file, complete_folder
from crawler.cli.fleet.options import NOT_OF_RUNS, OWN_OPTIONS, own_words, task_options, words_of
from crawler.cli.options import GroupedCommand, settings_from

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from crawler.jobs.fleet.engines import Engine, Errand
    from crawler.jobs.fleet.policy import TaskEnd
    from crawler.jobs.fleet.running import Standing
    from crawler.settings.table import Settings


def _share(_ctx: click.Context, _option: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """Return number and count for ``I/N``."""
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if not found or not int(found[1]) < int(found[2]):
        raise click.BadParameter(f"{text!r} is no share: write I/N, such as 0/10 for the first of ten.")
    return int(found[1]), int(found[2])


@click.command(
    "run",
    cls=GroupedCommand,
    epilog="""\b
Examples:
  ncrawl fleet run accounts.toml /srv/fleet --compress zstd --workers 8
  ncrawl fleet run accounts.toml /srv/fleet --scheduler tcp://10.0.0.1:8786
  ncrawl fleet run accounts.toml /srv/fleet --run-id 2026-11-26 --retry-failed

\b
Exit codes: 0 every account is complete, 2 usage, 3 an account lacks
            something, and it is said which; of a share also 1, 4, 74, 75""",
)
@click.argument("accounts", metavar="ACCOUNTS", shell_complete=complete_file)
@click.argument("place", metavar="DIR|URL", shell_complete=complete_folder)
@click.option("--run-id", metavar="ID", help="What this run is called.  [default: its start, UTC]")
@click.option("--scheduler", metavar="URL", help="Dask's, such as tcp://10.0.0.1:8786 or tls://…")
@click.option(
    "--workers", metavar="N", type=click.IntRange(1, 1000), help="Accounts at once, without --scheduler.  [default: 8]"
)
@click.option("--share", metavar="I/N", callback=_share, help="Only each Nth account from the Ith, from 0; no merge.")
@task_options(*NOT_OF_RUNS)
def command(place: str, **flags: Any) -> int:
    """Take the snapshots of all accounts of the file ACCOUNTS below DIR, and merge them into DIR/fleet/ID.

    Run with the same --run-id again, what is done stays as it is, and what was cut off goes on. An account that fails
    costs its own data only. With --scheduler the workers of Dask do the work: they look for keys where they are, and
    see ACCOUNTS and DIR under the same paths.
    """
    scheduler, workers = flags.pop("scheduler"), flags.pop("workers")
    if scheduler and (workers or flags["share"]):
        raise click.UsageError("--scheduler has workers of its own: drop --workers and --share.")
    run_id = flags.pop("run_id") or f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    share, own = flags.pop("share"), {name: flags.pop(name) for name in OWN_OPTIONS}
    settings = settings_from(flags, is_of_run=True)
    from crawler.jobs.fleet.engines import Errand  # noqa: PLC0415 - `--help` should not wait for it
    from crawler.jobs.fleet.layout import checked_run_id  # noqa: PLC0415 - likewise
    from crawler.output.stores.opening import is_url  # noqa: PLC0415 - likewise

    words = (*words_of(flags), *own_words(own))
    where = place if is_url(place) else os.path.abspath(place)  # noqa: PTH100 - links stay as they are
    accounts = os.path.abspath(flags["accounts"])  # noqa: PTH100 - likewise
    errand = Errand(where, accounts, checked_run_id(run_id), words)
    return _run(errand, settings, share=share, engine=_engine_of(scheduler, errand, workers or _WORKERS))


_WORKERS = 8


def _engine_of(scheduler: str | None, errand: Errand, workers: int) -> Any:
    """Return what makes the engine for a standing."""
    from crawler.cli.fleet.child import run_child  # noqa: PLC0415 - likewise
    from crawler.jobs.fleet.engines import LocalEngine, dask_engine  # noqa: PLC0415 - likewise

    def make(standing: Standing) -> AbstractContextManager[Engine]:
        if scheduler:
            return dask_engine(scheduler, run_child, errand, started=standing.started)
        return nullcontext(LocalEngine(run_child, errand, workers=workers, started=standing.started))

    return make


def _run(errand: Errand, settings: Settings, *, share: tuple[int, int] | None, engine: Any) -> int:
    from crawler.cli.fleet.merge import merge_and_tell  # noqa: PLC0415 - likewise
    from crawler.cli.logs import configure_logging, log, name_run, say  # noqa: PLC0415 - likewise
    from crawler.core.errors import UsageError  # noqa: PLC0415 - likewise
    from crawler.jobs.fleet.layout import account_names  # noqa: PLC0415 - likewise
    from crawler.jobs.fleet.policy import share_code  # noqa: PLC0415 - likewise

    configure_logging(settings, is_of_run=True)
    names = account_names(settings)
    mine = names if share is None else names[share[0] :: share[1]]
    name_run(errand.run_id)
    standing = _standing(mine, errand)
    told = f"{len(mine):,} accounts, {len(standing.ends):,} of them done before"
    say(settings, f"run {errand.run_id}: {told}; with this --run-id it goes on if it is cut off")
    with engine(standing) as chosen:
        _work(mine, chosen, standing, settings=settings)
    if share is not None:
        return share_code([end.code for end in standing.ends.values()])
    try:
        return merge_and_tell(errand.place, errand.run_id, settings, expected=names)
    except UsageError as error:  # nobody has a snapshot
        log.error("%s", error)
        return 3


def _standing(accounts: list[str], errand: Errand) -> Standing:
    """Return where a run stands that is called, maybe again."""
    from crawler.jobs.fleet.earlier import done_before  # noqa: PLC0415 - likewise
    from crawler.jobs.fleet.running import Standing  # noqa: PLC0415 - likewise

    retries_failed = "--retry-failed" in errand.words
    return Standing(
        len(accounts), ends=done_before(errand.place, errand.run_id, accounts, retries_failed=retries_failed)
    )


def _work(accounts: list[str], engine: Engine, standing: Standing, *, settings: Settings) -> None:
    from crawler.cli.fleet.progress import FleetProgress  # noqa: PLC0415 - likewise
    from crawler.cli.logs import log  # noqa: PLC0415 - likewise
    from crawler.core.text import visible  # noqa: PLC0415 - likewise
    from crawler.jobs.fleet.running import run_accounts  # noqa: PLC0415 - likewise

    progress = FleetProgress(standing, settings)

    def tell(account: str, end: TaskEnd, after_s: float | None) -> None:
        if end.code in (0, 3):
            return  # the merge tells what is missing
        ended = "is gone" if end.code is None else f"ended with {end.code}"
        then = "given up" if after_s is None else f"again in {after_s:.0f} s"
        said = visible(end.said.strip().rpartition("\n")[2])
        text = f"{account}: its task {ended}; {then}{f': {said}' if said else ''}"
        if after_s is None:
            progress.clear()
            log.error("%s", text)
        else:
            progress.say(text)

    try:
        run_accounts(accounts, engine, standing, tell=tell, look=progress.look)
    finally:
        progress.clear()
