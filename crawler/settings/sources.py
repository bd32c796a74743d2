"""Where settings are written: on the command line, in the environment, and in one TOML file.

The file decides where signed requests go and which files are overwritten. So it is never looked for in the current
directory, and none is read that somebody else can write.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from crawler.core.secret import without_secrets
from crawler.output.inlets import open_at_once, read_in_time
from crawler.settings.options import PREFIX, Arity, Option, RawValue, option_of, plain, variable_of
from crawler.settings.trust import who_else_writes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SYSTEM_CONFIG = Path("/etc/ncrawl/ncrawl.toml")
CONFIG_NAME = "ncrawl.toml"
# Kubernetes puts them there for every service of the namespace that is called ncrawl, or ncrawl-something.
_SERVICE_VARIABLE = re.compile(r"(?:.+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_.+)?|PORT(?:_.+)?)", re.ASCII)
_KEYS_BELONG = "keys belong into NCLOUD_ACCESS_KEY_ID and NCLOUD_SECRET_ACCESS_KEY, or into ~/.ncloud/configure"


@dataclass(slots=True)
class Notes:
    """What there is to say of what was written: problems, which end the run, and warnings, which do not."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def config_home(environ: Mapping[str, str]) -> Path | None:
    """Return the user's configuration directory: ``XDG_CONFIG_HOME`` if absolute, as its standard says.

    None where nobody knows: without a home, or with a relative one, it would be below the current directory.
    """
    named = environ.get("XDG_CONFIG_HOME", "")
    path = Path(named if named.startswith("/") else os.path.expanduser("~/.config"))  # noqa: PTH111 - never raises
    return path if path.is_absolute() else None


def read_config(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    *,
    cwd: Path,
    usual: Iterable[Path],
    until_s: float,
    notes: Notes,
) -> tuple[Path, dict[str, object]]:
    """Return the path and the content of the file that counts: the one that was named, else the first usual one.

    An empty path where there is none.

    Args:
        flags: as in `load_settings`.
        environ: likewise.
        cwd: what a relative path starts from.
        usual: where a file may be if none is named.
        until_s: monotonic time by which a pipe in its place has to have come to its end.
        notes: takes what is wrong.
    """
    variable = variable_of("config")
    for place, name in (("--config", flags.get("config")), (variable, environ.get(variable) or None)):
        if name is not None:
            path = cwd / str(name)
            return path, read_toml(path, until_s, notes, named_by=place) or {}
    usual = list(usual)
    _hint_at_current(cwd / CONFIG_NAME, usual, notes)
    for path in usual:
        table = read_toml(path, until_s, notes)
        if table is not None:
            return path, table
    return Path(), {}


def _hint_at_current(path: Path, usual: list[Path], notes: Notes) -> None:
    """Tell those who keep a file in the current directory, as many tools want it, that it does not count."""
    if os.path.lexists(path) and not any(os.path.realpath(path) == os.path.realpath(each) for each in usual):
        notes.warnings.append(
            f"./{CONFIG_NAME} is not read, for whoever can write here could choose where signed requests go: "
            f"name it with --config {CONFIG_NAME}, or move it to {plain(usual[0])}"
        )


def read_toml(path: Path, until_s: float, notes: Notes, *, named_by: str = "") -> dict[str, object] | None:
    """Return a file's content; None after noting why, unless it is absent and nobody asked for it.

    Args:
        path: the file.
        until_s: monotonic time by which its end has to have come, where it is a pipe.
        notes: takes what is wrong.
        named_by: the option or variable that names it; empty where nobody does.
    """
    place = named_by or "settings"
    try:
        with os.fdopen(open_at_once(path), "rb") as file:
            problem = who_else_writes(path, os.fstat(file.fileno()))
            content = read_in_time(file.fileno(), until_s)
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        problem = f"cannot read {plain(path)}: {error.strerror}"
        if named_by:
            notes.problems.append(f"{place}: {problem}")
        elif isinstance(error, PermissionError):
            notes.warnings.append(f"{problem}; going on without its settings")
        return None
    except OSError as error:
        notes.problems.append(f"{place}: cannot read {plain(path)}: {error.strerror}")
        return {}
    if problem:
        danger = "whoever can write it chooses where signed requests go"
        notes.problems.append(f"{place}: {plain(path)} is not safe, for {danger}: {problem}")
        return {}
    return _parse_toml(path, content, notes)


