"""What the commands of the program take, those of groups included."""

from __future__ import annotations

import click


def options_of(command: click.Command) -> set[str]:
    """Return the options of a command, and of all that are below it."""
    found = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
    if isinstance(command, click.Group):
        context = click.Context(command)
        below = [command.get_command(context, name) for name in command.list_commands(context)]
        found.update(*(options_of(one) for one in below if one))
    return found


def check_call(command: click.Command, name: str, arguments: list[str]) -> None:
    """Parse arguments as the program would; those of a group with the command that they call.

    Raises:
        click.ClickException: they cannot be used.
    """
    context = command.make_context(name, list(arguments))
    if isinstance(command, click.Group):
        called, below, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert below is not None
        check_call(below, str(called), rest)
