"""``ncrawl snapshots``: what a folder of snapshots holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from crawler.cli.completing import complete_folder
from crawler.cli.places import PLACE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crawler.jobs.shelf import Entry

_UNITS = ("B", "kB", "MB", "GB", "TB")


@click.command(
    "snapshots",
    epilog="""\b
Examples:
  ncrawl snapshots /var/lib/ncrawl
  ncrawl snapshots /var/lib/ncrawl --json | jq -r 'select(.is_latest).id'

\b
Exit codes: 0 listed, 2 no folder, 3 something in it is damaged,
            74 cannot write""",
)
@click.argument("folder", metavar="DIR|URL", type=PLACE, shell_complete=complete_folder)
@click.option("--json", "as_json", is_flag=True, help="A line of JSON each, oldest first.")
def command(folder: Path, *, as_json: bool) -> int:
    """List the snapshots below DIR, oldest first, and runs that are not finished.

    When each started, its verdict, how much it holds, how old it is by this machine's clock, and which one `latest`
    means. A run that is not finished is under way, or can be taken up with --resume. What is damaged is named: `ncrawl
    verify` says more. Nothing is changed, and nothing locked.
    """
    import msgspec  # noqa: PLC0415 - `--help` should not wait for it

    from crawler.cli.stdout import write_lines  # noqa: PLC0415 - likewise
    from crawler.jobs.shelf import look_at  # noqa: PLC0415 - likewise

    shelf = look_at(folder)
    if as_json:
        write_lines(msgspec.json.encode(entry) + b"\n" for entry in shelf.entries)
    else:
        write_lines(line.encode() + b"\n" for line in _table(shelf.entries, datetime.now(UTC)))
    _tell([f"damaged: {one}" for one in shelf.damages])
    _tell([f"note: {folder / name} has no manifest.json, so it is no snapshot" for name in shelf.strangers])
    return 3 if shelf.damages else 0


def _tell(sentences: list[str]) -> None:
    from crawler.core.text import visible  # noqa: PLC0415 - likewise

    for sentence in sentences:
        click.echo(f"ncrawl: {visible(sentence, 1_000)}", err=True)


def _table(entries: list[Entry], now: datetime) -> Iterator[str]:
    """Yield the lines of a table that fits 80 columns."""
    if not entries:
        yield "no snapshots"
        return
    has_tags = any(entry.tags is not None for entry in entries)
    rows = [("snapshot", "verdict", "registries", "images", *(["tags"] if has_tags else []), "stored", "age")]
    rows += [_row(entry, now, has_tags=has_tags) for entry in entries]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        left = map(str.ljust, row[:2], widths[:2])
        yield "  ".join((*left, *map(str.rjust, row[2:], widths[2:])))
    if any(entry.is_latest for entry in entries):
        yield "* latest"


def _row(entry: Entry, now: datetime, *, has_tags: bool) -> tuple[str, ...]:
    verdict = "unfinished" if entry.unfinished else entry.verdict or "damaged"
    counts = (entry.registries, entry.images, *([entry.tags] if has_tags else []))
    age = _age((now - entry.started_at).total_seconds())
    return f"{entry.id}{'*' if entry.is_latest else ''}", verdict, *map(_count, counts), _size(entry.bytes), age


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _size(number: int | None) -> str:
    """Return bytes with a unit, as short as they can be told."""
    if number is None:
        return "-"
    size, unit = float(number), 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if size >= 9.95 or not unit else f"{size:.1f} {_UNITS[unit]}"


def _age(seconds: float) -> str:
    """Return a time in its largest unit; nothing of a time to come."""
    if seconds < 0:
        return "-"
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:.0f}s"
