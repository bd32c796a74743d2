"""A text that never shows itself: not by repr, str, format, pickle, copy or JSON; and others' words without it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_SHOWN = 7
"""Characters of a secret in a row that may be seen: by chance they stand anywhere."""
_SHORTEST_SECRET = 4
_SHAPED = re.compile(r"ncp_iam_\w*", re.IGNORECASE)
"""What the provider's keys look like: ours or another's."""
_HIDDEN = "…"
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class Secret:
    """Holds a secret; only ``reveal()`` gives it away, so every use can be found by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied")


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Access key and secret key of a sub-account or a server role.

    Attributes:
        source: where they were found, for messages: never the keys themselves.
        expires_at_s: seconds since 1970 (UTC) after which the gateway refuses them; None for keys that stay.
    """

    access_key: Secret
    secret_key: Secret
    source: str
    expires_at_s: float | None = None


def without_secrets(text: str, secrets: Iterable[str] = ()) -> str:
    """Return ``text`` without any piece of a secret, in whatever case, nor anything that has the shape of a key.

    A piece is more than LONGEST_SHOWN characters in a row. O(characters of text and secrets).
    """
    folded = text.translate(_ASCII_LOWER)
    hidden = bytearray(len(text))
    for secret in secrets:
        size = min(LONGEST_SHOWN + 1, len(secret))
        if size < _SHORTEST_SECRET:
            continue
        pieces = {secret.translate(_ASCII_LOWER)[at : at + size] for at in range(len(secret) - size + 1)}
        for at in range(len(text) - size + 1):
            if folded[at : at + size] in pieces:
                hidden[at : at + size] = b"\1" * size
    shown = "".join("\0" if is_hidden else character for character, is_hidden in zip(text, hidden, strict=True))
    return _SHAPED.sub(_HIDDEN, re.sub("\0+", _HIDDEN, shown) if any(hidden) else text)
