"""A shell as a user has it: what stands in the documentation is pasted into it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent


class Shell:
    """Runs what a user would paste, in a folder of its own, with the program on PATH."""

    def __init__(self, home: Path, **environ: str) -> None:
        self.home = home
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        self.environ = {"PATH": path, "HOME": str(home), "LC_ALL": "C.UTF-8"} | environ

    async def start(self, text: str) -> asyncio.subprocess.Process:
        """Start it."""
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return await asyncio.create_subprocess_exec("bash", "-c", text, cwd=self.home, env=self.environ, **pipes)

    async def __call__(self, text: str) -> str:
        """Run it to its end and return standard output; it must succeed."""
        async with asyncio.timeout(60):
            process = await self.start(text)
            out, err = await process.communicate()
        assert process.returncode == 0, f"{text}\n{err.decode()}"
        return out.decode()
