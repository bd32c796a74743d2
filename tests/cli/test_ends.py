"""Nothing holds up an end: streams that nobody reads, pipes without another side, and signals at any time."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import random
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from itertools import cycle
from typing import TYPE_CHECKING

import pytest
from cli.test_cli import PACE, lines_of
from support.log_lines import unstamped
from support.program import COMMAND, Program
from support.streams import KINDS, drained, read_all, stream, unread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crawler.emulation import Emulator

pytestmark = pytest.mark.long

LONGEST_S = 60
"""Only a test that hangs takes so long."""
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}


async def until_stuck(ours: int) -> None:
    """Wait until a run writes more than its stream takes: then what it holds grows no more."""
    async with asyncio.timeout(LONGEST_S):
        before = 0
        while not before or unread(ours) > before:
            before = unread(ours)
            await asyncio.sleep(0.1)  # a stream tells nobody that nothing is written to it


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str]:
    """Return exit code and what was said, if that is a pipe."""
    async with asyncio.timeout(LONGEST_S):
        _, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, unstamped((err or b"").decode())


async def until_signals_count(process: asyncio.subprocess.Process, number: int = signal.SIGTERM) -> None:
    """Wait until a process handles a signal by itself."""
    async with asyncio.timeout(LONGEST_S):
        while not is_handled(process.pid, number):  # noqa: ASYNC110 - /proc tells nobody
            await asyncio.sleep(0)


def is_handled(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal (proc(5), SigCgt)."""
    with open(f"/proc/{pid}/status") as status:  # noqa: PTH123
        caught = next((line.split()[1] for line in status if line.startswith("SigCgt")), "0")
    return bool(int(caught, 16) & 1 << (number - 1))


# --- standard output and standard error that nobody reads ---------------------------------------------------------


@pytest.mark.world(images=20_000)
@pytest.mark.parametrize(("kind", "number"), [*zip(KINDS, cycle(CODES), strict=False)])
async def test_unread_output_and_a_signal(program: Program, kind: str, number: signal.Signals) -> None:
    """Whatever standard output is, a signal ends the run; its flags stay, and pipes hold whole lines (F6, S1)."""
    with stream(kind) as (ours, theirs):
        before = fcntl.fcntl(theirs, fcntl.F_GETFL)
        process = await program.start("images", *PACE, stdout=theirs)
        await until_stuck(ours)
        assert fcntl.fcntl(theirs, fcntl.F_GETFL) == before
        process.send_signal(number)
        code, err = await ended(process)
        os.close(theirs)
        data = drained(ours)
    assert code == CODES[number], err
    assert f"stopped by {number.name}" in err
    lines = data.splitlines(keepends=True)
    for line in lines if kind in ("pipe", "socket") else lines[:-1]:
        assert line.endswith(b"\n")
        json.loads(line)
    assert len(lines) > 10


@pytest.mark.world(images=20_000)
@pytest.mark.parametrize("kind", KINDS)
async def test_unread_output_and_the_deadline(program: Program, kind: str) -> None:
    """The deadline ends it as well: what nobody took could not be written."""
    with stream(kind) as (ours, theirs):
        code, err = await ended(await program.start("images", *PACE, "--deadline", "1s", stdout=theirs))
        assert code == (74 if unread(ours) else 3)
    assert "the deadline came" in err


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", [["-vv"], ["--log-format", "json"]], ids=" ".join)
async def test_unread_standard_error(program: Program, emulator: Emulator, kind: str, form: list[str]) -> None:
    """A standard error that takes nothing at all does not even slow a run down: lines and exit code are there."""
    with stream(kind, full=True) as (_, theirs):
        done = await program("images", *PACE, *form, stderr=theirs)
    assert done.code == 0
    assert sorted(done.lines) == lines_of(emulator.world)


@pytest.mark.world(registries=60, images=4000, latency_ms=60)
@pytest.mark.parametrize(
    ("kind", "end"), [*zip(KINDS, cycle(CODES), strict=False), *((kind, "deadline") for kind in KINDS)]
)
async def test_unread_standard_error_and_an_end(program: Program, kind: str, end: signal.Signals | str) -> None:
    """Nor does it hold up a signal or the deadline."""
    deadline = "1s" if end == "deadline" else "1h"
    with stream(kind, full=True) as (_, theirs):
        process = await program.start(
            "images", *PACE, "-vv", "--concurrency", "2", "--deadline", deadline, stderr=theirs
        )
        if isinstance(end, signal.Signals):
            assert process.stdout
            assert await asyncio.wait_for(process.stdout.readline(), LONGEST_S)
            process.send_signal(end)
        code, _ = await ended(process)
    assert code == (CODES[end] if isinstance(end, signal.Signals) else 3)


