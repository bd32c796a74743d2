"""`ncrawl export`: a snapshot as Parquet or CSV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crawler.cli.places import PLACE
from crawler.cli.sentences import each_apart, tell
from crawler.cli.working import Working, quiet_option
from crawler.core.text import visible

if TYPE_CHECKING:
    from crawler.jobs.export.job import Exported

_EPILOG = """\b
Examples:
  ncrawl export /var/lib/ncrawl -o /srv/inventory
  ncrawl export --all /var/lib/ncrawl -o /srv/inventory
  ncrawl export --format csv /var/lib/ncrawl/20261123T020000Z -o sheets
  duckdb -c "FROM '/srv/inventory/images/*/*/*.parquet' LIMIT 10"

\b
OUT holds {registries,images,tags,verdicts}/snapshot=ID/region=R/….parquet:
a column for each field that the API documents, the same every night; extra, a
JSON object, for all that they do not hold, to the letter; absent, a JSON
list, names documented fields that a record lacks. What extra holds is first.

\b
Exit codes: 0 exported, or there already, 2 usage, or pyarrow is missing,
            3 a snapshot is damaged, 74 cannot write, 75 another export"""


@click.command("export", epilog=_EPILOG)
@click.argument("snapshot", type=PLACE)
@click.option("-o", "--output", "out", metavar="OUT", required=True, type=click.Path(path_type=Path), help="Folder.")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["parquet", "csv"]),
    default="parquet",
    show_default=True,
    help="csv: for spreadsheets; texts that they would take for formulas begin with '.",
)
@click.option("--all", "every", is_flag=True, help="Every snapshot of a folder that is not there yet.")
@quiet_option
def command(snapshot: Path, *, out: Path, file_format: str, every: bool, quiet: bool) -> int:
    """Write a snapshot as tables for SQL, data frames or spreadsheets; of a folder of snapshots its latest.

    What is written is proved on the way: a damaged snapshot is not exported. Each table's part of a snapshot appears
    whole or not at all, that of the verdicts last. What is there already is left as it is.
    """
    from crawler.jobs.export.job import snapshots_at  # noqa: PLC0415 - `--help` should not wait for it

    return each_apart(snapshots_at(snapshot, every=every), lambda one: _export(one, out, file_format, quiet=quiet))


def _export(snapshot: Path, out: Path, file_format: str, *, quiet: bool) -> None:
    from crawler.jobs.export.job import Format, export  # noqa: PLC0415 - `--help` should not wait for it
    from crawler.jobs.export.source import open_source  # noqa: PLC0415 - likewise

    source = open_source(snapshot)
    with Working(f"exporting {visible(snapshot.name, 40)}", is_quiet=quiet, total_bytes=source.size_bytes) as working:
        exported = export(source._replace(watch=working.read), out, Format(file_format))
    if not quiet:
        tell(_told(source.manifest.run.id, source.manifest.verdict, out, exported=exported))


def _told(name: str, verdict: str, out: Path, *, exported: Exported) -> str:
    if exported.rows is None:
        return f"{name} is in {out} already"
    counts = ", ".join(f"{rows:,} {table}" for table, rows in exported.rows.items())
    return f"{name} is exported to {out}: {counts}; its verdict is {verdict}"
