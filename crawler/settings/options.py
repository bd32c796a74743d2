"""What people type → values: what a setting is, and one small parser for each kind of text.

A parser takes the text as written and returns the value, or raises ValueError with a sentence that shows the text
and says what would be right. Where the text stood is for the caller to add.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, TypeVar

from crawler.api.zones import ZONES, check_registry_name
from crawler.core.errors import InvalidRegistryNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path

    from crawler.core.model import Region

_Word = TypeVar("_Word", bound=str)
PREFIX = "NCRAWL_"
MAX_RATE_PER_S = 1_000_000
MIN_RATE_PER_S = 0.001
MAX_DURATION_S = 30 * 86_400
MAX_PAGE_SIZE = 10_000
AUTO = "auto"
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_DURATION = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII)
_ACCOUNT = re.compile(r"[A-Za-z0-9._-]{1,255}")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ALL_CODES = {region.code for zone in ZONES.values() for region in zone.regions}
_SWITCH = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)

_WORDS: dict[type, str] = {
    str: "a text in quotes",
    int: "a whole number",
    float: "a number with a point",
    bool: "true or false",
    list: "a list of texts",
    dict: "a table",
}


class Arity(Enum):
    """How often a setting may be given, and how the command line spells it."""

    VALUE = auto()  # --name VALUE
    SWITCH = auto()  # --name / --no-name
    COUNT = auto()  # -v, -vv
    LIST = auto()  # --name A --name B, or A,B in one text; A,B in the environment
    ARGUMENTS = auto()  # A B, without an option's name; A,B in the environment


@dataclass(frozen=True, slots=True)
class Option:
    """Everything about one setting but its name: the option, the variable, the TOML key and the help follow from it.

    Attributes:
        parse: text to value; of one item where the shape is a list.
        help: one sentence, for ``--help``.
        default: what applies if nobody says anything, in words; empty where there is nothing to say.
        metavar: what stands for the value in ``--help``.
        short: a one-letter option such as ``-o``.
        types: what TOML may hold; a list's are those of its items.
        takes_one: one item may stand in TOML without a list around it.
    """

    parse: Callable[[str], object]
    help: str
    default: str = ""
    metavar: str | None = None
    short: str = ""
    types: tuple[type, ...] = (str,)
    shape: Arity = Arity.VALUE
    takes_one: bool = False

    @property
    def is_list(self) -> bool:
        """True where several values may be given."""
        return self.shape in (Arity.LIST, Arity.ARGUMENTS)


@dataclass(frozen=True, slots=True)
class RawValue:
    """What somebody wrote for a setting, item by item; where; and which types are welcome there."""

    place: str
    items: tuple[object, ...]
    types: tuple[type, ...] = (str, int, float, bool)


def parsed(option: Option, written: RawValue, problems: list[str]) -> Any:
    """Return the value of a setting, or None after noting what is wrong with it."""
    values = []
    for item in written.items:
        try:
            values.append(option.parse(_as_text(item, written.types)))
        except ValueError as error:
            problems.append(f"{written.place}: {error}")
    if len(values) < len(written.items):
        return None
    return tuple(dict.fromkeys(values)) if option.is_list else values[0]


def _as_text(item: object, types: tuple[type, ...]) -> str:
    """Return the one form that parsers know, so that a number means the same with and without quotes."""
    if type(item) not in types:
        found = (
            f"{shown(item)}, a text," if isinstance(item, str) else _WORDS.get(type(item), f"a {type(item).__name__}")
        )
        raise ValueError(f"{found} will not do: give {' or '.join(_WORDS[each] for each in types)}")
    if isinstance(item, bool):
        return str(item).lower()
    if isinstance(item, int) and abs(item) >= 10**15:
        return hex(item)  # which no parser takes; str() fails on thousands of digits
    return str(item)


def variable_of(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper()


def option_of(name: str) -> str:
    """Return the long option of a setting."""
    return "--" + name.replace("_", "-")


def shown(text: str, limit: int = 60) -> str:
    """Return ``text`` quoted for a message: safe for a terminal, and never long."""
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")


def plain(name: str | Path) -> str:
    """Return a name as it is where that is safe for a terminal, else quoted."""
    return str(name) if str(name).isprintable() else shown(str(name))


def parse_text(text: str) -> str:
    """Return a name or path as it is, unless it is empty or would garble a terminal or a system call."""
    if not text or CONTROL.search(text):
        raise ValueError(f"{shown(text)} is empty or holds a control character: give plain text")
    return text


def parse_file(text: str) -> str:
    """Return the path of a real file: ``-`` would mix something else into the data on standard output."""
    if text == "-":
        raise ValueError("'-' will not do: standard output is for data, so name a file")
    return parse_text(text)


def parse_account(text: str) -> str:
    """Return the name of an account, which may become part of paths and labels elsewhere."""
    if not _ACCOUNT.fullmatch(text) or not text.strip("."):
        raise ValueError(f"{shown(text)} is no account's name: give letters, digits, '.', '_' and '-', 255 at most")
    return text


def parse_switch(text: str) -> bool:
    """Return True or False."""
    try:
        return _SWITCH[text.lower()]
    except KeyError:
        raise ValueError(f"{shown(text)} is neither true nor false") from None


def one_of(*choices: _Word) -> Callable[[str], _Word]:
    """Make a parser that knows these words and no others, and returns them as they are in ``choices``."""

    def parse(text: str) -> _Word:
        for choice in choices:
            if choice == text:
                return choice
        raise ValueError(f"{shown(text)} is not known: give {' or '.join(choices)}")

    return parse


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Make a parser for whole numbers from ``least`` to ``most``."""

    def parse(text: str) -> int:
        number = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1
        if not least <= number <= most:
            raise ValueError(f"{shown(text)} is not a whole number from {least} to {most}")
        return number

    return parse


