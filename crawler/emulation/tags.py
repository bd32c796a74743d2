"""The tags of one image: made on demand from the image's own number and age, and kept only once they change."""

from __future__ import annotations

from bisect import insort
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

    from crawler.emulation.options import Sort

Record = dict[str, Any]

_NONE_SHARE = 12  # of 256 images have no tag at all
_MOST = 400
_DAY_MS = 24 * 3600 * 1000
_PEOPLE = ("ci-runner", "release-bot", None, "kim.minsu", "lee.jiwoo")
_AMD, _ARM, _OLD_ARM = ("amd64", "linux", None), ("arm64", "linux", "v8"), ("arm", "linux", "v7")
_PLATFORMS: tuple[tuple[tuple[str, str, str | None], ...], ...] = (
    *[(_AMD,)] * 9,
    *[(_AMD, _ARM)] * 4,
    (_AMD, _ARM, _OLD_ARM),
    (("amd64", "windows", None),),
    (),
)
_MEDIA_TYPE = "application/vnd.docker.distribution.manifest.v2+json"


def _number(*parts: object) -> int:
    return int.from_bytes(blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest())


def _digest(*parts: object) -> str:
    return f"sha256:{blake2b('/'.join(map(str, parts)).encode(), digest_size=32).hexdigest()}"


def _how_many(draw: int) -> int:
    """Draw a number of tags: heavy-tailed, most images have a few, some have hundreds, some none."""
    if draw & 255 < _NONE_SHARE:
        return 0
    share = (draw >> 8 & 0xFFFF) / 0x10000
    return min(_MOST, int(2 / (1 - share) ** 0.8))


class Tags:
    """The tags of one image, by name.

    Mutable state: ``_records``, once they change; ``version``, one more a change.

    Args:
        seed: a number that no other image has.
        image_id: of the image.
        registry_id: of its registry.
        newest_ms: when the image was pushed last.
    """

    def __init__(self, seed: int, *, image_id: int, registry_id: int, newest_ms: int) -> None:
        self.version = 0
        self._seed = seed
        self._image_id = image_id
        self._registry_id = registry_id
        self._newest_ms = newest_ms
        self._records: list[Record] | None = None
        self._pushed = 0

    def records(self, sort: Sort = "name") -> list[Record]:
        """Return the tags as of now: the API's fields in the API's order, times in ms. O(tags)."""
        records = self._made() if self._records is None else self._records
        return records if sort == "name" else sorted(records, key=lambda one: -one["last_updated"])

    def change(self, rng: random.Random, now_ms: int) -> None:
        """Push a tag, move one to another image, or delete one; a name that was deleted never comes back."""
        if self._records is None:
            self._records = self._made()
        self.version += 1
        self._pushed += 1
        action = rng.randrange(3) if self._records else 0
        if action == 0:
            made = self._record(f"9.{self._pushed}.0-new", now_ms, turn=self._pushed)
            insort(self._records, made, key=lambda one: str(one["name"]))
        elif action == 1:
            at = rng.randrange(len(self._records))
            self._records[at] = self._record(self._records[at]["name"], now_ms, turn=self._pushed)
        else:
            del self._records[rng.randrange(len(self._records))]

    def _made(self) -> list[Record]:
        names = self._names()
        step_ms = 3 * _DAY_MS + self._seed % _DAY_MS
        aged = [self._record(name, self._newest_ms - age * step_ms) for age, name in enumerate(names)]
        return sorted(aged, key=lambda one: str(one["name"]))

    def _names(self) -> list[str]:
        """Return names as builds give them, the newest first: ``latest``, versions, days or commits."""
        draw = _number(self._seed, "tags")
        how_many = _how_many(draw)
        make = (self._version, self._version, self._day, self._commit)[draw >> 24 & 3]
        moving = [name for bit, name in enumerate(("latest", "main", "stable")) if draw >> 30 + bit & 3]
        return [*moving, *map(make, range(how_many))][:how_many]

    def _version(self, age: int) -> str:
        number = _MOST + 100 + self._seed % 200 - age
        return f"{number // 100}.{number // 10 % 10}.{number % 10}"

    def _day(self, age: int) -> str:
        day = datetime.fromtimestamp((self._newest_ms - age * _DAY_MS) / 1000, UTC)
        return f"{day:%Y%m%d}" if self._seed & 1 else f"{day:%Y-%m-%d}"

    def _commit(self, age: int) -> str:
        return f"{'sha-' if self._seed & 1 else ''}{_digest(self._seed, age)[7:19]}"

    def _record(self, name: str, updated_ms: int, *, turn: int = 0) -> Record:
        draw = _number(self._seed, name, turn)
        platforms = _PLATFORMS[draw % len(_PLATFORMS)]
        images = [self._image(name, platform, updated_ms=updated_ms, turn=turn) for platform in platforms]
        return {
            "creator": _PEOPLE[draw >> 8 & 3],
            "digest": images[0]["digest"] if images else None,
            "full_size": images[0]["size"] if images else None,
            "id": draw >> 16,
            "image_id": self._image_id,
            "images": images,
            "last_updated": updated_ms,
            "last_updater": _PEOPLE[draw >> 10 & 3],
            "name": name,
            "repository": self._registry_id,
            "v2": True,
        }

    def _image(self, name: str, platform: tuple[str, str, str | None], *, updated_ms: int, turn: int) -> Record:
        architecture, system, variant = platform
        draw = _number(self._seed, name, turn, architecture)
        return {
            "architecture": architecture,
            "created": updated_ms - draw % 600_000,
            "digest": _digest(self._seed, name, turn, architecture, system),
            "features": None,
            "latest_pulled": updated_ms + draw % _DAY_MS if draw & 7 else None,
            "mediaType": _MEDIA_TYPE,
            "os": system,
            "os_features": None,
            "os_version": "10.0.17763.1" if system == "windows" else None,
            "size": 3_000_000 + draw % 900_000_000,
            "updated": updated_ms,
            "variant": variant,
        }
