"""What -v says of a run's beginnings and findings: places, never values of keys."""

from __future__ import annotations

import logging
from math import inf
from typing import Any

import pytest
from msgspec.structs import replace
from support.lists import result_of

from crawler.api.zones import ZONES
from crawler.cli.basis import tell_basis, tell_page_sizes
from crawler.core.secret import KeyPair, Secret
from crawler.engine.spec import CrawlResult
from crawler.settings.credentials import Credentials, FoundKeys
from crawler.settings.table import Settings

KEYS = KeyPair(Secret("SENTINEL-access"), Secret("SENTINEL-secret"), "the environment")
LISTED = result_of("team-a", 3, pages=2, page_size=300, requests=2)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """Collect what is logged at -v."""
    monkeypatch.setattr(logging.getLogger("ncrawl"), "propagate", True)
    caplog.set_level(logging.INFO, "ncrawl")
    return caplog


@pytest.mark.parametrize(("file", "said"), [("/etc/ncrawl/ncrawl.toml", "/etc/ncrawl/ncrawl.toml"), (None, "no file")])
def test_where_everything_is_from(told: pytest.LogCaptureFixture, file: str | None, said: str) -> None:
    """Settings file, source of the keys, account, gateway and version of its API; no key."""
    settings = Settings(region=ZONES["gov"].regions, zone="gov", places={"config": file} if file else {})
    tell_basis(settings, FoundKeys(Credentials(KEYS), account="team"))
    assert told.messages == [
        f"settings: {said}",
        "keys: the environment, as account team",
        "gateway: https://ncr.apigw.ntruss.com, API v2, zone gov, regions kr, krs",
    ]
    assert "SENTINEL" not in told.text


def test_page_sizes_that_were_learned(told: pytest.LogCaptureFixture) -> None:
    """The largest of each region; lists of one page show none, nor does what was taken over."""
    others: list[dict[str, Any]] = [{"page_size": 100}, {"page_size": 900, "pages": 1}]
    others += [{"page_size": 800, "taken_from": "x"}, {"region": "jpn", "page_size": 1000}, {"page_size": None}]
    listed = [LISTED, *(replace(LISTED, **one) for one in others)]
    tell_page_sizes(CrawlResult(listed, [], stop=None, stop_reason=None, rate_per_s=inf))
    assert told.messages == [
        "jpn: the gateway gives up to 1,000 records a page",
        "kr: the gateway gives up to 300 records a page",
    ]
