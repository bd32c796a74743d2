"""Records to Arrow: pyarrow reads blocks of lines that are as documented, and `fitting` rewrites those that are not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from crawler.jobs.export.fitting import fitted_lines
from crawler.jobs.export.library import json, pa
from crawler.jobs.export.source import open_source
from crawler.jobs.export.tables import ABSENT, EXTRA, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from crawler.jobs.export.source import Source
    from crawler.jobs.export.tables import Column, Table

BLOCK_BYTES = 2 * 1024 * 1024
"""How much text pyarrow is handed at a time: beginning takes it as long as reading some 80 KiB."""
GROUP_ROWS = 64 * 1024
GROUP_BYTES = 64 * 1024 * 1024
"""How much is held in memory at a time: a row group of Parquet, a batch of Arrow."""

_TYPES = {Kind.TEXT: pa.string(), Kind.INTEGER: pa.int64(), Kind.FLAG: pa.bool_()}


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
    """Makes rows of a table out of its lines, from the first to the last."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._schema = schema_of(table)
        self._documented = _parse_options(pa.schema(_fields_of(table.columns)))
        self._fitted = _parse_options(self._schema)
        self._lines = 0

    def read(self, blocks: Sequence[bytes]) -> Iterator[pa.Table]:
        """Yield the rows of the next blocks of whole lines: together, or, if anything is odd, each block by itself.

        Raises:
            BadLineError: a line is no record.
        """
        together = self._read_documented(b"".join(blocks))
        for rows in map(self._read_apart, blocks) if together is None else (together,):
            self._lines += len(rows)
            yield rows

    def _read_apart(self, block: bytes) -> pa.Table:
        rows = self._read_documented(block)
        if rows is not None:
            return rows
        return _rows(b"\n".join(fitted_lines([block], self._table, before=self._lines)), self._fitted)

    def _read_documented(self, block: bytes) -> pa.Table | None:
        """Return the rows of records each of which has every documented field, once, and nothing else; else None.

        pyarrow refuses fields that are unknown or come twice, and values that do not fit, but takes a field that is
        absent for null, and a record that is null for one of nulls. So every null has to be one that was said.
        """
        try:
            if not block.startswith(b"{"):  # on a first record that is null, pyarrow crashes
                return None
            if not block.isascii():
                block.decode()
            rows = _rows(block, self._documented)
        except ValueError:
            return None
        if any(rows[name].null_count for name in self._table.key) or not _are_said(_nulls(rows), block):
            return None
        for name in (ABSENT, EXTRA) if self._table.has_rest else ():
            rows = rows.append_column(name, pa.nulls(len(rows), pa.string()))
        return rows


def _rows(lines: bytes, options: json.ParseOptions) -> pa.Table:
    read = json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
    return json.read_json(pa.BufferReader(lines), read_options=read, parse_options=options)


def _parse_options(schema: pa.Schema) -> json.ParseOptions:
    return json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")


def _nulls(rows: pa.Table) -> Counter[str]:
    """Count the values that are null by their names, within records as well; a record that is null counts too often."""
    nulls = Counter({name: column.null_count for name, column in zip(rows.column_names, rows.columns, strict=True)})
    for column in rows.columns:
        for chunk in column.chunks if pa.types.is_list(column.type) else ():
            nulls += _nulls(pa.Table.from_struct_array(chunk.values))
    return nulls


def _are_said(nulls: Counter[str], block: bytes) -> bool:
    """Whether each null stands in the text behind its name, which no text has within: it would have an escape there."""
    return all(block.count(b'"%b":null' % name.encode()) == number for name, number in nulls.items() if number)


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
    reader = BlockReader(table)
    with source.naming_lines(table):
        for some in _gathered(blocks):
            yield from reader.read(some)


def _gathered(blocks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Put blocks together until there is enough for pyarrow."""
    held, size = list[bytes](), 0
    for block in blocks:
        held.append(block)
        size += len(block)
        if size >= BLOCK_BYTES:
            yield held
            held, size = [], 0
    if held:
        yield held


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
