"""The file of accounts: their names, where each has its keys, and the settings that are its own.

It says where signed requests go and what is run, so it is held to what a file of settings is held to. A key in clear is
an error, which shows nothing of it. Where the keys are found is another matter, and done elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from crawler.api.zones import ZONES
from crawler.core.secret import without_secrets
from crawler.settings.account_entry import KEY_FIELDS, clear_keys, key_place, labels_of
from crawler.settings.gateways import ALL_CODES
from crawler.settings.options import RawValue, parsed, plain, shown
from crawler.settings.sources import Notes, in_file, read_toml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from crawler.settings.account_entry import KeyCommand, KeyVariables
    from crawler.settings.options import Option

SETTINGS: Final = {
    "profile": "profile",
    "zone": "zone",
    "gateway": "gateway",
    "api": "api",
    "regions": "region",
    "rate": "rate",
    "region_rate": "region_rate",
    "exclude": "exclude",
    "expect_gap": "expect_gap",
}
"""Fields of an account that are settings, and the names of those."""
_FIELDS: Final = ("name", *KEY_FIELDS, *(name for name in SETTINGS if name not in KEY_FIELDS), "labels")
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Unpicked:
    """No account was picked: there are no keys before one is.

    Attributes:
        place: what named the file.
        names: of the accounts that there are.
    """

    place: str
    names: tuple[str, ...]


KeyPlace: TypeAlias = "KeyVariables | KeyCommand | Unpicked"
"""Where an account's keys are, unless they are in a profile."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account.

    Attributes:
        name: unique in its file; the first field of every line.
        settings: what it says of settings, by their names; its profile is one.
        key_place: where its keys are; None for the profile.
        labels: what whoever keeps the file says of it, such as a customer's name.
    """

    name: str
    settings: Mapping[str, RawValue]
    key_place: KeyVariables | KeyCommand | None
    labels: Mapping[str, str] = field(default_factory=dict)


def layered(
    options: Mapping[str, Option],
    above: Mapping[str, RawValue],
    below: Mapping[str, RawValue],
    *,
    cwd: Path,
    until_s: float,
    notes: Notes,
) -> tuple[dict[str, RawValue], KeyPlace | None]:
    """Return what takes effect, with the settings of the account that was picked between, and where its keys are.

    Args:
        options: all there are.
        above: flags and variables, or arguments: they come before what the account says. A profile there is keys of
            its own: it comes before accounts that the file of settings names, and contradicts those named here.
        below: the file of settings. Its profile is not the account's, so it does not count.
        cwd: what a relative path starts from.
        until_s: monotonic time by which a pipe in the file's place has to have come to its end.
        notes: takes what is wrong.
    """
    asked = {**below, **above}
    path = parsed(options["accounts"], asked["accounts"], []) if "accounts" in asked else None
    if path is None or ("profile" in above and "accounts" not in above):
        return _in_order(options, asked), None
    place = asked["accounts"].place
    if "profile" in above:
        problem = f"{above['profile'].place}: {place} says where each account has its keys: drop one of the two"
        notes.problems.append(problem)
    accounts = read_accounts(cwd / path, options, until_s=until_s, notes=notes, named_by=place)
    if "account" not in asked:
        return _in_order(options, asked), Unpicked(place, tuple(accounts))
    account = _picked(asked["account"], accounts, path, notes=notes)
    kept = {name: value for name, value in below.items() if name != "profile"}
    return _in_order(options, {**kept, **account.settings, **above}), account.key_place


def _in_order(options: Iterable[str], written: Mapping[str, RawValue]) -> dict[str, RawValue]:
    return {name: written[name] for name in options if name in written}


def _picked(wanted: RawValue, accounts: Mapping[str, Account], path: str, *, notes: Notes) -> Account:
    """Return the account of a name; an empty one where there is none, which is noted if the file is right otherwise."""
    name = str(wanted.items[0])
    if name in accounts:
        return accounts[name]
    if accounts:
        notes.problems.append(f"{wanted.place}: {shown(name)} is not in {plain(path)}: {_hint(name, accounts)}")
    return Account(name, {}, None)


def _hint(name: str, accounts: Mapping[str, Account]) -> str:
    close = get_close_matches(name, accounts, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {named(accounts)}"


def named(names: Iterable[str]) -> str:
    """Return names as a sentence can hold them, however many there are."""
    every = list(names)
    rest = len(every) - _MOST_NAMED
    return ", ".join(every[:_MOST_NAMED]) + (f" and {rest:,} more" if rest > 0 else "")


def read_accounts(
    path: Path, options: Mapping[str, Option], *, until_s: float, notes: Notes, named_by: str = "--accounts"
) -> dict[str, Account]:
    """Return the accounts of a file, by name, in its order; none where anything is wrong. O(size of the file).

    Args:
        path: the file.
        options: of the settings.
        until_s: monotonic time by which a pipe in its place has to have come to its end.
        notes: takes a sentence for everything that is wrong.
        named_by: the option or variable that names the file.
    """
    known = len(notes.problems)
    table = read_toml(path, until_s, notes, named_by=named_by)
    if table is None or len(notes.problems) > known:
        return {}
    reader = _Reader(plain(path), options)
    accounts = reader.read(table)
    notes.problems += map(without_secrets, reader.problems[:_MOST_NAMED])
    if (more := len(reader.problems) - _MOST_NAMED) > 0:
        notes.problems.append(f"{plain(path)}: and {more:,} more")
    return {} if reader.problems else accounts


@dataclass(slots=True)
class _Reader:
    """Takes the content of one file in.

    Mutable state: what is wrong.
    """

    path: str
    options: Mapping[str, Option]
    problems: list[str] = field(default_factory=list)

    def read(self, table: Mapping[str, Any]) -> dict[str, Account]:
        """Return the accounts by name, after noting what is wrong."""
        in_clear = clear_keys({name: value for name, value in table.items() if name != "account"})
        self.problems += (f"{self.path}: {problem}" for problem in in_clear.values())
        self.problems += (
            f"{self.path}: {plain(name[:60])}: no such key: accounts stand under [[account]]"
            for name in table
            if name != "account" and name not in in_clear
        )
        entries = table.get("account", [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self.problems.append(f"{self.path}: account is no list of tables: begin each account with [[account]]")
            return {}
        if not entries and not self.problems:
            self.problems.append(f"{self.path}: names no account: begin each with [[account]]")
        accounts: dict[str, Account] = {}
        for number, entry in enumerate(entries, 1):
            account = self._account(number, entry, accounts)
            accounts.setdefault(account.name, account)
        return accounts

    def _account(self, number: int, entry: Mapping[str, Any], others: Mapping[str, Account]) -> Account:
        in_clear = clear_keys(entry)
        entry = {name: value for name, value in entry.items() if name not in in_clear}
        place = f"{self.path}: [[account]] {number}"
        name = self._name(place, entry, others, is_hidden="name" in in_clear)
        place = f"{place} ({name})" if name else place
        self.problems += (f"{place}: {problem}" for problem in (*in_clear.values(), *_strangers(entry)))
        keys, wrong = (None, []) if in_clear else key_place(name, entry)  # what is left of it would say too little
        labels, odd = labels_of(entry)
        self.problems += (f"{place}: {problem}" for problem in (*wrong, *odd))
        return Account(name, self._settings(place, entry), keys, labels)

    def _name(self, place: str, entry: Mapping[str, Any], others: Mapping[str, Account], *, is_hidden: bool) -> str:
        written = in_file("name", self.options["account"], f"{place}: name", table=entry)
        if written is None:
            self.problems += [] if is_hidden else [f'{place}: has no name: add name = "…"']
            return ""
        name = parsed(self.options["account"], written, self.problems) or ""
        if name in others and name:
            self.problems.append(f"{place}: name: {name} is taken by an account above: give each a name of its own")
        return str(name)

    def _settings(self, place: str, entry: Mapping[str, Any]) -> dict[str, RawValue]:
        """Return what an account says of settings, each looked at by itself."""
        found: dict[str, RawValue] = {}
        values: dict[str, Any] = {}
        for name, option in SETTINGS.items():
            if written := in_file(name, self.options[option], f"{place}: {name}", table=entry):
                found[option], values[option] = written, parsed(self.options[option], written, self.problems)
        self.problems += _strange_regions(f"{place}: regions", values.get("zone"), values.get("region"))
        return found


def _strange_regions(place: str, zone: str | None, codes: Iterable[str] | None) -> Iterator[str]:
    known = [region.code for region in ZONES[zone].regions] if zone else ALL_CODES
    where = f"zone {zone}" if zone else "any zone"
    for code in codes or ():
        if code not in known:
            yield f"{place}: {shown(code)} is no region of {where}: give {', '.join(known)}"


def _strangers(entry: Iterable[str]) -> Iterator[str]:
    """Say of every field that is none which one may have been meant."""
    for name in entry:
        if name not in _FIELDS:
            option = next((one for one, other in SETTINGS.items() if other == name), None)
            close = [option] if option else get_close_matches(name.lower().replace("-", "_"), _FIELDS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(_FIELDS)}"
            yield f"{plain(name[:60])}: no such key: {hint}"
