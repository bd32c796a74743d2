"""Flags, environment, TOML and defaults → one frozen Settings; every problem reported at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from crawler.core.errors import ConfigurationError
from crawler.core.lifetime import ends_s
from crawler.settings.accounts import layered
from crawler.settings.contradictions import contradictions
from crawler.settings.gateways import settle_regions, settle_zone
from crawler.settings.options import (
    parsed,
    plain,
)
from crawler.settings.sources import CONFIG_NAME, SYSTEM_CONFIG, Notes, read_config, unknown_settings, written_settings
from crawler.settings.table import OPTIONS, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.settings.options import RawValue


def load_settings(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    *,
    cwd: Path,
    config_home: Path | None,
    system_config: Path = SYSTEM_CONFIG,
    warnings: list[str] | None = None,
    patience_s: float | None = None,
) -> Settings:
    """Return the settings: flag before ``NCRAWL_<KEY>`` before account before TOML file before default.

    Only the value that takes effect is looked at, but unknown names are always errors. An empty variable is not set.

    Args:
        flags: what the command line gave, by name; None and () are "not given". ``config`` names the file.
        environ: the environment.
        cwd: what a relative ``config`` starts from; no file is looked for there.
        config_home: where ``ncrawl/ncrawl.toml`` is looked for; None where there is no such place.
        system_config: the file that is read after that.
        warnings: takes a sentence for everything that is odd and no error.
        patience_s: how long a file that is a pipe is waited for, from the start of the process; None: the deadline.

    Raises:
        ConfigurationError: with a sentence for every problem: setting, place, value and what would be right.
    """
    notes = Notes(warnings=[] if warnings is None else warnings)
    problems = notes.problems
    usual = [config_home / "ncrawl" / CONFIG_NAME] if config_home else []
    until_s = ends_s(_deadline_s(flags, environ) if patience_s is None else patience_s)
    path, table = read_config(flags, environ, cwd=cwd, usual=[*usual, system_config], until_s=until_s, notes=notes)
    problems += unknown_settings(OPTIONS, environ, table, path=path)
    above = written_settings(OPTIONS, flags, environ, file={}, path=path)
    below = written_settings(OPTIONS, {}, {}, file=table, path=path)
    settings = settled(above, below, cwd=cwd, until_s=until_s, notes=notes)
    return replace(settings, places={**settings.places, **({"config": plain(path)} if path.name else {})})


def settled(
    above: Mapping[str, RawValue], below: Mapping[str, RawValue], *, cwd: Path, until_s: float, notes: Notes
) -> Settings:
    """Return the settings for what was written, wherever that was.

    Args:
        above: what comes before an account's own settings.
        below: what comes after them.
        cwd: what a relative ``accounts`` starts from.
        until_s: monotonic time by which that file, where it is a pipe, has to have come to its end.
        notes: problems that are known already.

    Raises:
        ConfigurationError: with every problem.
    """
    written, key_place = layered(OPTIONS, above, below, cwd=cwd, until_s=until_s, notes=notes)
    places = {name: found.place for name, found in written.items()}
    return replace(_checked(written, notes.problems), key_place=key_place, places=places)


def _checked(written: Mapping[str, RawValue], problems: list[str]) -> Settings:
    values = {
        name: value for name, found in written.items() if (value := parsed(OPTIONS[name], found, problems)) is not None
    }
    if not {"zone", "gateway", "api"} & (written.keys() - values.keys()):
        settle_zone(values, written, problems)
        settle_regions(values, written, problems)
    problems += contradictions(values, written)
    if problems:
        raise ConfigurationError(problems)
    return Settings(**values, given=frozenset(written))


def _deadline_s(flags: Mapping[str, object], environ: Mapping[str, str]) -> float:
    """Return the deadline that is known before the file is read: a pipe in its place is waited for no longer."""
    option = OPTIONS["deadline"]
    written = written_settings({"deadline": option}, flags, environ, file={}, path=Path())
    found: float | None = parsed(option, written["deadline"], []) if written else None
    return Settings().deadline if found is None else found
