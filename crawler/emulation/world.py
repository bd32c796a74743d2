"""A deterministic account: registries of every region and their images, made on demand from seed and index."""

from __future__ import annotations

import random
from hashlib import blake2b
from itertools import islice
from math import gcd
from typing import TYPE_CHECKING, Any

from crawler.emulation.change import Contents
from crawler.emulation.names import IMAGE_NAMES, REGISTRY_NAMES
from crawler.emulation.options import REGIONS, Sort
from crawler.emulation.tags import Tags

if TYPE_CHECKING:
    from collections.abc import Iterator

Record = dict[str, Any]

_CODES = tuple(region.code for region in REGIONS)
_NEWEST_MS = 1_764_547_200_000  # 2025-12-01: fixed, or the same seed would be another world tomorrow
_SPAN_MS = 3 * 365 * 24 * 3600 * 1000
_EMPTY_SHARE = 0.15
_ZIPF_EXPONENT = 1.1
_MASK = 2**64 - 1
_DESCRIPTIONS = (
    *[None] * 22,
    "",
    "Base image, rebuilt every night",
    'Runs the "canary" stage; do not pin',
    "결제 서비스 API 서버",
    "추천 모델 학습용 GPU 이미지 (CUDA 12)",
    "Owner: platform team \\ ask in #infra",
    "Do not delete: used by the\nbatch jobs at night",
    "Straße & Söhne <partner> feed",
    "🚀 release candidate",
    "deprecated",
)


def _number(*parts: object) -> int:
    """Return 64 bits that depend on all of ``parts``, on any machine and in any version of Python."""
    return int.from_bytes(blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest())


def _mix(value: int) -> int:
    """Scatter neighbouring numbers over 64 bits (the finaliser of splitmix64): 20 times faster than a hash."""
    value &= _MASK
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _MASK
    return value ^ value >> 31


def _shares(images: int, holders: int, rng: random.Random) -> list[int]:
    """Share images out by Zipf's law, in random order: a few hold many, most hold few, some hold none."""
    if not holders:
        return []
    filled = max(1, round(holders * (1 - _EMPTY_SHARE)))
    weights = [rank**-_ZIPF_EXPONENT for rank in range(1, filled + 1)]
    whole = sum(weights)
    shares = [int(images * weight / whole) for weight in weights] + [0] * (holders - filled)
    for rank in range(images - sum(shares)):  # what rounding left over: less than one each
        shares[rank] += 1
    rng.shuffle(shares)
    return shares


class Registry:
    """One registry and the images it was made with; an image is made when asked for and never kept.

    Images are numbered from 0 by name, bytewise. Their ages are in an order of their own: a permutation
    ``rank = step * index + shift (mod images)``, which costs no memory and can be inverted.
    """

    __slots__ = ("_inverse", "_salt", "_shift", "_step", "_suffixes", "images", "name", "region")

    def __init__(self, region: str, name: str, images: int, *, seed: int) -> None:
        self.region = region
        self.name = name
        self.images = images
        self._salt = _number(seed, region, name)
        self._suffixes = IMAGE_NAMES.suffixes_for(images)
        self._shift = self._salt >> 32
        self._step = self._salt % max(1, images) or 1
        while gcd(self._step, images) > 1:
            self._step += 1
        self._inverse = pow(self._step, -1, max(1, images))

    def _draw(self, index: int) -> int:
        return _mix(self._salt + index * 0x9E3779B97F4A7C15)

    def image_name(self, index: int) -> str:
        """Return the name of the ``index``-th image by name."""
        return self._name(index, self._draw(index))

    def _name(self, index: int, draw: int) -> str:
        return IMAGE_NAMES.name(index, self.images, self._suffixes, draw=draw)

    def image(self, index: int) -> Record:
        """Return the ``index``-th image by name: the API's fields in the API's order, times in ms."""
        draw = self._draw(index)
        rank = (self._step * index + self._shift) % self.images
        age_ms = (rank * _SPAN_MS + draw % _SPAN_MS) // self.images
        record = self.new_image(self._name(index, draw), _NEWEST_MS - age_ms)
        record["description"] = _DESCRIPTIONS[draw >> 59]
        record["pull_count"] = (draw >> 20 & 0xFFFFF) >> (draw >> 40 & 31)
        return record

    def new_image(self, name: str, now_ms: int) -> Record:
        """Return an image as it is right after the first push."""
        return {
            "can_edit": True,
            "description": None,
            "is_automated": None,
            "is_private": None,
            "last_updated": now_ms,
            "name": name,
            "namespace": self.name,
            "pull_count": 0,
            "repository_type": "image",
            "star_count": None,
            "status": 0,
            "user": None,
        }

    def tags_of(self, name: str) -> Tags:
        """Return the tags that an image of that name was made with."""
        seed = _number(self._salt, name)
        newest_ms = _NEWEST_MS - seed % _SPAN_MS
        return Tags(seed, image_id=seed >> 40, registry_id=self._salt & 0xFFFFFF, newest_ms=newest_ms)

    def detail(self, record: Record) -> Record:
        """Return an image as its own path gives it."""
        description = record["description"]
        private_id = f"{self._salt & 0xFFFFFFFF:08x}"
        more = {"full_description": description, "private_id": private_id, "tag_mutability_enabled": True}
        return record | more

    def newest(self, rank: int) -> int:
        """Return the index of the image that is ``rank``-th by age, 0 being the newest."""
        return (rank - self._shift) * self._inverse % self.images

    def record(self) -> Record:
        """Return the registry itself: the API's fields in the API's order, times in ms."""
        private_id = f"{self._salt & 0xFFFFFFFF:08x}"
        return {
            "bucket": f"ncr-{self.name}",
            "created": _NEWEST_MS - _SPAN_MS - self._salt % _SPAN_MS,
            "end_point": f"{self.name}.{self.region}.ncr.ntruss.com",
            "end_point_enabled": bool(self._salt & 1),
            "name": self.name,
            "private_end_point": f"{private_id}.{self.region}.private-ncr.ntruss.com",
            "private_id": private_id,
            "public_reg_status": None,
            "scan_on_push_enabled": bool(self._salt & 6),
            "status": "running",
        }


