"""A table as CSV files, one a region, for people with spreadsheets."""

from __future__ import annotations

import csv
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any

import msgspec

from crawler.jobs.export.fitting import fitted_lines
from crawler.jobs.export.tables import REGION
from crawler.output.files import writing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crawler.jobs.export.publishing import Partition
    from crawler.jobs.export.source import Source
    from crawler.jobs.export.tables import Table

_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How texts begin that a spreadsheet may take for a formula, or does once it has trimmed them."""


def write_csv(source: Source, table: Table, partition: Partition) -> int:
    """Write a table; return how many rows it has.

    In UTF-8 with a mark that it is, or spreadsheets take it for something else; the region is a column as well.

    Raises:
        DamagedError: the snapshot is damaged.
        OutputError: it cannot be written.
    """
    rows = 0
    columns = tuple(table.all_columns)
    with ExitStack() as stack:
        sheets: dict[str, Any] = {}
        for row in _records(source, table):
            rows += 1
            region = row[REGION]
            with writing(partition.folder):
                if region not in sheets:
                    sheets[region] = csv.writer(stack.enter_context(_opened(partition, region)))
                    sheets[region].writerow(columns)
                sheets[region].writerow([_cell(row.get(name)) for name in columns])
        with writing(partition.folder):
            stack.close()
    return rows


def _records(source: Source, table: Table) -> Iterator[dict[str, Any]]:
    with source.naming_lines(table):
        for line in fitted_lines(source.blocks(table), table):
            yield msgspec.json.decode(line, type=dict[str, Any])


def _opened(partition: Partition, region: str) -> IO[str]:
    return partition.file(region).open("x", encoding="utf-8-sig", newline="")


def _cell(value: object) -> object:
    """Return what goes into a cell: a text that would be a formula is quoted, so that it stays a text."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULAS) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    return msgspec.json.encode(value).decode() if isinstance(value, list) else value
