"""What is named becomes lists to begin with: registries and images, each once, in the regions that are meant."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import pytest

from crawler.api.collections import IMAGES, REGISTRIES, TAGS, Collection
from crawler.api.zones import ZONES
from crawler.core.errors import ConfigurationError
from crawler.jobs.naming import named_roots
from crawler.settings.table import Settings

if TYPE_CHECKING:
    from pathlib import Path

KR, SGN, *_ = ZONES["public"].regions


def settings(*named: str, **more: object) -> Settings:
    """Return settings of two regions that name something."""
    return Settings(registry=named, region=(KR, SGN), **more)  # type: ignore[arg-type]


def roots_of(given: Settings, level: Collection = TAGS) -> list[tuple[str, Collection, tuple[str, ...]]]:
    """Return what a crawl begins with."""
    return [(one.region.code, one.collection, one.within) for one in named_roots(given, level, inf) or ()]


def test_nothing_named_means_everything() -> None:
    """Whatever the level is."""
    for level in (REGISTRIES, IMAGES, TAGS):
        assert named_roots(settings(), level, inf) is None


def test_a_registry_is_looked_for_in_every_region_and_an_image_in_its_own() -> None:
    """A registry is begun with its images at every level; an image with its tags."""
    assert roots_of(settings("a", "kr/b", "sgn/c/d")) == [
        ("kr", IMAGES, ("a",)),
        ("sgn", IMAGES, ("a",)),
        ("kr", IMAGES, ("b",)),
        ("sgn", TAGS, ("c", "d")),
    ]


@pytest.mark.parametrize(
    "image", ["web/api", "a/b/c/d", "..", ".", "a/../b", "kr/a/b", "/x", "x/", " ", "é中🚀", "a,b"]
)
def test_all_behind_the_second_slash_is_the_image(image: str) -> None:
    """It is data, slashes included; nothing in it is looked at."""
    assert roots_of(settings(f"kr/a/{image}")) == [("kr", TAGS, ("a", image))]


def test_each_is_named_once() -> None:
    """An image beside its registry is a list of its own: it may not be there."""
    named = settings("kr/a/b", "a", "kr/a", "kr/a/b")
    assert roots_of(named) == [("kr", TAGS, ("a", "b")), ("kr", IMAGES, ("a",)), ("sgn", IMAGES, ("a",))]


@pytest.mark.parametrize("level", [IMAGES, REGISTRIES])
def test_an_image_is_named_for_its_tags_only(level: Collection) -> None:
    """Each that is too much is told, with the command that would do."""
    with pytest.raises(ConfigurationError, match="'kr/a/b' names an image: `ncrawl tags` lists what is in one"):
        named_roots(settings("kr/a/b", "kr/a"), level, inf)


def test_what_is_named_and_excluded_is_a_contradiction() -> None:
    """Also where an image of the registry is named."""
    with pytest.raises(ConfigurationError, match="kr/a is named, and excluded by --exclude kr/\\*"):
        named_roots(settings("kr/a/b", exclude=("kr/*",)), TAGS, inf)


def test_a_file_names_registries_beside_the_arguments(tmp_path: Path) -> None:
    """Arguments first."""
    (tmp_path / "names").write_text("kr/b\n")
    named = settings("kr/a/x", registry_file=str(tmp_path / "names"))
    assert roots_of(named) == [("kr", TAGS, ("a", "x")), ("kr", IMAGES, ("b",))]
