"""What one registry holds now, in listing order, and how it changes while it is listed."""

from __future__ import annotations

from bisect import bisect_left
from math import exp, gcd
from typing import TYPE_CHECKING

from crawler.emulation.names import IMAGE_NAMES

if TYPE_CHECKING:
    import random

    from crawler.emulation.options import Sort
    from crawler.emulation.tags import Tags
    from crawler.emulation.world import Record, Registry


def poisson(mean: float, rng: random.Random) -> int:
    """Return how many events happen where ``mean`` are expected. O(mean); for means up to some hundreds."""
    threshold, product, events = exp(-mean), rng.random(), 0
    while product > threshold:
        product *= rng.random()
        events += 1
    return events


def shuffled_positions(start: int, stop: int, length: int, *, rng: random.Random) -> list[int]:
    """Return what is at positions ``start`` to ``stop`` of a fresh order of 0…length-1. O(stop - start)."""
    stop = min(stop, length)
    if start >= stop:
        return []
    shift, step = rng.randrange(length), rng.randrange(1, length + 1)
    while gcd(step, length) > 1:
        step += 1
    return [(step * place + shift) % length for place in range(start, stop)]


class Contents:
    """What one registry holds now; nothing is kept until the first change.

    Mutable state: ``_entries``, in listing order, where an int stands for an image as it was made and a record for
    one that was inserted or touched; ``_deleted``, the names that ever went; ``_tags``, those of images whose tags
    changed; ``version``, one more a change.
    """

    __slots__ = ("_deleted", "_entries", "_inserted", "_sort", "_tags", "registry", "version")

    def __init__(self, registry: Registry, sort: Sort) -> None:
        self.registry = registry
        self.version = 0
        self._sort = sort
        self._entries: list[int | Record] | None = None
        self._inserted = 0
        self._deleted: set[str] = set()
        self._tags: dict[str, Tags] = {}

    def __len__(self) -> int:
        return self.registry.images if self._entries is None else len(self._entries)

    def record(self, position: int) -> Record:
        """Return the record at a position in listing order."""
        entry = self._origin(position) if self._entries is None else self._entries[position]
        return self.registry.image(entry) if isinstance(entry, int) else entry

    def find(self, name: str) -> Record | None:
        """Return the record of an image; None if there is none of that name. O(log images), until the first change."""
        if self._entries is None:
            indices = range(self.registry.images)
            at = bisect_left(indices, name, key=self.registry.image_name)
            return self.registry.image(at) if at < len(indices) and self.registry.image_name(at) == name else None
        position = self._position(name)
        return None if position is None else self.record(position)

    def tags(self, name: str) -> Tags | None:
        """Return the tags of an image; None if there is no such image."""
        if self.find(name) is None:
            return None
        return self._tags.get(name) or self.registry.tags_of(name)

    def change_tags(self, name: str, rng: random.Random, now_ms: int) -> None:
        """Push, move or delete a tag of an image, which counts as an update of the image.

        Raises:
            KeyError: there is no such image.
        """
        tags = self.tags(name)
        if tags is None:
            raise KeyError(name)
        self._tags[name] = tags
        tags.change(rng, now_ms)
        self._materialised()
        position = self._position(name)
        assert position is not None
        self._update(position, {"last_updated": now_ms})

    def _position(self, name: str) -> int | None:
        entries = self._materialised()
        return next((at for at, entry in enumerate(entries) if self._name_of(entry) == name), None)

    def names_throughout(self) -> set[str]:
        """Return the names of the images that were there at every moment since the start. O(images)."""
        first = map(self.registry.image_name, range(self.registry.images))
        return set(first) - self._deleted

    def change(self, rng: random.Random, now_ms: int) -> None:
        """Insert, delete or touch one image; a name that was deleted never comes back."""
        entries = self._materialised()
        self.version += 1
        action = rng.choice((self._insert, self._delete, self._touch)) if entries else self._insert
        action(entries, rng, now_ms)

    def _materialised(self) -> list[int | Record]:
        if self._entries is None:
            self._entries = [self._origin(position) for position in range(self.registry.images)]
        return self._entries

    def _origin(self, position: int) -> int:
        """Return the index of the image that was at a position before any change."""
        return self.registry.newest(position) if self._sort == "updated" else position

    def _name_of(self, entry: int | Record) -> str:
        return self.registry.image_name(entry) if isinstance(entry, int) else str(entry["name"])

    def _insert(self, entries: list[int | Record], rng: random.Random, now_ms: int) -> None:
        self._inserted += 1
        name = f"{rng.choice(IMAGE_NAMES.stems)}-new{self._inserted}"
        record = self.registry.new_image(name, now_ms)
        position = bisect_left(entries, name, key=self._name_of) if self._sort == "name" else 0
        entries.insert(position, record)

    def _delete(self, entries: list[int | Record], rng: random.Random, _now_ms: int) -> None:
        self._deleted.add(self._name_of(entries.pop(rng.randrange(len(entries)))))

    def _touch(self, entries: list[int | Record], rng: random.Random, now_ms: int) -> None:
        position = rng.randrange(len(entries))
        pulls = self.record(position)["pull_count"] + rng.randint(1, 50)
        self._update(position, {"last_updated": now_ms, "pull_count": pulls})

    def _update(self, position: int, fields: Record) -> None:
        entries = self._materialised()
        self.version += 1
        entries[position] = self.record(position) | fields
        if self._sort == "updated":
            entries.insert(0, entries.pop(position))
