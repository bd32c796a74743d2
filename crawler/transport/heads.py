"""Look at the head of an answer that a strict parser refused: mend what is harmless, or name what is not. Pure.

Harmless is what leaves no doubt where the answer ends: a header that should come once and comes twice, one that is
folded over lines (obs-fold, RFC 9112 section 5.2), control characters in a value. What has to do with the framing is
never mended: two lengths, a length beside a transfer encoding, a bare line feed, a NUL.
"""

from __future__ import annotations

import re
from typing import Final

MOST_HEADERS: Final = 128
LONGEST_LINE: Final = 8190
"""Bytes; both are aiohttp's limits."""
LONGEST_HEAD: Final = 64 * 1024
_LONGEST_NAME = 40

_END = b"\r\n\r\n"
_FRAMING = (b"content-length", b"transfer-encoding")
_ONCE = frozenset(
    (b"content-location", b"content-range", b"content-type", b"etag", b"host", b"max-forwards", b"server",
     b"user-agent")
)  # fmt: skip
"""Headers beside those of the framing that aiohttp's strict parser takes once only."""
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] [1-9]\d\d(?: .*)?", re.DOTALL)
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Fault(str):
    """What about an answer was not proper HTTP, as the end of a sentence."""

    __slots__ = ()


IN_ITS_CHUNKS: Final = Fault("in its chunks")


class ImproperError(Exception):
    """A head with a fault that is not mended."""

    def __init__(self, fault: str) -> None:
        self.fault = Fault(fault)
        super().__init__(fault)


def mend(data: bytes) -> bytes | None:
    """Return what came of an answer with its head made acceptable; None while more of the head is needed to tell.

    Args:
        data: from the first byte of the head on; interim answers (1xx) may stand before it.

    Raises:
        ImproperError: the head has a fault, or there is nothing to be mended.
    """
    done, changed = b"", False
    while True:
        head, end, rest = data.partition(_END)
        lines = head.split(b"\r\n")
        mended = _mend_lines(lines, is_whole=bool(end))
        changed = changed or mended != lines
        if not end:
            if not (changed or _may_be_mended(lines[-1])) or len(head) > LONGEST_HEAD:
                raise ImproperError("")
            return None
        done += b"\r\n".join(mended) + _END
        if not (lines[0][9:10] == b"1" and rest):
            break
        data = rest
    if not changed:
        raise ImproperError(IN_ITS_CHUNKS if b"chunked" in head.lower() else "")
    return done + rest


def _mend_lines(lines: list[bytes], *, is_whole: bool) -> list[bytes]:
    for line in lines:
        _check_line(line)
    status, *fields = lines if is_whole else lines[:-1] or lines
    if not _STATUS_LINE.fullmatch(status):
        raise ImproperError("its first line is no status line")
    if len(fields) > MOST_HEADERS:
        raise ImproperError(f"more than {MOST_HEADERS} headers")
    kept: dict[bytes, bytes] = {}
    mended = [status]
    for line in _unfolded(fields):
        name, _, value = line.partition(b":")
        _check_field(name, value, kept)
        if name.lower() not in kept or name.lower() not in _ONCE:
            mended.append(_CONTROL.sub(b" ", line))
        kept.setdefault(name.lower(), value)
    return mended if is_whole else [*mended, *lines[len(fields) + 1 :]]


def _may_be_mended(begun: bytes) -> bool:
    """Whether a line whose end has not come yet is what was refused, and may be harmless."""
    return begun.startswith((b" ", b"\t")) or bool(_CONTROL.search(begun))


def _check_line(line: bytes) -> None:
    """Refuse what parsers do not agree about where it ends, and what is too long."""
    for byte, what in ((b"\n", "a bare line feed"), (b"\r", "a bare carriage return"), (b"\0", "a NUL")):
        if byte in line.removesuffix(b"\r"):
            raise ImproperError(f"{what} in {_shown(line)}")
    if len(line) > LONGEST_LINE:
        raise ImproperError(f"{_shown(line)} is longer than {LONGEST_LINE} bytes")


def _unfolded(fields: list[bytes]) -> list[bytes]:
    """Return fields with what was folded on one line."""
    unfolded: list[bytes] = []
    for line in fields:
        if not line.startswith((b" ", b"\t")):
            unfolded.append(line)
            continue
        if not unfolded or not line.strip(b" \t"):
            raise ImproperError("a line of blanks, or one that begins with some, where none may be")
        if unfolded[-1].partition(b":")[0].strip().lower() in _FRAMING:
            raise ImproperError(f"{_shown(unfolded[-1])} is folded")
        unfolded[-1] += b" " + line.strip(b" \t")
    return unfolded


def _check_field(name: bytes, value: bytes, others: dict[bytes, bytes]) -> None:
    if not _TOKEN.fullmatch(name):
        is_blank = _TOKEN.fullmatch(name.strip(b" \t"))
        raise ImproperError(f"a blank before the colon of {_shown(name)}" if is_blank else "a header that is none")
    if name.lower() not in _FRAMING:
        return
    if name.lower() in others:
        raise ImproperError(f"{_shown(name)} comes twice")
    if any(other in others for other in _FRAMING):
        raise ImproperError("Content-Length beside Transfer-Encoding")
    if name.lower() == b"content-length" and not re.fullmatch(rb"[ \t]*\d+[ \t]*", value):
        raise ImproperError(f"{_shown(name)} is no number")
    if _CONTROL.search(value):
        raise ImproperError(f"a control character in {_shown(name)}")


def _shown(line: bytes) -> str:
    """Return the name of a header for people."""
    name = re.match(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", line)
    return name[0][:_LONGEST_NAME].decode() if name and not line.startswith(b"HTTP/") else "its head"
