"""Paths are those of the API page, and no hostile name ever becomes part of one."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.lists import request_of

from crawler.api.v2 import V2
from crawler.api.zones import MAX_REGISTRY_NAME, ZONES, check_registry_name
from crawler.core.errors import InvalidRegistryNameError
from crawler.core.model import Region

KR = ZONES["public"].regions[0]
ALLOWED = string.ascii_letters + string.digits + "._-"

HOSTILE = [
    "",
    ".",
    "..",
    "...",
    "../x",
    "x/..",
    "x/../y",
    "a..b",
    ".hidden",
    "%2e%2e",
    "%2e%2e%2f",
    "a%2fb",
    "a/b",
    "/a",
    "a/",
    "//host",
    "a\\b",
    "a?b",
    "a#b",
    "a&b=c",
    "a;b",
    "a:b",
    "a@b",
    "a b",
    " a",
    "a ",
    "a\r\nx-evil: 1",
    "a\n",
    "\na",
    "a\r",
    "a\x00b",
    "\x00",
    "a\tb",
    "a\x7f",
    "한글",
    "caf\u00e9",
    "a\u0661",  # a digit, but not one of ASCII
    "\uff41",  # a letter, but not one of ASCII
    "a\u2028",
    "a\u202e",
    "\ud800",
    "😀",
    "a" * 256,
    "a" * 300,
    "a" * 1_000_000,
]


@pytest.mark.parametrize(
    ("zone", "gateway", "region", "path"),
    [
        ("public", "https://ncr.apigw.ntruss.com", "kr", "/ncr/api/v2"),
        ("public", "https://ncr.apigw.ntruss.com", "sgn", "/ncr/sgn-api/v2"),
        ("public", "https://ncr.apigw.ntruss.com", "jpn", "/ncr/jpn-api/v2"),
        ("gov", "https://gov-ncr.apigw.gov-ntruss.com", "kr", "/ncr/kr/v2"),
        ("gov", "https://gov-ncr.apigw.gov-ntruss.com", "krs", "/ncr/krs/v2"),
        ("fin", "https://ncr.apigw.fin-ntruss.com", "fkr", "/ncr/api/v2"),
    ],
)
def test_endpoints_of_the_api_page(zone: str, gateway: str, region: str, path: str) -> None:
    """Each row of the API page's table, both operations, with and without a page size."""
    assert ZONES[zone].gateway == gateway
    (found,) = [known for known in ZONES[zone].regions if known.code == region]
    assert V2.target(request_of(found, None, 1, 100)) == f"{path}/repositories?page=1&pagesize=100"
    assert V2.target(request_of(found, "team-a", 2, 97)) == f"{path}/repositories/team-a?page=2&pagesize=97"
    assert V2.target(request_of(found, "team-a", 3, None)) == f"{path}/repositories/team-a?page=3"


def test_the_documented_regions() -> None:
    """The table holds what the API page holds; one that is new is a line there, and nothing else."""
    assert {(zone.name, region.code) for zone in ZONES.values() for region in zone.regions} >= {
        ("public", "kr"),
        ("public", "sgn"),
        ("public", "jpn"),
        ("gov", "kr"),
        ("gov", "krs"),
        ("fin", "fkr"),
    }


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:20]))
def test_hostile_names_are_refused(name: str) -> None:
    """Nothing of K6 gets into a path; the message is short and shows no raw control character."""
    with pytest.raises(InvalidRegistryNameError) as caught:
        V2.target(request_of(KR, name, 1, None))
    assert caught.value.name == name
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=12) | st.text(ALLOWED + "/%?#", max_size=12))
def test_a_name_is_refused_or_unchanged(name: str) -> None:
    """Whatever the name: it is refused, or the target is plain ASCII with the name in it as it was written."""
    try:
        target = V2.target(request_of(Region("x", "/base"), name, 7, 9))
    except InvalidRegistryNameError:
        assert not name or set(name) - set(ALLOWED) or ".." in name or name.startswith(".")
    else:
        assert set(name) <= set(ALLOWED)
        assert target == f"/base/repositories/{name}?page=7&pagesize=9"
        assert target.isascii()


@pytest.mark.parametrize("name", ["a", "A0", "_", "-", "a.b", "a.", "-a_b.c-", "0", "a" * MAX_REGISTRY_NAME])
def test_allowed_names_stay_as_they_are(name: str) -> None:
    """Every character of the allow-list is good in every place but a dot in front, up to the longest name."""
    assert check_registry_name(name) == name
