"""What is listed: the registries of a region, the images of a registry, the tags of an image. A level more is a row.

Source: the provider's API overview (Container Registry, API v2 and v3).
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

OURS: Final = ("account", "region")
"""What every line begins with, whatever is listed."""


class Collection:
    """One kind of list.

    Attributes:
        name: what it holds, in the plural: a level of a snapshot, and its data file's name.
        singular: one of them: the field under which lines of deeper levels name it.
        parent: what it is a list of the parts of; None for the registries of a region.
        paths: version of the API to the path beneath a region's base, with ``{}`` for each name that it is within.
    """

    def __init__(self, name: str, singular: str, paths: Mapping[str, str], parent: Collection | None = None) -> None:
        self.name = name
        self.singular = singular
        self.paths = paths
        self.parent = parent

    def __repr__(self) -> str:
        return f"<Collection {self.name}>"

    @cached_property
    def lineage(self) -> tuple[Collection, ...]:
        """The collections from the registries down to this one."""
        return (*(self.parent.lineage if self.parent else ()), self)

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The names of our own fields, with which a line begins: account, region, then what the list is within."""
        return (*OURS, *(one.singular for one in self.lineage[:-1]))

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The names of the fields that tell one line from all others of an output, in the order of sorting."""
        return (*self.fields, "name")


REGISTRIES: Final = Collection("registries", "registry", {"v2": "/repositories", "v3": "/registries"})
IMAGES: Final = Collection(
    "images", "image", {"v2": "/repositories/{}", "v3": "/registries/{}/images"}, parent=REGISTRIES
)
TAGS: Final = Collection(
    "tags", "tag", {"v2": "/repositories/{}/{}/tags", "v3": "/registries/{}/images/{}/tags"}, parent=IMAGES
)

COLLECTIONS: Final = {one.name: one for one in (REGISTRIES, IMAGES, TAGS)}
"""Every level there is, by name, from the top down."""
