"""Lines to keys and fields, and sorted files to streams of records.

Keys compare as texts, by code point: that is the order of their UTF-8 bytes, also with lone surrogates in them.
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from itertools import chain, islice, tee
from operator import lt
from typing import TYPE_CHECKING, NoReturn, TypeAlias

import msgspec

from crawler.api.nesting import MAX_DEPTH, nests_deeper
from crawler.api.records import line_prefix
from crawler.core.decoding import decoder_of
from crawler.snapshot.reading.chunks import UnreadableError, whole_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from crawler.core.collection import Collection


class DisorderError(UnreadableError):
    """A data file that is not sorted, or that holds a record twice."""


class BadLineError(ValueError):
    """A line that is no record; ``index`` counts the lines before it in its chunk."""

    def __init__(self, problem: str, index: int) -> None:
        self.problem = problem
        self.index = index
        super().__init__(problem)


class Key(msgspec.Struct, frozen=True, order=True, gc=False):
    """What identifies a line of a data file, and sorts it; a kind of file has a kind of its own."""

    if TYPE_CHECKING:  # what every kind has, and what only deeper ones have

        def __init__(self, *fields: str) -> None: ...

        account: str
        region: str
        registry: str
        name: str

    @property
    def place(self) -> tuple[str, str, str]:
        """Account, region and registry, of a key below a registry."""
        return self.account, self.region, self.registry


@cache
def key_type(collection: Collection) -> type[Key]:
    """Return the kind of key that the lines of a collection have."""
    return key_of(collection.key)


@cache
def key_of(names: tuple[str, ...]) -> type[Key]:
    """Return the kind of key that consists of texts by these names."""
    fields = [(name, str) for name in names]
    kind = msgspec.defstruct("Key", fields, bases=(Key,), frozen=True, order=True, gc=False)
    assert issubclass(kind, Key)
    return kind


Record: TypeAlias = tuple[Key, bytes]  # a key, and its line without the newline


_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_BLANK = re.compile(r"[ \t\r\n]*")
_TOO_DEEP = f"nested more than {MAX_DEPTH} deep"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


# For lone surrogates, which JSON allows and msgspec refuses. float() takes any number of digits, int() does not.
_TOLERANT = json.JSONDecoder(parse_int=float, parse_constant=_refuse)


def parse_key(line: bytes, kind: type[Key]) -> Key:
    """Find out which record a line holds.

    Raises:
        ValueError: it is not one JSON object in UTF-8, lacks a field of ``kind``, or nests too deep.
    """
    text = line.decode()  # msgspec does not look at the UTF-8 of what it skips
    try:
        key = _parse_key(line, text, kind)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    if nests_deeper(line):
        raise ValueError(_TOO_DEEP)
    return key


def _parse_key(line: bytes, text: str, kind: type[Key]) -> Key:
    try:
        return decoder_of(kind).decode(line)
    except ValueError:
        if not _SURROGATE.search(line):
            raise
    return _parse_key_tolerantly(text, kind)


def _parse_key_tolerantly(text: str, kind: type[Key]) -> Key:
    found = _TOLERANT.decode(text)
    if isinstance(found, dict):
        found = {name: found[name] for name in kind.__struct_fields__ if name in found}
    return msgspec.convert(found, kind)


def parse_keys(chunk: bytes, kind: type[Key]) -> list[Key]:
    """Find out which records the lines of a chunk hold: one key a line, as fast as can be.

    Raises:
        BadLineError: some line is no record.
    """
    try:
        keys = decoder_of(kind).decode_lines(chunk)
        if not chunk.isascii():
            chunk.decode()
    except (ValueError, RecursionError):
        return _parse_keys_singly(chunk, kind)
    # JSON has no raw newline in its strings, so "}\n{" stands between two records and nowhere else.
    is_whole = len(keys) == chunk.count(b"\n") == chunk.count(b"}\n{") + 1 and chunk.endswith(b"}\n")
    if is_whole and not _may_nest_deep(chunk, len(keys)):
        return keys
    return _parse_keys_singly(chunk, kind)


def _may_nest_deep(chunk: bytes, lines: int) -> bool:
    """Whether some line of a chunk nests too deep; tells that none does at the cost of counting, if most are flat."""
    more_brackets = chunk.count(b"{") + chunk.count(b"[") - lines
    return more_brackets >= MAX_DEPTH and any(map(nests_deeper, chunk.split(b"\n")))


def _parse_keys_singly(chunk: bytes, kind: type[Key]) -> list[Key]:
    keys: list[Key] = []
    for line in chunk.removesuffix(b"\n").split(b"\n"):
        try:
            keys.append(parse_key(line, kind))
        except ValueError as error:
            raise BadLineError(str(error), len(keys)) from error
    return keys


def encode_text(text: str) -> bytes:
    """Encode a text as JSON: UTF-8 as it is, and lone surrogates, which UTF-8 does not have, as escapes."""
    try:
        return msgspec.json.encode(text)
    except UnicodeEncodeError:
        return json.dumps(text).encode()


def line_start(key: Key) -> bytes:
    """Return what a record's line begins with, to the letter: our own fields, which are all of the key but the name."""
    return _line_start(key.__struct_fields__[:-1], msgspec.structs.astuple(key)[:-1])


