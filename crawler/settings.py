"""Flags, environment, TOML and defaults → one frozen Settings; every problem reported at once.

A field of Settings with its Key is all there is to a setting: the option, its help, the variable ``NCRAWL_<KEY>`` and
the key in the TOML file follow from it. Cheap to import, because ``--help`` does.
"""

from __future__ import annotations

import math
import os
import tomllib
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from crawler.endpoints import ZONES
from crawler.errors import ConfigurationError
from crawler.inlets import read_in_time
from crawler.keys import (
    PREFIX,
    Key,
    Shape,
    Written,
    one_of,
    option_of,
    outside,
    parse_accept,
    parse_duration,
    parse_file,
    parse_gateway,
    parse_rate,
    parse_registry,
    parse_switch,
    parse_text,
    parsed,
    plain,
    shown,
    variable_of,
    whole_number,
)
from crawler.lifetime import ends_s
from crawler.model import Region, VerifyMode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from crawler.keys import Origin

_PREFIX = PREFIX.lower()
_FILES = ("output", "summary", "registry_file")
_ZONE_OF_HOST = {urlsplit(zone.gateway).hostname: name for name, zone in ZONES.items()}
_T = TypeVar("_T")


def _key(value: _T, key: Key) -> _T:
    """Return a dataclass field with its default and its metadata; typed as the default, as ``field()`` itself is."""
    made: Any = field(default=value, metadata={"key": key})
    return made  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run is to do. Made by ``load_settings``; a direct call sets typed values and checks nothing.

    Attributes:
        gateway: origin without a trailing slash.
        region: the regions to crawl, of one zone.
        registry: ``name`` or ``region/name``; empty means every registry there is, unless a file names some.
        registry_file: where more registries stand, one a line; ``-`` is standard input.
        output: path; ``-`` is standard output.
        rate: requests a second over all regions; infinity is unlimited.
        region_rate: the same for each region.
        deadline: seconds from the start.
    """

    profile: str | None = _key(
        None, Key(parse_text, "Section of ~/.ncloud/configure to take the keys from.", metavar="NAME")
    )
    zone: str = _key(
        "public",
        Key(one_of(*ZONES), "Installation of the provider.", "as the gateway says, else public", "public|gov"),
    )
    gateway: str = _key(
        ZONES["public"].gateway,
        Key(parse_gateway, "Origin of the API; https, or http on loopback.", "the zone's", "URL"),
    )
    allow_gateway: bool = _key(
        False,
        Key(parse_switch, "Sign requests to a host not the provider's.", "false", types=(bool,), shape=Shape.SWITCH),
    )
    trust_env: bool = _key(
        False,
        Key(parse_switch, "Heed proxy variables and .netrc.", "false", types=(bool,), shape=Shape.SWITCH),
    )
    region: tuple[Region, ...] = _key(
        ZONES["public"].regions,
        Key(parse_text, "Region to crawl; repeatable.", "all of the zone's", "R", shape=Shape.LIST),
    )
    registry: tuple[str, ...] = _key(
        (), Key(parse_registry, "Registries to list.", "every one there is", "REGISTRY", shape=Shape.ARGUMENTS)
    )
    registry_file: str | None = _key(
        None, Key(parse_text, "More registries, one a line; - is standard input.", metavar="FILE")
    )
    output: str = _key(
        "-", Key(parse_text, "File to write; - is standard output; .gz, .zst compress.", "-", "PATH", "-o")
    )
    rate: float = _key(
        50.0,
        Key(parse_rate, "Requests a second, over all regions, or unlimited.", "50", "N", types=(int, float, str)),
    )
    region_rate: float = _key(
        math.inf,
        Key(parse_rate, "Requests a second for each region.", "unlimited", "N", types=(int, float, str)),
    )
    concurrency: int = _key(
        64, Key(whole_number(1, 1024), "Requests in flight at most, 1 to 1024.", "64", "N", types=(int,))
    )
    page_size: int = _key(
        100, Key(whole_number(1, 10_000), "Records a page to ask for, 1 to 10000.", "100", "N", types=(int,))
    )
    verify: VerifyMode = _key(  # noqa: RUF009 - makes a field
        VerifyMode.AUTO,
        Key(one_of(*VerifyMode), "When to look twice for change.", "auto", "auto|always|never"),
    )
    deadline: float = _key(3600.0, Key(parse_duration, "Stop cleanly by then: 90s, 30m, 1h30m, 1d.", "1h", "DURATION"))
    summary: str | None = _key(None, Key(parse_file, "File for the run's result as JSON.", metavar="FILE"))
    log_format: str = _key(
        "text", Key(one_of("text", "json"), "Form of the log on standard error.", "text", "text|json")
    )
    verbose: int = _key(
        0, Key(whole_number(0, 2), "Log more; twice for still more.", "0", None, "-v", (int,), Shape.COUNT)
    )
    quiet: bool = _key(
        False,
        Key(parse_switch, "Log errors only.", "false", None, "-q", (bool,), Shape.SWITCH),
    )

    compress: str = _key(
        "none", Key(one_of("none", "gzip", "zstd"), "How to pack the data files.", "none", "none|gzip|zstd")
    )
    accept: str = _key(
        "complete",
        Key(
            parse_accept, "What `latest` may point to: complete, partial, or so many missing: 5%.", "complete", "POLICY"
        ),
    )
    resume: bool = _key(
        False, Key(parse_switch, "Take the newest unfinished run up again.", "false", None, "", (bool,), Shape.SWITCH)
    )
    retry_failed: str | None = _key(
        None, Key(parse_file, "Fetch only what this snapshot lacks, and copy the rest.", metavar="SNAPSHOT")
    )
    keep: int | None = _key(
        None, Key(whole_number(1, 100_000), "Keep the newest N snapshots, remove others.", "", "N", types=(int,))
    )
    keep_days: int | None = _key(
        None, Key(whole_number(1, 100_000), "Keep the snapshots of N days, remove others.", "", "N", types=(int,))
    )


SNAPSHOT_KEYS = ("compress", "accept", "resume", "retry_failed", "keep", "keep_days")
"""Keys that only `ncrawl snapshot` has."""

KEYS: dict[str, Key] = {each.name: each.metadata["key"] for each in fields(Settings)}
CRAWL_KEYS = tuple(name for name in KEYS if name not in SNAPSHOT_KEYS)


def config_home(environ: Mapping[str, str]) -> Path:
    """Return the user's configuration directory: ``XDG_CONFIG_HOME`` if absolute, as its standard says."""
    named = environ.get("XDG_CONFIG_HOME", "")
    return Path(named if named.startswith("/") else os.path.expanduser("~/.config"))  # noqa: PTH111 - never raises


