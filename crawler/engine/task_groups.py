"""What comes out of a task group: the first of our own errors by itself; anything else in it is a bug."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from crawler.core.errors import NcrawlError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def one_error() -> Iterator[None]:
    """Let the first of our own errors out of a task group by itself; anything else in the group is a bug."""
    failure: NcrawlError | None = None
    try:
        yield
    except BaseExceptionGroup as group:
        ours, bugs = group.split(NcrawlError)
        if bugs is not None or ours is None:
            raise
        failure = next(_leaves(ours))
    if failure is not None:
        raise failure


def _leaves(group: BaseExceptionGroup[NcrawlError]) -> Iterator[NcrawlError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
