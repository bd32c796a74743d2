"""Records to Arrow: what is as documented goes fast, what is not goes exactly, and nobody's neighbours matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.odd_records import assert_told, odd_lines
from support.snapshot_maker import add_file, image, make_snapshot

from crawler.core.errors import UsageError
from crawler.jobs.export.tables import tables
from crawler.snapshot.reading.chunks import DamagedError
from crawler.snapshot.reading.records import BadLineError

if TYPE_CHECKING:
    from pathlib import Path

pa = pytest.importorskip("pyarrow", reason="not run: pyarrow is not here")
arrow = pytest.importorskip("crawler.jobs.export.arrow")

A = ("default", "kr", "team-a")
B = ("default", "sgn", "team-b")
DOCUMENTED = dict.fromkeys(tables()["images"].columns)


@pytest.mark.long
@settings(deadline=None)
@given(data=st.data(), table=st.sampled_from(["registries", "images", "tags"]))
def test_a_row_depends_on_its_record_alone(data: st.DataObject, table: str) -> None:
    """Read together, one by one, or fitted first: the same rows, and each tells its record."""
    lines = data.draw(st.lists(odd_lines(table), min_size=1, max_size=4))
    reader = arrow.BlockReader(tables()[table])
    blocks = [line + b"\n" for line in lines]
    rows = pa.concat_tables(reader.read([b"".join(blocks)]))
    assert rows.schema == arrow.schema_of(tables()[table])
    assert rows.to_pylist() == pa.concat_tables(reader.read(blocks)).to_pylist()
    assert rows.to_pylist() == [row for block in blocks for part in reader.read([block]) for row in part.to_pylist()]
    for line, row in zip(lines, rows.to_pylist(), strict=True):
        assert_told(line, row)


@pytest.mark.parametrize("line", [b"null", b'{"name":"n"}', b"[]", b'{"a":1} null {"b":2}', b'{"account":"\xff"}'])
@pytest.mark.parametrize("more", [{}, DOCUMENTED], ids=["among odd records", "among documented ones"])
def test_what_is_no_record(line: bytes, more: dict[str, None]) -> None:
    """It is refused, whatever pyarrow makes of it: a record that is null ends its process, or comes out as nulls."""
    good = msgspec.json.encode(more | {"account": "a", "region": "kr", "registry": "r", "name": "n"})
    with pytest.raises(BadLineError):
        list(arrow.BlockReader(tables()["images"]).read([b"\n".join((good, line, good))]))


def test_a_null_that_was_not_said() -> None:
    """A field that is absent is told from null, also where a text looks like it, and among records that have it."""
    image = msgspec.json.encode(DOCUMENTED | {"account": "a", "region": "kr", "registry": "r", "name": "n"})
    odd = image.replace(b'"user":null', rb'"description":"\"user\":null"').replace(b'"description":null,', b"")
    rows = pa.concat_tables(arrow.BlockReader(tables()["images"]).read([image + b"\n", odd + b"\n", image + b"\n"]))
    assert rows["absent"].to_pylist() == [None, '["user"]', None]
    assert rows["description"].to_pylist() == [None, '"user":null', None]


def test_to_arrow(tmp_path: Path) -> None:
    """The rows of a table in the order of its file; none of a level that the snapshot does not have."""
    snapshot = make_snapshot(tmp_path / "s", {A: [image("a"), image("b", odd=1)], B: [image("c")]})
    reader = arrow.to_arrow(snapshot, "images")
    rows = reader.read_all()
    assert [(row["region"], row["name"], row["extra"]) for row in rows.to_pylist()] == [
        ("kr", "a", None),
        ("kr", "b", '{"odd":1}'),
        ("sgn", "c", None),
    ]
    assert arrow.to_arrow(snapshot, "tags").read_all().num_rows == 0
    assert arrow.to_arrow(snapshot, "verdicts").read_all()["registry"].to_pylist() == [None, None, "team-a", "team-b"]
    with pytest.raises(UsageError, match="there is no table labels"):
        arrow.to_arrow(snapshot, "labels")


def test_a_reader_of_what_is_damaged(tmp_path: Path) -> None:
    """Whoever reads to the end is told."""
    snapshot = make_snapshot(tmp_path / "s", {A: [image("a"), image("b")]})
    (snapshot / "images.ndjson").write_bytes((snapshot / "images.ndjson").read_bytes().replace(b'"b"', b'"c"'))
    with pytest.raises(DamagedError, match="SHA-256"):
        arrow.to_arrow(snapshot, "images").read_all()


def test_a_line_that_was_no_record_when_it_was_written(tmp_path: Path) -> None:
    """The line is named, counted through the whole file."""
    snapshot = make_snapshot(tmp_path / "s", {A: [image("a")]})
    good = (snapshot / "images.ndjson").read_bytes().strip()
    add_file(snapshot, "images.ndjson", [*[good] * 2_000, b"{}"])
    with pytest.raises(DamagedError, match=r"line 2,001 is no record"):
        arrow.to_arrow(snapshot, "images").read_all()
