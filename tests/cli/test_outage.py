"""The recording of an outage in the documentation: what a terminal shows while a region does not answer, and after."""

from __future__ import annotations

import asyncio
import os
import re
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.program import Program
from support.terminal import terminal

from crawler.emulation import Emulator, EmulatorOptions
from crawler.emulation.apis import region_of
from crawler.emulation.faults import REFUSALS

if TYPE_CHECKING:
    from crawler.emulation.wire import Answer, Request

ROOT = Path(__file__).parents[2]
RECORDING = ROOT / "docs/explanation/outage.txt"
ARGUMENTS = ("images", "--region", "kr,jpn", "--rate", "30", "--output", "images.ndjson")


class Outage(Emulator):
    """An emulator one region of which may be out of order."""

    is_on = False

    def answer(self, request: Request) -> Answer:
        """Answer, or fail."""
        return REFUSALS[500] if self.is_on and region_of(request) == "jpn" else super().answer(request)


async def recorded(home: Path) -> list[str]:
    """Return what stood on a terminal of 80 columns, in its order; of the line that is rewritten its last state."""
    async with Outage(EmulatorOptions(registries=60, images=1500, max_page_size=1000)) as account:
        program = Program(home, account)
        program.environ |= {"TERM": "xterm", "NO_COLOR": "1"}
        with terminal(80) as shown:
            process = await program.start(*ARGUMENTS, stderr=shown.theirs)
            shown.let_go()
            await shown.sees("requests/s")
            account.is_on = True
            await shown.sees("held: jpn . s, next try")
            account.is_on = False
            async with asyncio.timeout(30):
                assert await process.wait() == 0
            await shown.end()
    states = [one for one in re.split(r"[\r\n]+(?:\x1b\[K)?", shown.raw) if one]
    return [[*alike][-1] for _, alike in groupby(states, key=shape)]


def shape(line: str) -> str:
    """Return what of a line is the same each time: no numbers; of the one that is rewritten, whether it tells why."""
    if " · " in line:
        return "held" if "held: jpn" in line else "goes on"
    return re.sub(r"[\d,.]+", "0", " ".join(line.split()))


@pytest.mark.long
async def test_recording(tmp_path: Path) -> None:
    """The documentation shows what the program shows: `make recording` takes it anew."""
    lines = [f"$ ncrawl {' '.join(ARGUMENTS)}", *await recorded(tmp_path)]
    if "OUTAGE_RECORDING" in os.environ:
        (ROOT / os.environ["OUTAGE_RECORDING"]).write_text("".join(f"{line}\n" for line in lines))
    shown = RECORDING.read_text().splitlines()
    assert list(map(shape, shown)) == list(map(shape, lines))
    assert {"held", "goes on"} <= set(map(shape, shown))
