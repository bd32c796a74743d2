"""Halves of surrogate pairs, which JSON's grammar allows and no fast decoder accepts, are lent a private code point."""

from __future__ import annotations

import re

_PAIR_OR_HALF = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a surrogate pair: kept
    rb"|\\u([dD])([89a-fA-F][0-9a-fA-F]{2})"  # half of one: the only groups
    rb"|\\."
)
_STAND_IN = re.compile(rb"\\u([eE])([89a-fA-F][0-9a-fA-F]{2})|\\.")
_STAND_IN_CHARACTER = re.compile("[\ue800-\uefff]")


def has_halves(body: bytes) -> bool:
    """Whether some half of a pair stands alone."""
    return any(match[1] for match in _PAIR_OR_HALF.finditer(body))


def has_stand_ins(body: bytes) -> bool:
    """Whether a body uses what halves would be lent, U+E800 to U+EFFF, itself."""
    return bool(_STAND_IN_CHARACTER.search(body.decode())) or any(match[1] for match in _STAND_IN.finditer(body))


def lend(body: bytes) -> bytes:
    """Return a body in which each half is a private code point: U+D800 becomes U+E800."""
    return _PAIR_OR_HALF.sub(_lend, body)


def give_back(record: bytes) -> bytes:
    """Return a record, still escaped, with its halves."""
    return _STAND_IN.sub(_give_back, record)


def given_back(name: str) -> str:
    """Return a text with its halves."""
    return _STAND_IN_CHARACTER.sub(lambda found: chr(ord(found[0]) - 0x1000), name)


def _lend(match: re.Match[bytes]) -> bytes:
    return match[0] if match[1] is None else b"\\u" + (b"E" if match[1] == b"D" else b"e") + match[2]


def _give_back(match: re.Match[bytes]) -> bytes:
    return match[0] if match[1] is None else b"\\u" + (b"D" if match[1] == b"E" else b"d") + match[2]
