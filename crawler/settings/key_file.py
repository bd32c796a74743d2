"""The provider's own key file, ``~/.ncloud/configure``: what is in it, and who else may read it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from crawler.core.errors import CredentialsError
from crawler.output.inlets import open_at_once, read_in_time
from crawler.settings.options import plain

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_SECTION = "DEFAULT"


def read_key_file(path: Path, until_s: float) -> tuple[str, list[str]]:
    """Return the text of the key file, and warnings about who else may read it.

    Args:
        path: the file.
        until_s: monotonic time by which its end has to have come, where it is a pipe.

    Raises:
        OSError: it is not there, or may not be read.
        CredentialsError: it cannot be read, or is no text.
    """
    try:
        with os.fdopen(open_at_once(path), "rb") as file:
            status = os.fstat(file.fileno())
            text = read_in_time(file.fileno(), until_s).decode("utf-8-sig")
            return text, file_warnings(path, status, os.geteuid())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        raise
    except OSError as error:
        raise CredentialsError(f"cannot read {plain(path)}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CredentialsError(f"{plain(path)} is not UTF-8 text: save it as UTF-8") from None


def file_warnings(path: Path, status: os.stat_result, uid: int) -> list[str]:
    """Return a sentence for everything that lets others at a key file; root's files are trusted."""
    warnings = []
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        warnings.append(f"{plain(path)} holds keys and is open to others (mode {mode:04o}): chmod 600 it")
    if status.st_uid not in (uid, 0):
        warnings.append(f"{plain(path)} holds keys and belongs to another user (uid {status.st_uid}): chown it")
    return warnings


def parse_configure(text: str, place: str) -> dict[str, dict[str, str]]:
    """Return the sections of a key file; what stands before the first header is ``DEFAULT``.

    A value is everything after the first ``=``, without the blanks around it: ``=``, ``%``, ``#``, ``;`` and quotes
    are part of it. Only a line that starts with ``#`` or ``;`` is a comment. Nothing is inherited from ``DEFAULT``,
    for half a pair of one account with half of another would be the outcome. An empty value counts as absent.
    Not configparser: it strips more than ASCII blanks off a secret, and its errors show the line.

    Raises:
        CredentialsError: a line that is neither, or a key twice in a section; shows the line's number only.
    """
    sections: dict[str, dict[str, str]] = {}
    section = DEFAULT_SECTION
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(" \t\r")
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            section = section_name(line[1:-1].strip())
            sections.setdefault(section, {})
            continue
        name, equals, value = (part.strip(" \t") for part in line.partition("="))
        name = name.lower()
        if not equals or name in sections.setdefault(section, {}):
            problem = "the same key again" if equals else "neither [section] nor key = value"
            raise CredentialsError(f"{place}:{number}: {problem} (line not shown)")
        if value:
            sections[section][name] = value
    return sections


def section_name(name: str) -> str:
    """Return how a section is called here: ``DEFAULT`` in any spelling is one."""
    return DEFAULT_SECTION if name.upper() == DEFAULT_SECTION else name
