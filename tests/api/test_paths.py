"""Names in paths: each is one segment, whatever it holds, or is refused; nothing climbs."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.api.collections import TAGS
from crawler.api.v2 import V2
from crawler.api.v3 import V3
from crawler.core.errors import InvalidNameError, InvalidRegistryNameError
from crawler.core.model import PageRequest, Region

KR = Region("kr", "/ncr/api/v2")


def tags_of(image: str, registry: str = "team-a") -> PageRequest:
    return PageRequest(KR, TAGS, (registry, image), 1, 100)


@pytest.mark.parametrize(
    ("image", "segment"),
    [
        ("nginx", "nginx"),
        ("hello/world", "hello%2Fworld"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("...", "..."),
        ("a/../b", "a%2F..%2Fb"),
        ("100%", "100%25"),
        ("%2e%2e", "%252e%252e"),
        ("a b?c#d", "a%20b%3Fc%23d"),
        ("é", "%C3%A9"),
        ("\\", "%5C"),
    ],
)
def test_an_image_is_one_segment(image: str, segment: str) -> None:
    """In either version of the API."""
    assert V2.target(tags_of(image)) == f"/ncr/api/v2/repositories/team-a/{segment}/tags?page=1&pagesize=100"
    assert f"/registries/team-a/images/{segment}/tags?" in V3.target(tags_of(image))


@given(st.text(min_size=1))
def test_any_text_comes_back_from_its_segment(image: str) -> None:
    """Plain ASCII, no slash, no dots alone; what UTF-8 has no bytes for is refused."""
    try:
        target = V2.target(tags_of(image))
    except InvalidNameError:
        assert any("\ud800" <= character <= "\udfff" for character in image)
        return
    segments = target.partition("?")[0].split("/")
    assert target.isascii()
    assert target.isprintable()
    assert (len(segments), unquote(segments[-2])) == (8, image)
    assert segments[-2] not in (".", "..")


@pytest.mark.parametrize("image", ["", "\ud800", "a\udfff"])
def test_what_cannot_be_sent_is_refused(image: str) -> None:
    """In one sentence that shows no raw half of a pair."""
    with pytest.raises(InvalidNameError, match="cannot be sent as a name") as caught:
        V2.target(tags_of(image))
    assert str(caught.value).isprintable()


def test_registries_stay_on_their_list() -> None:
    """What is no registry's name is refused at any depth."""
    with pytest.raises(InvalidRegistryNameError):
        V2.target(tags_of("nginx", registry="a/b"))
