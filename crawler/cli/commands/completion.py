"""``ncrawl completion``: the script by which a shell completes commands, options, values and paths."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_NCRAWL_COMPLETE"
"""By which the script asks: click's own name for it."""


@click.command(
    "completion",
    epilog="""\b
Examples:
  source <(ncrawl completion bash)        in ~/.bashrc; bash 4.4 or newer
  source <(ncrawl completion zsh)         in ~/.zshrc, after compinit
  ncrawl completion fish > ~/.config/fish/completions/ncrawl.fish""",
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that lets a shell complete commands, options, values and paths.

    Regions, profiles of ~/.ncloud/configure and snapshots of a folder are completed as well. The script asks ncrawl
    itself, so it stays right when ncrawl is updated.
    """
    made = get_completion_class(shell)
    assert made is not None
    script = made(ctx.find_root().command, {}, "ncrawl", VARIABLE)
    click.echo(script.source_template % script.source_vars())  # `source()` starts a shell to see its version
