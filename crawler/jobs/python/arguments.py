"""What a Python caller hands to the jobs: arguments become settings and a caller."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from crawler.jobs.caller import Caller, providers_chain, unobserved
from crawler.jobs.python.client import Client
from crawler.jobs.python.keys import source_of
from crawler.jobs.snapshot.job import check_order, snapshot
from crawler.settings.calling import given_settings

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.jobs.snapshot.result import SnapshotResult

NIGHT_S = 3600.0
"""How long a snapshot may take where nobody says."""


def client_of(arguments: dict[str, Any]) -> Client:
    """Return a client for the arguments of `crawler.connect`.

    Raises:
        UsageError: they cannot be used; carries every problem.
    """
    caller, timeout_s = _caller(arguments), arguments.pop("timeout", None)
    return Client(given_settings(arguments, timeout_s=timeout_s), caller)


async def take_snapshot(folder: Path, run_id: str | None, arguments: dict[str, Any]) -> SnapshotResult:
    """Take a snapshot with the arguments of `crawler.take_snapshot`."""
    caller = _caller(arguments)
    timeout_s = arguments.pop("timeout", None)
    settings = given_settings(arguments, timeout_s=NIGHT_S if timeout_s is None else timeout_s)
    check_order(folder, settings, caller.observe)
    return await snapshot(folder, settings, caller, run_id=run_id)


def _caller(arguments: dict[str, Any]) -> Caller:
    keys, observe = (arguments.pop(name, None) for name in ("keys", "observe"))
    return Caller(
        find_keys=providers_chain(os.environ) if keys is None else source_of(keys),
        observe=observe or unobserved,
    )
