"""What only a process of its own can meet: signals, limits, a terminal, a bug; by the real clock."""

from __future__ import annotations

import asyncio
import fcntl
import gzip
import json
import mmap
import os
import pty
import re
import signal
import sys
import termios
import tty
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from faults import misdeeds
from faults.proxy import Proxy
from faults.server import ACCESS_KEY, REGIONS, SECRET_KEY, Gateway, World, image, now_s
from support.log_lines import unstamped

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.long

PROGRAM = "import sys; from crawler.cli import run; sys.exit(run(sys.argv[1:]))"
LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20)); " + PROGRAM
SOFTLY_LIMITED = LIMITED.replace("(20, 20)", "(20, resource.getrlimit(resource.RLIMIT_NOFILE)[1])")
BROKEN = """
import crawler.jobs.streaming as module
class Broken(module.LineOutput):
    async def take(self, task, names, records):
        if task.within == ("team-b",):
            raise ZeroDivisionError("a bug")
        await super().take(task, names, records)
module.LineOutput = Broken
"""
IMPATIENT = "import crawler.output.sinks; crawler.output.sinks.LAST_WORDS_S = 0; "
DUMPABLE = """
import atexit, ctypes, sys
atexit.register(lambda: print("dumpable", ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), file=sys.stderr))
"""


async def start(url: str, *flags: str, code: str = PROGRAM, **how: Any) -> Process:
    """Start ``ncrawl images``; what it says is collected unless ``how`` says otherwise."""
    arguments = ["images", "--gateway", url, "--page-size", "10", "--deadline", "60s", *flags]
    streams = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE} | how
    return await asyncio.create_subprocess_exec(sys.executable, "-c", code, *arguments, **streams)


async def finish(process: Process) -> tuple[int, bytes, str]:
    """Return exit code, standard output and standard error."""
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out, unstamped(err.decode())


def everything(world: World) -> set[bytes]:
    """Return all lines that a crawl of a world has to write."""
    return {line for region in world.images for name in world.images[region] for line in world.lines(region, name)}


def most_in_a_second(times_s: Sequence[float]) -> int:
    """Return the largest number of times within one second."""
    ordered = sorted(times_s)
    first = most = 0
    for last, time_s in enumerate(ordered):
        while time_s - ordered[first] > 1:
            first += 1
        most = max(most, last - first + 1)
    return most


async def test_stopped_and_continued() -> None:
    """After SIGSTOP and SIGCONT the lost time is not made up for: no burst, and signatures as fresh as ever (S2)."""
    gateway = Gateway(World.of(12, 15))
    rate = 60
    async with gateway:
        process = await start(gateway.url, "--rate", str(rate))
        while len(gateway.attempts) < 30:  # noqa: ASYNC110 - a server tells nobody what it noticed
            await asyncio.sleep(0.005)
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(1.5)
        continued_s = now_s()
        process.send_signal(signal.SIGCONT)
        code, out, _ = await finish(process)
    assert code == 0
    assert set(out.splitlines()) == everything(gateway.world)
    after = [attempt for attempt in gateway.attempts if attempt.arrived_s > continued_s]
    fresh = [attempt.signed_s for attempt in after if attempt.signed_s > continued_s - 0.01]
    burst = rate // 10
    assert most_in_a_second(fresh) <= 1.01 * (rate + burst)
    assert len(after) - len(fresh) <= 2, "only what was signed and on its way when the process was stopped"
    assert len(fresh) > 30


async def test_out_of_file_descriptors() -> None:
    """With fewer descriptors than connections wished for, nothing crashes and everything comes (N13)."""
    gateway = Gateway(World.of(5, 60))
    async with gateway, Proxy(gateway.port, latency_s=0.1) as proxy:
        code, out, err = await finish(await start(proxy.url, "--concurrency", "100", "-vv", code=LIMITED))
    told = r"--concurrency 100 would end in 'Too many open files': 20 may be open, so [1-4] at most are in flight"
    assert re.search(told, err)
    assert err.count("Too many open files") == 1, "it does not come to that"
    assert code == 0
    assert set(out.splitlines()) == everything(gateway.world)


async def test_file_descriptors_that_only_have_to_be_asked_for() -> None:
    """A soft limit below what is needed is raised to it without a word, as far as the hard one allows (N13)."""
    gateway = Gateway(World.of(5, 60))
    async with gateway:
        code, out, err = await finish(await start(gateway.url, "--concurrency", "100", "-vv", code=SOFTLY_LIMITED))
    assert (code, "open files" in err) == (0, False)
    assert set(out.splitlines()) == everything(gateway.world)


async def test_too_few_file_descriptors_to_begin() -> None:
    """Where not even one connection could be opened: one sentence, exit 2, no request (N13)."""
    gateway = Gateway()
    async with gateway:
        code, out, err = await finish(await start(gateway.url, code=LIMITED.replace("20", "15")))
    assert (code, out, gateway.attempts) == (2, b"", [])
    assert re.fullmatch(
        r"ncrawl: only 15 files may be open, too few for a run: allow \d+ or more \(`ulimit -n`\)\n", err
    )


