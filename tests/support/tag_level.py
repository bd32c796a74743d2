"""What a snapshot of tags has to hold by the emulator's own books, and which lists of tags were asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from crawler.api.collections import TAGS

if TYPE_CHECKING:
    from support.night import Key, Night

TAG_LEVEL = ("--level", "tags")


def images_of(night: Night) -> list[tuple[str, str, str]]:
    """Return region, registry and name of each image there is, sorted."""
    world = night.account.world
    return sorted((*place, image["name"]) for place in night.account.registries() for image in world.images(*place))


def tag_lines(night: Night) -> bytes:
    """Return what tags.ndjson has to hold, from the emulator's own books."""
    lines = [
        dict(zip(TAGS.fields, ("default", *place), strict=True)) | tag
        for place in images_of(night)
        for tag in sorted(night.account.world.tags(*place), key=lambda tag: str(tag["name"]).encode())
    ]
    return b"".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for line in lines)


def asked_for_tags(night: Night) -> set[Key]:
    """Return the images whose tags were asked for since the last `forget`."""
    return {key for key in night.fetched() if len(key) == 3}
