"""A group of commands that are known by name, each imported only when it is called, so that start-up stays short."""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from crawler.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Mapping


class LazyGroup(click.Group):
    """Has the commands of a table.

    Args:
        known: what each command does, by name.
        prefix: of the names of the modules that have them.
    """

    def __init__(self, *arguments: Any, known: Mapping[str, str], prefix: str, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._known = known
        self._prefix = prefix

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names."""
        return list(self._known)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in self._known:
            return None
        command = importlib.import_module(self._prefix + cmd_name).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called, or say which one may have been meant."""
        if args[0] not in self._known and not args[0].startswith("-") and not ctx.resilient_parsing:
            ctx.fail(no_such_command(args[0], self._known))
        return super().resolve_command(ctx, args)

    def with_option(self, option: str) -> list[str]:
        """Return which commands take an option, those of groups below with both their names."""
        context, found = click.Context(self), []
        for name in self._known:
            command = self.get_command(context, name)
            if isinstance(command, LazyGroup):
                found += [f"{name} {below}" for below in command.with_option(option)]
            elif command and any(option in (*one.opts, *one.secondary_opts) for one in command.params):
                found.append(name)
        return found

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the commands without importing them, and the options."""
        found = [CompletionItem(name, help=text) for name, text in self._known.items() if name.startswith(incomplete)]
        return [*found, *super(click.Group, self).shell_complete(ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write a line for each command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._known.items()))


def no_such_command(name: str, known: Mapping[str, str]) -> str:
    """Return a sentence about a name that is no command's, with the one that may have been meant."""
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return f"no such command: {visible(name, 40)}; {hint}"
