"""What becomes of an account whose task has ended: it is done, or is tried again after a while. No clock, no engine."""

from __future__ import annotations

from typing import Final, NamedTuple

LATER: Final = 75
"""Somebody else is at it: no failure of this task."""
_FINAL: Final = frozenset({0, 2, 3, 4})
"""Done, or nothing that another try changes: settings, keys, quota; and what a whole run could not have."""
_MOST_TRIES: Final = 3
_FIRST_PAUSE_S: Final = 2.0
_LONGEST_PAUSE_S: Final = 60.0
_MOST_LATER: Final = 120
"""Two hours, at the longest pause."""


class TaskEnd(NamedTuple):
    """How a task ended.

    Attributes:
        code: its exit code, negative for a signal; None if whoever ran it is gone.
        said: its last words.
        is_forgotten: the engine lost its memory: no failure of this task either.
    """

    code: int | None
    said: str = ""
    is_forgotten: bool = False

    @property
    def is_for_later(self) -> bool:
        """Whether nothing speaks against trying again for long."""
        return self.code == LATER or self.is_forgotten


class Tries(NamedTuple):
    """How often an account was tried in vain: ``later`` of them because somebody else was at it."""

    failed: int = 0
    later: int = 0

    def after(self, end: TaskEnd) -> Tries:
        """Return them with another one."""
        return self._replace(later=self.later + 1) if end.is_for_later else self._replace(failed=self.failed + 1)


def pause_s(end: TaskEnd, tries: Tries) -> float | None:
    """Return after how many seconds an account is tried again; None if it is not.

    Args:
        end: how its task ended.
        tries: how often that was in vain, this one included.
    """
    if end.code in _FINAL:
        return None
    number, most = (tries.later, _MOST_LATER) if end.is_for_later else (tries.failed, _MOST_TRIES)
    if number >= most:
        return None
    return float(min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(number - 1, 10)))


def share_code(codes: list[int | None]) -> int:
    """Return the exit code for several accounts: what another try may mend comes first, then what it will not."""
    again = [1 if code is None or code < 0 else code for code in codes if code not in _FINAL]
    return (
        max(again, default=0) or max((code for code in codes if code in (2, 4)), default=0) or (3 if 3 in codes else 0)
    )
