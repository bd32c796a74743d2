"""The registries that a user names in a file, one a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.errors import ConfigurationError
from crawler.keys import outside, parse_registry, plain

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from crawler.model import Region

_MAX_LINES_REPORTED = 20


def read_registry_file(path: str, regions: Collection[Region]) -> tuple[str, ...]:
    """Return the registries that a file names, one a line; ``#`` starts a comment; ``-`` is standard input.

    Args:
        path: as in ``Settings.registry_file``.
        regions: those to be crawled; ``region/name`` has to be in one of them.

    Raises:
        ConfigurationError: it cannot be read, names none, or has bad lines, each told by file and line.
    """
    place = "standard input" if path == "-" else plain(path)
    try:
        with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
            lines = file.read().decode("utf-8-sig", "backslashreplace").split("\n")
    except OSError as error:
        raise ConfigurationError([f"--registry-file: cannot read {place}: {error.strerror}"]) from None
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
