"""Completion, asked of real shells: commands, options, values, paths."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from crawler.cli import COMMANDS, run
from crawler.cli.commands.completion import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Complete = Callable[..., list[str]]

BIN = Path(sys.executable).parent
SNAPSHOTS = ["20261122T020000Z", "20261121T020000Z"]
BASH = """\
source <(ncrawl completion bash)
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
compopt() { echo "$2"; }
_ncrawl_completion ncrawl
printf '%s\\n' "${COMPREPLY[@]}"
"""
IN_BASH = ("images --verify al", "images --region kr,s", "images --deadline ", "verify nights/", "snapshot ", "verify ")
SHELLS_OWN = {"dir": "dirnames", "file": "default"}
ZSH = """\
zmodload zsh/zutil
compdef() { :; }; _describe() { print -l ${completions_with_descriptions%%:*}; }; _path_files() { print -- $1; }
compadd() { print -l $completions; }
source <(ncrawl completion zsh)
words=("$@"); CURRENT=$#
_ncrawl_completion
"""
FISH = """\
ncrawl completion fish | source
complete --do-complete "$argv"
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with two profiles, and a folder of snapshots in it."""
    (tmp_path / ".ncloud").mkdir()
    (tmp_path / ".ncloud" / "configure").write_text("[DEFAULT]\n[night]\nncloud_access_key_id = a\n[audit]\n")
    for name in (*SNAPSHOTS, "other"):
        (tmp_path / "nights" / name).mkdir(parents=True)
    (tmp_path / "nights" / "latest").symlink_to(SNAPSHOTS[0])
    return tmp_path


@pytest.fixture
def environ(home: Path) -> dict[str, str]:
    """What a shell has around it that knows the program."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(home), "LC_ALL": "C.UTF-8", "TERM": "dumb"}


