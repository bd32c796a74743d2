"""What systemd's service manager is told, by a socket such as it makes."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from support.program import Program


@pytest.mark.parametrize("is_abstract", [False, True])
async def test_status(program: Program, tmp_path: Path, is_abstract: bool) -> None:  # noqa: FBT001
    """A line says where the run stands, in the words of a log's heartbeat, whatever kind of address it is."""
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}" if is_abstract else name)
        program.environ["NOTIFY_SOCKET"] = f"@{name}" if is_abstract else name
        assert (await program("images", "-o", "images.ndjson")).code == 0
        told = manager.recv(4096).decode()
    assert told.startswith("STATUS=")
    assert "requests/s" in told
    assert "deadline in" in told


async def test_nobody_listens(program: Program, tmp_path: Path) -> None:
    """A manager that is gone is no matter of the run's."""
    program.environ["NOTIFY_SOCKET"] = str(tmp_path / "gone")
    done = await program("images", "-o", "images.ndjson")
    assert done.code == 0
    assert "gone" not in done.err
