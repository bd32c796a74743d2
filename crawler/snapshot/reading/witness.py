"""What comes to light about the two sides of a diff while they are read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Witness:
    """Takes note of what is damaged, and of which fields occur.

    Args:
        ignored: names of fields whose changes are none.
        say: is told each sentence about what is damaged.
        watch: is told how many plain bytes were read, each time some were.

    Attributes:
        ignored: likewise.
        damages: how much was damaged.
    """

    most_told = 20
    """Sentences; a file that is damaged throughout has as many of them as there are registries."""

    def __init__(
        self,
        ignored: Iterable[str] = (),
        say: Callable[[str], object] = lambda _: None,
        watch: Callable[[int], object] = lambda _: None,
    ) -> None:
        self.ignored = frozenset(ignored)
        self.damages = 0
        self._say = say
        self._watch = watch
        self._unseen = {name: _spellings(name) for name in sorted(self.ignored)}
        self._has_seen = False

    @property
    def unseen(self) -> list[str]:
        """Ignored fields that no record has, if there were any records."""
        return list(self._unseen) if self._has_seen else []

    def look(self, lines: bytes) -> None:
        """Look for ignored fields in whole lines, until each has been found once."""
        self._watch(len(lines))
        self._has_seen = self._has_seen or bool(lines)
        found = [name for name, spellings in self._unseen.items() if any(text in lines for text in spellings)]
        for name in found:
            del self._unseen[name]

    def damaged(self, sentence: str) -> None:
        """Take note of something that is not what its manifest says."""
        self.damages += 1
        if self.damages <= self.most_told:
            self._say(sentence)


def _spellings(name: str) -> tuple[bytes, ...]:
    """Return how a field's name can stand in a record: as it is, or with all that is not ASCII escaped."""
    plain = json.dumps(name, ensure_ascii=False).encode(errors="backslashreplace")
    return plain, json.dumps(name).encode()