def asked(shell: str, script: str, words: list[str], home: Path, environ: dict[str, str]) -> list[str]:
    """Return what a shell's completion of the last word offers; skip where the shell is not installed."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"not run: {shell} is not here")
    options = {"bash": ["--norc", "-c", script, "bash"], "zsh": ["-f", "-c", script, "zsh"], "fish": ["-c", script]}
    given = words if shell != "fish" else [" ".join(words)]
    done = subprocess.run(
        [program, *options[shell], *given],
        cwd=home,
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stderr == ""
    return [line.partition("\t")[0] for line in done.stdout.splitlines() if line]


@pytest.fixture
def complete(home: Path, environ: dict[str, str]) -> Complete:
    """Ask bash."""
    return lambda *words: asked("bash", BASH, list(words), home, environ)


def test_commands(complete: Complete) -> None:
    """Every command there is, also behind `help`; what is typed narrows them."""
    assert complete("ncrawl", "") == list(COMMANDS)
    assert complete("ncrawl", "help", "") == list(COMMANDS)
    assert complete("ncrawl", "sn") == ["snapshot", "snapshots"]
    assert complete("ncrawl", "no-such", "") == list(COMMANDS)  # click goes back to what is known


VALUES = [
    ("images --verify ", ["auto", "always", "never"]),
    ("images --verify al", ["always"]),
    ("images --zone ", ["public", "gov", "fin"]),
    ("images --region ", ["kr", "sgn", "jpn", "krs", "fkr"]),
    ("images --zone gov --region ", ["kr", "krs"]),
    ("images --region kr,s", ["kr,sgn"]),
    ("images --rate ", ["unlimited"]),
    ("images --page-size ", ["auto"]),
    ("images --log-format j", ["json"]),
    ("images --profile ", ["DEFAULT", "night", "audit"]),
    ("snapshot --compress z", ["zstd"]),
    ("snapshot --accept ", ["complete", "partial"]),
    ("completion ", ["bash", "zsh", "fish"]),
    ("emulator --oversize ", ["clamp", "refuse"]),
    ("images --deadline ", []),
    ("snapshot nights --retry-failed ", [*SNAPSHOTS, "latest"]),
    ("snapshot nights --retry-failed la", ["latest"]),
    ("snapshot nights --reuse la", ["latest"]),
    ("snapshot nights --refresh ", ["all", "none", "1/7"]),
    ("verify nights/", [f"nights/{name}" for name in (*SNAPSHOTS, "latest")]),
    ("diff nights/20261121T020000Z nights/l", ["nights/latest"]),
    ("snapshot ", ["dirnames"]),
    ("snapshots ", ["dirnames"]),
    ("prune ni", ["dirnames"]),
    ("images --output ", ["default"]),
    ("images --config ", ["default"]),
    ("images --registry-file ", ["default"]),
    ("verify ", ["default"]),
]


@pytest.mark.parametrize(("typed", "offered"), VALUES)
def test_values(
    typed: str, offered: list[str], home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Words of an option, regions of the zone, profiles, snapshots; where paths belong, the shell's own."""
    monkeypatch.chdir(home)
    line = f"ncrawl {typed}"
    asking = {"HOME": str(home), VARIABLE: "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    for name, value in asking.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match="0"):
        run([])
    answers = [answer.partition(",") for answer in capfd.readouterr().out.split()]
    assert [SHELLS_OWN.get(kind, value) for kind, _, value in answers] == offered


@pytest.mark.parametrize(("typed", "offered"), [one for one in VALUES if one[0] in IN_BASH])
def test_values_in_bash(complete: Complete, typed: str, offered: list[str]) -> None:
    """A value of each kind comes through the script."""
    assert complete("ncrawl", *typed.split(" ")) == offered


def test_options(complete: Complete) -> None:
    """Those of the command, and of no other."""
    offered = complete("ncrawl", "prune", "--")
    assert {"--keep", "--keep-days", "--dry-run", "--config", "--help"} <= set(offered)
    assert "--verify" not in offered


def test_no_key_file_is_no_noise(complete: Complete, home: Path) -> None:
    """Nor a damaged one: nothing is offered, and nothing said."""
    (home / ".ncloud" / "configure").write_text("nonsense\n")
    assert complete("ncrawl", "images", "--profile", "") == []
    (home / ".ncloud" / "configure").unlink()
    assert complete("ncrawl", "images", "--profile", "") == []


def test_accounts(complete: Complete, home: Path) -> None:
    """Those of the file that is named, in its order; without one, or of a broken one, none."""
    path = home / "accounts.toml"
    path.write_text("".join(f"[[account]]\nname = '{name}'\nprofile = 'p'\n" for name in ("globex", "acme")))
    assert complete("ncrawl", "images", "--accounts", "accounts.toml", "--account", "") == ["globex", "acme"]
    assert complete("ncrawl", "images", "--accounts", "accounts.toml", "--account", "a") == ["acme"]
    assert complete("ncrawl", "images", "--account", "") == []
    path.write_text("nonsense\n")
    assert complete("ncrawl", "images", "--accounts", "accounts.toml", "--account", "") == []


@pytest.mark.parametrize(("shell", "script"), [("zsh", ZSH), ("fish", FISH)])
def test_other_shells(home: Path, environ: dict[str, str], shell: str, script: str) -> None:
    """Commands, words and profiles are offered there as well."""

    def offered(*words: str) -> list[str]:
        return sorted(asked(shell, script, ["ncrawl", *words], home, environ))

    assert offered("sn") == ["snapshot", "snapshots"]
    assert offered("images", "--verify", "a") == ["always", "auto"]
    assert offered("images", "--profile", "n") == ["night"]


@pytest.fixture
def typing(environ: dict[str, str], home: Path) -> Iterator[Callable[[str, str], str]]:
    """A bash on a terminal; type into it, and read until some text comes."""
    terminal, theirs = os.openpty()
    ends: dict[str, Any] = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "start_new_session": True}
    bash = subprocess.Popen(["bash", "--norc", "-i"], cwd=home, env=environ | {"PS1": "> "}, **ends)
    os.close(theirs)

    def type_in(text: str, until: str) -> str:
        os.write(terminal, text.encode())
        seen = ""
        while until not in seen:
            seen += os.read(terminal, 4096).decode(errors="replace")
        return seen

    yield type_in
    os.close(terminal)
    bash.kill()
    bash.wait()


def test_on_a_terminal(typing: Callable[[str, str], str]) -> None:
    """TAB completes a command, an option, its value, and a folder, in a bash that somebody sits at."""
    typing("source <(ncrawl completion bash); echo rea''dy\n", "ready")
    typing("ncrawl imag\t", "ncrawl images ")
    typing("--veri\t", "--verify ")
    typing("al\t", "always ")
    typing("\x15ncrawl snapshots nig\t", "snapshots nights/")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_names_no_place(capfd: pytest.CaptureFixture[str], shell: str) -> None:
    """It asks the `ncrawl` on PATH, so that it may be kept in a file."""
    assert run(["completion", shell]) == 0
    script = capfd.readouterr().out
    assert "_NCRAWL_COMPLETE" in script
    assert str(BIN) not in script
    assert "%(" not in script


def test_no_such_shell(capfd: pytest.CaptureFixture[str]) -> None:
    """Exit 2, and those that there are."""
    assert run(["completion", "tcsh"]) == 2
    assert "'bash', 'zsh', 'fish'" in capfd.readouterr().err
