"""What the commands of a fleet have in common: options, and what may follow from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from crawler.cli.options import crawl_options
from crawler.settings.table import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

_Function = TypeVar("_Function", bound="Callable[..., Any]")
_OF_OTHERS: Final = (
    *("output", "registry", "registry_file"),  # of streams
    *("account", "profile", "retry_failed", "resume", "resume_within"),  # follow from account and run
    *("ping", "metrics_file"),  # of one account
)
TASK_OPTIONS: Final = tuple(name for name in OPTIONS if name not in _OF_OTHERS)
"""Options of a snapshot that make sense for each account of a fleet."""


def task_options(function: _Function) -> _Function:
    """Add what a task can be told."""
    for add in reversed(
        (
            click.option("--retry-failed", is_flag=True, help="Fetch what the snapshots of this run lack."),
            crawl_options(*TASK_OPTIONS),
        )
    ):
        function = add(function)
    return function


def run_id_option(function: _Function) -> _Function:
    """Add ``--run-id``."""
    return click.option("--run-id", metavar="ID", required=True, help="What this run of the fleet is called.")(function)
