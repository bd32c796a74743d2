"""Make text from elsewhere safe to show: nothing that a server says may steer a terminal or forge a log line."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

_HIDDEN = (
    "\x7f-\x9f\u00ad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
)
_UNSAFE = re.compile(f"[\x00-\x1f\ud800-\udfff{_HIDDEN}]")
_UNSAFE_IN_JSON = re.compile(f"[{_HIDDEN}]")


def escaped_for_terminal(lines: bytes) -> bytes:
    """Return JSON lines with DEL, C1, line separators, bidi and zero-width characters as escapes: the same values.

    Such characters stand inside of strings only, so an escape means the same there.
    """
    return _UNSAFE_IN_JSON.sub(_json_escape, lines.decode()).encode()


def _json_escape(found: re.Match[str]) -> str:
    return re.sub("....", r"\\u\g<0>", found[0].encode("utf-16-be").hex())


def writable(text: str) -> str:
    """Return ``text`` with halves of surrogate pairs, which UTF-8 has no bytes for, as escapes."""
    return text.encode(errors="backslashreplace").decode()


def visible(text: str, longest: int = 300) -> str:
    """Return ``text`` with control, bidi and zero-width characters as escapes, on one line, cut to ``longest``."""
    shown = _UNSAFE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def duration(seconds: float) -> str:
    """Return a time in whole seconds as options take it: ``1h30m``, ``12h``, ``0s``."""
    minutes, rest = divmod(int(seconds), 60)
    parts = ((minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "m"), (rest, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def iso(time_ms: float) -> str:
    """Return milliseconds since 1970 as ISO 8601 in UTC with ``Z``."""
    seconds, milliseconds = divmod(int(time_ms), 1000)
    return f"{_to_the_second(seconds)}.{milliseconds:03}Z"


@lru_cache(2)  # what ends in one second is told one after the other
def _to_the_second(time_s: int) -> str:
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="seconds").removesuffix("+00:00")
