"""What is listed, one by one: a record with its place, and the API's own object as it came."""

from __future__ import annotations

import json
from typing import Any

import msgspec


class Record(msgspec.Struct, frozen=True, gc=False):
    """A registry, an image of one, or a tag of one.

    Attributes:
        account: first field of its line in files.
        region: code of its region.
        within: the names of what it is in: nothing for a registry, the registry for an image, both for a tag.
        name: its own.
        raw: the API's own JSON object: its bytes, but for blanks between fields, and for fields that are called like
            ours (account, region, registry), which files cannot hold twice.
    """

    account: str
    region: str
    within: tuple[str, ...]
    name: str
    raw: bytes

    @property
    def registry(self) -> str:
        """The registry that it is, or is in."""
        return self.within[0] if self.within else self.name

    @property
    def image(self) -> str | None:
        """The image that it is, or is in; None for a registry."""
        return (*self.within, self.name)[1] if self.within else None

    def json(self) -> dict[str, Any]:
        """Parse the API's object; whole numbers of any size stay as they are."""
        found: dict[str, Any] = json.loads(self.raw)
        return found
