"""The program against an emulator: what most tests of commands begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.marks import world_of
from support.program import Program

from crawler.emulation import Emulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def emulator(request: pytest.FixtureRequest) -> AsyncIterator[Emulator]:
    """An emulator with the options that the test is marked with."""
    async with Emulator(world_of(request, registries=6, images=400)) as emulator:
        yield emulator


@pytest.fixture
def program(tmp_path: Path, emulator: Emulator) -> Program:
    """The program, to be run against that emulator in an empty home."""
    return Program(tmp_path, emulator)
