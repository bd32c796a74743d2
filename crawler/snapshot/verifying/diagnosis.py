"""Read data files line by line, to say which one is wrong and how: slower than a proof, and only after one failed."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import Counter
from io import BytesIO
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec

from crawler.api.collections import REGISTRIES
from crawler.core.model import Verdict
from crawler.core.text import writable
from crawler.snapshot.manifest import MANIFEST
from crawler.snapshot.reading.chunks import UnreadableError, is_packed, read_chunks, whole_lines
from crawler.snapshot.reading.records import Key, key_type, line_start, parse_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from crawler.core.collection import Collection
    from crawler.snapshot.frames import Frame
    from crawler.snapshot.manifest import Manifest, RegistryRecord


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something wrong with a snapshot, and where, as exactly as can be told; lines count from 1, unpacked."""

    file: str
    registry: str | None = None
    line: int | None = None
    problem: str


class _Piece(NamedTuple):
    """A part of a stored file: the number of its first line, its offset and its length (None: all).

    ``lines`` is how many it should have.
    """

    first: int
    offset: int
    length: int | None
    lines: int


class _Row(NamedTuple):
    """One good line, its newline included; the key begins with account, region and registry."""

    number: int
    line: bytes
    key: tuple[str, ...]

    @property
    def label(self) -> str:
        """The registry as users write it."""
        return writable(f"{self.key[1]}/{self.key[2]}")


_Rows: TypeAlias = "Iterator[_Row | Finding]"  # findings travel among the rows that they interrupt
_MOST_LINES_TOO_MANY = 1_000
"""What is packed is read no further beyond the lines that it should have: it could be a bomb."""
_MOST_STRANGERS = 1_000
"""Registries that the manifest does not list, and that are told of each."""


def explain_frames(path: Path, frames: Sequence[Frame], collection: Collection, *, is_moved: bool) -> Iterator[Finding]:
    """Yield what is wrong with the lines of a file in which each registry has its part.

    Args:
        path: the file.
        frames: the registries' parts, in order.
        collection: what the file holds.
        is_moved: the file has another length than it should, so that offsets are of no use.
    """
    pieces = [_Piece(1, 0, None, sum(frame.lines for frame in frames))]
    if is_packed(path) and not is_moved:  # then damage to one frame does not hide the others
        firsts = accumulate((frame.lines for frame in frames), initial=1)
        extents = ((frame.offset, frame.length, frame.lines) for frame in frames)
        pieces = [_Piece(first, *extent) for first, extent in zip(firsts, extents, strict=False)]
    rows = _in_order(_Lines(path, key_type(collection), frames).rows(pieces), path.name)
    yield from _compare_frames(rows, frames, path.name)


def explain_registries(path: Path, lines: int, manifest: Manifest) -> Iterator[Finding]:
    """Yield what is wrong with the lines of registries.ndjson, of which there should be so many."""
    missing = {record.place: record for record in manifest.registries if record.own_verdict is not Verdict.GONE}
    known = {*(record.place for record in manifest.registries), *(one.place for one in manifest.excluded)}
    regions: Counter[str] = Counter()
    is_readable = True
    for row in _in_order(_Lines(path, key_type(REGISTRIES)).rows([_Piece(1, 0, None, lines)]), path.name):
        if isinstance(row, Finding):
            is_readable = False
            yield row
            continue
        regions[row.key[1]] += 1
        place = tuple(map(writable, row.key))
        missing.pop((place[0], place[1], place[2]), None)
        if manifest.has_images and place not in known:
            problem = f"is of a registry that {MANIFEST} does not list"
            yield Finding(file=path.name, registry=row.label, line=row.number, problem=problem)
    yield from _compare_regions(regions, lines, manifest, file=path.name)
    if is_readable:  # else they may be in the lines that were named
        yield from _explain_missing(missing.values(), manifest, path.name)


def _compare_regions(regions: Counter[str], lines: int, manifest: Manifest, *, file: str) -> Iterator[Finding]:
    if regions.total() != lines:
        yield Finding(file=file, problem=f"{regions.total()} good lines, where {lines} should be")
    said: Counter[str] = Counter()
    for record in manifest.regions:  # a fleet has one of each account
        said[record.region] += record.registries
    for region in sorted(set(said) | set(regions)):
        if said[region] != regions[region]:
            problem = f"{regions[region]} good lines of region {region}, where {MANIFEST} says {said[region]}"
            yield Finding(file=file, problem=problem)


def _explain_missing(records: Iterable[RegistryRecord], manifest: Manifest, file: str) -> Iterator[Finding]:
    """Yield a finding for each registry that has a record and no line, though its region's list was had to its end."""
    listed = {(one.owner, one.region) for one in manifest.regions if one.verdict.is_good}
    for record in records:
        if not listed.isdisjoint({(None, record.region), (record.account, record.region)}):
            problem = f"has no line, though {MANIFEST} lists it, and has the whole list of its region"
            yield Finding(file=file, registry=record.label, problem=problem)


