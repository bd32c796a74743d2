"""The table of settings.

A field of Settings with its Option is all there is to a setting: its option, help, variable ``NCRAWL_<KEY>`` and the
key in the TOML file follow from it. Cheap to import, because ``--help`` does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from crawler.api.collections import COLLECTIONS, IMAGES
from crawler.api.zones import VERSIONS, ZONES
from crawler.core.model import VerifyMode
from crawler.core.patterns import parse_pattern
from crawler.settings.destinations import parse_output, parse_ping, parse_push
from crawler.settings.gateways import origins_of, parse_gateway
from crawler.settings.options import (
    AUTO,
    Arity,
    Option,
    one_of,
    parse_accept,
    parse_account,
    parse_duration,
    parse_file,
    parse_heartbeat,
    parse_page_size,
    parse_rate,
    parse_refresh,
    parse_switch,
    parse_text,
    parse_what,
    whole_number,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.core.model import Region
    from crawler.settings.accounts import KeyPlace

_T = TypeVar("_T")


def _option(value: _T, option: Option) -> _T:
    """Return a dataclass field with its default and its metadata; typed as the default, as ``field()`` itself is."""
    made: Any = field(default=value, metadata={"option": option})
    return made  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run is to do. Made by ``load_settings``; a direct call sets typed values and checks nothing.

    Attributes:
        account: first field of every line; None leaves it to the keys. With ``accounts`` which of them it is.
        gateway: origins without a trailing slash: one for all regions, or ``region=origin`` for each.
        region: the regions to crawl, of one zone.
        registry: ``name``, ``region/name``, or for tags ``region/name/image``; empty means every registry there is,
            unless a file names some.
        registry_file: where more registries stand, one a line; ``-`` is standard input.
        exclude: patterns of registries whose images are not listed.
        expect_gap: patterns of registries that are tried, but may fail without a fault of the run.
        output: path; ``-`` is standard output.
        rate: requests a second over all regions; infinity is unlimited.
        region_rate: the same for each region.
        deadline: seconds from the start.
        heartbeat: seconds; 0 is never.
        level: name of the collection that a snapshot goes down to.
        resume_within: seconds, by this machine's clock.
        given: names of those that somebody gave, wherever; the others have their defaults.
        key_place: where an account of ``accounts`` has its keys; None for ``profile``, or wherever some are found.
        places: where each of those was set; and under ``config`` the file that was read, if one was.
    """

    profile: str | None = _option(
        None, Option(parse_text, "Section of ~/.ncloud/configure to take the keys from.", metavar="NAME")
    )
    account: str | None = _option(
        None, Option(parse_account, "First field of every line.", "the profile's name, or default", "NAME")
    )
    accounts: str | None = _option(
        None, Option(parse_file, "TOML file of accounts, of which --account picks one.", metavar="FILE")
    )
    zone: str = _option(
        "public",
        Option(one_of(*ZONES), "Installation of the provider.", "as the gateway says, else public", "|".join(ZONES)),
    )
    api: str = _option("v2", Option(one_of(*VERSIONS), "Version of the provider's API.", "v2", "|".join(VERSIONS)))
    gateway: tuple[str, ...] = _option(
        (ZONES["public"].gateway,),
        Option(
            parse_gateway,
            "Origin of the API; https, or http on loopback; REGION=URL for each region with v3.",
            "the zone's",
            "URL",
            shape=Arity.LIST,
            takes_one=True,
        ),
    )
    allow_gateway: bool = _option(
        False,
        Option(parse_switch, "Sign requests to a host not the provider's.", "false", types=(bool,), shape=Arity.SWITCH),
    )
    trust_env: bool = _option(
        False,
        Option(parse_switch, "Heed proxy variables and .netrc.", "false", types=(bool,), shape=Arity.SWITCH),
    )
    region: tuple[Region, ...] = _option(
        ZONES["public"].regions,
        Option(parse_text, "Region to crawl; repeatable, or kr,sgn.", "all of the zone's", "R", shape=Arity.LIST),
    )
    registry: tuple[str, ...] = _option(
        (), Option(parse_what, "Registries to list.", "every one there is", "REGISTRY", shape=Arity.ARGUMENTS)
    )
    registry_file: str | None = _option(
        None, Option(parse_text, "More registries, one a line; - is standard input.", metavar="FILE")
    )
    exclude: tuple[str, ...] = _option(
        (),
        Option(
            parse_pattern, "Registries not to list, region/name with *; repeatable.", "", "PATTERN", shape=Arity.LIST
        ),
    )
    expect_gap: tuple[str, ...] = _option(
        (), Option(parse_pattern, "Registries known to be unreadable; repeatable.", "", "PATTERN", shape=Arity.LIST)
    )
    output: str = _option(
        "-", Option(parse_output, "File to write; - is standard output; .gz, .zst compress.", "-", "PATH", "-o")
    )
    rate: float = _option(
        50.0,
        Option(parse_rate, "Requests a second, over all regions, or unlimited.", "50", "N", types=(int, float, str)),
    )
    region_rate: float = _option(
        math.inf,
        Option(parse_rate, "Requests a second for each region.", "unlimited", "N", types=(int, float, str)),
    )
    concurrency: int = _option(
        64, Option(whole_number(1, 1024), "Requests in flight at most, 1 to 1024.", "64", "N", types=(int,))
    )
    page_size: int | str = _option(
        AUTO,
        Option(
            parse_page_size, "Records a page: auto, the most that is given, or N.", AUTO, "auto|N", types=(int, str)
        ),
    )
    verify: VerifyMode = _option(  # noqa: RUF009 - makes a field
        VerifyMode.AUTO,
        Option(one_of(*VerifyMode), "How much is proved; never looks only once.", "auto", "auto|always|never"),
    )
    deadline: float = _option(
        3600.0, Option(parse_duration, "Stop cleanly by then: 90s, 30m, 1h30m, 1d.", "1h", "DURATION")
    )
    summary: str | None = _option(None, Option(parse_file, "File for the run's result as JSON.", metavar="FILE"))
    metrics_file: str | None = _option(
        None, Option(parse_file, "File for the run's figures, for Prometheus.", metavar="FILE")
    )
    ping: str | None = _option(
        None, Option(parse_ping, "URL to tell of the start, and of success or failure.", metavar="URL")
    )
    log_format: str = _option(
        "text", Option(one_of("text", "json"), "Form of the log on standard error.", "text", "text|json")
    )
    heartbeat: float = _option(60.0, Option(parse_heartbeat, "How often to log how far it is; off.", "1m", "DURATION"))
    verbose: int = _option(
        0, Option(whole_number(0, 2), "Log more; twice for still more.", "0", None, "-v", (int,), Arity.COUNT)
    )
    quiet: bool = _option(False, Option(parse_switch, "Log errors only.", "false", None, "-q", (bool,), Arity.SWITCH))

    level: str = _option(
        IMAGES.name,
        Option(
            one_of(*COLLECTIONS), "How deep to go: tags take a request an image.", IMAGES.name, "|".join(COLLECTIONS)
        ),
    )
    compress: str = _option(
        "none", Option(one_of("none", "gzip", "zstd"), "How to pack the data files.", "none", "none|gzip|zstd")
    )
    accept: str = _option(
        "complete",
        Option(
            parse_accept, "What `latest` may point to: complete, partial, or so many missing: 5%.", "complete", "POLICY"
        ),
    )
    resume: bool = _option(
        False,
        Option(parse_switch, "Take the newest unfinished run up again.", "false", None, "", (bool,), Arity.SWITCH),
    )
    resume_within: float = _option(
        43_200.0, Option(parse_duration, "Take up only what began within it.", "12h", "DURATION")
    )
    retry_failed: str | None = _option(
        None, Option(parse_file, "Fetch only what this snapshot lacks, and copy the rest.", metavar="SNAPSHOT")
    )
    reuse: str | None = _option(
        None,
        Option(parse_file, "Copy the tags of images that are as in this snapshot; latest.", metavar="SNAPSHOT"),
    )
    refresh: str = _option(
        "1/7", Option(parse_refresh, "Share of those to fetch all the same; all, none.", "1/7", "1/7|all|none")
    )
    keep: int | None = _option(
        None, Option(whole_number(1, 100_000), "Keep the newest N snapshots, remove others.", "", "N", types=(int,))
    )
    keep_days: int | None = _option(
        None, Option(whole_number(1, 100_000), "Keep the snapshots of N days, remove others.", "", "N", types=(int,))
    )
    push: str | None = _option(
        None, Option(parse_push, "Where to copy snapshots to: s3://BUCKET/PREFIX, gs://, az://.", metavar="URL")
    )
    key_place: KeyPlace | None = field(default=None, repr=False)
    given: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    places: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def origins(self) -> dict[str, str]:
        """Where each region to crawl answers, by its code."""
        return origins_of(self.gateway, self.region)


SNAPSHOT_OPTIONS = (
    "level",
    "compress",
    "accept",
    "resume",
    "resume_within",
    "retry_failed",
    "reuse",
    "refresh",
    "keep",
    "keep_days",
    "push",
)
"""Settings that only `ncrawl snapshot` has."""

OPTIONS: dict[str, Option] = {
    each.name: each.metadata["option"] for each in fields(Settings) if "option" in each.metadata
}
PRIVATE_OPTIONS = ("ping",)
"""Settings whose values are written down nowhere: whoever knows them could speak for this run."""
CRAWL_OPTIONS = tuple(name for name in OPTIONS if name not in SNAPSHOT_OPTIONS)
