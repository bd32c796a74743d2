"""Make text from elsewhere safe to show: nothing that a server says may steer a terminal or forge a log line."""

from __future__ import annotations

import re

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
    "|[\ud800-\udfff]"
    "|[\U000e0000-\U000e007f]"
)


_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def escaped_for_terminal(lines: bytes) -> bytes:
    """Return JSON lines with DEL, C1, line separators and bidi controls as escapes: the same values, harmless to show.

    Such characters stand inside of strings only, so an escape means the same there.
    """
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", lines.decode()).encode()


def writable(text: str) -> str:
    """Return ``text`` with halves of surrogate pairs, which UTF-8 has no bytes for, as escapes."""
    return text.encode(errors="backslashreplace").decode()


def visible(text: str, longest: int = 300) -> str:
    """Return ``text`` with control, bidi and zero-width characters as escapes, on one line, cut to ``longest``."""
    shown = _UNSAFE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"
