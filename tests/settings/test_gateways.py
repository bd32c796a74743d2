"""Zone, version, regions and gateways follow from each other, and what contradicts gets one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from crawler.api.zones import ZONES
from crawler.core.errors import ConfigurationError
from crawler.settings.loading import load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.settings.table import Settings

PUBLIC = ZONES["public"]
CODES = [region.code for region in PUBLIC.regions]
EACH = tuple(f"{code}=http://127.0.0.1:{9000 + number}" for number, code in enumerate(CODES))


def load(folder: Path, toml: str | None = None, /, **flags: Any) -> Settings:
    """Load settings from flags, and from a file if there is one."""
    if toml is not None:
        (folder / "my.toml").write_text(toml)
        flags["config"] = "my.toml"
    return load_settings(flags, {}, cwd=folder, config_home=folder)


def problem(folder: Path, **flags: Any) -> str:
    """Return the one sentence that settings are refused with."""
    with pytest.raises(ConfigurationError) as caught:
        load(folder, **flags)
    (sentence,) = caught.value.problems
    return sentence


@pytest.mark.parametrize("zone", ZONES.values(), ids=lambda zone: zone.name)
def test_version_2_has_one_gateway_for_all_regions(tmp_path: Path, zone: Any) -> None:
    """Whether it follows from the zone or is given; the zone follows from it."""
    assert load(tmp_path, zone=zone.name).origins == {region.code: zone.gateway for region in zone.regions}
    assert load(tmp_path, gateway=(zone.gateway,)) == load(tmp_path, zone=zone.name)


def test_version_3_has_a_gateway_a_region(tmp_path: Path) -> None:
    """The provider's, or those that are given, in the order of the regions and for those that are crawled."""
    found = load(tmp_path, api="v3")
    assert found.origins == {region.code: region.own_gateway for region in PUBLIC.regions}
    assert found.origins["sgn"] == "https://sg-ncr.apigw.ntruss.com"
    assert load(tmp_path, api="v3", gateway=tuple(reversed(EACH))).gateway == EACH
    assert load(tmp_path, api="v3", gateway=EACH, region=("sgn",)).gateway == (EACH[1],)
    assert load(tmp_path, api="v3", gateway=found.gateway) == found


def test_one_region_needs_no_name(tmp_path: Path) -> None:
    """Of version 3 as well, where there is but one: its gateway is called by its region from then on."""
    found = load(tmp_path, api="v3", gateway=("http://127.0.0.1:1",), region=("kr",))
    assert (found.gateway, found.origins) == (("kr=http://127.0.0.1:1",), {"kr": "http://127.0.0.1:1"})


def test_a_file_may_hold_one_gateway_or_a_list(tmp_path: Path) -> None:
    """A text where one is enough, as ever."""
    assert load(tmp_path, 'gateway = "http://127.0.0.1:1"').gateway == ("http://127.0.0.1:1",)
    assert load(tmp_path, 'gateway = ["http://127.0.0.1:1"]').gateway == ("http://127.0.0.1:1",)
    assert load(tmp_path, f"api = 'v3'\ngateway = {list(EACH)}").gateway == EACH


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"api": "v3", "zone": "gov"}, "--api: zone gov has no v3, as far as is known: leave it at v2"),
        ({"api": "v3", "zone": "fin"}, "--api: zone fin has no v3, as far as is known: leave it at v2"),
        ({"api": "v4"}, "--api: 'v4' is not known: give v2 or v3"),
        ({"gateway": EACH[:1]}, f"--gateway: {EACH[0]}: only with --api v3 has each region a gateway of its own"),
        (
            {"gateway": ("http://127.0.0.1:1", "http://127.0.0.1:2")},
            "--gateway: 2 gateways, and all regions stand behind one: give one URL",
        ),
        (
            {"api": "v3", "gateway": ("http://127.0.0.1:1",)},
            "--gateway: http://127.0.0.1:1: with --api v3 each region has a gateway of its own: give kr=URL, and so on",
        ),
        (
            {"api": "v3", "gateway": (*EACH, "mars=http://127.0.0.1:1")},
            f"--gateway: mars=http://127.0.0.1:1: begin it with a region: {', '.join(f'{code}=' for code in CODES)}",
        ),
        (
            {"api": "v3", "gateway": (*EACH, "http://127.0.0.1:1")},
            f"--gateway: http://127.0.0.1:1: begin it with a region: {', '.join(f'{code}=' for code in CODES)}",
        ),
        ({"api": "v3", "gateway": (*EACH, "kr=http://127.0.0.1:1")}, "--gateway: two gateways for kr: give one"),
        (
            {"api": "v3", "gateway": ("kr=http://127.0.0.1:1", "sgn=http://127.0.0.1:1"), "region": ("kr", "sgn")},
            "--gateway: two regions have the same gateway: under --api v3 nothing else tells them apart",
        ),
        (
            {"api": "v3", "gateway": EACH[:2], "region": tuple(CODES[:3])},
            f"--gateway: none for {CODES[2]}: add {CODES[2]}=URL, or leave it out of --region",
        ),
        (
            {"api": "v3", "gateway": ("kr=https://sg-ncr.apigw.ntruss.com",), "region": ("kr",)},
            "--gateway: https://sg-ncr.apigw.ntruss.com is of region sgn, not kr",
        ),
        (
            {"api": "v3", "gateway": ("https://sg-ncr.apigw.ntruss.com",), "region": ("kr",)},
            "--gateway: https://sg-ncr.apigw.ntruss.com is of region sgn, not kr",
        ),
        (
            {"gateway": ("https://kr-ncr.apigw.ntruss.com",), "region": ("kr",)},
            "--gateway: https://kr-ncr.apigw.ntruss.com speaks v3: take another, or add --api v3",
        ),
        (
            {"api": "v3", "gateway": (PUBLIC.gateway,), "region": ("kr",)},
            f"--gateway: {PUBLIC.gateway} speaks v2: take another, or add --api v2",
        ),
        (
            {"api": "v3", "gateway": ("kr=https://evil.example",), "region": ("kr",)},
            "--gateway: https://evil.example is not the provider's: check it, or add --allow-gateway to trust it",
        ),
        (
            {"api": "v3", "gateway": ("kr=http://10.0.0.1",), "region": ("kr",)},
            "--gateway: 'kr=http://10.0.0.1' is not safe: https is needed; http is for loopback (127.0.0.1) only",
        ),
        ({"api": "v3", "page_size": "1001"}, "--page-size: 1001 is more than v3 takes: 1000 at most"),
    ],
    ids=str,
)
def test_what_contradicts(tmp_path: Path, flags: dict[str, Any], sentence: str) -> None:
    """Each is refused once: what, where, and what would be right."""
    assert problem(tmp_path, **flags) == sentence


def test_what_may_be_a_password_is_not_shown(tmp_path: Path) -> None:
    """Not behind a region either."""
    assert "hush" not in problem(tmp_path, api="v3", gateway=("kr=https://user:hush@127.0.0.1",))
    assert "hush" not in problem(tmp_path, gateway=("https://127.0.0.1?a=hush",))
