"""The registries that a user names in a file, one a line."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from crawler.core.errors import ConfigurationError
from crawler.output.inlets import read_in_time
from crawler.settings.options import outside, parse_registry, plain

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from crawler.core.model import Region

_MAX_LINES_REPORTED = 20


def read_registry_file(path: str, regions: Collection[Region], until_s: float = inf) -> tuple[str, ...]:
    """Return the registries that a file names, one a line; ``#`` starts a comment; ``-`` is standard input.

    Args:
        path: as in ``Settings.registry_file``.
        regions: those to be crawled; ``region/name`` has to be in one of them.
        until_s: monotonic time by which its end has to have come, where it is a pipe or a terminal.

    Raises:
        ConfigurationError: it cannot be read, names none, or has bad lines, each told by file and line.
    """
    place = "standard input" if path == "-" else plain(path)
    try:
        text = read_in_time(0 if path == "-" else path, until_s)
    except OSError as error:
        raise ConfigurationError([f"--registry-file: cannot read {place}: {error.strerror}"]) from None
    lines = text.decode("utf-8-sig", "backslashreplace").split("\n")
    names: dict[str, None] = {}
    problems: list[str] = []
    for number, line in enumerate(lines, 1):
        if name := line.partition("#")[0].strip(" \t\r"):
            names[name] = None
            problems += _problems(name, regions, f"{place}:{number}")
    if not names and not problems:
        problems = [f"{place}: names no registry: leave --registry-file out to list every one there is"]
    if problems:
        hidden = len(problems) - _MAX_LINES_REPORTED
        raise ConfigurationError(problems[:_MAX_LINES_REPORTED] + [f"{place}: and {hidden} more"] * (hidden > 0))
    return tuple(names)


def _problems(name: str, regions: Collection[Region], place: str) -> Iterator[str]:
    """Say of a line why it names no registry that is to be crawled, if it does not."""
    try:
        yield from outside(regions, place, [parse_registry(name)])
    except ValueError as error:
        yield f"{place}: {error}"
