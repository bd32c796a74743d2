"""Records to Arrow: pyarrow reads blocks of lines that are as documented, and `fitting` rewrites those that are not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from crawler.jobs.export.fitting import fitted_lines
from crawler.jobs.export.library import json, pa, pc
from crawler.jobs.export.source import open_source
from crawler.jobs.export.tables import ABSENT, EXTRA, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from crawler.jobs.export.source import Source
    from crawler.jobs.export.tables import Column, Table

GROUP_ROWS = 64 * 1024
GROUP_BYTES = 64 * 1024 * 1024
"""How much is held in memory at a time: a row group of Parquet, a batch of Arrow."""

_TYPES = {Kind.TEXT: pa.string(), Kind.INTEGER: pa.int64(), Kind.FLAG: pa.bool_()}
_NULL_RECORD = re.compile(rb"}\s*null")
_SAID = b'":null'
_WITHIN_A_TEXT = b'\\":null'
"""What looks like a null behind a name."""


def schema_of(table: Table) -> pa.Schema:
    """Return the schema of a table."""
    return pa.schema(_fields_of(table.all_columns))


def _fields_of(columns: Mapping[str, Column]) -> list[Any]:
    return [(name, _type_of(column)) for name, column in columns.items()]


def _type_of(column: Column) -> pa.DataType:
    if column.kind is Kind.RECORDS:
        return pa.list_(pa.struct(_fields_of(column.fields)))
    return _TYPES[column.kind]


class BlockReader:
    """Makes rows of a table out of lines."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._schema = schema_of(table)
        self._documented = _parse_options(pa.schema(_fields_of(table.columns)))
        self._fitted = _parse_options(self._schema)

    def read(self, block: bytes) -> pa.Table:
        """Return the rows of whole lines.

        Raises:
            BadLineError: a line is no record.
        """
        rows = self._read_documented(block)
        if rows is None:
            return _rows(b"\n".join(fitted_lines(block, self._table)), self._fitted)
        for name in (ABSENT, EXTRA) if self._table.has_rest else ():
            rows = rows.append_column(name, pa.nulls(len(rows), pa.string()))
        return rows

    def _read_documented(self, block: bytes) -> pa.Table | None:
        """Return the rows of records each of which has every documented field, once, and nothing else; else None.

        pyarrow refuses fields that are unknown or come twice, and values that do not fit, but takes a field that is
        absent for null. So every null has to be one that was said.
        """
        try:
            if not block.startswith(b"{") or _NULL_RECORD.search(block):  # on a record that is null, pyarrow crashes
                return None
            if not block.isascii():
                block.decode()
            rows = _rows(block, self._documented)
        except ValueError:
            return None
        nulls = _count_nulls(rows.columns)
        has_keys = not any(rows[name].null_count for name in self._table.key)
        return rows if has_keys and (not nulls or nulls == _count_said(block)) else None


def _rows(lines: bytes, options: json.ParseOptions) -> pa.Table:
    read = json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
    return json.read_json(pa.BufferReader(lines), read_options=read, parse_options=options)


def _parse_options(schema: pa.Schema) -> json.ParseOptions:
    return json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")


def _count_nulls(columns: Iterable[Any]) -> int:
    """Count the values that are null, within records as well; a record that is null counts too often."""
    return sum(
        one.null_count + (_count_nulls(pc.list_flatten(one).flatten()) if pa.types.is_list(one.type) else 0)
        for one in columns
    )


def _count_said(block: bytes) -> int:
    """Count the nulls that stand behind a name; -1 if some only look so. A backslash alone is found much faster."""
    return -1 if b"\\" in block and _WITHIN_A_TEXT in block else block.count(_SAID)


def to_arrow(snapshot: Path, name: str) -> pa.RecordBatchReader:
    """Return a reader of one table of a snapshot: ``registries``, ``images``, ``tags`` or ``verdicts``.

    What is read is proved on the way: if the file is not the one that the manifest speaks of, the last batch is an
    error. A snapshot that has no such file gives no rows.

    Raises:
        UsageError: no such table, or no snapshot.
        ManifestError: the manifest is damaged.
    """
    source = open_source(snapshot)
    table = source.table(name)
    rows = groups(read_blocks(source.blocks(table), source, table))
    batches = (batch for group in rows for batch in group.combine_chunks().to_batches())
    return pa.RecordBatchReader.from_batches(schema_of(table), batches)


def read_blocks(blocks: Iterable[bytes], source: Source, table: Table) -> Iterator[pa.Table]:
    """Yield the rows of blocks of lines.

    Raises:
        DamagedError: a line is no record.
    """
    reader, lines = BlockReader(table), 0
    for block in blocks:
        with source.naming_lines(table, lines):
            rows = reader.read(block)
        yield rows
        lines += len(rows)


def groups(blocks: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Join small tables to larger ones."""
    held: list[pa.Table] = []
    rows = size = 0
    for block in blocks:
        held.append(block)
        rows, size = rows + len(block), size + block.nbytes
        if rows >= GROUP_ROWS or size >= GROUP_BYTES:
            yield pa.concat_tables(held)
            held, rows, size = [], 0, 0
    if held:
        yield pa.concat_tables(held)
