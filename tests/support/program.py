"""The program as a process of its own, against an emulated gateway, in an empty home."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from support.log_lines import unstamped

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.emulation import Emulator

COMMAND = [sys.executable, "-m", "crawler"]


@dataclass
class Done:
    """A process that ended."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[bytes]:
        """Standard output, a line each; every one is a whole line of JSON."""
        assert self.out == b"" or self.out.endswith(b"\n")
        lines = self.out.split(b"\n")[:-1]
        for line in lines:
            orjson.loads(line)
        return lines


class Program:
    """Starts the program in an environment of its own, with the keys of an emulator."""

    def __init__(self, home: Path, emulator: Emulator | None, url: str | None = None) -> None:
        self.home = home
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(home), "NCLOUD_METADATA_ENDPOINT": "http://127.0.0.1:1"}
        self.environ["NCRAWL_GATEWAY"] = emulator.url if emulator else url or "http://127.0.0.1:1"
        self.environ["NCLOUD_ACCESS_KEY_ID"] = emulator.access_key if emulator else "SENTINEL-access"
        self.environ["NCLOUD_SECRET_KEY"] = emulator.secret_key if emulator else "SENTINEL-secret"

    async def start(self, *arguments: str, **streams: Any) -> asyncio.subprocess.Process:
        """Start it; standard output and standard error are pipes unless said otherwise."""
        pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
        return await asyncio.create_subprocess_exec(
            *COMMAND, *arguments, cwd=self.home, env=self.environ, **pipes | {"stdin": subprocess.DEVNULL} | streams
        )

    async def __call__(self, *arguments: str, given: bytes | None = None, **streams: Any) -> Done:
        """Run it to its end, within a minute."""
        if given is not None:
            streams["stdin"] = asyncio.subprocess.PIPE
        process = await self.start(*arguments, **streams)
        async with asyncio.timeout(60):
            out, err = await process.communicate(given)
        assert process.returncode is not None
        return Done(process.returncode, out or b"", unstamped((err or b"").decode()))