def load_settings(flags: Mapping[str, object], environ: Mapping[str, str], *, cwd: Path, config_home: Path) -> Settings:
    """Return the settings: flag before ``NCRAWL_<KEY>`` before TOML file before default.

    Only the value that takes effect is looked at, but unknown keys are always errors. An empty variable is not set.

    Args:
        flags: what the command line gave, by key; None and () are "not given". ``config`` names the file.
        environ: the environment.
        cwd: where a relative ``config`` and ``ncrawl.toml`` are looked for.
        config_home: where ``ncrawl/ncrawl.toml`` is looked for after that.

    Raises:
        ConfigurationError: with a sentence for every problem: key, place, value and what would be right.
    """
    problems: list[str] = []
    usual = (cwd / "ncrawl.toml", config_home / "ncrawl" / "ncrawl.toml")
    path, table = _read_config(flags, environ, usual, problems)
    problems += _unknown_keys(f"{plain(path)}: ", table, KEYS)
    variables = {variable_of(name): name for name in (*KEYS, "config")}
    given = sorted(name for name, text in environ.items() if text and name.startswith(PREFIX))
    problems += _unknown_keys("", given, variables)
    written = _effective(flags, environ, path, table)
    values = {
        name: value for name, found in written.items() if (value := parsed(KEYS[name], found, problems)) is not None
    }
    if not {"zone", "gateway"} & (written.keys() - values.keys()):
        _settle_gateway(values, written, problems)
        _settle_regions(values, written, problems)
    _find_contradictions(values, written, problems)
    if problems:
        raise ConfigurationError(problems)
    return Settings(**values)


def _effective(
    flags: Mapping[str, object], environ: Mapping[str, str], path: Path, table: Mapping[str, object]
) -> dict[str, Written]:
    """Return for every key that somebody set what takes effect."""
    found: dict[str, Written] = {}
    for name, key in KEYS.items():
        written = _in_flags(name, key, flags) or _in_environment(name, key, environ)
        if written := written or _in_file(name, key, f"{plain(path)}: {name}", table):
            found[name] = written
    return found


def _in_flags(name: str, key: Key, flags: Mapping[str, object]) -> Written | None:
    value = flags.get(name)
    if value is None or value == ():
        return None
    place = key.metavar if key.shape is Shape.ARGUMENTS and key.metavar else option_of(name)
    return Written(place, value if isinstance(value, tuple) else (value,))


def _in_environment(name: str, key: Key, environ: Mapping[str, str]) -> Written | None:
    text = environ.get(variable_of(name))
    if not text:
        return None
    return Written(variable_of(name), tuple(map(str.strip, text.split(","))) if key.is_list else (text,))


def _in_file(name: str, key: Key, place: str, table: Mapping[str, object]) -> Written | None:
    if name not in table:
        return None
    value = table[name]
    if key.is_list and isinstance(value, list):
        return Written(place, tuple(value), key.types)
    return Written(place, (value,), (list,) if key.is_list else key.types)