_line_start = lru_cache(64)(line_prefix)  # the lines of a list follow each other


def parse_fields(line: bytes) -> dict[str, msgspec.Raw]:
    """Split a record that has a key into name and exact text of each field; of two with one name the last counts."""
    try:
        return _FIELDS.decode(line)
    except msgspec.DecodeError:
        return dict(scan_fields(line.decode()))


def scan_fields(text: str) -> Iterator[tuple[str, msgspec.Raw]]:
    """Yield name and exact text of each field of a record that has a key, also of those that come twice."""
    at = _after_blank(text, text.index("{") + 1)
    while text[at] != "}":
        name, at = _TOLERANT.raw_decode(text, at)
        begin = _after_blank(text, text.index(":", at) + 1)
        _, end = _TOLERANT.raw_decode(text, begin)
        yield name, msgspec.Raw(text[begin:end].encode())
        at = _after_blank(text, end)
        at = _after_blank(text, at + 1) if text[at] == "," else at


def _after_blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    assert match
    return match.end()


def are_increasing(keys: Iterable[Key]) -> bool:
    """Tell whether keys are sorted and none is there twice."""
    these, following = tee(keys)
    return all(map(lt, these, islice(following, 1, None)))


def ordered_records(chunks: Iterable[bytes], path: Path, collection: Collection) -> Iterator[Record]:
    """Yield the records of the sorted chunks of a file that holds a collection.

    Raises:
        DisorderError: they are not sorted, or one is there twice.
        UnreadableError: a line is no record.
    """
    return chain.from_iterable(ordered_batches(chunks, path, collection))


def ordered_batches(
    chunks: Iterable[bytes], path: Path, collection: Collection, *, place: tuple[str, str, str] | None = None
) -> Iterator[Iterable[Record]]:
    """Yield the records of sorted chunks, a chunk at a time.

    Args:
        chunks: the uncompressed bytes of a file, or of a part of it.
        path: of the file, for errors.
        collection: what the file holds.
        place: account, region and registry of all of them; None if they may be of any.

    Raises:
        DisorderError: they are not sorted, one is there twice, or is of another registry.
        UnreadableError: a line is no record.
    """
    last: list[Key] = []
    for chunk, keys in keyed_chunks(chunks, path, collection):
        if not are_increasing(last + keys):
            raise DisorderError(path, f"its {collection.name} are not sorted, or one is there twice")
        if place and not keys[0].place == keys[-1].place == place:  # and so all between: they are sorted
            raise DisorderError(path, f"one of its {collection.name} is of another registry")
        yield paired_records(chunk, keys)
        last = keys[-1:]


def keyed_chunks(chunks: Iterable[bytes], path: Path, collection: Collection) -> Iterator[tuple[bytes, list[Key]]]:
    """Yield whole lines, some at a time, with their keys.

    Raises:
        UnreadableError: a line is no record.
    """
    lines, kind = 0, key_type(collection)
    for chunk in whole_lines(chunks, path):
        try:
            keys = parse_keys(chunk, kind)
        except BadLineError as error:
            line = lines + error.index + 1
            problem = f"line {line:,} is no {collection.singular} record: {error.problem}"
            raise UnreadableError(path, problem) from error
        yield chunk, keys
        lines += len(keys)


def paired_records(chunk: bytes, keys: list[Key]) -> Iterable[Record]:
    """Return keys with their lines."""
    return zip(keys, chunk.split(b"\n"), strict=False)  # nothing follows the last newline
