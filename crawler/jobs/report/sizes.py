"""What registries store at most: the sizes of the distinct images that their tags name.

Layers are shared, and what no tag names is seen by nobody, so this is neither exact nor a lower bound.
"""

from __future__ import annotations

import json
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from crawler.api.collections import TAGS
from crawler.jobs.proving import proved_blocks
from crawler.jobs.sizes import Tally
from crawler.snapshot.reading.chunks import DamagedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from crawler.snapshot.comparing.sides import Place, Snapshot
    from crawler.snapshot.manifest import StoredFile


class Size(NamedTuple):
    """What the tags of one registry come to.

    Attributes:
        tags: how many there are.
        bytes: the sum of the sizes of the distinct images that they name.
        unsized: images that have no size, or an odd one: they are not in the sum.
    """

    tags: int
    bytes: int
    unsized: int


class _Tag(msgspec.Struct, gc=False):
    account: str
    region: str
    registry: str
    images: Any = None


_DECODER = msgspec.json.Decoder(_Tag)
_AT_ONCE = 1_000
"""Tags whose images are in memory."""


def sizes(snapshot: Snapshot, watch: Callable[[int], object] = lambda _: None) -> dict[Place, Size] | None:
    """Read all tags of a snapshot once; None if it has none. Memory follows the digests of the largest registry.

    Raises:
        DamagedError: the file is not what the manifest says, or cannot be read.
    """
    assert snapshot.manifest
    stored = snapshot.manifest.stored_file(TAGS)
    if stored is None:
        return None
    tags = _tags(snapshot.path, stored, watch)
    return {place: _size(of_registry) for place, of_registry in groupby(tags, _place)}


def _place(tag: _Tag) -> Place:
    return tag.account, tag.region, tag.registry


def _size(tags: Iterator[_Tag]) -> Size:
    tally = Tally()
    while some := list(islice(tags, _AT_ONCE)):
        tally.add([tag.images for tag in some])
    return Size(tally.tags, tally.result()[1], tally.unsized)


def _tags(folder: Path, stored: StoredFile, watch: Callable[[int], object]) -> Iterator[_Tag]:
    for block in proved_blocks(folder, stored, watch):
        yield from _decoded(block, folder / stored.name)


def _decoded(chunk: bytes, path: Path) -> list[_Tag]:
    try:
        return _DECODER.decode_lines(chunk)
    except (ValueError, RecursionError):
        try:
            return [msgspec.convert(json.loads(line), _Tag) for line in chunk.splitlines()]  # halves of surrogate pairs
        except (ValueError, RecursionError) as error:
            raise DamagedError(path, f"holds what is no tag: {error}") from error
