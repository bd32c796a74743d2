"""The table of what is listed: what follows from a row."""

from __future__ import annotations

from crawler.api.collections import COLLECTIONS, IMAGES, REGISTRIES, TAGS


def test_fields_and_keys() -> None:
    """Lines begin with what their list is within; with the name that is what tells them apart."""
    assert REGISTRIES.fields == ("account", "region")
    assert IMAGES.fields == ("account", "region", "registry")
    assert TAGS.fields == ("account", "region", "registry", "image")
    assert TAGS.key == ("account", "region", "registry", "image", "name")
    assert TAGS.lineage == (REGISTRIES, IMAGES, TAGS)


def test_every_row() -> None:
    """Rows stand from the top down, and a path has a place for each name that its list is within."""
    assert list(COLLECTIONS.values()) == [REGISTRIES, IMAGES, TAGS]
    for name, row in COLLECTIONS.items():
        assert row.name == name
        assert all(path.count("{}") == len(row.lineage) - 1 for path in row.paths.values())
