"""An earlier snapshot whose tags may be reused: which images have the records that they had, and what their tags were.

Images and tags are sorted, so a registry is gone through once, and nothing of it is kept.
"""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from crawler.api.collections import IMAGES, TAGS
from crawler.api.pulls import COUNTS
from crawler.core.model import Verdict, VerifyMode
from crawler.snapshot.reading.chunks import UnreadableError, open_regular, plain_chunks, sha256_of, whole_lines
from crawler.snapshot.reading.lists import Lists, lines_within
from crawler.snapshot.reading.records import key_type, parse_fields, parse_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from io import FileIO
    from pathlib import Path

    from crawler.core.collection import Collection
    from crawler.snapshot.manifest import Extent, Manifest
    from crawler.snapshot.unfinished.base import Source


class Earlier:
    """An earlier snapshot. Its files are open, so that it does not matter whether somebody removes them.

    Attributes:
        id: its name.
        verdict: of its lists of tags that are whole.

    Raises:
        OSError: it is not there any more.
        UnreadableError: it is something else by now.
    """

    def __init__(self, source: Source) -> None:
        manifest = source.manifest
        looked_once = manifest.run.options.get("verify") == VerifyMode.NEVER
        self.id = manifest.run.id
        self.verdict = Verdict.UNVERIFIED if looked_once else Verdict.COMPLETE
        self._stored = dict(_stored(manifest))
        self._lacking: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for gap in manifest.gaps_of(TAGS):
            self._lacking[str(gap["region"]), str(gap["registry"])].add(str(gap["image"]))
        with ExitStack() as stack:
            self._images, self._tags = (_opened(stack, source, collection) for collection in (IMAGES, TAGS))
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Close its files."""
        self._stack.close()

    def has(self, region: str, registry: str) -> bool:
        """Whether it has images of a registry."""
        return (region, registry) in self._stored

    def is_whole(self, region: str, registry: str, image: str) -> bool:
        """Whether it has all tags of an image that it has."""
        return image not in self._lacking.get((region, registry), ())

    def prove(self, region: str, registry: str) -> None:
        """Read what it has of a registry, and hold it to its manifest.

        Raises:
            UnreadableError: it is damaged.
        """
        stored = self._stored[region, registry]
        for file, extent in ((self._images, stored.images), (self._tags, stored.tags)):
            if extent is not None and sha256_of(file.chunks(extent)) != extent.sha256:
                raise UnreadableError(file.path, "does not have the SHA-256 of its manifest")

    def compared(
        self, region: str, registry: str, chunks: Iterable[bytes], *, path: Path
    ) -> Iterator[tuple[str, list[bytes] | None]]:
        """Yield each image with the lines of its tags; without, where its record is not what it was.

        Args:
            region: a registry's.
            registry: its name.
            chunks: the lines of its images now, sorted.
            path: of those, for errors.

        Raises:
            UnreadableError: it is damaged.
            BadLineError: likewise.
        """
        stored = self._stored[region, registry]
        tags = Lists(lines_within(self._tags.chunks(stored.tags), self._tags.path, TAGS))
        then = _records(self._images.chunks(stored.images), self._images.path)
        earlier = next(then, None)
        for name, line in _records(chunks, path):
            while earlier is not None and earlier[0] < name:
                earlier = next(then, None)
            is_same = earlier is not None and earlier[0] == name and is_same_image(earlier[1], line)
            yield name, tags.of((registry, name)) if is_same else None


def is_same_image(one: bytes, other: bytes) -> bool:
    """Whether two lines tell the same of an image, but for how often it was pulled."""
    return one == other or _without_counts(one) == _without_counts(other)


def _without_counts(line: bytes) -> dict[str, bytes]:
    return {name: bytes(raw) for name, raw in parse_fields(line).items() if name not in COUNTS}


class _Stored(NamedTuple):
    """Where a registry's images and their tags are; None if it has no tags at all."""

    images: Extent
    tags: Extent | None


def _stored(manifest: Manifest) -> Iterator[tuple[tuple[str, str], _Stored]]:
    """Yield where each registry stands that has images, and all the tags that its entry tells of."""
    for record in manifest.registries:
        images, tags = record.extent_of(IMAGES), record.extent_of(TAGS)
        if images is not None and record.images and (tags is not None or not record.lines_of(TAGS)):
            yield (record.region, record.registry), _Stored(images, tags)


def _records(chunks: Iterable[bytes], path: Path) -> Iterator[tuple[str, bytes]]:
    for chunk in whole_lines(chunks, path):
        keys = parse_keys(chunk, key_type(IMAGES))
        yield from zip((key.name for key in keys), chunk.splitlines(keepends=True), strict=True)


class _Held(NamedTuple):
    """A data file that is open."""

    path: Path
    file: FileIO

    def chunks(self, extent: Extent | None) -> Iterator[bytes]:
        """Yield the plain bytes of a part.

        Raises:
            UnreadableError: they cannot be read or unpacked.
        """
        if extent is None:
            return
        try:
            yield from plain_chunks(_Window(self.file.fileno(), extent.offset), self.path, extent.length)
        except OSError as error:
            raise UnreadableError(self.path, f"cannot be read: {error.strerror}") from error


class _Window:
    """An open file from some place on; others may read it elsewhere. Mutable state: the place."""

    def __init__(self, fd: int, at: int) -> None:
        self._fd = fd
        self._at = at

    def read(self, size: int, /) -> bytes:
        """Read on."""
        data = os.pread(self._fd, size, self._at)
        self._at += len(data)
        return data


def _opened(stack: ExitStack, source: Source, collection: Collection) -> _Held:
    file = source.manifest.stored_file(collection)
    assert file is not None
    path = source.path / file.name
    return _Held(path, stack.enter_context(open_regular(path)))
