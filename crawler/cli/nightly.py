"""Run the snapshot job for `ncrawl snapshot`, and say how to go on after an interruption."""

from __future__ import annotations

import os
import shlex
import string
from typing import TYPE_CHECKING

from crawler.cli.crawling import calling
from crawler.cli.hardening import forbid_dumps
from crawler.cli.limits import within_limits
from crawler.cli.logs import configure_logging
from crawler.cli.reporting import reported
from crawler.cli.signals import run
from crawler.cli.telling import teller
from crawler.core.text import visible
from crawler.jobs.snapshot.job import check_order, snapshot
from crawler.settings.options import option_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from crawler.cli.reporting import Report
    from crawler.settings.table import Settings

HINTED_OPTIONS = (
    *(
        "config",
        "profile",
        "accounts",
        "account",
        "api",
        "gateway",
        "allow_gateway",
        "trust_env",
        "summary",
        "metrics_file",
        "push",
    ),
)
"""Options that whoever takes a run up has to give again: they lead to keys and files, so a folder must not."""

_PLAIN = f"{string.ascii_letters}{string.digits}/._-"
_ALL_OF_IT = 1_000_000


def snapshot_command(folder: Path, settings: Settings, flags: Mapping[str, object]) -> int:
    """Take a snapshot below ``folder`` and return the exit code.

    Args:
        folder: where to.
        settings: what was asked for.
        flags: what the command line gave, by key: whoever is told how to go on needs some of it again.
    """
    configure_logging(settings, is_of_run=True)
    forbid_dumps()
    hint = hint_to_go_on(folder, flags)
    return reported(settings, lambda report: _run(folder, settings, report, hint=hint), folder)


def _run(folder: Path, settings: Settings, report: Report, *, hint: str) -> int:
    check_order(folder, settings, teller(settings))
    settings = within_limits(settings)

    async def take() -> int:
        return (await snapshot(folder, settings, calling(settings, report, hint=hint))).exit_code

    return run(take, when_stopped=hint)


def hint_to_go_on(folder: Path, flags: Mapping[str, object]) -> str:
    """Return what to do after an interruption: a command to be pasted into a shell as it is.

    Args:
        folder: as the user named it.
        flags: what the command line gave, by key.
    """
    place = f"./{folder}" if str(folder).startswith("-") else str(folder)
    words = ["ncrawl", "snapshot", place, "--resume"]
    for name in HINTED_OPTIONS:
        value = flags.get(name)
        for one in value if isinstance(value, tuple) else (value,):
            if one is True:
                words.append(option_of(name))
            elif isinstance(one, str):
                words += (option_of(name), one)
    return f"run `{' '.join(map(_quoted, words))}` to go on"


def _quoted(word: str) -> str:
    """Quote a word for a shell: what could not be shown as it is in the way that bash, zsh and POSIX 2024 know."""
    if visible(word, _ALL_OF_IT) == word:
        return shlex.quote(word)
    shown = (chr(byte) if chr(byte) in _PLAIN else f"\\x{byte:02x}" for byte in os.fsencode(word))
    return f"$'{''.join(shown)}'"
