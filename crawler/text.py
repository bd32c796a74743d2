"""Make text from elsewhere safe to show: nothing that a server says may steer a terminal or forge a log line."""

from __future__ import annotations

import re

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
    "|[\U000e0000-\U000e007f]"
)


def visible(text: str, longest: int = 300) -> str:
    """Return ``text`` with control, bidi and zero-width characters as escapes, on one line, cut to ``longest``."""
    shown = _UNSAFE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"
