"""``ncrawl prune``: remove old snapshots outside of a run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from crawler.cli.completing import complete_folder
from crawler.cli.options import GroupedCommand, crawl_options, settings_from
from crawler.cli.places import PLACE

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.settings.table import Settings


@click.command(
    "prune",
    cls=GroupedCommand,
    epilog="""\b
Examples:
  ncrawl prune /var/lib/ncrawl --keep 30 --dry-run
  ncrawl prune /var/lib/ncrawl --keep 7 --keep-days 90

\b
Exit codes: 0 removed, or nothing to remove, 2 usage, 3 something could not be
            removed, 74 cannot read or write, 75 a run holds DIR""",
)
@click.argument("folder", metavar="DIR|URL", type=PLACE, shell_complete=complete_folder)
@click.option("--dry-run", "is_dry", is_flag=True, help="Only say what would be removed.")
@crawl_options("keep", "keep_days", "log_format", "quiet")
def command(folder: Path, *, is_dry: bool, **flags: Any) -> int:
    """Remove the snapshots below DIR that neither --keep nor --keep-days keeps.

    Never the newest one, the newest complete one, the target of `latest`, and what is no snapshot. Ages count up to
    the end of the newest snapshot whose clock the gateway has borne out, not to this machine's time: a clock that is
    ahead makes nothing old.
    """
    settings = settings_from(flags)
    from crawler.cli.logs import configure_logging  # noqa: PLC0415 - `--help` should not wait for it
    from crawler.core.errors import UsageError  # noqa: PLC0415 - likewise
    from crawler.output.files import is_folder  # noqa: PLC0415 - likewise
    from crawler.output.stores.place import Place  # noqa: PLC0415 - likewise
    from crawler.snapshot.folder.abilities import check_folder  # noqa: PLC0415 - likewise

    configure_logging(settings)
    if not isinstance(folder, Place):
        if not is_folder(folder):
            raise UsageError(f"{folder} is no folder: name the one that the snapshots are in")
        check_folder(folder)
    return _prune(folder, settings, is_dry=is_dry)


def _prune(folder: Path, settings: Settings, *, is_dry: bool) -> int:
    from crawler.cli.logs import log, say  # noqa: PLC0415 - likewise
    from crawler.core.text import visible  # noqa: PLC0415 - likewise
    from crawler.jobs.prune import prune  # noqa: PLC0415 - likewise
    from crawler.snapshot.folder.retention import Retention  # noqa: PLC0415 - likewise

    removed = problems = 0
    retention = Retention(settings.keep, settings.keep_days)
    for removal in prune(folder, retention, now=datetime.now(UTC), is_dry=is_dry):
        if removal.problem is not None:
            problems += 1
            log.warning("%s", removal.problem)
        else:
            removed += 1
            say(settings, f"{'would remove' if is_dry else 'removed'} {visible(str(folder / removal.name))}")
    if not removed + problems:
        say(settings, f"nothing to remove in {visible(str(folder))}")
    return 3 if problems else 0
