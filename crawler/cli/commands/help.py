"""``ncrawl help``: what ``--help`` says, for those who ask so."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from crawler.cli import COMMANDS
from crawler.cli.lazy import no_such_command


def _complete(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]


@click.command("help")
@click.argument("name", metavar="[COMMAND]", required=False, shell_complete=_complete)
@click.pass_context
def command(ctx: click.Context, name: str | None) -> None:
    """Explain ncrawl, or one command: the same as `ncrawl COMMAND --help`."""
    root = ctx.find_root()
    if name is None:
        click.echo(root.get_help())
        return
    assert isinstance(root.command, click.Group)
    found = root.command.get_command(root, name)
    if found is None:
        ctx.fail(no_such_command(name, COMMANDS))
    with found.make_context(name, [], parent=root, resilient_parsing=True) as own:
        click.echo(own.get_help())
