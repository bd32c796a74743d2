"""A table as Parquet files, one a region."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from crawler.jobs.export.arrow import groups, read_blocks
from crawler.jobs.export.library import parquet, pc
from crawler.jobs.export.tables import REGION, Kind
from crawler.output.files import writing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from crawler.jobs.export.library import pa
    from crawler.jobs.export.publishing import Partition
    from crawler.jobs.export.source import Source
    from crawler.jobs.export.tables import Column, Table

_OPTIONS: dict[str, Any] = {"compression": "zstd", "compression_level": 3}
_IN_A_LIST = ".list.element."
"""What stands between a list and a field of its objects in Parquet's paths."""


def write_parquet(source: Source, table: Table, partition: Partition) -> int:
    """Write a table; return how many rows it has.

    The region is the folder's name and no column: readers put it there, and some refuse what is in both places.

    Raises:
        DamagedError: the snapshot is damaged.
        OutputError: it cannot be written.
    """
    rows, options = 0, _OPTIONS | _columns(table)
    with ExitStack() as stack:
        writers: dict[str, parquet.ParquetWriter] = {}
        for group in groups(read_blocks(source.blocks(table), source, table)):
            rows += len(group)
            for region, part in _by_region(group):
                path = partition.file(region)
                with writing(path):
                    if region not in writers:
                        writers[region] = stack.enter_context(parquet.ParquetWriter(path, part.schema, **options))
                    writers[region].write_table(part)
        with writing(partition.folder):
            stack.close()
    return rows


def _columns(table: Table) -> dict[str, list[str]]:
    """Return which columns are written how: rows are sorted by their keys, so only those have bounds worth telling."""
    bounded = [name for name in table.key if name != REGION]
    return {"use_dictionary": _repeated(table.all_columns, but=table.key[-1]), "write_statistics": bounded}


def _repeated(columns: Mapping[str, Column], *, but: str = "") -> list[str]:
    """Return the paths of the texts that many rows share: a dictionary of names or times costs more than it saves."""
    texts = [name for name, column in columns.items() if column.kind is Kind.TEXT and name != but]
    within = ((name, _repeated(column.fields)) for name, column in columns.items() if column.kind is Kind.RECORDS)
    return texts + [name + _IN_A_LIST + path for name, paths in within for path in paths]


def _by_region(group: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    regions = group[REGION].unique().to_pylist()
    for region in regions:
        part = group if len(regions) == 1 else group.filter(pc.equal(group[REGION], region))
        yield region, part.drop_columns(REGION)
