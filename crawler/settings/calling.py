"""What a Python caller's arguments mean: the same settings, by the same parsers, with the same sentences."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Final

from crawler.core.errors import UsageError
from crawler.settings.loading import settled
from crawler.settings.options import MAX_DURATION_S, RawValue, shown
from crawler.settings.sources import Notes
from crawler.settings.table import OPTIONS, Settings

_OPTION_OF: Final = {"regions": "region", "expected_gaps": "expect_gap"}
"""Arguments that are called otherwise than the option."""
NOT_GIVEN: Final = (
    "config",
    "output",
    "summary",
    "metrics_file",
    "ping",
    "registry",
    "registry_file",
    "deadline",
    "resume",
    "resume_within",
)
"""Options of the command line that are no arguments."""
LOGGED: Final = ("log_format", "verbose", "quiet")


def given_settings(arguments: Mapping[str, object], *, timeout_s: float | None) -> Settings:
    """Return the settings that arguments stand for; None is not given, but for a rate, which is unlimited then.

    Args:
        arguments: by their names.
        timeout_s: what becomes of the deadline; None for none at all.

    Raises:
        UsageError: an argument is unknown, or cannot be what it is; carries every problem.
    """
    names = {name: _OPTION_OF.get(name, name) for name in arguments}
    for name, option in names.items():
        if option not in OPTIONS or option in (*NOT_GIVEN, *LOGGED):
            raise UsageError(f"{name}: there is no such argument")
    written = {names[name]: _raw(name, value) for name, value in _given(arguments)}
    if timeout_s is not None and not 0 < timeout_s <= MAX_DURATION_S:
        raise UsageError(f"timeout: {timeout_s} is no time: give seconds above 0, and {MAX_DURATION_S:,} at most")
    until_s = time.monotonic() + (Settings().deadline if timeout_s is None else timeout_s)
    settings = settled(written, {}, cwd=Path(), until_s=until_s, notes=Notes())
    if timeout_s is None:
        return replace(settings, deadline=inf)
    return replace(settings, deadline=float(timeout_s), given=settings.given | {"deadline"})


def _given(arguments: Mapping[str, object]) -> list[tuple[str, object]]:
    return [(name, value) for name, value in arguments.items() if value is not None or "rate" in name]


def _raw(name: str, value: object) -> RawValue:
    if "rate" in name:
        value = "unlimited" if value in (None, inf) else value
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    option = OPTIONS[_OPTION_OF.get(name, name)]
    if not option.is_list:
        return RawValue(name, (value,))
    if name == "gateway":
        value = _gateways(value)
    if isinstance(value, str) or not isinstance(value, (list, tuple, set, frozenset)):
        raise UsageError(f"{name}: {shown(str(value))} is no list of texts")
    return RawValue(name, tuple(value), (str,))


def _gateways(value: object) -> object:
    """Return one gateway for all regions, or by region, as the command line has them."""
    if isinstance(value, Mapping):
        return [f"{region}={origin}" for region, origin in value.items()]
    return [value] if isinstance(value, str) else value
