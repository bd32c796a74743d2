"""`ncrawl doctor` as a process: lines for people, one object for machines, exit codes, its bound."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from crawler.cli.commands.doctor import _conclusion, _lines
from crawler.emulation import Emulator, EmulatorOptions
from crawler.emulation.options import REGIONS
from crawler.jobs.doctor.checks import exit_code, failed, ok, skipped, warning

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

    Doctor = Callable[..., Coroutine[Any, Any, tuple[int, str, str]]]


@pytest.fixture
async def doctor(tmp_path: Path) -> AsyncIterator[Doctor]:
    """Run it beside an emulated account, within a minute; return exit code, standard output and standard error."""
    async with Emulator(EmulatorOptions(registries=2, images=20)) as emulator:
        environ = {"PATH": os.environ["PATH"]}
        environ |= {"HOME": str(tmp_path), "NCLOUD_METADATA_ENDPOINT": "http://127.0.0.1:1", "COLUMNS": "80"}
        environ |= {"NCRAWL_GATEWAY": emulator.url, "NCLOUD_ACCESS_KEY_ID": emulator.access_key}

        async def run(*arguments: str, secret: str = emulator.secret_key) -> tuple[int, str, str]:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "crawler", "doctor", *arguments),
                env=environ | {"NCLOUD_SECRET_KEY": secret},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            async with asyncio.timeout(60):
                out, err = await process.communicate()
            assert process.returncode is not None
            return process.returncode, out.decode(), err.decode()

        yield run


async def test_for_people(doctor: Doctor, tmp_path: Path) -> None:
    """A line a check, none above 80 columns unless a path is; in the end what a run would do. No word on stderr."""
    code, out, err = await doctor(str(tmp_path))
    assert (code, err) == (0, "")
    *lines, conclusion = out.splitlines()
    assert [line for line in lines if len(line) > 80 and " " in line.strip()] == []
    assert sum(line.startswith("ok ") for line in lines) == 10 + 2 * len(REGIONS)
    assert conclusion == f"{10 + 2 * len(REGIONS)} checks: a run would do"


async def test_for_machines(doctor: Doctor) -> None:
    """One object on one line, and the exit code that is in it."""
    code, out, err = await doctor("--json", secret="a-wrong-secret-key-for-this")
    told = json.loads(out)
    assert (code, err, out.count("\n")) == (4, "", 1)
    assert told["exit_code"] == 4
    assert [check["name"] for check in told["checks"] if check["status"] == "failed"] == [
        *("key/accepted", *(f"region/{region.code}" for region in REGIONS))
    ]


async def test_a_mistake_in_the_settings(doctor: Doctor) -> None:
    """It is a check like others: said on standard output, with what would be right. Unknown options are as ever."""
    code, out, err = await doctor("--rate", "fast")
    assert (code, err) == (2, "")
    assert "failed   settings: --rate: 'fast' is not a rate" in out
    assert (await doctor("--verify", "never"))[0] == 2


async def test_settings_that_never_end(doctor: Doctor, tmp_path: Path) -> None:
    """A named pipe that nobody writes is not waited for."""
    os.mkfifo(tmp_path / "pipe.toml", 0o600)
    code, out, _ = await doctor("--config", str(tmp_path / "pipe.toml"))
    assert code == 2
    assert "pipe.toml" in out


def test_lines() -> None:
    """What is long is broken between words, and each mend has a line of its own; nothing can steer a terminal."""
    check = warning("clock", "it is \x1b[31m" + "very " * 40 + "late", "set it")
    lines = _lines(check)
    assert lines[0].startswith("warning  clock: it is \\x1b[31mvery")
    assert {line[:9] for line in lines[1:]} == {" " * 9}
    assert lines[-1] == "         mend: set it"
    assert _lines(ok("key", "fine")) == ["ok       key: fine"]


def test_the_conclusion() -> None:
    """It counts what is not well; of several exit codes that of what ends a run first."""
    checks = [
        ok("a", ""),
        skipped("b", ""),
        failed("c", "", "x", exit_code=3),
        failed("d", "", "x", exit_code=4),
        warning("e", "", "x"),
    ]
    assert exit_code(checks) == 4
    told = "5 checks (2 failed, 1 warning, 1 skipped): a run would end with exit code 4"
    assert _conclusion(checks, 4) == told
    assert exit_code([*checks, failed("f", "", "x", exit_code=2)]) == 2
