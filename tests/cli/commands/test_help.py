"""Help: of every command, in groups, on a terminal of 80 columns; and which version this is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from click.shell_completion import ShellComplete

from crawler import __version__
from crawler.cli import COMMANDS, cli, run
from crawler.cli.commands.fleet import SUBCOMMANDS
from crawler.cli.options import GROUPS, GroupedCommand
from crawler.settings.table import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Said:
    """Run the program on a terminal of 80 columns; return exit code, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "80")

    def run_it(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        return (run(list(arguments)), *capfd.readouterr())

    return run_it


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(said: Said, name: str) -> None:
    """Two ways to ask have one answer, no line of which is above 80 columns."""
    code, text, err = said("help", name)
    assert (code, err) == (0, "")
    assert said(name, "--help") == (0, text, "")
    assert text.startswith(f"Usage: ncrawl {name}")
    assert [line for line in text.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_help_of_a_command_of_fleets(said: Said, name: str) -> None:
    """Likewise of those that are a level down, which a shell completes as well."""
    code, text, err = said("fleet", name, "--help")
    assert (code, err) == (0, "")
    assert text.startswith(f"Usage: ncrawl fleet {name} [OPTIONS]")
    assert [line for line in text.splitlines() if len(line) > 80] == []
    offered = ShellComplete(cli, {}, "ncrawl", "_NCRAWL_COMPLETE").get_completions(["fleet"], name[:2])
    assert name in [item.value for item in offered]


def test_help_of_the_program(said: Said) -> None:
    """Every command has a line; the widest terminal makes no line above 80 columns."""
    code, text, _ = said("help")
    assert (code, text) == said("--help")[:2] == said("-h")[:2]
    assert re.findall(r"^  ([a-z]+) ", text.partition("Commands:\n")[2], re.MULTILINE) == list(COMMANDS)
    assert max(map(len, text.splitlines())) <= 80


def test_help_of_no_command(said: Said) -> None:
    """Exit 2, and what may have been meant."""
    code, out, err = said("help", "snapshit")
    assert (code, out) == (2, "")
    assert "did you mean snapshot?" in err


@pytest.mark.parametrize("width", ["200", "80", "60"])
def test_widths(said: Said, monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    """A wide terminal changes nothing, and a narrow one is fit, but for examples, which are to be pasted."""
    monkeypatch.setenv("COLUMNS", width)
    _, text, _ = said("help", "snapshot")
    assert max(map(len, text.partition("Examples:")[0].splitlines())) <= min(int(width), 80)


def test_groups(said: Said) -> None:
    """The options stand under their headings, in order; no heading is empty, no option stands twice."""
    _, text, _ = said("help", "snapshot")
    headings = re.findall(r"^([A-Z][a-z]+):$", text, re.MULTILINE)
    assert headings == [*GROUPS, "Options"]
    options = re.findall(r"^  (?:-., )?(--[a-z-]+)", text, re.MULTILINE)
    assert len(options) == len(set(options))
    assert text.index("Limits:") < text.index("--rate N") < text.index("Proof:") < text.index("--verify")


def test_every_setting_has_a_group() -> None:
    """One, and the arguments aside: nothing falls out of sight under "Options"."""
    grouped = [name for names in GROUPS.values() for name in names]
    assert len(grouped) == len(set(grouped))
    assert [name for name in OPTIONS if name not in grouped] == []


def test_commands_with_settings_are_grouped() -> None:
    """A command that takes settings shows them in groups."""
    import click  # noqa: PLC0415 - only its context is wanted

    context = click.Context(cli)
    assert isinstance(cli, click.Group)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        takes_settings = any(parameter.name == "config" for parameter in command.params)
        assert isinstance(command, GroupedCommand) == takes_settings


def test_version(said: Said) -> None:
    """A line for scripts, the same both ways; below it what a report needs."""
    code, text, _ = said("version")
    first, *more = text.splitlines()
    assert code == 0
    assert said("--version") == (0, f"{first}\n", "")
    assert first == f"ncrawl {__version__}"
    assert "Python 3." in more[0]
    assert "missing" not in more[1]
