"""What registries store at most: the sizes of the distinct images that their tags name.

Layers are shared, and what no tag names is seen by nobody, so this is neither exact nor a lower bound.
Memory is bounded: beyond some digests of a registry, they go to a temporary file as sorted runs, which are merged.
"""

from __future__ import annotations

import json
import struct
import tempfile
from contextlib import suppress
from heapq import merge
from itertools import chain, groupby
from math import ceil, inf
from operator import itemgetter
from typing import IO, TYPE_CHECKING, Annotated, Any

import msgspec

from crawler.api.collections import IMAGES, TAGS
from crawler.core.text import writable
from crawler.snapshot.entries import RegistrySize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from crawler.engine.tasks import ListingTask

MOST_HELD = 100_000
"""Digests of one registry that are in memory."""
_PAIR = struct.Struct("<qQ")
_READ_PAIRS = 4096
_LARGEST = 2**63 - 1


class Image(msgspec.Struct, gc=False):
    """An image that a tag names, as documented: all that counts here."""

    digest: str | None = None
    size: Annotated[int, msgspec.Meta(ge=0)] | None = None


class _Tag(msgspec.Struct, gc=False):
    images: list[Image] | None = None


class _OddTag(msgspec.Struct, gc=False):
    images: Any = None


_usual, _odd = msgspec.json.Decoder(list[_Tag]), msgspec.json.Decoder(list[_OddTag])


def images_of_lines(lines: bytes) -> list[Any]:
    """Return the ``images`` of each tag in whole lines.

    Raises:
        ValueError: it holds what is no tag; RecursionError likewise.
    """
    return _images_of(b"[%b]" % lines.rstrip(b"\n").replace(b"\n", b","))


def _images_of(array: bytes) -> list[Any]:
    for decoder in (_usual, _odd):
        with suppress(ValueError, RecursionError):
            return [tag.images for tag in decoder.decode(array)]
    return [tag.get("images") for tag in json.loads(array)]  # halves of surrogate pairs


class Tally:
    """The distinct images of one registry's tags. By a hash of 64 bits: of a million, two are one once in 30 million.

    Mutable state: sizes by the hash of the digest, and where more of them are on the disk.

    Attributes:
        tags: how many there are.
        unsized: images that have no size, or an odd one: they are not in the sum.
        is_lost: they could not be written to the disk, so that nothing is known of digests and bytes.
    """

    def __init__(self) -> None:
        self.tags = 0
        self.unsized = 0
        self.is_lost = False
        self._anonymous = 0
        self._sizes: dict[int, int] = {}
        self._file: IO[bytes] | None = None
        self._runs: list[tuple[int, int]] = []

    def add(self, tags: Sequence[Any]) -> None:
        """Take the ``images`` of some tags: every field of them may be missing, null or of another type."""
        self.tags += len(tags)
        for image in chain.from_iterable(images for images in tags if isinstance(images, list)):
            if isinstance(image, Image):
                self._add(image.digest, image.size)
            elif isinstance(image, dict):
                self._add(image.get("digest"), _size_of(image.get("size")))
        if len(self._sizes) >= MOST_HELD:
            self._put_aside()

    def _add(self, digest: object, size: int | None) -> None:
        if size is None:
            self.unsized += 1
        elif not isinstance(digest, str):
            self._anonymous += size
        elif self._sizes.get(key := hash(digest), -1) < size:
            self._sizes[key] = size

    def _put_aside(self) -> None:
        try:
            self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115 - `result` closes it
            start = self._file.seek(0, 2)
            self._file.writelines(_PAIR.pack(key, min(size, _LARGEST)) for key, size in sorted(self._sizes.items()))
            self._runs.append((start, self._file.tell()))
        except OSError:
            self.is_lost = True
        self._sizes = {}

    def result(self) -> tuple[int, int]:
        """Return how many distinct digests there are, and what they come to with what has none; to be asked once."""
        digests, total = 0, self._anonymous
        runs = [iter(sorted(self._sizes.items())), *(self._run(*run) for run in self._runs)]
        try:
            for _, found in groupby(merge(*runs) if self._runs else runs[0], key=itemgetter(0)):
                digests += 1
                total += max(size for _, size in found)
        except OSError:
            self.is_lost = True
        if self._file is not None:
            self._file.close()
        return digests, total

    def _run(self, position: int, end: int) -> Iterator[tuple[int, int]]:
        assert self._file is not None
        while position < end:
            self._file.seek(position)
            data = self._file.read(min(_READ_PAIRS * _PAIR.size, end - position))
            position += len(data)
            yield from _PAIR.iter_unpack(data)


