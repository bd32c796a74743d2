"""The directives ``settings`` and ``commands``: a row for each, from the tables that the program itself reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sphinx.util.docutils import SphinxDirective

from crawler.cli import COMMANDS
from crawler.settings.options import Arity, Option, option_of
from crawler.settings.table import OPTIONS, SNAPSHOT_OPTIONS

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx


def escaped(text: str) -> str:
    """Return a text as it stands in a cell."""
    return text.replace("|", "\\|")


def row(name: str, option: Option) -> str:
    """Return the row of a key."""
    flag = f"`{option.metavar}…`" if option.shape is Arity.ARGUMENTS else f"`{option_of(name)}`"
    short = f", `{option.short}`" if option.short else ""
    value = f" `{option.metavar}`" if option.metavar and option.shape is not Arity.ARGUMENTS else ""
    where = "`snapshot` only: " if name in SNAPSHOT_OPTIONS else ""
    cells = (f"{flag}{short}{value}", where + option.help, option.default)
    return f"| {' | '.join(escaped(cell) for cell in cells)} |"


class SettingsTable(SphinxDirective):
    """All keys, in the order in which the help has them."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        head = ["| option | meaning | default |", "| --- | --- | --- |"]
        return self.parse_text_to_nodes("\n".join([*head, *(row(name, one) for name, one in OPTIONS.items())]))


class CommandsTable(SphinxDirective):
    """What each command does, in the order in which the help has them, with a link to its page."""

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        rows = (f":doc:`ncrawl {name} <{name}>`\n   {said}\n" for name, said in COMMANDS.items())
        return self.parse_text_to_nodes("\n".join(rows))


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directive known."""
    app.add_directive("settings", SettingsTable)
    app.add_directive("commands", CommandsTable)
    return {"parallel_read_safe": True}
