"""What stands in one account of the file: where its keys are, its labels, and what must not stand there: keys."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from crawler.settings.options import plain, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ACCESS, SECRET = "access_key_env", "secret_key_env"
KEY_FIELDS: Final = ("profile", ACCESS, SECRET, "command")
"""Fields that say where keys are."""
_WAYS = f"profile, {ACCESS} with {SECRET}, or command"
_CALLED_LIKE_KEYS = re.compile(r"secret|passw|token|credential|(access|private|api)[_-]?key", re.IGNORECASE)
_SHAPED = re.compile(r"ncp_iam_|(?i:ncp_iam_[a-z0-9]{16})")
_OLD_KEY = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*\d)[A-Za-z0-9+/]{20}(?:[A-Za-z0-9+/]{20})?")
"""Keys of before ``ncp_iam_``: 20 characters, or 40."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_LONGEST_WORD = 15
"""A name without an underscore that is longer may be a key."""
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}", re.ASCII)
_LONGEST_LABEL = 255


@dataclass(frozen=True, slots=True)
class KeyVariables:
    """The variables that hold an account's keys where the work is done."""

    account: str
    access: str
    secret: str


@dataclass(frozen=True, slots=True)
class KeyCommand:
    """The command that prints an account's keys where the work is done: its words, which no shell sees."""

    account: str
    words: tuple[str, ...]


def clear_keys(entry: Mapping[str, Any]) -> dict[str, str]:
    """Return a sentence for each field that holds, or is called like, a key; none shows anything of it."""
    found = {}
    for name, value in entry.items():
        is_shown = not _is_like_a_key(name)
        names, texts = _inside(value)
        if name not in KEY_FIELDS:
            names.append(name)
        if not is_shown or any(map(_is_like_a_key, (*names, *texts))) or any(map(_CALLED_LIKE_KEYS.search, names)):
            told = f"{plain(name[:60])} (not shown)" if is_shown else "a field (name not shown)"
            found[name] = f"{told}: a key in clear has no place here: say where it is instead, by {_WAYS}"
    return found


def _is_like_a_key(text: str) -> bool:
    return bool(_SHAPED.search(text) or _OLD_KEY.fullmatch(text))


def _inside(value: object) -> tuple[list[str], list[str]]:
    """Return the names and the texts in a value of TOML, however deep."""
    names: list[str] = []
    texts: list[str] = []
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            texts.append(one)
        elif isinstance(one, list):
            left += one
        elif isinstance(one, dict):
            names += one
            left += one.values()
    return names, texts


def key_place(account: str, entry: Mapping[str, Any]) -> tuple[KeyVariables | KeyCommand | None, list[str]]:
    """Return where an account has its keys, None for its profile; and what is wrong with what it says of that."""
    said = [name for name in ("profile", ACCESS, "command") if name in entry or (name == ACCESS and SECRET in entry)]
    if not said:
        return None, [f"says nothing of its keys: add {_WAYS}"]
    if len(said) > 1:
        return None, [f"has {' and '.join(said)}: its keys are in one place: drop the rest"]
    if said == ["command"]:
        return _command(account, entry["command"])
    return _variables(account, entry) if said == [ACCESS] else (None, [])


def _variables(account: str, entry: Mapping[str, Any]) -> tuple[KeyVariables | None, list[str]]:
    if missing := [name for name in (ACCESS, SECRET) if name not in entry]:
        return None, [f"has no {missing[0]}: a key has two halves: name the variable of the other one as well"]
    example = "give the name of the variable that holds the key, such as ACME_ACCESS_KEY"
    wrong = [f"{name}: the value (not shown) is no variable's name: {example}" for name in (ACCESS, SECRET)
             if not _is_variable(entry[name])]  # fmt: skip
    return (None, wrong) if wrong else (KeyVariables(account, entry[ACCESS], entry[SECRET]), [])


def _is_variable(text: object) -> bool:
    """Whether a text is a variable's name, and can hardly be a key that was put in its place."""
    return isinstance(text, str) and bool(_VARIABLE.fullmatch(text)) and ("_" in text or len(text) <= _LONGEST_WORD)


def _command(account: str, words: object) -> tuple[KeyCommand | None, list[str]]:
    """Return the command, which is looked for on PATH, or named in full: never in the current directory."""
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        return None, ['command: give a list of words, such as ["vault-keys", "acme"]: no shell takes it apart']
    if any("\0" in word for word in words) or not words[0]:
        return None, ["command: a word has a zero byte in it, or the first one is empty: give plain text"]
    if "/" in words[0] and not PurePath(words[0]).is_absolute():
        return None, [f"command: {shown(words[0])} depends on the current directory: begin it with /, or with no path"]
    return KeyCommand(account, tuple(words)), []


def labels_of(entry: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Return an account's labels, and what is wrong with them."""
    labels = entry.get("labels", {})
    if not isinstance(labels, dict):
        return {}, ['labels: give a table, such as {customer = "Acme"}']
    return labels, list(_odd_labels(labels))


def _odd_labels(labels: Mapping[str, Any]) -> Iterator[str]:
    for name, text in labels.items():
        if not _LABEL.fullmatch(name):
            yield f"labels: {shown(name)} is no label's name: give letters, digits, '.', '_' and '-', a letter first"
        elif not isinstance(text, str) or len(text) > _LONGEST_LABEL:
            yield f"labels: {name}: give a text in quotes, {_LONGEST_LABEL} characters at most"
        elif not text.isprintable():
            yield f"labels: {name}: {shown(text)} holds a control character: give plain text"