@pytest.mark.skipif(sys.platform != "linux", reason="not run: macOS has no limit of address space")
@pytest.mark.parametrize("kib", [20_000, 30_000, 60_000, 80_000])
async def test_too_little_memory_to_begin(kib: int) -> None:
    """However early it shows, while libraries are loaded or before the event loop: one sentence, exit 2, no request."""
    gateway = Gateway()
    async with gateway:
        limited = ["sh", "-c", f'ulimit -v {kib}; exec "$@"', "sh", sys.executable, "-m", "crawler"]
        arguments = ["images", "--gateway", gateway.url]
        pipe = asyncio.subprocess.PIPE
        code, out, err = await finish(
            await asyncio.create_subprocess_exec(*limited, *arguments, stdout=pipe, stderr=pipe)
        )
    assert (code, out, gateway.attempts) == (2, b"", [])
    assert err.startswith("ncrawl: too little memory")
    assert err.count("\n") == 1


async def test_out_of_memory_in_mid_run() -> None:
    """One sentence, and not that it was a bug or that nothing was requested; whole lines are there."""
    gateway = Gateway()
    async with gateway:
        code, out, err = await finish(
            await start(gateway.url, code=BROKEN.replace("ZeroDivisionError(", "MemoryError(") + PROGRAM)
        )
    assert code == 1
    assert err.splitlines()[-1].startswith("ncrawl: out of memory in mid-run: give the process more")
    assert "bug" not in err
    assert set(out.splitlines()) <= everything(gateway.world)


async def test_bug() -> None:
    """A bug in one task stops the run at once, with exit 1 and its own words; nothing else is hidden in it (S5, K1)."""
    gateway = Gateway()
    async with gateway:
        code, out, err = await finish(await start(gateway.url, "-vv", code=BROKEN + PROGRAM))
    assert code == 1
    assert "ZeroDivisionError: a bug" in err
    assert "ncrawl: this is a bug: please report it" in err
    assert set(out.splitlines()) <= everything(gateway.world)
    for secret in (ACCESS_KEY, SECRET_KEY, *gateway.signatures):
        assert secret not in err


async def test_keys_stay_in_the_process() -> None:
    """No core file is written of a process that holds keys, and its arguments do not hold them (K1)."""
    gateway = Gateway()
    async with gateway:
        code, _, err = await finish(await start(gateway.url, code=DUMPABLE + PROGRAM))
    assert code == 0
    assert "dumpable 0" in err


async def test_reader_of_a_compressed_pipe_that_sleeps_at_the_end(tmp_path: Path) -> None:
    """The end of the stream, which comes after the last page, waits for its reader like all before it (F6).

    Before the end there is only a header of 10 bytes. It takes a page of the pipe for itself: there has to be another.
    """
    gateway = Gateway(World.of(20, 50))
    path = tmp_path / "pipe.gz"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, 2 * mmap.PAGESIZE)
    async with gateway:
        process = await start(gateway.url, "-q", "--rate", "unlimited", "-o", str(path), code=IMPATIENT + PROGRAM)
        while unread(reading) < 100 and process.returncode is None:  # noqa: ASYNC110 - a pipe tells nobody
            await asyncio.sleep(0.005)
        os.set_blocking(reading, True)
        packed = await read_all(reading)
        code, _, err = await finish(process)
    os.close(reading)
    assert (code, err) == (0, "")
    assert len(packed) > 2 * mmap.PAGESIZE
    assert set(gzip.decompress(packed).splitlines()) == everything(gateway.world)


def unread(reading: int) -> int:
    """Return how many bytes wait in a pipe."""
    return int.from_bytes(fcntl.ioctl(reading, termios.FIONREAD, bytes(4)), sys.byteorder)


HARMFUL = "\x1b[31m\x1b]0;owned\x07\x7f\x80\x9b1m\x85\u2028\u2029\u202e\u2066\u2069\u200e\u200f\u061c"


denied = misdeeds.refused(403, "230", HARMFUL)


async def read_all(descriptor: int) -> bytes:
    """Read from a terminal or a pipe until its other side is closed."""
    said = b""
    with suppress(OSError):
        while piece := await asyncio.to_thread(os.read, descriptor, 65536):
            said += piece
    return said


async def test_terminal() -> None:
    """On a terminal nothing that a server says is acted upon, and every line is still the same JSON (V1)."""
    world = World({region: {"team": [image(f"{number}{HARMFUL}") for number in range(12)]} for region in REGIONS})
    gateway = Gateway(world)
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    async with gateway:
        reading = asyncio.create_task(read_all(ours))
        process = await start(gateway.url, stdout=theirs)
        os.close(theirs)
        code, _, _ = await finish(process)
        out = await reading
    os.close(ours)
    assert code == 0
    assert not set(out.decode()) & (set(HARMFUL) - set("[31m]0;owned"))
    values = [json.loads(line) for line in out.splitlines()]
    assert len(values) == len(everything(world))
    assert all(json.loads(line) in values for line in everything(world))


@pytest.mark.parametrize("form", ["text", "json"])
async def test_log_to_a_terminal(form: str) -> None:
    """On standard error, too, a message's control characters are made visible (V1)."""
    gateway = Gateway(meddle=lambda place, _nth, _number: denied if place.registry == "team-a" else None)
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    async with gateway:
        reading = asyncio.create_task(read_all(ours))
        process = await start(gateway.url, "-vv", "--log-format", form, stderr=theirs)
        os.close(theirs)
        await process.communicate()
        said = re.sub(r"\r\x1b\[K|\x1b\[3[39]m", "", (await reading).decode())  # the progress line's own
    os.close(ours)
    assert process.returncode == 3
    assert "\\x1b[31m" in said or "\\\\x1b[31m" in said
    assert not set(said) & (set(HARMFUL) - set("[31m]0;owned"))
