"""Which gateways a run asks: zone, version of the API, regions and gateways follow from each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from crawler.api.zones import VERSIONS, ZONES
from crawler.core.patterns import has_region
from crawler.settings.options import outside, shown
from crawler.settings.origin import Origin, parse_origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from crawler.api.zones import Zone
    from crawler.core.model import Region
    from crawler.settings.options import RawValue

ALL_CODES = tuple(dict.fromkeys(region.code for zone in ZONES.values() for region in zone.regions))
"""The regions of all zones."""

_HOSTS = {
    (urlsplit(origin).hostname, api): (zone.name, region if version.is_by_region else "")
    for zone in ZONES.values()
    for api, version in VERSIONS.items()
    for region, origin in zone.gateways(api).items()
}
"""The provider's hosts, by version of the API: zone, and region if it is one region's only."""

PROVIDERS = {origin for zone in ZONES.values() for api in VERSIONS for origin in zone.gateways(api).values()}
"""The provider's gateways."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where one region answers, or with an empty ``region`` all of them."""

    region: str
    origin: Origin

    def __str__(self) -> str:
        return f"{self.region}={self.origin}" if self.region else str(self.origin)


def parse_gateway(text: str) -> Gateway:
    """Return a gateway, ``URL`` or ``REGION=URL``; https, or http on loopback: no signed request is to be read."""
    head, equals, rest = text.partition("=")
    region, url = (head, rest) if equals and head.isalnum() else ("", text)
    origin = parse_origin(url)
    if origin.scheme != "https" and not origin.is_loopback:
        raise ValueError(f"{shown(text)} is not safe: https is needed; http is for loopback (127.0.0.1) only")
    return Gateway(region, origin)


def origins_of(gateway: Iterable[str], regions: Iterable[Region]) -> dict[str, str]:
    """Return where each region answers, by its code, as the setting says."""
    named = {region: origin for region, _, origin in (text.rpartition("=") for text in gateway)}
    return {region.code: named.get(region.code) or named[""] for region in regions}


def settle_zone(values: dict[str, Any], written: Mapping[str, RawValue], problems: list[str]) -> None:
    """Let the zone follow from the gateways; only the provider's hosts get signed requests."""
    for gateway in values.get("gateway", ()):
        place, origin = written["gateway"].place, gateway.origin
        spoken = [api for api in VERSIONS if (origin.host, api) in _HOSTS]
        zone = _HOSTS[origin.host, spoken[0]][0] if spoken else None
        if zone is None and not origin.is_loopback and not values.get("allow_gateway"):
            problems.append(f"{place}: {origin} is not the provider's: check it, or add --allow-gateway to trust it")
        elif zone is not None and values.setdefault("zone", zone) != zone:
            said = f"{written['zone'].place} says {values['zone']}" if "zone" in written else "another one is not"
            problems.append(f"{place}: {origin} is of zone {zone}, but {said}")
        elif zone is not None and values.get("api", "v2") not in spoken:
            problems.append(f"{place}: {origin} speaks {spoken[-1]}: take another, or add --api {spoken[-1]}")
    values.setdefault("zone", "public")


def settle_gateways(values: dict[str, Any], written: Mapping[str, RawValue], problems: list[str]) -> None:
    """Let the gateways of the regions to be crawled follow from zone and version, unless they are given."""
    regions = [region.code for region in values["region"]]
    api, zone = values.get("api", "v2"), ZONES[values["zone"]]
    given = values.pop("gateway", ())
    usual, is_by_region = zone.gateways(api), VERSIONS[api].is_by_region
    if not usual:
        problems.append(f"{written['api'].place}: zone {zone.name} has no {api}, as far as is known: leave it at v2")
        return
    if given:
        place = written["gateway"].place
        wrong = _not_by_region(given, zone, regions, api=api) if is_by_region else _not_for_all(given)
        problems += (f"{place}: {problem}" for problem in wrong)
        of_regions = {gateway.region or regions[0]: str(gateway.origin) for gateway in given}
    else:
        of_regions = usual
    if is_by_region:
        values["gateway"] = tuple(f"{region}={of_regions[region]}" for region in regions if region in of_regions)
    else:
        values["gateway"] = (str(given[0]) if given else zone.gateway,)


def settle_regions(values: dict[str, Any], written: Mapping[str, RawValue], problems: list[str]) -> None:
    """Turn region codes into regions of the zone, and look at what is of regions."""
    known = {region.code: region for region in ZONES[values["zone"]].regions}
    codes = values.get("region") or tuple(known)
    if strangers := [code for code in codes if code not in known]:
        hint = f"no region of zone {values['zone']}: give {', '.join(known)}"
        problems += (f"{written['region'].place}: {shown(code)} is {hint}" for code in strangers)
        return
    values["region"] = tuple(known[code] for code in codes)
    settle_gateways(values, written, problems)
    if "registry" in values:
        problems += outside(values["region"], written["registry"].place, values["registry"])
    for name in ("exclude", "expect_gap"):  # a file may be for several zones, and a run for some regions
        strangers = [text for text in values.get(name, ()) if not has_region(text, ALL_CODES)]
        hint = f"is of no region that there is: {', '.join(ALL_CODES)}"
        problems += (f"{written[name].place}: {shown(text)} {hint}" for text in strangers)


def _not_for_all(given: tuple[Gateway, ...]) -> Iterator[str]:
    """Say what is wrong with gateways that all regions are to stand behind."""
    by_region = " or ".join(api for api, version in VERSIONS.items() if version.is_by_region)
    hint = f"only with --api {by_region} has each region a gateway of its own"
    yield from (f"{one}: {hint}" for one in given if one.region)
    if len(given) > 1 and not any(one.region for one in given):
        yield f"{len(given)} gateways, and all regions stand behind one: give one URL"


def _not_by_region(given: tuple[Gateway, ...], zone: Zone, regions: list[str], *, api: str) -> Iterator[str]:
    """Say what is wrong with gateways of which each is to be one region's."""
    codes = [region.code for region in zone.regions]
    if len(given) == 1 and not given[0].region:
        if len(regions) > 1:
            yield f"{given[0]}: with --api {api} each region has a gateway of its own: give {regions[0]}=URL, and so on"
        elif problem := _of_another(given[0].origin, regions[0], api):
            yield problem
        return
    for one in given:
        if one.region not in codes:
            yield f"{one}: begin it with a region: {', '.join(f'{code}=' for code in codes)}"
    named = [one.region for one in given]
    if doubled := {one for one in named if named.count(one) > 1 and one}:
        yield f"two gateways for {', '.join(sorted(doubled))}: give one"
    yield from (problem for one in given if (problem := _of_another(one.origin, one.region, api)))
    origins = [str(one.origin) for one in given]
    if len(set(origins)) < len(origins) and not doubled:
        yield f"two regions have the same gateway: under --api {api} nothing else tells them apart"
    if lacking := [code for code in regions if code not in named and "" not in named]:
        yield f"none for {', '.join(lacking)}: add {lacking[0]}=URL, or leave it out of --region"


def _of_another(origin: Origin, region: str, api: str) -> str:
    """Return that a gateway is the provider's for another region; empty if it is not."""
    _, own = _HOSTS.get((origin.host, api), ("", region))
    return f"{origin} is of region {own}, not {region}" if own not in ("", region) else ""
