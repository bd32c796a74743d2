"""Whose a key is: what of the answer counts, whatever else is in it."""

from __future__ import annotations

import pytest

from crawler.api.identity import IDENTITY_ORIGINS, Identity, decode_identity
from crawler.api.zones import ZONES
from crawler.core.errors import PageError


def test_what_counts() -> None:
    """Type and alias; more fields do not matter, and what is missing is empty."""
    body = b'{"id": 7, "loginAlias": "night", "userType": "Sub", "more": [1]}'
    assert decode_identity(body) == Identity(user_type="Sub", login_alias="night")
    assert decode_identity(b'{"loginAlias": null}') == Identity()


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"userType": 1}', b"\xff", b"[" * 100_000])
def test_what_is_none(body: bytes) -> None:
    """Anything else is an error with a sentence, and no traceback."""
    with pytest.raises(PageError, match="no caller identity"):
        decode_identity(body)


def test_every_zone_has_a_place_to_ask() -> None:
    """Over https."""
    assert set(ZONES) <= set(IDENTITY_ORIGINS)
    assert all(origin.startswith("https://sts.") for origin in IDENTITY_ORIGINS.values())
