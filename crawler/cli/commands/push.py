"""`ncrawl push`: copy a snapshot into an object storage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crawler.cli.completing import complete_snapshot
from crawler.cli.sentences import each_apart, tell
from crawler.cli.working import Working, quiet_option
from crawler.core.text import visible

if TYPE_CHECKING:
    from crawler.output.stores.interface import Store

_EPILOG = """\b
Examples:
  ncrawl push /var/lib/ncrawl s3://inventory/ncrawl
  ncrawl push --all /var/lib/ncrawl s3://inventory/ncrawl
  ncrawl verify s3://inventory/ncrawl/default/latest

\b
Keys and endpoint come from where the storage's own tools look, as
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, AWS_REGION, or
~/.aws/credentials: never from a flag or a URL.

\b
Exit codes: 0 pushed, or there already, 2 usage, no snapshot, no keys, or
            obstore is missing, 3 a snapshot is damaged, 74 cannot write"""


@click.command("push", epilog=_EPILOG)
@click.argument("snapshot", type=click.Path(path_type=Path), shell_complete=complete_snapshot)
@click.argument("url")
@click.option("--all", "every", is_flag=True, help="Every snapshot of a folder that is not there yet.")
@quiet_option
def command(snapshot: Path, url: str, *, every: bool, quiet: bool) -> int:
    """Copy a snapshot, or of a folder of snapshots its latest, to URL/ACCOUNT/ID.

    It appears there whole or not at all, and `latest.json` beside it moves to it if --accept did here, never back to
    an older one. What is there already is not sent again, so a push that was cut off goes on. URL is s3://BUCKET/PREFIX,
    gs://, az://, file:///PATH or a folder; other commands read what was pushed as they read a folder.
    """
    from crawler.jobs.export.job import snapshots_at  # noqa: PLC0415 - likewise
    from crawler.jobs.push.backlog import not_there  # noqa: PLC0415 - `--help` should not wait for it
    from crawler.output.stores.opening import store_at  # noqa: PLC0415 - likewise

    target = store_at(url)
    snapshots = [snapshot / name for name in not_there(snapshot, target)] if every else snapshots_at(snapshot)
    code = each_apart(snapshots, lambda one: _push(one, target, quiet=quiet))
    if not snapshots and not quiet:
        tell(f"{visible(url)} has every snapshot of {visible(str(snapshot))}")
    return code


def _push(snapshot: Path, target: Store, *, quiet: bool) -> None:
    from crawler.jobs.push.backlog import unsafe  # noqa: PLC0415 - likewise
    from crawler.jobs.push.job import outgoing, push  # noqa: PLC0415 - likewise

    one = outgoing(snapshot)
    total_bytes = sum(file.bytes for file in one.manifest.files)
    with Working(f"pushing {one.name}", is_quiet=quiet, total_bytes=total_bytes) as working:
        pushed = push(one, target, watch=working.read)
    if not quiet:
        tell(pushed.told)
    if not pushed.is_safe:
        tell(f"warning: {unsafe(target.url)}")