def _read_config(
    flags: Mapping[str, object], environ: Mapping[str, str], usual: tuple[Path, ...], problems: list[str]
) -> tuple[Path, dict[str, object]]:
    """Return the file's path and content; a file that was named has to be there, the usual ones need not."""
    places = {"--config": flags.get("config"), variable_of("config"): environ.get(variable_of("config")) or None}
    until_s = ends_s(_deadline_s(flags, environ))
    for place, named in places.items():
        if named is not None:
            path = usual[0].parent / str(named)
            return path, _read_toml(path, problems, until_s, required_by=place) or {}
    for path in usual:
        if (table := _read_toml(path, problems, until_s)) is not None:
            return path, table
    return usual[0], {}


def _deadline_s(flags: Mapping[str, object], environ: Mapping[str, str]) -> float:
    """Return the deadline that is known before the file is read: a pipe in its place is waited for no longer."""
    key = KEYS["deadline"]
    written = _in_flags("deadline", key, flags) or _in_environment("deadline", key, environ)
    found: float | None = parsed(key, written, []) if written else None
    return Settings().deadline if found is None else found


def _read_toml(
    path: Path, problems: list[str], until_s: float, *, required_by: str | None = None
) -> dict[str, object] | None:
    """Return a file's content, or None: after noting why, unless it is absent and nobody asked for it."""
    try:
        return tomllib.loads(read_in_time(path, until_s).decode("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError) as error:
        if not required_by:
            return None
        problems.append(f"{required_by}: cannot read {plain(path)}: {error.strerror}")
    except OSError as error:
        problems.append(f"{required_by or 'settings'}: cannot read {plain(path)}: {error.strerror}")
    except (ValueError, RecursionError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        problems.append(f"{plain(path)}: not valid TOML: {reason}")
    return {}


def _unknown_keys(place: str, names: Iterable[str], known: Mapping[str, object]) -> Iterator[str]:
    """Say of every unknown name which one may have been meant; values are not shown, for they may be secrets."""
    for name in names:
        folded = name.lower().replace("-", "_")
        if name in known:
            continue
        if "secret" in folded or "access_key" in folded:
            hint = "keys belong into NCLOUD_ACCESS_KEY_ID and NCLOUD_SECRET_ACCESS_KEY, or into ~/.ncloud/configure"
        else:
            spelt = {each.lower().removeprefix(_PREFIX): each for each in known}
            close = get_close_matches(folded.removeprefix(_PREFIX), spelt, n=1)
            hint = f"did you mean {spelt[close[0]]}?" if close else f"there are {', '.join(known)}"
        yield f"{place}{plain(name[:60])}: no such key: {hint}"


def _settle_gateway(values: dict[str, Any], written: Mapping[str, Written], problems: list[str]) -> None:
    """Let gateway and zone follow from each other; only the provider's hosts get signed requests."""
    origin: Origin | None = values.pop("gateway", None)
    if origin is None:
        values["gateway"] = ZONES[values.setdefault("zone", "public")].gateway
        return
    place, zone = written["gateway"].place, _ZONE_OF_HOST.get(origin.host)
    if zone is None and not origin.is_loopback and not values.get("allow_gateway"):
        problems.append(f"{place}: {origin} is not the provider's: check it, or add --allow-gateway to trust it")
    if zone is not None and values.get("zone", zone) != zone:
        problems.append(f"{place}: {origin} is of zone {zone}, but {written['zone'].place} says {values['zone']}")
    values.setdefault("zone", zone or "public")
    values["gateway"] = str(origin)


def _settle_regions(values: dict[str, Any], written: Mapping[str, Written], problems: list[str]) -> None:
    """Turn region codes into regions of the zone."""
    known = {region.code: region for region in ZONES[values["zone"]].regions}
    codes = values.get("region") or tuple(known)
    if strangers := [code for code in codes if code not in known]:
        hint = f"no region of zone {values['zone']}: give {', '.join(known)}"
        problems += (f"{written['region'].place}: {shown(code)} is {hint}" for code in strangers)
        return
    values["region"] = tuple(known[code] for code in codes)
    if "registry" in values:
        problems += outside(values["region"], written["registry"].place, values["registry"])


def _find_contradictions(values: Mapping[str, Any], written: Mapping[str, Written], problems: list[str]) -> None:
    """Note what cannot be meant together."""
    if values.get("quiet") and values.get("verbose"):
        problems.append(f"{written['quiet'].place} and {written['verbose'].place} contradict each other: drop one")
    files = {name: os.path.realpath(values[name]) for name in _FILES if values.get(name, "-") != "-"}
    for one, other in combinations(files, 2):
        if files[one] == files[other]:
            problems.append(f"{written[one].place} and {written[other].place} name the same file: give two")
