"""What the commands of a fleet have in common: options, and what may follow from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from crawler.cli.options import crawl_options
from crawler.settings.options import option_of
from crawler.settings.table import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_Function = TypeVar("_Function", bound="Callable[..., Any]")
_OF_OTHERS: Final = (
    *("output", "registry", "registry_file"),  # of streams
    *("account", "profile", "retry_failed", "resume", "resume_within"),  # follow from account and run
    *("ping", "metrics_file"),  # of one account
)
TASK_OPTIONS: Final = tuple(name for name in OPTIONS if name not in _OF_OTHERS)
"""Options of a snapshot that make sense for each account of a fleet."""


NOT_OF_RUNS: Final = ("accounts",)
"""What a whole run is told otherwise."""
_OF_THIS_LOG: Final = ("accounts", "summary", "log_format", "heartbeat", "verbose", "quiet")
"""What is the run's own, and no task's."""


def task_options(*without: str) -> Callable[[_Function], _Function]:
    """Add what a task can be told, some of it left out."""
    options = crawl_options(*(name for name in TASK_OPTIONS if name not in without))
    own = (
        click.option("--retry-failed", is_flag=True, help="Fetch what the snapshots of this run lack."),
        click.option(
            "--scratch", metavar="DIR", help="With a URL: where snapshots are until sent.  [default: in /tmp]"
        ),
        click.option("--without-lease", is_flag=True, help="With a URL: nobody else crawls these accounts now."),
    )

    def decorate(function: _Function) -> _Function:
        function = options(function)
        for option in reversed(own):
            function = option(function)
        return function

    return decorate


OWN_OPTIONS: Final = ("retry_failed", "scratch", "without_lease")
"""What tasks are told besides settings."""


def own_words(own: Mapping[str, Any]) -> list[str]:
    """Return those, as words for a task."""
    words = [f"--{name.replace('_', '-')}" for name, value in own.items() if value is True]
    return [*words, *(["--scratch", own["scratch"]] if own["scratch"] else [])]


def words_of(flags: Mapping[str, Any]) -> list[str]:
    """Return the options that were given, as words for a task."""
    words: list[str] = []
    for name in ("config", *TASK_OPTIONS):
        value = flags.get(name)
        if name in _OF_THIS_LOG or value is None:
            continue
        option = option_of(name)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, bool):
                words.append(option if one else f"--no-{option[2:]}")
            else:
                words += (option, str(one))
    return words


def run_id_option(function: _Function) -> _Function:
    """Add ``--run-id``."""
    return click.option("--run-id", metavar="ID", required=True, help="What this run of the fleet is called.")(function)
