"""Several accounts on one machine, as docs/how-to/accounts.md has it, against an emulated account each."""

from __future__ import annotations

import json
import re
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.shell import Shell

import crawler
from crawler.cli.nightly import hint_to_go_on
from crawler.emulation import Emulator, EmulatorOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.long

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "accounts.md"
NAMES = ("acme", "globex", "initech")
SOON = timedelta(minutes=10)


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    """A shell beside three emulated accounts, each with keys of its own in another kind of place, and the file."""
    async with AsyncExitStack() as stack:
        one, two, three = [
            await stack.enter_async_context(Emulator(EmulatorOptions(registries=2, images=20, seed=seed)))
            for seed in (1, 2, 3)
        ]
        (tmp_path / ".ncloud").mkdir()
        profile = f"ncloud_access_key_id = {one.access_key}\nncloud_secret_access_key = {one.secret_key}\n"
        (tmp_path / ".ncloud" / "configure").write_text(f"[acme]\n{profile}")
        (tmp_path / ".ncloud" / "configure").chmod(0o600)
        answer = {"access_key": three.access_key, "secret_key": three.secret_key}
        answer["expires"] = (datetime.now(UTC) + SOON).isoformat()
        (tmp_path / "keys.sh").write_text(f"#!/bin/sh\n[ $1 = initech ] && echo '{json.dumps(answer)}'\n")
        (tmp_path / "keys.sh").chmod(0o700)
        (tmp_path / "accounts.toml").write_text(
            f'[[account]]\nname = "acme"\nprofile = "acme"\ngateway = "{one.url}"\n'
            '[[account]]\nname = "globex"\naccess_key_env = "GLOBEX_ACCESS_KEY"\nsecret_key_env = "GLOBEX_SECRET_KEY"\n'
            f'gateway = "{two.url}"\nregions = ["kr"]\nrate = 1000\n'
            f'[[account]]\nname = "initech"\ncommand = ["{tmp_path}/keys.sh", "initech"]\ngateway = "{three.url}"\n'
        )
        yield Shell(tmp_path, GLOBEX_ACCESS_KEY=two.access_key, GLOBEX_SECRET_KEY=two.secret_key)


async def run(shell: Shell, text: str) -> tuple[int | None, str, str]:
    """Run it; return exit code, standard output and standard error."""
    process = await shell.start(text)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def blocks(home: Path) -> list[str]:
    """Return the how-to's blocks for the shell, with this test's places in them."""
    found = re.findall(r"^ *```sh\n(.*?)^ *```", HOW_TO.read_text(), re.MULTILINE | re.DOTALL)
    return [one.replace("/etc/ncrawl/", f"{home}/").replace("/var/lib/ncrawl", f"{home}/nights") for one in found]


async def test_the_how_to(shell: Shell) -> None:
    """Each account's keys are found where it has them; each folder holds its own account's records, and no key."""
    look, night = blocks(shell.home)
    out = await shell(look)
    assert out.count("a run would do") == 3
    for source in (
        "acme",
        "account globex (variables GLOBEX_ACCESS_KEY, GLOBEX_SECRET_KEY)",
        "account initech: command",
    ):
        assert source in " ".join(out.split())
    assert (await run(shell, night))[0] == 0
    for name in NAMES:
        lines = (shell.home / "nights" / name / "latest" / "images.ndjson").read_text().splitlines()
        assert lines
        assert {json.loads(line)["account"] for line in lines} == {name}
    manifest = json.loads((shell.home / "nights" / "globex" / "latest" / "manifest.json").read_text())
    assert (manifest["run"]["options"]["rate"], manifest["run"]["options"]["region"]) == (1000, ["kr"])
    for path in (shell.home / "nights").rglob("*.json"):
        assert "emulator-access-key" not in path.read_text()


async def test_an_account_that_fails_costs_its_own_data_only(shell: Shell) -> None:
    """The loop's exit code is the worst; the others have their snapshots."""
    (shell.home / "keys.sh").write_text("#!/bin/sh\necho nobody is logged in >&2\nexit 7\n")
    code, _, err = await run(shell, blocks(shell.home)[1])
    assert code == 2
    assert f"account initech: command {shell.home}/keys.sh: exit code 7: nobody is logged in" in err
    assert [name for name in NAMES if (shell.home / "nights" / name / "latest").exists()] == ["acme", "globex"]


@pytest.mark.parametrize("command", ["images", "registries", "snapshot .", "plan", "doctor"])
async def test_none_is_picked(shell: Shell, command: str) -> None:
    """Whatever signs requests says which there are, and ends with 2; nothing was requested or written."""
    code, out, err = await run(shell, f"ncrawl {command} --accounts accounts.toml")
    assert code == 2
    assert "no account is picked: add --account NAME: acme, globex, initech" in " ".join((out + err).split())
    assert not list(shell.home.glob("2*"))


async def test_what_signs_nothing_needs_none(shell: Shell) -> None:
    """A file of accounts in the environment is in nobody's way."""
    await shell(
        "export NCRAWL_ACCOUNTS=accounts.toml; ncrawl prune . --keep 3; ncrawl demo -q -o demo.ndjson; ncrawl version"
    )


async def test_a_key_in_clear(shell: Shell) -> None:
    """It ends every command with 2, and is nowhere in what is said."""
    with (shell.home / "accounts.toml").open("a") as file:
        file.write('[[account]]\nname = "x"\nsecret_key = "s3ntinel"\n')
    for command in ("images", "snapshot .", "doctor", "images -v --log-format json"):
        code, out, err = await run(shell, f"ncrawl {command} --accounts accounts.toml --account acme")
        assert code == 2
        assert "secret_key (not shown): a key in clear has no place here" in " ".join((out + err).split())
        assert "s3ntinel" not in out + err


def test_how_to_go_on_names_the_file() -> None:
    """What a stopped run says can be pasted: the account would not be found without it."""
    hint = hint_to_go_on(Path(), {"accounts": "accounts.toml", "account": "globex", "rate": "1"})
    assert hint == "run `ncrawl snapshot . --resume --accounts accounts.toml --account globex` to go on"


async def test_from_python(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """`connect` takes both names as well."""
    for name, value in shell.environ.items():
        monkeypatch.setenv(name, value)
    for name in NAMES:
        async with crawler.connect(accounts=shell.home / "accounts.toml", account=name, rate=None) as client:
            assert {record.account async for record in client.registries()} == {name}
            assert client.result.is_complete