async def test_emulator_whose_greeting_nobody_reads(program: Program) -> None:
    """It serves all the same, until a signal stops it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with stream("socket", full=True) as (_, theirs):
        process = await program.start("emulator", "--port", str(port), stdout=theirs)
        async with asyncio.timeout(LONGEST_S):
            while not await is_serving(port):  # noqa: ASYNC110 - a port tells nobody
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == (0, "")


async def is_serving(port: int) -> bool:
    with suppress(OSError):
        _, writing = await asyncio.open_connection("127.0.0.1", port)
        writing.close()
        await writing.wait_closed()
        return True
    return False


@pytest.mark.parametrize("kind", KINDS)
async def test_reader_of_standard_error_that_comes_late(program: Program, kind: str) -> None:
    """What was said while nobody read is said once somebody does, whole and in its order."""
    with stream(kind, full=True) as (ours, theirs):
        process = await program.start("images", *PACE, "-vv", stderr=theirs)
        os.close(theirs)
        assert process.stdout
        assert await asyncio.wait_for(process.stdout.readline(), LONGEST_S)
        told = asyncio.create_task(asyncio.to_thread(read_all, ours))
        code, _ = await ended(process)
        said = unstamped((await told).lstrip(b"\0").decode())
    assert code == 0
    assert said.count("complete, ") == 18 + 3
    table = [line.split()[0] for line in said.rstrip().splitlines()[-6:-1]]
    assert table == ["region", "kr", "sgn", "jpn", "total"]


async def test_long_lines_of_a_command_that_is_killed(program: Program, tmp_path: Path) -> None:
    """Lines of up to what a pipe holds are whole, also where SIGTERM ends a `diff` whose reader sleeps."""
    line = b'{"account":"a","region":"kr","registry":"r","name":"%06d","text":"%s"}\n'
    (tmp_path / "old").write_bytes(b"".join(line % (number, b"x" * (number * 97 % 20_000)) for number in range(500)))
    with stream("pipe") as (ours, theirs):
        process = await program.start("diff", "--assume-complete", "old", "/dev/null", stdout=theirs)
        await until_stuck(ours)
        process.send_signal(signal.SIGTERM)
        code, err = await ended(process)
        os.close(theirs)
        data = drained(ours)
    assert (code, err) == (143, "")
    assert data.endswith(b"\n")
    assert all(json.loads(line)["change"] == "removed" for line in data.splitlines())


# --- pipes without another side -----------------------------------------------------------------------------------


WAITING = {
    "--config": (2, "its end did not come before the deadline"),
    "--registry-file": (2, "its end did not come before the deadline"),
    "--registry-file -": (2, "its end did not come before the deadline"),
    "--registry-file terminal": (2, "its end did not come before the deadline"),
    "key file": (2, "its end did not come before the deadline"),
    "-o": (74, "nobody reads it"),
    "--summary": (74, "nobody reads it"),
}


@contextmanager
def waiting(program: Program, where: str) -> Iterator[tuple[list[str], int]]:
    """Put a pipe that has no other side there; give arguments and standard input."""
    os.mkfifo(program.home / "fifo")
    with stream("terminal" if "terminal" in where else "pipe") as (ours, theirs):
        if where == "key file":
            (program.home / ".ncloud").mkdir()
            os.mkfifo(program.home / ".ncloud" / "configure")
            program.environ["NCLOUD_ACCESS_KEY_ID"] = program.environ["NCLOUD_SECRET_KEY"] = ""
            yield [], ours
        elif where.startswith("--registry-file "):
            yield ["--registry-file", "-"], theirs if "terminal" in where else ours
        else:
            yield [where, "fifo"], ours


@pytest.mark.parametrize("where", WAITING)
async def test_deadline_of_a_pipe_without_another_side(program: Program, where: str) -> None:
    """The deadline ends the wait for who will never come, with a sentence, and 2 or 74."""
    with waiting(program, where) as (arguments, stdin):
        process = await program.start("images", *PACE, "--deadline", "1s", *arguments, stdin=stdin)
        code, err = await ended(process)
    assert (code, err.splitlines()[-1][:8]) == (WAITING[where][0], "ncrawl: ")
    assert WAITING[where][1] in err


@pytest.mark.parametrize(("where", "number"), [*zip(WAITING, cycle(CODES), strict=False)])
async def test_signal_to_a_pipe_without_another_side(program: Program, where: str, number: signal.Signals) -> None:
    """A signal ends it at once."""
    with waiting(program, where) as (arguments, stdin):
        process = await program.start("images", *PACE, *arguments, stdin=stdin)
        if where == "--summary":
            assert process.stderr
            assert await asyncio.wait_for(process.stderr.readline(), LONGEST_S)
        else:
            await until_waiting(process, program, where)
        process.send_signal(number)
        code, _ = await ended(process)
    assert code == CODES[number]


async def until_waiting(process: asyncio.subprocess.Process, program: Program, where: str) -> None:
    """Wait until a process waits, as far as /proc can tell: neither a pipe nor /proc tells by itself."""
    await until_signals_count(process)
    path = program.home / (".ncloud/configure" if where == "key file" else "fifo")
    async with asyncio.timeout(LONGEST_S):
        while where in ("--config", "--registry-file", "key file") and not has_reader(path):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        while where == "-o" and "anon_inode:[eventpoll]" not in open_files(process.pid):  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def has_reader(path: Path) -> bool:
    try:
        os.set_blocking(os.open(path, os.O_WRONLY | os.O_NONBLOCK), True)  # and stays open: a writer that is silent
    except OSError:
        return False
    return True


def open_files(pid: int) -> list[str]:
    """Return what a process has open."""
    found = []
    for number in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
        with suppress(OSError):
            found.append(os.readlink(f"/proc/{pid}/fd/{number}"))  # noqa: PTH115
    return found


@pytest.mark.parametrize("where", ["SSL_CERT_FILE", "NETRC", "--trust-env"])
async def test_pipes_that_a_library_would_wait_for(program: Program, emulator: Emulator, where: str) -> None:
    """Certificates and logins are read by libraries, without an end: exit 2 and a sentence before the first request."""
    pipe = program.home / ".netrc"
    os.mkfifo(pipe)
    if where != "--trust-env":
        program.environ[where] = str(pipe)
    program.environ["NCRAWL_TRUST_ENV"] = "false" if where == "SSL_CERT_FILE" else "true"
    code, err = await ended(await program.start("images", *PACE))
    assert (code, err) == (2, f"ncrawl: {where}: {pipe} is a pipe or a device, which may have no end: name a file\n")
    assert emulator.statistics.requests == 0


async def test_a_netrc_that_cannot_be_understood_is_told_once_without_its_words(program: Program) -> None:
    """A word of it may be a password: only the path is told, and in JSON where that is asked for (K1)."""
    (program.home / ".netrc").write_text("default login me\nmachine a login b password hunter2 hunter3\n")
    arguments = ["--trust-env", "--log-format", "json", "--region", "kr"]
    code, err = await ended(await program.start("images", *PACE, *arguments, stdout=subprocess.DEVNULL))
    assert code == 0
    assert "hunter" not in err
    messages = [json.loads(line)["message"] for line in err.splitlines()]
    told = [message for message in messages if ".netrc" in message]
    assert told == [f"--trust-env: no login is taken from {program.home}/.netrc: it cannot be understood"]


async def test_a_netrc_that_is_no_text(program: Program, emulator: Emulator) -> None:
    """Exit 2 and a sentence, where a library would fail at each request."""
    (program.home / ".netrc").write_bytes(b"machine \xff\xfe\n")
    code, err = await ended(await program.start("images", *PACE, "--trust-env"))
    assert code == 2
    assert err == f"ncrawl: --trust-env: {program.home}/.netrc is not text in UTF-8: save it as such, or move it away\n"
    assert emulator.statistics.requests == 0


async def test_a_proxy_for_other_addresses_that_is_none(program: Program, emulator: Emulator) -> None:
    """A library parses each variable, whichever it needs: exit 2 and a sentence before the first request."""
    program.environ["https_proxy"] = "http://[::1"
    code, err = await ended(await program.start("images", *PACE, "--trust-env"))
    assert (code, err) == (2, "ncrawl: https_proxy is no address of a proxy: mend it, or unset it\n")
    assert emulator.statistics.requests == 0


async def test_nothing_to_read_is_no_pipe(program: Program) -> None:
    """/dev/null stands for certificates or logins that shall not be read."""
    program.environ |= {"SSL_CERT_FILE": os.devnull, "NETRC": os.devnull, "NCRAWL_TRUST_ENV": "true"}
    assert (await ended(await program.start("images", *PACE, stdout=subprocess.DEVNULL)))[0] == 0


async def test_pipes_whose_other_side_comes_late(program: Program, emulator: Emulator, tmp_path: Path) -> None:
    """Settings, registries, lines and summary may go through named pipes: each is waited for."""
    name = emulator.world.registry_names("kr")[0]
    for each in ("config", "names", "out", "summary"):
        os.mkfifo(tmp_path / each)
    process = await program.start(
        "images", "--config", "config", "--registry-file", "names", "-o", "out", "--summary", "summary"
    )
    async with asyncio.timeout(LONGEST_S):
        await asyncio.to_thread((tmp_path / "config").write_text, 'rate = "unlimited"\nregion = ["kr"]\n')
        await asyncio.to_thread((tmp_path / "names").write_text, name)
        out = await asyncio.to_thread((tmp_path / "out").read_bytes)
        summary = json.loads(await asyncio.to_thread((tmp_path / "summary").read_bytes))
    code, err = await ended(process)
    assert code == 0, err
    lines = [line for line in lines_of(emulator.world) if json.loads(line)["registry"] == name]
    assert sorted(out.splitlines()) == [line for line in lines if json.loads(line)["region"] == "kr"]
    assert summary["run"]["options"]["rate"] == "unlimited"


# --- the deadline, SIGHUP, and the last moments -------------------------------------------------------------------


AN_HOUR_AGO = """
import sys
from crawler.core import lifetime
class Earlier:
    def find_spec(name, *_):
        if name == "crawler.cli":
            lifetime._began_s[0] -= 3600
