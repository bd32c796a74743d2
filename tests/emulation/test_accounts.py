"""Many accounts behind one emulator: each has its own world and keys, and two crawls of one at once are seen."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import crawler
from crawler.emulation import Emulator, EmulatorOptions
from crawler.emulation.accounts import Crawls
from crawler.settings.accounts import read_accounts
from crawler.settings.sources import Notes
from crawler.settings.table import OPTIONS

if TYPE_CHECKING:
    from pathlib import Path


async def listed(file: Path, account: str) -> set[tuple[str, str, str]]:
    """Return region, registry and name of every image of an account."""
    async with crawler.connect(accounts=file, account=account, rate=None) as client:
        return {(one.region, one.registry or "", one.name) async for one in client.images()}


async def test_each_is_a_world_of_its_own(tmp_path: Path) -> None:
    """What the file of accounts leads to is what the account's world holds, and no two are the same."""
    async with Emulator(EmulatorOptions(accounts=11, registries=2, images=30, seed=7)) as emulator:
        file = tmp_path / "accounts.toml"
        file.write_text(emulator.accounts.file(emulator.url))
        seen = [await listed(file, name) for name in ("account-01", "account-11", "account-11")]
        assert emulator.accounts.names[::10] == ["account-01", "account-11"]
        for number, found in zip((1, 11), seen[:2], strict=True):
            world = emulator.accounts.gateway(number).world
            registries = [(region, name) for region in world.regions for name in world.registry_names(region)]
            assert found == {(*place, one["name"]) for place in registries for one in world.images(*place)}
        assert emulator.world is emulator.accounts.gateway(1).world
    assert seen[0] != seen[1] == seen[2]
    assert (len(emulator.accounts.crawls), emulator.accounts.crawls.at_once) == (3, {})


def test_the_file_is_one(tmp_path: Path) -> None:
    """It is read without a complaint; nothing in it is taken for a key in clear."""
    for options in (EmulatorOptions(accounts=3), EmulatorOptions(accounts=1, seed=-5)):
        file, notes = tmp_path / "accounts.toml", Notes()
        file.write_text(Emulator(options).accounts.file("kr=http://127.0.0.1:1,sgn=http://127.0.0.1:2"))
        accounts = read_accounts(file, OPTIONS, until_s=0, notes=notes)
        assert (notes.problems, len(accounts)) == ([], options.accounts)


async def test_a_key_of_no_account() -> None:
    """Is refused, and no crawl of any."""
    async with Emulator(EmulatorOptions(accounts=2, registries=1, images=1)) as emulator:
        strange = crawler.Keys("emulator-access-key-9-1", emulator.secret_key)
        async with crawler.connect(gateway=emulator.url, keys=strange) as client:
            assert [one async for one in client.registries()] == []
            assert not client.result.is_complete
    assert emulator.statistics.bad_signatures > 0
    assert len(emulator.accounts.crawls) == 0


def test_crawls_at_once() -> None:
    """Are those of which one asks again after another one of the same account has begun."""
    crawls = Crawls()
    for account, key in [(1, "a"), (2, "b"), (1, "a"), (1, "c"), (1, "c"), (2, "b")]:
        crawls.arrived(account, key)
    assert (len(crawls), crawls.at_once) == (3, {})
    crawls.arrived(1, "a")
    assert crawls.at_once == {1: 1}


def test_the_command(tmp_path: Path) -> None:
    """It prints where its file of accounts is, tells of crawls in the end, and leaves nothing."""
    program = [sys.executable, "-m", "crawler", "emulator", "--port", "0", "--accounts", "4"]
    program += ["--registries", "1", "--images", "8"]
    environ = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)}
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None
        about, export, hint = (process.stdout.readline() for _ in range(3))
        file = tmp_path / next(tmp_path.iterdir()) / "accounts.toml"
        assert export == f"export NCRAWL_ACCOUNTS={file}\n"
        assert len(tomllib.loads(file.read_text())["account"]) == 4
        images = asyncio.run(listed(file, "account-4"))
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=10)
    assert about.startswith("# 4 accounts, each with 8 images; 1 registries in each of ")
    assert "--account account-1" in hint
    assert len(images) == 8
    assert rest == "# 1 crawls; accounts that were crawled twice at once: 0\n"
    assert list(tmp_path.iterdir()) == []
