"""Which registries the user named, on the command line and in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.core.errors import ConfigurationError
from crawler.core.lifetime import ends_s
from crawler.core.patterns import Patterns
from crawler.engine.spec import NamedRegistry
from crawler.settings.registry_file import read_registry_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crawler.settings.loading import Settings

_MOST_PROBLEMS = 20


def named_registries(settings: Settings) -> list[NamedRegistry] | None:
    """Return the registries that arguments and --registry-file name, each once; None where every one is meant.

    Raises:
        ConfigurationError: the file cannot be read, holds what cannot be a registry, or one is excluded.
    """
    names = list(settings.registry)
    if settings.registry_file is not None:
        names += read_registry_file(settings.registry_file, settings.region, ends_s(settings.deadline))
    elif not names:
        return None
    meant = [
        NamedRegistry(region, name, anywhere=not code)
        for code, _, name in (text.rpartition("/") for text in names)
        for region in settings.region
        if code in ("", region.code)
    ]
    named: dict[tuple[str, str], NamedRegistry] = {}
    for one in meant:
        if not one.anywhere or (one.region.code, one.name) not in named:
            named[one.region.code, one.name] = one
    _refuse_excluded(named.values(), Patterns(settings.exclude))
    return list(named.values())


def _refuse_excluded(named: Iterable[NamedRegistry], excluded: Patterns) -> None:
    problems = [
        f"{one.region.code}/{one.name} is named, and excluded by --exclude {pattern}: drop one of them"
        for one in named
        if (pattern := excluded.match(one.region.code, one.name))
    ]
    if problems:
        raise ConfigurationError(problems[:_MOST_PROBLEMS])
