"""Throw bodies at decode and write that no gateway should send: `make fuzz`, or `python tests/long/fuzz.py TIMES SEED`.

Three kinds: texts of the grammar's edge (the classes of JSONTestSuite), awkward strings (those of the Big List of
Naughty Strings) in otherwise right pages, and right pages with bytes changed. What must hold: a page or a PageError and
nothing else; every record of a page has a name or is counted as a defect; and every line is one valid JSON object on
one line, with our fields first and the record's name.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from crawler.api.collections import IMAGES
from crawler.api.records import line_prefix, lines
from crawler.api.v2 import V2
from crawler.core.errors import PageError
from crawler.core.text import escaped_for_terminal, visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.core.model import Page

PREFIX = line_prefix(IMAGES.fields, ("default", "kr", "team-a"))
START = PREFIX[:-1]

NUMBERS = (
    "0", "-0", "1", "-1", "0.0", "1.10", "1e400", "-1E-400", "1e+2", "123456789012345678901234567890",
    "18446744073709551616", "-9223372036854775809", "5e-324", "1.7976931348623157e309", "0.1e1", "-1e0", "9" * 400,
    "00", "01", "-", "+1", "-01", "1.", ".5", "1e", "1e+", "0x1", "1_000", "1,5", "NaN", "-Infinity", "Infinity",
    "1e1.5", "\\uff11", "1 000", "--1", "1-1", "0e", "2.e3", "-foo", "1eE2", "- 1",
)  # fmt: skip
STRINGS = (
    '""', '"a"', '"\\u0000"', '"\\u0041"', '"\\uD800"', '"\\uDBFF\\uDFFF"', '"\\udc00\\ud800"', '"\\/"',
    '"\\b\\f\\n\\r\\t"', '"\\ud83d\\ude00"', '"\x7f"', '"\u2028\u2029"', '"\U0010ffff"', '"\ufffe"', '"\u00e9"',
    '"\\"', '"\\x"', '"\\u12"', '"\\u00G0"', '"\x00"', '"\x1f"', '"a\nb"', '"\t"', "'a'", '"', '"abc', 'a"', '"\\u"',
    '"\\', '"\\uD800\\u"', '"\\uD800\\u1"', '"\\ud800abc"', '"\ue800"', '"\ueabc\\ud800"', '"\\ue900\\udfff"',
)  # fmt: skip
STRUCTURES = (
    "[]", "{}", "[[]]", '{"a":{}}', "[1,2]", "[1,]", "[,1]", "[1 2]", "[1", "1]", "{", "}", '{"a"}', '{"a":}', "{:1}",
    '{"a":1,}', '{"a":1 "b":2}', "{a:1}", '{"a":1,"a":2}', "[}", "{]", "[" * 200, "[" * 600 + "]" * 600,
    '{"a":' * 300 + "1" + "}" * 300, "true", "false", "null", "True", "nul", "tru", "undefined", "/**/1", "//x\n1",
    "#", "*", "\ufeff{}", "", " ", "\x0b", "\u00a0",
)  # fmt: skip
NAUGHTY = (
    "undefined", "null", "NULL", "nil", "true", "1/0", "-1e308", "NaN", "0x0", "1e1000", ",./;'[]\\-=", '<>?:"{}|_+',
    "!@#$%^&*()`~", "\x01\x02\x03\x7f", "\x80\x81\x85\x9f", "\t\x0b\x0c\x85\u00a0\u1680\u2028\u2029\u3000\ufeff",
    "\u00ad\u0600\u061c\u200b\u200e\u2066", "Ω≈ç√∫µ≤≥÷", "田中さんにあげて下さい", "사회과학원 어학연구소",
    "ﷺ", "👾 🙇 💁 🙅", "🇺🇸🇷🇺🇸",
    "\u202a\u202atest\u202c", "Ṱ̺̺̕o͞ ̷i̲̬͇̪͙n̝̗͕v̟̜̘̦", "˙ɐnbᴉlɐ", "\U0001d413\U0001d421", "<script>alert(0)</script>",
    "<IMG SRC=x onerror=alert(1)>", "1;DROP TABLE users", "' OR 1=1 -- 1", "-", "--version", "$(touch /tmp/x)",
    "`touch /tmp/x`", "%s%s%n", "{0}", "${jndi:ldap://x}", "../../../etc/passwd%00", "CON", "\x1b[31m\x1b]0;x\x07",
    "\r\nX: y", "a" * 5000, "\ud800", "\udfff\ud800", "\ue800\uefff", "\u0000", "\\u0000", "account", "region",
    "registry",
)  # fmt: skip
RIGHT = (
    b'{"count":2,"next":2,"previous":null,"results":[{"can_edit":true,"name":"nginx","pull_count":3},'
    b'{"name":"\xed\x95\x9c/x"}]}'
)
NEWLINE = b"\n"
BYTES = bytes(range(256))


def _value(chance: random.Random, depth: int = 0) -> str:
    kind = chance.random()
    if kind < 0.3:
        return chance.choice(NUMBERS)
    if kind < 0.55:
        return chance.choice(STRINGS)
    if kind < 0.75 or depth > 3:
        return chance.choice(STRUCTURES)
    inner = [_value(chance, depth + 1) for _ in range(chance.randrange(4))]
    if kind < 0.88:
        return f"[{','.join(inner)}]"
    return "{" + ",".join(f"{chance.choice(STRINGS)}:{each}" for each in inner) + "}"


def of_grammar(chance: random.Random) -> bytes:
    """Return a page with values from the edges of JSON's grammar anywhere in it."""
    name = '"x"' if chance.random() < 0.7 else _value(chance)
    record = f'{{"name":{name},{chance.choice(STRINGS)}:{_value(chance)}}}' if chance.random() < 0.8 else _value(chance)
    count, following = ("1", "null") if chance.random() < 0.7 else (_value(chance), _value(chance))
    results = f"[{record}]" if chance.random() < 0.9 else _value(chance)
    page = f'{{"count":{count},"next":{following},"results":{results}}}'
    return (page if chance.random() < 0.95 else _value(chance)).encode("utf-8", "surrogatepass")


