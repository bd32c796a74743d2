"""``ncrawl fleet task``: the snapshot of one account, as an engine runs it."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crawler.cli.completing import complete_folder
from crawler.cli.fleet.options import OWN_OPTIONS, run_id_option, task_options
from crawler.cli.options import GroupedCommand, settings_from
from crawler.core.errors import UsageError

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
def command(place: str, *, run_id: str, parent: int | None, **flags: Any) -> int:
    """Take the snapshot of ACCOUNT below DIR/ACCOUNT, once for each run.

    Asked for again, the snapshot that was made in the run is taken as it is, and a run that was cut off goes on. The
    task ends when whoever started it does. Into an object storage it is taken in a folder of this machine (--scratch)
    under a lease, which holds others off, and sent.
    """
    from crawler.cli.parent import end_with_parent  # noqa: PLC0415 - `--help` should not wait for it

    end_with_parent(parent)
    own = {name: flags.pop(name) for name in OWN_OPTIONS}
    settings = settings_from(flags, is_of_run=True)
    from crawler.cli.hardening import forbid_dumps  # noqa: PLC0415 - likewise
    from crawler.cli.limits import within_limits  # noqa: PLC0415 - likewise
    from crawler.cli.logs import configure_logging  # noqa: PLC0415 - likewise
    from crawler.jobs.fleet.task import TaskOrder  # noqa: PLC0415 - likewise, nor for aiohttp

    configure_logging(settings, is_of_run=True)
    forbid_dumps()
    order = TaskOrder(within_limits(settings), run_id, own["retry_failed"])
    return _run(place, order, scratch=own["scratch"], has_lease=not own["without_lease"])


def _run(place: str, order: TaskOrder, *, scratch: str | None, has_lease: bool) -> int:
    from crawler.cli.crawling import calling  # noqa: PLC0415 - likewise
    from crawler.cli.signals import run  # noqa: PLC0415 - likewise
    from crawler.jobs.fleet.far import FarPlace, take_account_far  # noqa: PLC0415 - likewise
    from crawler.jobs.fleet.task import take_account  # noqa: PLC0415 - likewise
    from crawler.output.stores.opening import is_url  # noqa: PLC0415 - likewise

    hint = "run the same again to go on"

    async def take() -> int:
        caller = calling(order.settings, hint=hint)
        if not is_url(place):
            return (await take_account(Path(place), order, caller)).exit_code
        far = FarPlace(place, scratch_folder(scratch), has_lease=has_lease)
        return (await take_account_far(far, order, caller)).exit_code

    return run(take, when_stopped=hint)


def scratch_folder(name: str | None) -> Path:
    """Return the folder for snapshots on their way; by default one that nobody else can write.

    Raises:
        UsageError: it is no folder, or another user's.
    """
    if name is not None:
        return Path(name)
    folder = Path(tempfile.gettempdir()) / f"ncrawl-fleet-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise UsageError(f"{folder} is not this user's: name another folder with --scratch")
    return folder
