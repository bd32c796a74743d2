"""``ncrawl fleet task``: the snapshot of one account, as an engine runs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crawler.cli.completing import complete_folder
from crawler.cli.fleet_options import run_id_option, task_options
from crawler.cli.options import GroupedCommand, settings_from

if TYPE_CHECKING:
    from crawler.jobs.fleet.task import TaskOrder


@click.command(
    "task",
    cls=GroupedCommand,
    epilog="""\b
Examples:
  ncrawl fleet task acme /var/lib/ncrawl --accounts accounts.toml \\
      --run-id 2026-11-26 --compress zstd

\b
Exit codes: 0 complete, 3 something is missing, 2 and 4 no good to try again,
            75 later: it is being taken; 1, 74, 129, 130, 143 try again""",
)
@click.argument("account")
@click.argument("place", metavar="DIR|URL", shell_complete=complete_folder)
@run_id_option
@click.option("--parent", type=int, hidden=True, help="Process that this one is to end with.")
@task_options()
def command(account: str, place: str, *, run_id: str, parent: int | None, retry_failed: bool, **flags: Any) -> int:
    """Take the snapshot of ACCOUNT below DIR/ACCOUNT, once for each run.

    Asked for again, the snapshot that was made in the run is taken as it is, and a run that was cut off goes on. The
    task ends when whoever started it does.
    """
    from crawler.cli.parent import end_with_parent  # noqa: PLC0415 - `--help` should not wait for it

    end_with_parent(parent)
    settings = settings_from({**flags, "account": account}, is_of_run=True)
    from crawler.jobs.fleet.task import TaskOrder  # noqa: PLC0415 - likewise, nor for aiohttp

    return _run(place, TaskOrder(settings, run_id, retry_failed))


def _run(place: str, order: TaskOrder) -> int:
    from crawler.cli.crawling import calling  # noqa: PLC0415 - likewise
    from crawler.cli.hardening import forbid_dumps  # noqa: PLC0415 - likewise
    from crawler.cli.limits import within_limits  # noqa: PLC0415 - likewise
    from crawler.cli.logs import configure_logging  # noqa: PLC0415 - likewise
    from crawler.cli.signals import run  # noqa: PLC0415 - likewise
    from crawler.jobs.fleet.task import TaskOrder, take_account  # noqa: PLC0415 - likewise

    configure_logging(order.settings, is_of_run=True)
    forbid_dumps()
    settings = within_limits(order.settings)
    order = TaskOrder(settings, order.run_id, order.retries_failed)
    hint = "run the same again to go on"

    async def take() -> int:
        return (await take_account(Path(place), order, calling(settings, hint=hint))).exit_code

    return run(take, when_stopped=hint)