class World:
    """All registries of all regions with what they hold now; what an oracle compares a crawl with.

    Mutable state: ``_listed``, ``_by_name`` and ``_created`` (registries come and go); each registry's `Contents`.
    A million images cost no more memory than ten, until a registry changes.

    Args:
        seed: the same seed is the same world.
        registries: in each region.
        images: in all regions together; without a registry there are none.
        sort: order of the image lists.
        regions: codes of those that there are.
    """

    def __init__(
        self, seed: int, registries: int, images: int, *, sort: Sort = "name", regions: tuple[str, ...] = _CODES
    ) -> None:
        self.regions = regions
        self._seed = seed
        self._sort = sort
        self._created = 0
        rng = random.Random(_number(seed, "sizes"))  # noqa: S311 - a world, not a secret
        shares = iter(_shares(images, registries * len(self.regions), rng))
        self._listed = {
            region: [
                self._made(region, name, share)
                for name, share in zip(self._names(region, registries), islice(shares, registries), strict=True)
            ]
            for region in self.regions
        }
        self._by_name = {
            (region, contents.registry.name): contents for region, listed in self._listed.items() for contents in listed
        }
        self._first = {region: set(self.registry_names(region)) for region in self.regions}

    def _names(self, region: str, how_many: int) -> Iterator[str]:
        suffixes = REGISTRY_NAMES.suffixes_for(how_many)
        for index in range(how_many):
            draw = _number(self._seed, region, index)
            yield REGISTRY_NAMES.name(index, how_many, suffixes, draw=draw)

    def _made(self, region: str, name: str, images: int) -> Contents:
        return Contents(Registry(region, name, images, seed=self._seed), self._sort)

    def listed(self, region: str) -> list[Contents]:
        """Return what the registries of a region hold now, in the order of the registry list."""
        return self._listed[region]

    def contents(self, region: str, registry: str) -> Contents | None:
        """Return what a registry holds now; None if there is no such registry."""
        return self._by_name.get((region, registry))

    def registries(self, region: str) -> list[Record]:
        """Return the record of each registry of a region, as of now."""
        return [contents.registry.record() for contents in self._listed[region]]

    def registry_names(self, region: str) -> list[str]:
        """Return the name of each registry of a region, as of now."""
        return [contents.registry.name for contents in self._listed[region]]

    def registries_throughout(self, region: str) -> set[str]:
        """Return the names of the registries that were there at every moment since the start."""
        return self._first[region].intersection(self.registry_names(region))

    def images(self, region: str, registry: str) -> Iterator[Record]:
        """Yield the record of each image that a registry holds now, in listing order.

        Raises:
            KeyError: there is no such registry.
        """
        contents = self._by_name[region, registry]
        for position in range(len(contents)):
            yield contents.record(position)

    def images_throughout(self, region: str, registry: str) -> set[str]:
        """Return the names of the images that were there at every moment since the start.

        Raises:
            KeyError: there is no such registry.
        """
        return self._by_name[region, registry].names_throughout()

    def tags(self, region: str, registry: str, image: str) -> list[Record]:
        """Return the record of each tag of an image, as of now, in listing order.

        Raises:
            KeyError: there is no such image.
        """
        tags = self._by_name[region, registry].tags(image)
        if tags is None:
            raise KeyError(image)
        return tags.records(self._sort)

    def image_total(self) -> int:
        """Return how many images there are now, in all registries of all regions."""
        return sum(len(contents) for listed in self._listed.values() for contents in listed)

    def delete_registry(self, region: str, registry: str) -> None:
        """Delete a registry, if it is there. O(registries)."""
        contents = self._by_name.pop((region, registry), None)
        if contents is not None:
            self._listed[region].remove(contents)

    def change_registries(self, region: str, rng: random.Random) -> None:
        """Create a registry somewhere in a region's list, or delete one. A name never comes back."""
        listed = self._listed[region]
        if listed and rng.random() < 0.5:
            self.delete_registry(region, rng.choice(listed).registry.name)
            return
        self._created += 1
        contents = self._made(region, f"{rng.choice(REGISTRY_NAMES.stems)}-new{self._created}", rng.randrange(30))
        listed.insert(rng.randrange(len(listed) + 1), contents)
        self._by_name[region, contents.registry.name] = contents
