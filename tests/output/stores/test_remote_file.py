"""A file that is fetched as it is read is read as any other."""

from __future__ import annotations

from io import SEEK_CUR, SEEK_END, SEEK_SET, BytesIO
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from crawler.output.stores.remote_file import Part, RemoteFile

if TYPE_CHECKING:
    from collections.abc import Iterator

_DATA = bytes(range(256)) * 3


class _Far:
    """A file somewhere else. Mutable state: what was requested of it."""

    def __init__(self, data: bytes, piece: int) -> None:
        self.requests: list[tuple[int, int | None]] = []
        self._data = data
        self._piece = piece

    def fetch(self, begin: int, length: int | None) -> Part:
        """Request a part."""
        self.requests.append((begin, length))
        end = len(self._data) if length is None else begin + length
        return Part(self._pieces(begin, min(end, len(self._data))), len(self._data))

    def _pieces(self, begin: int, end: int) -> Iterator[bytes]:
        for at in range(begin, end, self._piece):
            yield self._data[at : min(at + self._piece, end)]


_steps = st.one_of(
    st.tuples(st.just("read"), st.integers(-1, 300)),
    st.tuples(st.just("set"), st.integers(0, 900)),
    st.tuples(st.just("move"), st.integers(0, 100)),
    st.tuples(st.just("end"), st.integers(-768, 10)),
)


@given(st.lists(_steps), st.integers(1, 100), st.integers(0, 767), st.none() | st.integers(1, 300))
def test_it_reads_as_any_other(steps: list[tuple[str, int]], piece: int, begin: int, length: int | None) -> None:
    """Whatever is read and sought, it gives the bytes that are there, wherever the first part began and ended."""
    file, other = RemoteFile(_Far(_DATA, piece).fetch, begin, length), BytesIO(_DATA)
    other.seek(begin)
    whences = {"set": SEEK_SET, "move": SEEK_CUR, "end": SEEK_END}
    for what, number in steps:
        if what == "read":
            assert file.read(number) == other.read(number)
        else:
            assert file.seek(number, whences[what]) == other.seek(number, whences[what])
        assert file.tell() == other.tell()


def test_what_is_read_on_end_is_one_request() -> None:
    """The part that was named comes by one request, and so does all the rest; a place that was left, by another."""
    far = _Far(_DATA, 50)
    file = RemoteFile(far.fetch, 100, 200)
    assert file.read(120) + file.read(80) == _DATA[100:300]
    assert far.requests == [(100, 200)]
    assert file.read() == _DATA[300:]
    assert far.requests == [(100, 200), (300, None)]
    file.seek(10)
    assert len(far.requests) == 2
    file.read(1)
    assert far.requests[2:] == [(10, None)]