def of_texts(chance: random.Random) -> bytes:
    """Return a page as JSON libraries write it, whose keys and values are awkward texts."""

    def text() -> str:
        return "".join(chance.choice(NAUGHTY) for _ in range(chance.choice((1, 1, 2))))

    records: list[dict[str, Any]] = [
        {"name": text(), text(): text(), "x": [text(), {text(): None}]} for _ in range(chance.randrange(4))
    ]
    page = {"count": len(records), "next": None, "results": records}
    made = json.dumps(page, ensure_ascii=chance.random() < 0.5, indent=chance.choice((None, None, 1)))
    return made.encode("utf-8", "surrogatepass")


def of_bytes(chance: random.Random) -> bytes:
    """Return a right page with some bytes changed, left out, doubled or put in."""
    page = bytearray(RIGHT)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        at = chance.randrange(len(page))
        match chance.randrange(4):
            case 0:
                page[at] = chance.choice(BYTES)
            case 1:
                del page[at : at + chance.randrange(9)]
            case 2:
                page[at:at] = page[at : at + chance.randrange(40)]
            case _:
                page[at:at] = chance.choice((*STRINGS, *NUMBERS, *STRUCTURES)).encode("utf-8", "surrogatepass")
        if not page:
            break
    return bytes(page)


KINDS: tuple[Callable[[random.Random], bytes], ...] = (of_grammar, of_texts, of_bytes)


def wrong(body: bytes) -> str | None:
    """Decode a body and write its lines; return what is wrong with them, or None."""
    V2.decode_error(body)
    try:
        page = V2.decode(body, IMAGES, 1)
    except PageError as error:
        shown = visible(str(error))
        return None if shown.isprintable() or "\n" not in shown else f"unsafe to show: {shown!r}"
    if problem := _lost(body, page):
        return problem
    written = lines(PREFIX, page.records)
    if len(page.names) != len(page.records) or written.count(b"\n") != len(page.records):
        return f"{len(page.names)} names, {len(page.records)} records, {written.count(NEWLINE)} lines"
    split = written.split(b"\n")[:-1]
    for form in (split, escaped_for_terminal(written).split(b"\n")[:-1]):
        for name, line in zip(page.names, form, strict=True):
            if problem := wrong_line(name, line):
                return problem
    return None


def _lost(body: bytes, page: Page) -> str | None:
    """Return what of a body the page lacks, as the standard library reads it."""
    try:
        results = json.loads(body.decode(), parse_constant=_refuse, parse_int=len, parse_float=len)["results"]
    except RecursionError:
        return None
    except ValueError as error:
        return f"taken for a page, and is no JSON: {error}"
    named = iter([each["name"] for each in results if isinstance(each, dict) and type(each.get("name")) is str])
    if len(page.names) + page.defects != len(results) or not all(name in named for name in page.names):
        return f"{page.names} and {page.defects} defects of {results}"
    return None


def wrong_line(name: str, line: bytes) -> str | None:
    """Return what is wrong with one line, or None."""
    if not line.startswith(START) or b"\r" in line:
        return f"not a line of ours: {line!r}"
    try:
        pairs = json.loads(line, object_pairs_hook=list, parse_constant=_refuse, parse_int=str, parse_float=str)
    except ValueError as error:
        return f"no JSON: {error}: {line!r}"
    keys = [key for key, _ in pairs]
    if keys[:3] != list(IMAGES.fields) or set(keys[3:]) & set(IMAGES.fields):
        return f"fields of ours are not first, or twice: {line!r}"
    if dict(pairs)["name"] != name:
        return f"called {name!r}: {line!r}"
    return None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def fuzz(times: int, seed: int) -> Counter[str]:
    """Try so many bodies; return how many of each kind were pages or were refused.

    Raises:
        AssertionError: something is wrong; shows the body.
    """
    chance = random.Random(seed)
    seen: Counter[str] = Counter()
    for turn in range(times):
        make = KINDS[turn % len(KINDS)]
        body = make(chance)
        problem = wrong(body)
        assert problem is None, f"{problem}\nbody: {body!r}"
        seen[make.__name__] += 1
    return seen


def main() -> None:
    """Fuzz as the command line says, and print how it went."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 2**32
    began_s = time.monotonic()
    print(f"seed {seed}", flush=True)  # noqa: T201 - a script
    seen = fuzz(times, seed)
    told = ", ".join(f"{number:,} {kind}" for kind, number in seen.items())
    print(f"{sum(seen.values()):,} bodies ({told}) in {time.monotonic() - began_s:.0f} s: no crash, no invalid line")  # noqa: T201


if __name__ == "__main__":
    main()
