"""What is listed: the registries of a region, the images of a registry, the tags of an image. A level more is a row.

Source: the provider's API overview (Container Registry, API v2 and v3).
"""

from __future__ import annotations

from typing import Final

from crawler.core.collection import OURS, Collection

__all__ = ["COLLECTIONS", "IMAGES", "OURS", "REGISTRIES", "TAGS", "Collection"]

REGISTRIES: Final = Collection("registries", "registry", {"v2": "/repositories", "v3": "/registries"})
IMAGES: Final = Collection(
    "images", "image", {"v2": "/repositories/{}", "v3": "/registries/{}/images"}, parent=REGISTRIES
)
TAGS: Final = Collection(
    "tags",
    "tag",
    {"v2": "/repositories/{}/{}/tags", "v3": "/registries/{}/images/{}/tags"},
    parent=IMAGES,
    fails_when_gone=True,
)

COLLECTIONS: Final = {one.name: one for one in (REGISTRIES, IMAGES, TAGS)}
"""Every level there is, by name, from the top down."""
