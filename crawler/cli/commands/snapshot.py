"""``ncrawl snapshot``: the nightly job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from crawler.cli.completing import complete_folder
from crawler.cli.options import GroupedCommand, crawl_options, settings_from
from crawler.core.errors import UsageError
from crawler.settings.table import OPTIONS

FLAGS = tuple(name for name in OPTIONS if name not in ("output", "registry", "registry_file"))


@click.command(
    "snapshot",
    cls=GroupedCommand,
    epilog="""\b
Examples:
  ncrawl snapshot /var/lib/ncrawl --resume --compress zstd --keep 30
  ncrawl snapshot /var/lib/ncrawl --accept 1%      latest may lack 1 in 100
  ncrawl snapshot /var/lib/ncrawl --retry-failed latest
  ncrawl snapshot /var/lib/ncrawl --level tags --reuse latest --deadline 4h

\b
Exit codes: 0 complete, 2 usage, 3 something is missing, 4 key, clock or
            quota, 74 cannot write, 75 another run holds DIR, 129, 130 and
            143 stopped""",
)
@click.argument("folder", metavar="DIR", shell_complete=complete_folder)
@crawl_options(*FLAGS)
def command(folder: str, **flags: Any) -> int:
    """Write a durable, verifiable snapshot of every registry below DIR.

    The snapshot appears whole or not at all, as DIR/20261123T020000Z (its start, UTC); `DIR/latest` moves to it if
    --accept does. A run that ends by itself before its work is done, as at --deadline, publishes what it has; one that
    a signal or a crash ended is taken up by --resume, with the options that it had.
    """
    if not folder:
        raise UsageError("DIR is empty: name a folder")
    settings = settings_from(flags, is_of_run=True)
    from crawler.cli.nightly import snapshot_command  # noqa: PLC0415 - `--help` should not wait for aiohttp

    return snapshot_command(Path(folder), settings, flags)
