"""What commands that do not crawl say on standard error, and take of several snapshots when one is damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from crawler.core.errors import NcrawlError, UnreadableSnapshotError
from crawler.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_LACKING = 3
_LONGEST = 1_000
"""Characters that are shown of one."""


def tell(sentence: str) -> None:
    """Say a sentence, whatever is in it."""
    click.echo(f"ncrawl: {visible(sentence, _LONGEST)}", err=True)


def each_apart(snapshots: Sequence[Path], take: Callable[[Path], object]) -> int:
    """Take snapshots one after the other, and return the exit code: what is damaged or unreadable keeps no others.

    Raises:
        NcrawlError: the only one is, or something else is wrong.
    """
    code = 0
    for one in snapshots:
        try:
            take(one)
        except NcrawlError as error:
            if len(snapshots) == 1 or not (error.exit_code == _LACKING or isinstance(error, UnreadableSnapshotError)):
                raise
            tell(str(error))
            code = _LACKING
    return code
