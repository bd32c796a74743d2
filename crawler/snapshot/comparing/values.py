r"""Whether two JSON texts mean the same value: spelling aside, and without rounding a number.

1 is 1.0 and 1e0, ``é`` is ``\u00e9``, an object's fields may come in any order at any depth, and of a key twice the
last counts. The order of a list counts, and so does the kind: 1, "1" and true are three values. Costs O(n log n) for n
bytes, and no recursion.
"""

from __future__ import annotations

import hashlib
import json
import re
from decimal import Decimal, localcontext

_TOKEN = re.compile(rb'[{}\[\]]|"(?:[^"\\]++|\\.)*+"|[^\s,:{}\[\]"]++', re.DOTALL)
_NUMBER = re.compile(rb"(-?)([0-9]++)(?:\.([0-9]++))?(?:[eE]([-+]?[0-9]++))?")
_TEXT = json.JSONDecoder(strict=False)


def mean_the_same(one: bytes, other: bytes) -> bool:
    """Tell whether two texts, each of which is one JSON value, differ in their spelling at most."""
    if one == other:
        return True
    if (one.isdigit() and other.isdigit()) or (one[:1] == other[:1] == b'"' and b"\\" not in one + other):
        return False  # these have one spelling each, and they are most of what changes
    return _meaning(one) == _meaning(other)


def _meaning(text: bytes) -> bytes:
    """Return bytes that are the same for texts of one meaning, and for no others."""
    open_containers: list[list[bytes]] = [[]]
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in (b"{", b"["):
            open_containers.append([])
        elif token in (b"}", b"]"):
            items = open_containers.pop()
            open_containers[-1].append(_of_list(items) if token == b"]" else _of_object(items))
        else:
            open_containers[-1].append(_of_scalar(token))
    return b"".join(open_containers[0])


def _of_list(items: list[bytes]) -> bytes:
    digest = hashlib.sha256()
    for item in items:
        digest.update(b"%d:" % len(item))  # where an item ends must not be a matter of what is in it
        digest.update(item)
    return b"[" + digest.digest()


def _of_object(items: list[bytes]) -> bytes:
    fields = sorted(dict(zip(items[::2], items[1::2], strict=True)).items())
    return b"{" + _of_list([item for field in fields for item in field])


def _of_scalar(token: bytes) -> bytes:
    if token.startswith(b'"'):
        text: str = _TEXT.decode(token.decode())
        return b'"' + text.encode(errors="surrogatepass")
    return _of_number(token) if token[:1] in b"-0123456789" else token


def _of_number(token: bytes) -> bytes:
    """Return sign, digits without zeros at either end, and the power of ten of the last one."""
    found = _NUMBER.fullmatch(token)
    assert found
    sign, whole, fraction, exponent = found.groups(b"")
    digits = (whole + fraction).lstrip(b"0")
    significant = digits.rstrip(b"0")
    if not significant:
        return b"0"
    return b"%b%be%b" % (sign, significant, _sum(exponent, len(digits) - len(significant) - len(fraction)))


def _sum(exponent: bytes, shift: int) -> bytes:
    """Add a few to an exponent, which may have any number of digits; int() takes 4,300."""
    if len(exponent) < 1000:
        return b"%d" % (int(exponent or 0) + shift)
    with localcontext() as context:
        context.prec = len(exponent) + 20
        return str(Decimal(exponent.decode()) + shift).encode()
