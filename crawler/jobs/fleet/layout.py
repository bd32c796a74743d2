"""Where a fleet's files are: an account's snapshots in a folder of its name, what is of all of a run in `fleet/RUN`."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from crawler.core.errors import ConfigurationError, UsageError
from crawler.output.files import is_folder
from crawler.output.stores.opening import is_url, store_at
from crawler.settings.accounts import read_accounts
from crawler.settings.options import shown
from crawler.settings.sources import Notes
from crawler.settings.table import OPTIONS

if TYPE_CHECKING:
    from crawler.output.stores.interface import Store
    from crawler.settings.table import Settings

FLEET: Final = "fleet"
"""The folder of what is of all accounts: no account can have its name."""
LONGEST_RUN_ID: Final = 200
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+@=-]*", re.ASCII)


def checked_run_id(text: str) -> str:
    """Return what a run is called, which becomes the name of a folder.

    Raises:
        UsageError: it cannot.
    """
    if not _RUN_ID.fullmatch(text) or len(text) > LONGEST_RUN_ID:
        example = "give letters and digits, then also '.', '_', ':', '+', '@', '=' and '-', such as 2026-11-26"
        raise UsageError(f"--run-id: {shown(text)} cannot be a folder's name: {example}; {LONGEST_RUN_ID} at most")
    return text


def checked_account(name: str | None) -> str:
    """Return the account's name, which becomes the name of a folder.

    Raises:
        UsageError: none was picked, or the folder has another use.
    """
    if name is None:
        raise UsageError("no account is named: give one of those of --accounts FILE")
    if name == FLEET:
        raise UsageError(f"an account of a fleet cannot be called {FLEET}: that folder holds what is of all accounts")
    return name


def merged_folder(run_id: str) -> str:
    """Return the name of the folder that holds what is of all accounts of a run."""
    return f"{FLEET}/{run_id}"


def account_names(settings: Settings) -> list[str]:
    """Return the names of all accounts of --accounts, in the order of the file; none if no file is named.

    Raises:
        ConfigurationError: the file cannot be used; carries every problem.
    """
    if settings.accounts is None:
        return []
    notes = Notes()
    until_s = time.monotonic() + settings.deadline
    names = list(read_accounts(Path(settings.accounts), OPTIONS, until_s=until_s, notes=notes))
    if notes.problems:
        raise ConfigurationError(notes.problems)
    return [checked_account(name) for name in names]


def opened(place: str) -> Store:
    """Return what keeps a fleet's files.

    Raises:
        UsageError: there is no such folder, or the URL cannot be used.
    """
    if not is_url(place) and not is_folder(Path(place)):
        raise UsageError(f"{place} is no folder: make it with `mkdir -p {place}`")
    return store_at(place)
