"""Examples of the Python API, in README.md and in docstrings: each runs, and mypy has nothing against it."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from textwrap import dedent, indent
from typing import TYPE_CHECKING

import pytest
from project.test_readme import ROOT, blocks
from support.night import Night, a_night

import crawler
from crawler.emulation import EmulatorOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAIN = """\
import asyncio

import crawler


async def main() -> None:
{}


asyncio.run(main())
"""
README = ["From Python/0", "Examples/0", "Examples/1"]
SAID = (crawler, crawler.Client, crawler.Snapshot, crawler.emulator)
"""What has an example in its docstring."""


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    with a_night(tmp_path, EmulatorOptions(registries=4, images=300)) as night:
        yield night


def said_by(documented: object) -> str:
    """Return the example in a docstring as a program: it may await."""
    text = inspect.getdoc(documented) or ""
    (example,) = re.findall(r"\n\n((?: {4}.*\n|\n)+)", text.partition("\nArgs:")[0] + "\n")
    body = dedent(example).strip("\n").replace("import crawler\n", "")
    return MAIN.format(indent(body, "    "))


def examples() -> dict[str, str]:
    """Return every example, by where it stands."""
    return {name: blocks()[name] for name in README} | {
        getattr(one, "__qualname__", "crawler"): said_by(one) for one in SAID
    }


def led(example: str, night: Night) -> str:
    """Return an example that leads to the emulated account, and to its registries and snapshots."""
    gateway = f"gateway={night.account.url!r}, "
    earlier = (night.names() or ["none"])[0]
    registry = next(name for region, name in night.account.registries() if region == "kr")
    for there, here in (
        ("connect(account", f"connect({gateway}account"),
        (', run_id="2026', f', {gateway}run_id="2026'),
        ("20261122T020000Z", earlier),
        ("/var/lib/ncrawl", str(night.folder)),
        ('"team-a"', repr(registry)),
    ):
        example = example.replace(there, here)
    return example


def test_every_block_of_the_readme_is_here() -> None:
    """None is added without a word."""
    assert [name for name in blocks() if name.startswith(("From Python/", "Examples/"))] == README


@pytest.mark.long
@pytest.mark.parametrize("name", examples())
def test_it_runs(name: str, night: Night) -> None:
    """Against an emulated account whose keys the environment has; nothing is said to standard error."""
    crawler.take_snapshot(night.folder, gateway=night.account.url, keys=night.keys, rate=None)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", led(examples()[name], night)],
        cwd=night.home, env=night.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    if name == "Examples/0":
        said, code, *rest = done.stdout.splitlines()
        assert (json.loads(said)["verdict"], code) == ("complete", "0")
        assert rest[0].startswith("complete 0 ")


@pytest.mark.long
def test_mypy_has_nothing_against_them(tmp_path: Path) -> None:
    """Nor has it in strict mode: what the API says of its types is what a user's program needs."""
    for number, example in enumerate(examples().values()):
        (tmp_path / f"example_{number}.py").write_text(example)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}"]
    files = sorted(map(str, tmp_path.glob("*.py")))
    done = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"Success: no issues found in {len(files)} source files\n")
