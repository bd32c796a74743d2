"""Patterns that stand for registries: ``region/name`` with ``*`` for any text; without a region, in any."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase, translate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_PATTERN = re.compile(r"(?:[a-z0-9*-]+/)?[A-Za-z0-9._*-]+")
_MAX_LENGTH = 300


class Patterns:
    """Some patterns, each as it was written; none stand for nothing."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.texts = tuple(texts)
        self._compiled = [(text, re.compile(translate(_with_region(text)))) for text in self.texts]

    def __bool__(self) -> bool:
        return bool(self.texts)

    def match(self, region: str, registry: str) -> str | None:
        """Return the first pattern that stands for a registry, or None. O(patterns)."""
        place = f"{region}/{registry}"
        return next((text for text, regex in self._compiled if regex.match(place)), None)


def parse_pattern(text: str) -> str:
    """Return a pattern as it is, or raise ValueError with what would be right."""
    if len(text) > _MAX_LENGTH or not _PATTERN.fullmatch(text):
        cut = text if len(text) <= 60 else text[:59] + "…"
        raise ValueError(f"{cut!r} is no pattern: give name or region/name; * stands for any text, nothing else does")
    return text


def has_region(pattern: str, codes: Collection[str]) -> bool:
    """Whether a pattern can stand for a registry in one of the regions ``codes``."""
    region = _with_region(pattern).partition("/")[0]
    return any(fnmatchcase(code, region) for code in codes)


def _with_region(pattern: str) -> str:
    return pattern if "/" in pattern else f"*/{pattern}"
