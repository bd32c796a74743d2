"""How deep JSON may nest: a limit of the program's own, for that of Python's differs from release to release."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Final

MAX_DEPTH: Final = 250
"""Nesting that no real page has, and that JSON readers can still follow: orjson writes 254 levels, jq reads 256."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BRACKET = re.compile(rb"[\[{]|[\]}]")


def count_brackets(text: bytes) -> int:
    """Return how many brackets open in a text; `replace` goes from one to the next, `count` over every byte."""
    return len(text) - len(text.replace(b"{", b"").replace(b"[", b""))


def nests_deeper(text: bytes, limit: int = MAX_DEPTH, *, above: int = 0) -> bool:
    """Whether JSON nests deeper than ``limit``. Costs next to nothing where there are few brackets, else O(bytes).

    Args:
        text: JSON whose strings are whole.
        limit: levels that may be.
        above: levels that the text stands below.
    """
    if len(text) < 2 * (limit - above):  # every level takes two brackets
        return False
    if count_brackets(text) <= limit - above:
        return False
    brackets = _BRACKET.findall(_STRING.sub(b"", text))
    return max(accumulate((1 if bracket in b"[{" else -1 for bracket in brackets), initial=above)) > limit