def size_of(account: str, region: str, registry: str, *, tally: Tally) -> RegistrySize:
    """Return the entry of a registry, whose tags are over."""
    digests, total = tally.result()
    return RegistrySize(
        account=account,
        region=region,
        registry=writable(registry),
        tags=tally.tags,
        digests=None if tally.is_lost else digests,
        bytes_at_most=None if tally.is_lost else min(total, _LARGEST),
        unsized=tally.unsized,
    )


def _size_of(size: object) -> int | None:
    if isinstance(size, bool) or not isinstance(size, (int, float)) or not 0 <= size < inf:
        return None
    return ceil(size)


class _Open:
    """A registry under way."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.lists_left = 0
        self.is_named = False  # the list of its images is over, so that no more of them will come


class Sizing:
    """The sizes of registries while their tags come; each is settled when the last of its lists is over.

    Mutable state: the registries under way, and the entries of those that are over.
    """

    def __init__(self, account: str) -> None:
        self._account = account
        self._open: dict[tuple[str, str], _Open] = {}
        self._settled: list[RegistrySize] = []

    def take(self, task: ListingTask, records: list[bytes]) -> None:
        """Take the records of images, each of which will have a list of tags, or of tags."""
        if task.collection is IMAGES:
            self._of(task).lists_left += len(records)
        elif task.collection is TAGS:
            self._of(task).tally.add(_images_of(b"[{%b]" % b",{".join(records)))

    def end(self, task: ListingTask) -> None:
        """Take in that a list is over."""
        if task.collection in (IMAGES, TAGS):
            one = self._of(task)
            one.is_named = one.is_named or task.collection is IMAGES
            one.lists_left -= task.collection is TAGS
            if one.is_named and not one.lists_left:
                self._settle(task.region.code, task.within[0])

    def result(self) -> tuple[RegistrySize, ...]:
        """Return the sizes of all registries, in order."""
        for place in list(self._open):
            self._settle(*place)
        return tuple(sorted(self._settled, key=lambda one: (one.region, one.registry)))

    def _of(self, task: ListingTask) -> _Open:
        place = task.region.code, task.within[0]
        if place not in self._open:
            self._open[place] = _Open()
        return self._open[place]

    def _settle(self, region: str, registry: str) -> None:
        self._settled.append(size_of(self._account, region, registry, tally=self._open.pop((region, registry)).tally))


class StoredSizing:
    """The sizes of registries whose tags come one after the other, as lines: when a snapshot is put together.

    Mutable state: the registry that is under way, and the entries of those before it.
    """

    def __init__(self, account: str) -> None:
        self._account = account
        self._place: tuple[str, str] | None = None
        self._tally = Tally()
        self._settled: list[RegistrySize] = []

    def look(self, collection: str, registry: tuple[str, str], lines: bytes) -> None:
        """Take whole lines of a registry, which is given with its region."""
        if collection != TAGS.name:
            return
        if self._place != registry:
            self._settle()
            self._place = registry
        self._tally.add(images_of_lines(lines))

    def result(self) -> tuple[RegistrySize, ...]:
        """Return the sizes of all registries that have tags."""
        self._settle()
        return tuple(self._settled)

    def _settle(self) -> None:
        if self._place is not None:
            self._settled.append(size_of(self._account, *self._place, tally=self._tally))
        self._place, self._tally = None, Tally()
