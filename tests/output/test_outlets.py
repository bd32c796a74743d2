"""Outlets and inlets: what takes or gives nothing holds nobody up, and lines stay whole where they can."""

from __future__ import annotations

import fcntl
import json
import os
import time
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from support.streams import KINDS, drained, read_all, stream

from crawler.cli.streams import MOST_BACKLOG_BYTES, StandardError
from crawler.output import inlets, outlets
from crawler.output.inlets import read_in_time
from crawler.output.outlets import Outlet, open_outlet, write_in_time

if TYPE_CHECKING:
    from pathlib import Path

LINES = b"".join(b'{"name":"%06d","text":"%s"}\n' % (number, b"x" * (number * 97 % 30_000)) for number in range(400))
"""Most are longer than a pipe takes all at once by its promise (PIPE_BUF)."""


def taken(outlet: Outlet, data: bytes) -> int:
    """Write until nothing goes any more; return how much went."""
    rest = memoryview(data)
    before = None
    while before != len(rest):
        before = len(rest)
        while rest and (written := outlet.take(rest)):
            rest = rest[written:]
        time.sleep(0.05)  # a terminal and a network move on what they hold by themselves, and then take more
    return len(data) - len(rest)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("can_be_opened_anew", [True, False], ids=["Linux", "macOS"])
def test_outlet_that_nobody_reads(kind: str, can_be_opened_anew: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """It takes what fits and then nothing, without waiting, and without a change to the flags that others share."""
    if not can_be_opened_anew:
        monkeypatch.setattr(outlets, "_paths_of", lambda _fd: [])
    with stream(kind) as (ours, theirs), Outlet(os.dup(theirs)) as outlet:
        flags = fcntl.fcntl(theirs, fcntl.F_GETFL)
        went = taken(outlet, LINES)
        assert 0 < went < len(LINES)
        assert outlet.take(memoryview(LINES)) == 0
        assert fcntl.fcntl(theirs, fcntl.F_GETFL) == flags
        data = drained(ours)
        assert data == LINES[:went]
        if kind in ("pipe", "socket") and can_be_opened_anew:
            assert data.endswith(b"\n")
        assert outlet.is_ready(60)
        assert outlet.take(memoryview(LINES)) > 0


@pytest.mark.no_cover
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("holds_lines", [True, False])
@pytest.mark.parametrize("can_be_opened_anew", [True, False], ids=["Linux", "macOS"])
def test_outlet_that_is_read(
    kind: str,
    holds_lines: bool,  # noqa: FBT001
    can_be_opened_anew: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Everything comes, in its order; also lines that are longer than a pipe ever holds."""
    if not can_be_opened_anew:
        monkeypatch.setattr(outlets, "_paths_of", lambda _fd: [])
    data = LINES[:200_000] + b"y" * 300_000 + b"\n" + LINES[: LINES.index(b"\n", 1_000_000) + 1]
    found: list[bytes] = []
    with stream(kind) as (ours, theirs):
        reader = Thread(target=lambda: found.append(read_all(ours)))
        reader.start()
        with Outlet(os.dup(theirs), holds_lines=holds_lines) as outlet:
            os.close(theirs)
            write_in_time(outlet, data, time.monotonic() + 60)
        reader.join(60)
    assert found == [data]


def test_outlet_in_time(tmp_path: Path) -> None:
    """A named pipe that nobody opens, and one that nobody reads on from, are time-outs."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TimeoutError, match="nobody reads it"):
        open_outlet(str(tmp_path / "pipe"), time.monotonic())
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    outlet = open_outlet(str(tmp_path / "pipe"), time.monotonic())
    with outlet, pytest.raises(TimeoutError, match="nobody reads on"):
        write_in_time(outlet, LINES, time.monotonic())
    os.close(reading)


@pytest.mark.parametrize("writes", [b"", b"some"])
def test_inlet_in_time(tmp_path: Path, writes: bytes) -> None:
    """A pipe that nobody writes to, or whose writer has no end, is a time-out; one that ends is read to its end."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TimeoutError):
        read_in_time(tmp_path / "pipe", time.monotonic())
    reading = inlets.open_at_once(tmp_path / "pipe")
    writing = os.open(tmp_path / "pipe", os.O_WRONLY)
    os.write(writing, writes)
    with pytest.raises(TimeoutError):
        read_in_time(reading, time.monotonic())
    os.write(writing, b"more")
    os.close(writing)
    assert read_in_time(reading) == b"more"
    os.close(reading)


def test_inlet_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no end fills no memory."""
    monkeypatch.setattr(inlets, "MOST_BYTES", 1 << 20)
    with pytest.raises(OSError, match="File too large"):
        read_in_time("/dev/zero")


def test_what_is_dropped_is_counted() -> None:
    """What was said while nobody read is there as far as it fits, then the number of lines that are not."""
    line = json.dumps({"text": "x" * 1000}) + "\n"
    with stream("pipe") as (ours, theirs):
        told = StandardError(theirs)
        for _ in range(2 * MOST_BACKLOG_BYTES // len(line)):
            told.write(line.encode())
        found = [drained(ours)]
        while told.pass_on():
            found.append(drained(ours))
        told.write(b"at last\n")
        found.append(drained(ours))
        told.finish()
    lines = b"".join(found).decode().splitlines(keepends=True)
    assert lines[-1] == "at last\n"
    lost = 2 * MOST_BACKLOG_BYTES // len(line) - len(lines[:-2])
    assert lines[-2] == f"ncrawl: warning: {lost:,} lines were dropped here: nobody read standard error\n"
    assert set(lines[:-2]) == {line}
    assert len(lines) * len(line) > MOST_BACKLOG_BYTES
