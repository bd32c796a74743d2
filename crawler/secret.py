"""A text that never shows itself: not by repr, str, format, pickle, copy or JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn


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
