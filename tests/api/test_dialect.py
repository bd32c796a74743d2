"""A version of the API is known wherever one has to be."""

from __future__ import annotations

import re
from typing import get_args

import crawler
from crawler.api.collections import COLLECTIONS
from crawler.api.dialect import DIALECTS
from crawler.api.zones import VERSIONS
from crawler.emulation.apis import APIS
from crawler.emulation.options import Version


def test_a_version_is_known_everywhere() -> None:
    """Who adds one is told here what else speaks of it: paths, dialect, emulator, the types that callers see."""
    for collection in COLLECTIONS.values():
        assert set(collection.paths) == set(VERSIONS), f"api/collections.py: paths of {collection.name}"
    assert set(DIALECTS) == set(VERSIONS), "api/dialect.py: DIALECTS"
    assert set(APIS) == set(VERSIONS), "emulation/apis.py: APIS"
    assert set(get_args(Version)) == set(VERSIONS), "emulation/options.py: Version"
    told = re.findall(r"'(v\d+)'", str(crawler.ConnectOptions.__annotations__["api"]))
    assert set(told) == set(VERSIONS), "crawler/__init__.py: api of ConnectOptions"


def test_largest_pages() -> None:
    """Of version 3 it is documented."""
    assert {version: dialect.largest_page for version, dialect in DIALECTS.items()} == {"v2": None, "v3": 1000}