class _Lines:
    """The lines of a data file, read singly."""

    def __init__(self, path: Path, kind: type[Key], frames: Sequence[Frame] = ()) -> None:
        self._path = path
        self._kind = kind
        self._labels = [frame.label for frame in frames]
        self._last_lines = list(accumulate(frame.lines for frame in frames))

    def rows(self, pieces: Iterable[_Piece]) -> _Rows:
        """Yield a row for each good line, and a finding for each other one and for what cannot be unpacked."""
        for first, offset, length, lines in pieces:
            number, last = first, first + lines + _MOST_LINES_TOO_MANY
            try:
                for line in self._lines(offset, length):
                    if number > last and is_packed(self._path):
                        yield self._finding(number, f"comes after {lines} lines that should be there: not read further")
                        break
                    yield self._row(number, line)
                    number += 1
            except UnreadableError as error:
                yield self._finding(number, error.problem)

    def _lines(self, offset: int, length: int | None) -> Iterator[bytes]:
        for chunk in whole_lines(read_chunks(self._path, offset=offset, length=length), self._path):
            yield from BytesIO(chunk)

    def _row(self, number: int, line: bytes) -> _Row | Finding:
        try:
            key = parse_key(line, self._kind)
            is_ours = line.startswith(line_start(key))
        except ValueError as error:
            return self._finding(number, f"is no record: {error}")
        if not line.endswith(b"\n"):
            return self._finding(number, "is cut: there is no newline")
        if not is_ours:
            return self._finding(number, f"does not begin with {', '.join(key.__struct_fields__[:-1])}, once each")
        return _Row(number, line, msgspec.structs.astuple(key))

    def _finding(self, number: int, problem: str) -> Finding:
        index = bisect_left(self._last_lines, number)
        owner = self._labels[index] if index < len(self._labels) else None
        return Finding(file=self._path.name, registry=owner, line=number, problem=problem)


def _in_order(rows: _Rows, file: str) -> _Rows:
    """Let pass what is strictly increasing, and a finding for each row that is not.

    Of two neighbours in the wrong order, the one that does not fit between its own neighbours is to blame.
    """
    last: _Row | None = None
    held: _Row | None = None
    for row in rows:
        if isinstance(row, Finding):
            yield row
        elif held is None or held.key < row.key:
            if held:
                yield held
            last, held = held, row
        elif held.key == row.key:
            yield _misplaced(row, f"repeats line {held.number}", file)
        elif last is None or last.key < row.key:
            yield _misplaced(held, f"is not in order: line {row.number} should come before it", file)
            held = row
        else:
            yield _misplaced(row, f"is not in order: line {held.number} should come after it", file)
    if held:
        yield held


def _misplaced(row: _Row, problem: str, file: str) -> Finding:
    return Finding(file=file, registry=row.label, line=row.number, problem=problem)


class _Tally:
    """What was read of one registry."""

    def __init__(self, row: _Row) -> None:
        self.label = row.label
        self.first = row.number
        self.lines = 0
        self.digest = hashlib.sha256()

    def add(self, line: bytes) -> None:
        """Count another line."""
        self.lines += 1
        self.digest.update(line)


def _compare_frames(rows: _Rows, frames: Sequence[Frame], file: str) -> Iterator[Finding]:
    known = {frame.place for frame in frames}
    labels = {frame.label for frame in frames}
    tallies: dict[tuple[str, ...], _Tally] = {}
    blamed = set()
    for row in rows:
        if isinstance(row, Finding):
            blamed.update(labels & {row.registry})
            yield row
        else:
            _count(row, tallies, is_welcome=row.key[:3] in known or len(tallies) < len(known) + _MOST_STRANGERS)
    for frame in frames:
        tally = tallies.pop(frame.place, None)
        if frame.label not in blamed:  # else its numbers cannot be right
            yield from _compare_tally(tally, frame, file)
    for tally in tallies.values():
        problem = f"is of a registry that {MANIFEST} does not list, like {tally.lines - 1} lines after it"
        yield Finding(file=file, registry=tally.label, line=tally.first, problem=problem)


def _count(row: _Row, tallies: dict[tuple[str, ...], _Tally], *, is_welcome: bool) -> None:
    place = row.key[:3]
    if place not in tallies and is_welcome:
        tallies[place] = _Tally(row)
    if place in tallies:
        tallies[place].add(row.line)


def _compare_tally(tally: _Tally | None, frame: Frame, file: str) -> Iterator[Finding]:
    lines = tally.lines if tally else 0
    first = tally.first if tally else None
    if lines != frame.lines:
        problem = f"{lines} good lines, where {frame.lines} should be"
        yield Finding(file=file, registry=frame.label, line=first, problem=problem)
    elif tally and tally.digest.hexdigest() != frame.sha256:
        problem = f"the {lines} lines from here on do not have their SHA-256: at least one was altered"
        yield Finding(file=file, registry=frame.label, line=first, problem=problem)
