"""Where to begin: which registries and images the user named, as arguments and in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.api.collections import IMAGES, TAGS
from crawler.core.errors import ConfigurationError
from crawler.core.patterns import Patterns
from crawler.engine.spec import Root
from crawler.settings.options import shown, split_what
from crawler.settings.registry_file import read_registry_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from crawler.core.collection import Collection as Level
    from crawler.core.model import Region
    from crawler.settings.table import Settings

_MOST_PROBLEMS = 20


def named_roots(settings: Settings, level: Level, until_s: float) -> list[Root] | None:
    """Return the lists that arguments and --registry-file name, each once; None where every registry is meant.

    Args:
        settings: which are named, excluded, and in which regions.
        level: what is to be listed: of a single image only its tags can be.
        until_s: monotonic time by which a pipe as --registry-file has to have come to its end.

    Raises:
        ConfigurationError: the file cannot be read, holds what cannot be a registry, or one is excluded; or an image
            is named for something else than its tags.
    """
    names = list(settings.registry)
    if level is not TAGS and (images := [text for text in names if split_what(text)[2]]):
        raise ConfigurationError(
            [f"{shown(text)} names an image: `ncrawl tags` lists what is in one" for text in images[:_MOST_PROBLEMS]]
        )
    if settings.registry_file is not None:
        names += read_registry_file(settings.registry_file, settings.region, until_s)
    elif not names:
        return None
    named: dict[tuple[str, ...], Root] = {}
    for one in _meant(names, settings.region):
        if not one.anywhere or (one.region.code, *one.within) not in named:
            named[one.region.code, *one.within] = one
    _refuse_excluded(named.values(), Patterns(settings.exclude))
    return list(named.values())


def _meant(names: Iterable[str], regions: Collection[Region]) -> Iterator[Root]:
    for code, registry, image in map(split_what, names):
        collection, within = (TAGS, (registry, image)) if image else (IMAGES, (registry,))
        yield from (Root(one, collection, within, anywhere=not code) for one in regions if code in ("", one.code))


def _refuse_excluded(named: Iterable[Root], excluded: Patterns) -> None:
    problems = [
        f"{one.region.code}/{one.within[0]} is named, and excluded by --exclude {pattern}: drop one of them"
        for one in named
        if (pattern := excluded.match(one.region.code, one.within[0]))
    ]
    if problems:
        raise ConfigurationError(problems[:_MOST_PROBLEMS])
