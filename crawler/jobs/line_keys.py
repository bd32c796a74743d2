"""What identifies a line of a data file, made from the names of its fields."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec


@cache
def key_type(names: tuple[str, ...]) -> type[Any]:
    """Return a kind of key that `parse_key` and `parse_keys` take."""
    return msgspec.defstruct("Key", [(name, str) for name in names], frozen=True, order=True, gc=False)