sys.meta_path.insert(0, Earlier)
from crawler.__main__ import main
main()
"""


async def test_deadline_counts_from_the_start_of_the_process(program: Program, emulator: Emulator) -> None:
    """However long a process took to its first request, that is part of its hour: here all of it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", AN_HOUR_AGO, "images", cwd=program.home, env=program.environ, stderr=subprocess.PIPE
    )
    code, err = await ended(process)
    assert code == 3
    assert "the deadline came" in err
    assert emulator.statistics.requests == 0


@pytest.mark.world(registries=60, images=4000, latency_ms=60)
async def test_nohup(program: Program, emulator: Emulator) -> None:
    """Where SIGHUP is ignored, as `nohup` has it, it stays ignored, before and during the crawl."""
    nohup = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
    process = await program.start("images", *PACE, preexec_fn=nohup)
    await until_signals_count(process)
    process.send_signal(signal.SIGHUP)
    assert process.stdout
    first = await asyncio.wait_for(process.stdout.readline(), LONGEST_S)
    process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(LONGEST_S):
        rest, _ = await process.communicate()
    assert process.returncode == 0
    assert sorted((first + rest).splitlines()) == lines_of(emulator.world)


@pytest.mark.world(registries=60, images=4000, latency_ms=60)
async def test_signal_that_the_caller_left_blocked(program: Program) -> None:
    """A mask that a supervisor forgot does not make a run deaf."""
    block = lambda: signal.pthread_sigmask(signal.SIG_BLOCK, CODES)  # noqa: E731
    process = await program.start("images", *PACE, preexec_fn=block)
    assert process.stdout
    assert await asyncio.wait_for(process.stdout.readline(), LONGEST_S)
    process.send_signal(signal.SIGTERM)
    assert (await ended(process))[0] == 143


LAST_BREATH = """
import os, signal, sys
class Late:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGTERM):
        kill(pid, number)
sys.modules["late"] = Late()
from crawler.__main__ import main
raise SystemExit(main())
"""


def test_signal_while_python_ends() -> None:
    """What comes when Python's own end has put the signals' defaults back is no death by signal."""
    command = [sys.executable, "-c", LAST_BREATH, "--version"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_signal_at_any_time() -> None:
    """From the moment that a process handles signals to its very end: its own exit code, or the signal's."""
    chance = random.Random(10)
    codes = set()
    for _ in range(40):
        with subprocess.Popen([*COMMAND, "--version"], stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and not is_handled(process.pid, signal.SIGHUP):
                pass
            for _ in range(chance.randrange(2000)):  # some 60 ms: what a process takes to its end
                if process.poll() is not None:
                    break
                is_handled(process.pid, signal.SIGTERM)
            process.send_signal(signal.SIGTERM)
        codes.add(process.returncode)
    assert {143} <= codes <= {0, 143}
