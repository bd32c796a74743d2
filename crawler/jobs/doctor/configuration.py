"""What a run is told, by whom: settings, the file of settings, and what libraries take from the environment."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from crawler.core.errors import UsageError
from crawler.core.model import Region
from crawler.core.text import duration
from crawler.jobs.doctor.checks import NOTHING_REQUESTED, failed, ok, warning
from crawler.settings.options import parse_duration, plain
from crawler.settings.table import OPTIONS, Settings
from crawler.transport import check_files, find_proxy
from crawler.transport.direct import works_here

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from crawler.core.errors import ConfigurationError
    from crawler.jobs.doctor.checks import Check


def bad_settings(error: ConfigurationError) -> Check:
    """Return what is wrong with the settings; each problem says what would be right."""
    problems = "; ".join(error.problems)
    return failed(
        "settings", problems, "mend what is named: without settings nothing is asked", exit_code=NOTHING_REQUESTED
    )


def of_settings(settings: Settings) -> Check:
    """Return each setting that somebody made, its value and where it was made."""
    made = [f"{name} {_told(name, settings)} ({settings.places[name]})" for name in OPTIONS if name in settings.given]
    rest = f"{len(OPTIONS) - len(made)} have their defaults"
    return ok("settings", "; ".join([*made, rest]) if made else "all have their defaults")


def of_file(settings: Settings, usual: Sequence[Path], warnings: Sequence[str]) -> Check:
    """Return which file was read, or where one was looked for."""
    if warnings:
        return warning("config", "; ".join(warnings), "see to it, or go on without")
    if read := settings.places.get("config"):
        return ok("config", f"{read} is read")
    return ok("config", f"no file: there is none at {' or '.join(map(plain, usual))}")


def of_environment(settings: Settings) -> Check:
    """Return whether what libraries read by themselves can be used: certificates, proxy, logins."""
    try:
        odd = check_files(trust_env=settings.trust_env)
        proxy = find_proxy(next(iter(settings.origins.values()))) if settings.trust_env else None
    except UsageError as error:
        return failed(
            "environment", str(error), "mend the variable that is named, or unset it", exit_code=NOTHING_REQUESTED
        )
    if odd:
        return warning("environment", "; ".join(odd), "mend the file, or go on without logins")
    if proxy is not None:
        return ok("environment", f"requests go through the proxy {proxy.place}, which {proxy.variable} names")
    return ok("environment", "no proxy" if settings.trust_env else "proxies and .netrc are not heeded: no --trust-env")


def of_client(client: str, *, trust_env: bool) -> Check:
    """Return which HTTP client requests go by; the slower one is worth a word where nobody asked for it."""
    if trust_env or works_here():
        return ok("transport", client)
    return warning("transport", f"{client}: slower", "install a release that is known: pip install 'aiohttp==3.14.*'")


def _told(name: str, settings: Settings) -> str:
    value = getattr(settings, name)
    if value == inf:
        return "unlimited"
    if OPTIONS[name].parse is parse_duration:
        return duration(value)
    if isinstance(value, tuple):
        return ",".join(one.code if isinstance(one, Region) else plain(str(one)) for one in value)
    return plain(f"{value:g}" if isinstance(value, float) else str(value))
