"""The options of a run: those that decide what is in its snapshot, and those that it is taken up with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from crawler.api.zones import ZONES
from crawler.core.errors import UsageError
from crawler.jobs.crawling import options_of
from crawler.settings.gateways import PROVIDERS
from crawler.settings.options import option_of
from crawler.settings.table import OPTIONS, SNAPSHOT_OPTIONS
from crawler.snapshot.unfinished.journal import UnusableRunError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from crawler.settings.table import Settings

DECIDING_OPTIONS = ("api", "gateway", "zone", "region", "exclude", "page_size", "verify", "level", "compress")
"""Options that decide what is in a snapshot: a run is taken up with the same ones only."""
OWN_OPTIONS = (*DECIDING_OPTIONS, "rate", "region_rate", "concurrency", "deadline", "accept", "expect_gap")
"""Options that a run is taken up with unless others are given. None of them says where to write, what to remove, or
whom to trust."""


def own_options(settings: Settings) -> dict[str, object]:
    """Return what a run that begins writes down of its settings."""
    options = options_of(settings, SNAPSHOT_OPTIONS)
    return {name: options[name] for name in OWN_OPTIONS}


def with_own_options(path: Path, own: Mapping[str, Any], asked: Settings) -> Settings:
    """Return the settings with a run's own options where no others were given.

    Raises:
        UsageError: others were given, and they decide what is in a snapshot; each is named.
        UnusableRunError: the run's own cannot be understood.
    """
    if differences := list(_differences(own, asked)):
        raise UsageError(
            f"{path} cannot be taken up: {'; '.join(differences)}; use the same again, or begin anew without --resume"
        )
    try:
        zone = ZONES[own["zone"]]
        regions = {region.code: region for region in zone.regions}
        values = {name: _value(name, own[name]) for name in OWN_OPTIONS if name not in asked.given}
        values |= {"zone": zone.name, "gateway": _gateways(own["gateway"])}
        values |= {"region": tuple(regions[code] for code in own["region"])}
    except (KeyError, ValueError, TypeError) as error:
        raise UnusableRunError(path, f"its options cannot be understood: {error!r}") from None
    return replace(asked, **values)


def _differences(own: Mapping[str, Any], asked: Settings) -> Iterator[str]:
    now = options_of(asked, SNAPSHOT_OPTIONS)
    for name in sorted(DECIDING_OPTIONS):
        then = own.get(name)
        if name in asked.given and now[name] != then:
            yield f"{option_of(name)} was {then} and is {now[name]}"
        elif name == "gateway" and now[name] != then and not PROVIDERS.issuperset(_origins(then)):
            yield f"{option_of(name)} was {then}, which a folder does not decide: give it again"


def _gateways(written: Any) -> tuple[str, ...]:
    """Return the gateways of a run from their form in JSON."""
    return (written,) if isinstance(written, str) else tuple(written)


def _origins(written: Any) -> list[str]:
    return [gateway.rpartition("=")[2] for gateway in _gateways(written)]


def _value(name: str, written: Any) -> Any:
    """Return the value of a setting from its form in JSON."""
    if isinstance(written, str):
        return OPTIONS[name].parse(written)
    return tuple(map(OPTIONS[name].parse, written)) if isinstance(written, list) else written