def parse_page_size(text: str) -> int | str:
    """Return records a page, or ``auto``."""
    if text == AUTO:
        return AUTO
    try:
        return whole_number(1, MAX_PAGE_SIZE)(text)
    except ValueError as error:
        raise ValueError(f"{error}, nor {AUTO}") from None


def parse_rate(text: str) -> float:
    """Return requests a second; ``unlimited`` is infinity."""
    if text == "unlimited":
        return math.inf
    rate_per_s = float(text) if _DECIMAL.fullmatch(text) else 0.0
    if not MIN_RATE_PER_S <= rate_per_s <= MAX_RATE_PER_S:
        raise ValueError(
            f"{shown(text)} is not a rate: give requests a second from {MIN_RATE_PER_S} to {MAX_RATE_PER_S}, "
            "such as 50 or 0.5, or 'unlimited'"
        )
    return rate_per_s


def parse_accept(text: str) -> str:
    """Return which runs may become the latest: ``complete``, ``partial``, or the largest share missing, ``5%``."""
    share = re.fullmatch(r"(\d{1,3}(?:\.\d{1,3})?)%", text, re.ASCII)
    if text in ("complete", "partial") or (share and float(share[1]) <= 100):
        return text
    raise ValueError(f"{shown(text)} is no policy: give complete, partial, or a share that may be missing such as 5%")


def parse_refresh(text: str) -> str:
    """Return which tags are fetched though nothing shows that they changed: ``all``, ``none``, or so many sevenths."""
    if text in ("all", "none") or re.fullmatch(r"[1-6]/7", text, re.ASCII):
        return text
    raise ValueError(f"{shown(text)} is no share of a night: give 1/7, or up to 6/7, or all, or none")


def parse_duration(text: str) -> float:
    """Return seconds for texts such as ``90s``, ``30m``, ``1h30m`` and ``1d``: a unit always, the largest first."""
    match = _DURATION.fullmatch(text)
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0, 0)
    total_s = days * 86_400 + hours * 3_600 + minutes * 60 + seconds
    if not 0 < total_s <= MAX_DURATION_S:
        raise ValueError(
            f"{shown(text)} is not a duration: give whole numbers with units, such as 90s, 30m, 1h30m or 1d, "
            "above zero and 30d at most"
        )
    return float(total_s)


def parse_heartbeat(text: str) -> float:
    """Return seconds as `parse_duration` does; 0 for ``off`` and ``0``."""
    try:
        return 0.0 if text in ("off", "0") else parse_duration(text)
    except ValueError as error:
        raise ValueError(f"{error}, or off") from None


def parse_registry(text: str) -> str:
    """Return ``name`` or ``region/name``; whether there is such a region is for the caller to see."""
    try:
        for part in text.split("/", 1):
            check_registry_name(part)
    except InvalidRegistryNameError as error:
        raise ValueError(f"{shown(text)}: {error}" if "/" in text else str(error)) from None
    return text


def parse_what(text: str) -> str:
    """Return ``name``, ``region/name``, or ``region/name/image``, whose image may hold slashes and anything else."""
    if text.count("/") < 2:
        return parse_registry(text)
    region, registry, image = split_what(text)
    parse_registry(f"{region}/{registry}")
    if not image:
        raise ValueError(f"{shown(text)} names no image behind the slash after {registry}")
    return text


def split_what(text: str) -> tuple[str, str, str]:
    """Return the region, the registry and the image of what was named; the first and the last may be empty."""
    region, slash, rest = text.partition("/")
    registry, _, image = rest.partition("/")
    return (region, registry, image) if slash else ("", region, "")


def outside(regions: Collection[Region], place: str, named: Iterable[str]) -> Iterator[str]:
    """Say of everything that is named with its region that this is not among those to crawl."""
    codes = [region.code for region in regions]
    for text in named:
        region = split_what(text)[0]
        if region and region not in codes:
            hint = "" if region in _ALL_CODES else "; an image is named region/registry/image"
            yield f"{place}: {shown(text)} is not in a region to be crawled: {', '.join(codes)}{hint}"