def _parse_toml(path: Path, content: bytes, notes: Notes) -> dict[str, object]:
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else without_secrets(str(error))
        notes.problems.append(f"{plain(path)}: not valid TOML: {reason}")
    return {}


def written_settings(
    options: Mapping[str, Option],
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    *,
    file: Mapping[str, object],
    path: Path,
) -> dict[str, RawValue]:
    """Return for every setting that somebody gave what takes effect: flag before variable before file."""
    found: dict[str, RawValue] = {}
    for name, option in options.items():
        written = _in_flags(name, option, flags) or _in_environment(name, option, environ)
        if written := written or in_file(name, option, f"{plain(path)}: {name}", table=file):
            found[name] = written
    return found


def _in_flags(name: str, option: Option, flags: Mapping[str, object]) -> RawValue | None:
    value = flags.get(name)
    if value is None or value == ():
        return None
    place = option.metavar if option.shape is Arity.ARGUMENTS and option.metavar else option_of(name)
    values = value if isinstance(value, tuple) else (value,)
    if option.shape is Arity.LIST:
        values = tuple(part.strip() for text in values for part in str(text).split(","))
    return RawValue(place, values)


def _in_environment(name: str, option: Option, environ: Mapping[str, str]) -> RawValue | None:
    text = environ.get(variable_of(name))
    if not text:
        return None
    return RawValue(variable_of(name), tuple(map(str.strip, text.split(","))) if option.is_list else (text,))


def in_file(name: str, option: Option, place: str, *, table: Mapping[str, object]) -> RawValue | None:
    """Return what a table of TOML says under ``name``, which may be an account's own name for a setting; or None."""
    if name not in table:
        return None
    value = table[name]
    if option.is_list and isinstance(value, list):
        return RawValue(place, tuple(value), option.types)
    return RawValue(place, (value,), (list,) if option.is_list and not option.takes_one else option.types)


def unknown_settings(
    options: Mapping[str, Option], environ: Mapping[str, str], file: Mapping[str, object], *, path: Path
) -> Iterator[str]:
    """Say of every unknown name which one may have been meant; values are not shown, for they may be secrets.

    All settings are named once, for those names that are like none of them.
    """
    lost: list[str] = []
    variables = [name for name, text in environ.items() if text and name.startswith(PREFIX)]
    strangers = [(f"{plain(path)}: ", name) for name in file if name not in options]
    strangers += [("", name) for name in sorted(variables) if _is_unknown_variable(name, options)]
    for place, name in strangers:
        hint = _hint(name, options, is_variable=not place)
        if hint:
            yield f"{place}{plain(name[:60])}: no such key: {hint}"
        else:
            lost.append(f"{place}{plain(name[:60])}")
    if lost:
        shown = ", ".join(lost[:20]) + (f" and {len(lost) - 20:,} more" if len(lost) > 20 else "")
        yield f"{shown}: no such key: there are {', '.join(options)}; {PREFIX}<KEY> as variables"


def _is_unknown_variable(name: str, options: Mapping[str, Option]) -> bool:
    known = {variable_of(each) for each in (*options, "config")}
    return name not in known and not _SERVICE_VARIABLE.fullmatch(name.removeprefix(PREFIX))


def _hint(name: str, options: Mapping[str, Option], *, is_variable: bool) -> str:
    """Return what may have been meant by a name that is no setting's; empty where nothing is like it."""
    folded = name.lower().replace("-", "_").removeprefix(PREFIX.lower())
    if "secret" in folded or "access_key" in folded:
        return _KEYS_BELONG
    close = get_close_matches(folded, (*options, "config") if is_variable else options, n=1)
    return f"did you mean {variable_of(close[0]) if is_variable else close[0]}?" if close else ""
