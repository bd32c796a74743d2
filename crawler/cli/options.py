"""The options of every command, made from the keys of the settings; click neither converts nor validates."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from crawler.cli.completing import complete_file, completer_of
from crawler.settings.loading import load_settings
from crawler.settings.options import Arity, option_of, variable_of
from crawler.settings.sources import SYSTEM_CONFIG, config_home
from crawler.settings.table import OPTIONS, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crawler.settings.options import Option

GROUPS = {
    "What": (
        *("region", "registry", "registry_file", "exclude", "expect_gap", "level", "accounts", "account", "profile"),
        *("zone", "gateway", "allow_gateway", "trust_env", "api"),
    ),
    "Limits": ("rate", "region_rate", "concurrency", "page_size", "deadline"),
    "Proof": ("verify", "retry_failed", "reuse", "refresh", "accept", "resume", "resume_within"),
    "Output": ("output", "compress", "summary", "metrics_file", "ping", "keep", "keep_days", "push"),
    "Logs": ("log_format", "heartbeat", "verbose", "quiet"),
}
"""Headings of ``--help``, and the keys below each, in their order."""

_Function = TypeVar("_Function", bound="Callable[..., Any]")
_FORMS: dict[Arity, dict[str, Any]] = {
    Arity.VALUE: {},
    Arity.SWITCH: {"is_flag": True},
    Arity.COUNT: {"count": True},
    Arity.LIST: {"multiple": True},
}


class GroupedCommand(click.Command):
    """A command whose help has its options under the headings of `GROUPS`, its own under ``Options``."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, a heading at a time; a heading without any is left out."""
        options = [one for one in self.get_params(ctx) if isinstance(one, click.Option)]
        records = {one.name: record for one in options if (record := one.get_help_record(ctx))}
        sections = {heading: [records.pop(key) for key in keys if key in records] for heading, keys in GROUPS.items()}
        for heading, found in (sections | {"Options": list(records.values())}).items():
            if found:
                with formatter.section(heading):
                    formatter.write_dl(found)


def crawl_options(*names: str, **defaults: str) -> Callable[[_Function], _Function]:
    """Add ``--config`` and the options of the named settings, or of all; an option that is not given is None or ().

    Args:
        names: settings.
        defaults: what the help gives as a setting's default where the command has one of its own.

    Raises:
        KeyError: there is no such setting.
    """
    decorators = [_option(name, OPTIONS[name], defaults.get(name, OPTIONS[name].default)) for name in names or OPTIONS]
    decorators.append(
        click.option(
            "--config",
            metavar="FILE",
            shell_complete=complete_file,
            help="TOML file with settings.  "
            f"[NCRAWL_CONFIG; default: ncrawl/ncrawl.toml in your configuration directory, then {SYSTEM_CONFIG}]",
        )
    )

    def decorate(function: _Function) -> _Function:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def settings_from(flags: Mapping[str, object], *, is_of_run: bool = False) -> Settings:
    """Return the settings of a run from a command's parameters, this process's environment and the TOML file.

    What is odd in them is logged.

    Args:
        flags: the command's parameters.
        is_of_run: the command is a run, whose log has a time in each line where it is no terminal's.

    Raises:
        ConfigurationError: they cannot be used; carries every problem.
    """
    warnings: list[str] = []
    home = config_home(os.environ)
    settings = load_settings(flags, os.environ, cwd=Path(), config_home=home, warnings=warnings)
    if warnings:
        from crawler.cli.logs import configure_logging, log  # noqa: PLC0415 - `--help` should not wait for it

        configure_logging(settings, is_of_run=is_of_run)
        for warning in warnings:
            log.warning(warning)
    return settings


def _option(name: str, setting: Option, default: str) -> Callable[[_Function], _Function]:
    if setting.shape is Arity.ARGUMENTS:
        return click.argument(name, nargs=-1, metavar=f"[{setting.metavar}]...")
    option = option_of(name)
    spelling = f"{option}/--no-{option[2:]}" if setting.shape is Arity.SWITCH else option
    told = f"; default: {default}" if default else ""
    return click.option(
        *filter(None, (setting.short, spelling)),
        default=None,
        metavar=setting.metavar,
        shell_complete=completer_of(name, setting),
        help=f"{setting.help}  [{variable_of(name)}{told}]",
        **_FORMS[setting.shape],
    )
