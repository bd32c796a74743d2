"""Records to Arrow: what is as documented goes fast, what is not goes exactly, and nobody's neighbours matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


@pytest.mark.long
@settings(deadline=None)
@given(data=st.data(), table=st.sampled_from(["registries", "images", "tags"]))
def test_a_row_depends_on_its_record_alone(data: st.DataObject, table: str) -> None:
    """Read together, one by one, or fitted first: the same rows, and each tells its record."""
    lines = data.draw(st.lists(odd_lines(table), min_size=1, max_size=4))
    reader = arrow.BlockReader(tables()[table])
    block = b"".join(line + b"\n" for line in lines)
    rows = reader.read(block)
    assert rows.schema == arrow.schema_of(tables()[table])
    assert rows.to_pylist() == [row for line in lines for row in reader.read(line + b"\n").to_pylist()]
    for line, row in zip(lines, rows.to_pylist(), strict=True):
        assert_told(line, row)


@pytest.mark.parametrize("line", [b"null", b'{"name":"n"}', b"[]", b'{"a":1} null {"b":2}', b'{"account":"\xff"}'])
def test_what_is_no_record(line: bytes) -> None:
    """It is refused, whatever pyarrow makes of it: a record that is null ends its process."""
    good = b'{"account":"a","region":"kr","registry":"r","name":"n"}'
    with pytest.raises(BadLineError):
        arrow.BlockReader(tables()["images"]).read(b"\n".join((good, line, good)))


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
