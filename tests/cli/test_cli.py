"""The program as a process: exit codes, streams, signals and pipes, against an emulated gateway."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import orjson
import pytest
import zstandard
from support.log_lines import unstamped
from support.program import COMMAND, Done, Program
from support.raw_server import RawServer, answer, page, refusal

from crawler.cli import COMMANDS, run
from crawler.core.version import __version__
from crawler.emulation.options import REGIONS
from crawler.snapshot.manifest import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.raw_server import Request

    from crawler.emulation import Emulator
    from crawler.emulation.world import World

PACE = ["--rate", "unlimited"]
ALL = tuple(region.code for region in REGIONS)


def lines_of(world: World, account: str = "default") -> list[bytes]:
    """Return the lines of a complete crawl, sorted."""
    return sorted(
        orjson.dumps({"account": account, "region": region, "registry": name} | image)
        for region in world.regions
        for name in world.registry_names(region)
        for image in world.images(region, name)
    )


def assert_summary_fits(path: Path, done: Done) -> None:
    """The summary is sealed, and tells of the very lines that came out."""
    summary = load(path.read_bytes())
    (file,) = summary.files
    assert (file.lines, file.bytes) == (len(done.lines), len(done.out))
    assert file.sha256 == hashlib.sha256(done.out).hexdigest()
    assert summary.totals.images == len(done.lines) == sum(one.images for one in summary.registries)


# --- the main job ------------------------------------------------------------------------------------------------


async def test_images(program: Program, emulator: Emulator, tmp_path: Path) -> None:
    """Exit 0; standard output is the world and nothing else; the table and the summary agree with it."""
    done = await program("images", *PACE, "--summary", "run.json")
    assert done.code == 0
    assert sorted(done.lines) == lines_of(emulator.world)
    assert_summary_fits(tmp_path / "run.json", done)
    table = done.err.splitlines()
    rows = [dict(zip(table[0].split(), line.split(), strict=True)) for line in table[1:-1]]
    assert [(row["region"], row["complete"]) for row in rows] == [
        *((region, "6") for region in ALL),
        ("total", str(6 * len(ALL))),
    ]
    assert int(rows[-1]["requests"]) == emulator.statistics.requests
    assert int(rows[-1]["images"]) == 400
    summary = load((tmp_path / "run.json").read_bytes())
    assert (summary.verdict, summary.totals.registries.complete) == ("complete", 6 * len(ALL))
    assert summary.totals.requests == emulator.statistics.requests
    assert summary.run.options["rate"] == "unlimited"


async def test_paths_that_are_no_utf_8(program: Program, tmp_path: Path) -> None:
    """A summary names them with escapes; the files have the very names that were given."""
    done = await program("images", *PACE, "--output", "\udcff.ndjson", "--summary", "\udcfe.json")
    assert (done.code, done.out) == (0, b"")
    summary = load((tmp_path / "\udcfe.json").read_bytes())
    assert summary.files[0].name == summary.run.options["output"] == "\\udcff.ndjson"
    assert (tmp_path / "\udcff.ndjson").stat().st_size == summary.files[0].bytes


async def test_registries(program: Program, emulator: Emulator) -> None:
    """Every registry as the gateway has it, after account and region; the table speaks of no images."""
    done = await program("registries", *PACE)
    assert done.code == 0
    assert done.err.split("\n")[0].split() == ["region", "registries", "requests", "retries", "throttled", "seconds"]
    assert sorted(done.lines) == sorted(
        orjson.dumps({"account": "default", "region": region} | record)
        for region in ALL
        for record in emulator.world.registries(region)
    )


async def test_numbers_come_out_as_they_came_in(tmp_path: Path) -> None:
    """Above 64 bits, with trailing zeros, out of a float's range; unknown fields; the order of fields (P4)."""
    record = (
        b'{"name":"x","pull_count":1180591620717411303424,"last_updated":1.10,"new":{"deep":[1E400,-0.0,0.1e-7]},'
        b'"\\ud83d\\ude00":"\xed\x95\x9c"}'
    )

    def choose(request: Request) -> bytes:
        record_ = b'{"name":"team-a"}' if "/repositories?" in request.target else record
        return answer(b'{"count":1,"next":null,"previous":null,"results":[%s]}' % record_)

    async with RawServer(choose=choose) as server:
        done = await Program(tmp_path, None, server.url)("images", "--region", "kr")
    assert done.code == 0
    assert done.out == b'{"account":"default","region":"kr","registry":"team-a",' + record[1:] + b"\n"


async def test_named_registries_from_a_pipe(program: Program, emulator: Emulator) -> None:
    """Names from arguments and standard input are one list, each once."""
    one, other = emulator.world.registry_names("kr")[:2]
    given = f"# two\nkr/{one}\n{other}  # comment\nkr/{one}\n".encode()
    done = await program("images", *PACE, "--region", "kr", "--registry-file", "-", f"kr/{other}", given=given)
    assert done.code == 0
    found = {json.loads(line)["registry"] for line in done.lines}
    assert found == {name for name in (one, other) if list(emulator.world.images("kr", name))}
    assert all("/repositories?" not in target for target in emulator.statistics.targets)


async def test_profile_of_a_key_file(program: Program, emulator: Emulator, tmp_path: Path) -> None:
    """The profile's name is the account of every line; a key file that others can read draws a warning (K2)."""
    keys = f"[night]\nncloud_access_key_id = {emulator.access_key}\nncloud_secret_access_key={emulator.secret_key}\n"
    (tmp_path / ".ncloud").mkdir()
    (tmp_path / ".ncloud" / "configure").write_text(keys)
    (tmp_path / ".ncloud" / "configure").chmod(0o644)
    done = await program("images", *PACE, "--profile", "night")
    assert done.code == 0
    assert sorted(done.lines) == lines_of(emulator.world, "night")
    assert "ncrawl: warning:" in done.err
    assert "chmod 600" in done.err


async def test_the_name_of_the_account(program: Program, emulator: Emulator) -> None:
    """--account is the first field of every line, whatever profile the keys are of."""
    done = await program("images", *PACE, "--account", "team-a.prod_1")
    assert done.code == 0
    assert sorted(done.lines) == lines_of(emulator.world, "team-a.prod_1")


async def test_a_hostile_folder(program: Program, emulator: Emulator, tmp_path: Path) -> None:
    """Settings that lie in the current folder send no request elsewhere and overwrite nothing; one warning tells."""
    victim = tmp_path / "victim"
    victim.write_text("mine\n")
    async with RawServer(answer(b"{}")) as elsewhere:
        (tmp_path / "ncrawl.toml").write_text(f'gateway = "{elsewhere.url}"\noutput = "{victim}"\n')
        done = await program("images", *PACE)
    assert done.code == 0
    assert sorted(done.lines) == lines_of(emulator.world)
    assert elsewhere.requests == []
    assert victim.read_text() == "mine\n"
    assert done.err.count("./ncrawl.toml is not read") == 1


async def test_in_a_pod_beside_a_service_of_its_name(program: Program, emulator: Emulator) -> None:
    """What Kubernetes puts into the environment for services called ncrawl and ncrawl-api is no setting."""
    for service in ("NCRAWL", "NCRAWL_API"):
        program.environ |= {
            f"{service}_SERVICE_HOST": "10.96.0.7",
            f"{service}_SERVICE_PORT": "80",
            f"{service}_SERVICE_PORT_HTTP": "80",
            f"{service}_PORT": "tcp://10.96.0.7:80",
            f"{service}_PORT_80_TCP": "tcp://10.96.0.7:80",
            f"{service}_PORT_80_TCP_PROTO": "tcp",
            f"{service}_PORT_80_TCP_PORT": "80",
            f"{service}_PORT_80_TCP_ADDR": "10.96.0.7",
        }
    done = await program("images", *PACE)
    assert (done.code, len(done.lines)) == (0, len(lines_of(emulator.world)))
    assert "ncrawl: " not in done.err


@pytest.mark.parametrize("name", ["images.ndjson", "images.ndjson.zst"])
async def test_file_as_output(program: Program, emulator: Emulator, tmp_path: Path, name: str) -> None:
    """The file holds the lines, standard output nothing."""
    done = await program("images", *PACE, "-o", name, "--summary", "run.json")
    assert (done.code, done.out) == (0, b"")
    stored = (tmp_path / name).read_bytes()
    data = zstandard.ZstdDecompressor().decompressobj().decompress(stored) if name.endswith(".zst") else stored
    assert sorted(data.splitlines()) == lines_of(emulator.world)
    (file,) = load((tmp_path / "run.json").read_bytes()).files
    assert (file.name, file.bytes, file.lines) == (name, len(stored), 400)
    assert sorted(os.listdir(tmp_path)) == [name, "run.json"]  # noqa: PTH208


# --- exit 2: nothing was requested -------------------------------------------------------------------------------


async def test_no_keys(program: Program, emulator: Emulator) -> None:
    """Exit 2, with what to do about it, and without a request (K4)."""
    del program.environ["NCLOUD_ACCESS_KEY_ID"], program.environ["NCLOUD_SECRET_KEY"]
    done = await program("images")
    assert (done.code, done.out) == (2, b"")
    assert "no keys found" in done.err
    assert "ncrawl demo" in done.err
    assert all(line.startswith("ncrawl: ") for line in done.err.splitlines())
    assert emulator.statistics.requests == 0


@pytest.mark.long
@pytest.mark.parametrize("arguments", [["-o", "x"], ["--summary", "x"], ["--registry-file", "x"]])
async def test_a_current_folder_that_is_gone(program: Program, tmp_path: Path, arguments: list[str]) -> None:
    """Paths that start from it lead nowhere: exit 2 with a sentence; a run that needs none goes on."""
    there = tmp_path / "there"
    there.mkdir()
    code = f"import os, sys; os.rmdir({str(there)!r}); from crawler.cli import run; sys.exit(run(sys.argv[1:]))"
    program.environ["PYTHONPATH"] = os.getcwd()  # noqa: PTH109 - where the package is
    for more, exit_code in ((arguments, 2), ([], 0)):
        there.mkdir(exist_ok=True)
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-c", code, "images", *PACE, *more],
            cwd=there,
            env=program.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            _, err = await process.communicate()
        assert process.returncode == exit_code, err
        assert (b"the current directory cannot be found" in err) is bool(more)
        assert b"Traceback" not in err


async def test_all_problems_in_one_message(program: Program, emulator: Emulator, tmp_path: Path) -> None:
    """Each with its place, value and what would be right; from flags, environment and file together."""
    (tmp_path / "ncrawl.toml").write_text('concurency = 5\ndeadline = "never"\n')
    program.environ["NCRAWL_CONFIG"] = "ncrawl.toml"
    program.environ["NCRAWL_VERIFY"] = "sometimes"
    done = await program("images", "--rate", "fast", "--region", "mars", "--gateway", "http://192.0.2.1", "../x")
    assert (done.code, done.out) == (2, b"")
    for part in ("concurency", "did you mean concurrency?", "never", "NCRAWL_VERIFY", "--rate", "'fast'", "'..'"):
        assert part in done.err
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) >= 6
    assert emulator.statistics.requests == 0


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["imges"], "did you mean images?"),
        (["quatsch"], "there are images"),
        (["images", "--ouput", "x"], "--output"),
        (["images", "--rate"], "requires an argument"),
        ([], "Commands:"),
        (["registries", "team-a"], "unexpected extra argument"),
    ],
)
def test_usage(arguments: list[str], hint: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A mistake on the command line is exit 2 with a hint, on standard error only."""
    assert run(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert hint.lower() in err.lower()


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], *([name, "--help"] for name in COMMANDS)])
def test_help(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """Every command has help that fits a terminal; the main ones teach by example."""
    assert run(arguments) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert out.startswith("Usage: ncrawl")
    assert max(map(len, out.splitlines())) <= 120
    if arguments[0] in ("images", "registries", "emulator"):
        assert "Examples:" in out


def test_version() -> None:
    """Both ways to start the program are the same one, and `--version` loads none of the heavy libraries."""
    for start in (COMMAND, [os.path.join(os.path.dirname(sys.executable), "ncrawl")]):  # noqa: PTH118, PTH120
        done = subprocess.run([*start, "--version"], capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == (f"ncrawl {__version__}\n", "")
    script = "import sys; from crawler.cli import run; run(['--version']); "
    script += "sys.exit(bool({'aiohttp', 'anyio', 'orjson', 'zstandard'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", script], check=False, capture_output=True).returncode == 0


def test_bug(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """What nobody expected is exit 1, told as a bug, with its traceback (S5)."""

    def fail(_flags: object, **_how: object) -> None:
        raise ExceptionGroup("", [ZeroDivisionError("the bug")])

    monkeypatch.setattr("crawler.cli.commands.images.settings_from", fail)
    assert run(["images"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert "ZeroDivisionError: the bug" in err
    assert "please report" in err


def test_interrupt_before_the_crawl(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C where nobody listens is 130 all the same, without a traceback."""

    def fail(_flags: object, **_how: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("crawler.cli.commands.images.settings_from", fail)
    assert run(["images"]) == 130
    out, err = capfd.readouterr()
    assert out + err.strip() == ""


# --- exit 3 and 4 ------------------------------------------------------------------------------------------------


@pytest.mark.world(denied=1, gone=1)
async def test_something_is_missing(program: Program, emulator: Emulator, tmp_path: Path) -> None:
    """Exit 3; the reason of each registry that is not complete stands under the table."""
    done = await program("images", *PACE, "--summary", "run.json")
    assert done.code == 3
    for region, name in emulator.gateway.denied:
        assert f"{region}/{name}: denied: 401/210 Permission Denied" in done.err
    assert set(done.lines) < set(lines_of(emulator.world))
    assert_summary_fits(tmp_path / "run.json", done)
    assert load((tmp_path / "run.json").read_bytes()).totals.registries.denied == len(ALL)


@pytest.mark.world(registries=10, images=900, hidden=10)
async def test_404_of_all_that_are_listed(program: Program, tmp_path: Path) -> None:
    """Exit 3, every registry is denied, and yesterday's file is not replaced by nothing."""
    (tmp_path / "images.ndjson").write_text("yesterday\n")
    done = await program("images", *PACE, "-o", "images.ndjson", "--summary", "run.json")
    assert done.code == 3
    assert "denied: 404/300 Not Found Exception, although the list of registries" in done.err
    assert (tmp_path / "images.ndjson").read_text() == "yesterday\n"
    summary = load((tmp_path / "run.json").read_bytes())
    assert (summary.verdict, summary.totals.registries.denied) == ("incomplete", 10 * len(ALL))


@pytest.mark.parametrize("command", [("images",), ("registries",), ("snapshot", ".")], ids=" ".join)
async def test_list_of_registries_that_is_not_whole(tmp_path: Path, command: tuple[str, ...]) -> None:
    """Exit 3, and what was not to be had is told, whatever else was."""

    def choose(request: Request) -> bytes:
        if "/repositories?page=1" in request.target:
            return answer(page({"name": "one"}, following=2))
        return refusal(403, "230", "Forbidden") if "/repositories?" in request.target else answer(page({"name": "x"}))

    async with RawServer(choose=choose) as server:
        done = await Program(tmp_path, None, server.url)(*command, *PACE, "--region", "kr")
    assert done.code == 3
    assert "kr, list of registries: incomplete: page 2: 403/230 Forbidden" in done.err
    assert len(done.lines) == (command[0] != "snapshot")


async def test_named_registry_that_does_not_exist(program: Program) -> None:
    """Exit 3: it counts, where one that was discovered would not."""
    done = await program("images", *PACE, "no-such")
    assert (done.code, done.out) == (3, b"")
    assert "no-such: no such registry in jpn, kr or sgn" in done.err
    assert "404/300" not in done.err


async def test_which_registry_may_be_meant(program: Program, emulator: Emulator, tmp_path: Path) -> None:
    """A mistyped name is told with the one that is like it, for a request a region, which is counted."""
    name = emulator.world.registry_names("kr")[0]
    done = await program("images", *PACE, f"kr/{name}x", "--summary", "run.json")
    assert (done.code, done.out) == (3, b"")
    assert f"{name}x: no such registry in kr; did you mean {name}?\n" in done.err
    assert load((tmp_path / "run.json").read_bytes()).totals.requests == emulator.statistics.requests
    assert emulator.statistics.requests_by_region == dict.fromkeys(ALL, 0) | {"kr": 2}


@pytest.mark.world(latency_ms=250)
async def test_deadline(program: Program, tmp_path: Path) -> None:
    """Exit 3 by then; the reason is told."""
    done = await program("images", "--deadline", "1s", "--concurrency", "2", "--summary", "run.json")
    assert done.code == 3
    assert "the deadline came" in done.err
    assert_summary_fits(tmp_path / "run.json", done)


@pytest.mark.long
async def test_deadline_tells_the_cause(tmp_path: Path) -> None:
    """What went wrong last in a region that never answered stands in the log, below the table, and in each reason."""
    async with RawServer(refusal(503, "500", "Endpoint Error")) as server:
        program = Program(tmp_path, None, server.url)
        done = await program("images", "--deadline", "4s", "--region", "kr", "a", "b", "--summary", "run.json")
    cause = "503/500 Endpoint Error"
    assert done.code == 3
    assert f"stopping: the deadline came; last in kr: {cause}" in done.err
    assert f"2 registries were not begun or not finished: the deadline came; last in kr: {cause}" in done.err
    reasons = {one.reason for one in load((tmp_path / "run.json").read_bytes()).registries}
    assert all(f"the deadline came; last: {cause}" in str(reason) for reason in reasons)


async def test_nothing_replaces_nothing(tmp_path: Path) -> None:
    """A gateway that is down until the deadline does not cost yesterday's file."""
    (tmp_path / "images.ndjson").write_bytes(b"yesterday's\n")
    done = await Program(tmp_path, None)("images", "--deadline", "1s", "-o", "images.ndjson")
    assert done.code == 3
    assert (tmp_path / "images.ndjson").read_bytes() == b"yesterday's\n"
    assert "images.ndjson is not replaced; nothing was had" in done.err


async def test_wrong_key(program: Program, emulator: Emulator, tmp_path: Path) -> None:
    """Exit 4 after a request a region at most; an earlier file is not replaced by nothing."""
    program.environ["NCLOUD_SECRET_KEY"] = "wrong"
    (tmp_path / "images.ndjson").write_bytes(b"yesterday's\n")
    done = await program("images", *PACE, "-o", "images.ndjson", "--summary", "run.json")
    assert done.code == 4
    assert max(emulator.statistics.requests_by_region.values()) == 1
    assert "the gateway refuses the key or the clock: 401/200" in done.err
    assert (tmp_path / "images.ndjson").read_bytes() == b"yesterday's\n"
    assert "images.ndjson is not replaced; nothing was had" in done.err
    assert not (tmp_path / "images.ndjson.partial").exists()
    assert " bytes: images.ndjson" not in done.err
    told = [line for line in done.err.splitlines() if "list" in line or "doctor" in line]
    assert len(told) == 2
    assert told[0].startswith("kr, sgn, jpn, lists of registries: failed: the gateway refuses the key or the clock")
    assert told[1] == "`ncrawl doctor` says what is in the way, and how to mend it"
    summary = load((tmp_path / "run.json").read_bytes())
    assert (summary.verdict, summary.files) == ("incomplete", ())


@pytest.mark.world(quota=12)
async def test_quota(program: Program, emulator: Emulator, tmp_path: Path) -> None:
    """Exit 4; what was had is kept."""
    done = await program("images", *PACE, "--concurrency", "3", "--summary", "run.json")
    assert done.code == 4
    assert "quota" in done.err
    assert set(done.lines) < set(lines_of(emulator.world))
    assert done.lines
    assert_summary_fits(tmp_path / "run.json", done)


# --- exit 74 and 75 ----------------------------------------------------------------------------------------------


async def test_full_disk(program: Program) -> None:
    """Standard output is a device without space: exit 74, one sentence."""
    with open("/dev/full", "wb") as full:  # noqa: ASYNC230, PTH123
        done = await program("images", *PACE, stdout=full)
    assert done.code == 74
    assert (
        done.err
        == f"ncrawl: cannot write standard output: {os.strerror(errno.ENOSPC)}: free some space and run again\n"
    )


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["images > out", "images >> out", "images -o out", "diff --assume-complete old /dev/null > out"]
)
async def test_disk_that_fills_up(program: Program, tmp_path: Path, name: str) -> None:
    """A file that can grow no further ends with a whole line, whoever opened it (F1)."""
    lines = (b'{"account":"default","region":"kr","registry":"r","name":"%06d"}\n' % number for number in range(1000))
    (tmp_path / "old").write_bytes(b"".join(lines))
    (tmp_path / "out").write_bytes(b"{}\n")
    script = f"ulimit -f 40; NCRAWL_RATE=unlimited {' '.join(COMMAND)} {name}"
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script, cwd=program.home, env=program.environ, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, err.count(b"\n")) == (74, 1)
    written = (tmp_path / ("out.partial" if "-o" in name else "out")).read_bytes()
    assert Done(74, written, "").lines
    assert len(written) > 38_000


def full_disk() -> int:
    """Return a descriptor that nothing can be written to because there is no room."""
    return os.open("/dev/full", os.O_WRONLY)


def closed_pipe() -> int:
    """Return a descriptor that nothing can be written to because nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.long
@pytest.mark.parametrize("opened", [full_disk, closed_pipe])
async def test_standard_error_that_takes_nothing(
    program: Program, emulator: Emulator, tmp_path: Path, opened: Callable[[], int]
) -> None:
    """That nobody can be told takes nothing from a run: lines, snapshot, `latest` and exit code are as ever."""
    with os.fdopen(opened(), "wb", buffering=0) as stderr:
        done = await program("images", "-vv", *PACE, stderr=stderr)
        (tmp_path / "nights").mkdir()
        night = await program("snapshot", "nights", *PACE, stderr=stderr)
        proof = await program("verify", "nights/latest", stderr=stderr)
        mistake = await program("images", "--rate", "fast", stderr=stderr)
    assert (done.code, sorted(done.lines)) == (0, lines_of(emulator.world))
    assert (night.code, proof.code, mistake.code) == (0, 0, 2)
    assert not list((tmp_path / "nights").glob(".ncrawl-*"))


async def test_standard_error_that_does_not_block(program: Program) -> None:
    """A caller's non-blocking pipe that is full for now gets every word once it is read."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    filler = bytes(65536)
    with suppress(BlockingIOError):
        while os.write(writer, filler):
            pass
    process = await program.start("images", "-o", "images.ndjson", *PACE, stderr=writer)
    os.close(writer)
    with open(reader, "rb") as pipe:  # noqa: ASYNC230, PTH123
        told = await asyncio.to_thread(pipe.read)
    assert await process.wait() == 0
    assert unstamped(told.lstrip(b"\0").decode()).startswith("region")


@pytest.mark.long
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["images", "--help"], ["emulator", "--port", "0"]])
async def test_text_that_nobody_takes(program: Program, arguments: list[str]) -> None:
    """Help and the emulator's greeting are output, too: 74 on a full disk, a quiet 141 into a pipe that is closed."""
    with os.fdopen(full_disk(), "wb") as stdout:
        done = await program(*arguments, stdout=stdout)
    assert (done.code, done.err.splitlines()) == (
        74,
        ["ncrawl: cannot write standard output: No space left on device: free some space and run again"],
    )
    with os.fdopen(closed_pipe(), "wb") as stdout:
        done = await program(*arguments, stdout=stdout)
    assert (done.code, done.err) == (141, "")


@pytest.mark.long
@pytest.mark.parametrize(
    ("closed", "code"), [("<&-", 0), (">&-", 74), ("2>&-", 0), ("<&- 2>&-", 0), ("<&- >&- 2>&-", 74)]
)
async def test_closed_streams(program: Program, emulator: Emulator, closed: str, code: int) -> None:
    """Whatever stream the caller closed, no socket takes its place: the lines come, or exit 74 says why not."""
    script = f"{' '.join(COMMAND)} images --rate unlimited {closed}"
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script, cwd=program.home, env=program.environ, stdin=subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == code
    assert sorted(Done(code, out, "").lines) == sorted(lines_of(emulator.world) if code == 0 else [])
    if code and "2>&-" not in closed:
        assert unstamped(err.decode()) == f"ncrawl: cannot write standard output: {os.strerror(errno.EBADF)}\n"


@pytest.mark.long
@pytest.mark.parametrize(
    "arguments",
    [
        ["-o", "missing/images.ndjson"],
        ["-o", "."],
        ["-o", "missing/"],
        ["--summary", "missing/run.json"],
        ["--summary", "missing/"],
    ],
    ids=" ".join,
)
async def test_output_that_cannot_be(program: Program, emulator: Emulator, arguments: list[str]) -> None:
    """Exit 74 before the first request, with the path as it was given (F4)."""
    done = await program("images", *arguments)
    assert (done.code, done.out) == (74, b"")
    assert done.err.startswith(f"ncrawl: cannot write {arguments[1]}: ")
    assert emulator.statistics.requests == 0


@pytest.mark.parametrize("kind", ["file by its name", "file", "pipe"])
async def test_summary_that_leads_to_standard_output(
    program: Program, emulator: Emulator, tmp_path: Path, kind: str
) -> None:
    """It would take the place of the data, or mix with them: exit 2, no request, and what is there stays."""
    path = tmp_path / "images.ndjson"
    with path.open("wb") as file:
        summary = path.name if kind == "file by its name" else "/dev/stdout"
        done = await program("images", "--summary", summary, stdout=subprocess.PIPE if kind == "pipe" else file)
    assert (done.code, done.out) == (2, b"")
    assert done.err == "ncrawl: --summary leads to standard output, which is for data: name another file\n"
    assert (path.read_bytes(), emulator.statistics.requests) == (b"", 0)


async def test_summary_and_standard_output_to_nowhere(program: Program) -> None:
    """A device takes both."""
    assert (await program("images", *PACE, "-q", "--summary", "/dev/null", stdout=subprocess.DEVNULL)).code == 0


async def test_completion(program: Program) -> None:
    """What a shell asks for to complete a command's options is no error."""
    program.environ["_NCRAWL_COMPLETE"] = "zsh_source"
    done = await program()
    assert (done.code, done.err) == (0, "")
    assert b"#compdef ncrawl" in done.out


async def test_empty_folder_name(program: Program, emulator: Emulator, tmp_path: Path) -> None:
    """`ncrawl snapshot "$UNSET"` is no order to write into the current folder: exit 2, no request."""
    done = await program("snapshot", "")
    assert (done.code, done.err) == (2, "ncrawl: DIR is empty: name a folder\n")
    assert not (tmp_path / ".ncrawl.lock").exists()
    assert emulator.statistics.requests == 0


async def test_two_runs_with_one_file(program: Program, emulator: Emulator, tmp_path: Path) -> None:
    """The second exits 75 at once (S3)."""
    with (tmp_path / "images.ndjson.partial").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = await program("images", "-o", "images.ndjson")
    assert done.code == 75
    assert "another run is writing images.ndjson" in done.err
    assert emulator.statistics.requests == 0


# --- signals and pipes -------------------------------------------------------------------------------------------


SIGNAL_WHILE_IMPORTING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a script's background jobs
class Sender:
    def find_spec(name, *_):
        if name == "crawler.cli":
            os.kill(os.getpid(), int(sys.argv[1]))
sys.meta_path.insert(0, Sender)
from crawler.__main__ import main
raise SystemExit(main())
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signal_while_the_program_is_loaded(number: int, code: int) -> None:
    """A signal that comes before the program is read in ends it as later ones do: the exit code, no traceback."""
    command = [sys.executable, "-c", SIGNAL_WHILE_IMPORTING, str(int(number))]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")


@pytest.mark.world(registries=60, images=4000, latency_ms=60)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
async def test_signals(program: Program, emulator: Emulator, tmp_path: Path, number: int, code: int) -> None:
    """The run stops within 2 s with whole lines, the table and the summary (S1)."""
    process = await program.start("images", *PACE, "--concurrency", "4", "--summary", "run.json")
    assert process.stdout
    assert process.stderr
    first = await asyncio.wait_for(process.stdout.readline(), 60)
    sent_s = time.monotonic()
    process.send_signal(number)
    async with asyncio.timeout(60):
        rest, err = await asyncio.gather(process.stdout.read(), process.stderr.read())
        done = Done(await process.wait(), first + rest, err.decode())
    assert time.monotonic() - sent_s < 2
    assert done.code == code
    assert set(done.lines) < set(lines_of(emulator.world))
    assert f"stopping: stopped by {signal.Signals(number).name}" in done.err
    assert "region" in done.err
    assert_summary_fits(tmp_path / "run.json", done)


@pytest.mark.world(registries=60, images=4000, latency_ms=60)
async def test_signal_while_a_file_is_written(program: Program, emulator: Emulator, tmp_path: Path) -> None:
    """The earlier file stays as it was; what was had is beside it, and the user is told."""
    (tmp_path / "images.ndjson").write_bytes(b"yesterday's\n")
    process = await program.start("images", *PACE, "--concurrency", "4", "-o", "images.ndjson")
    partial = tmp_path / "images.ndjson.partial"
    async with asyncio.timeout(60):
        while not (partial.exists() and partial.stat().st_size):  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 143
    assert (tmp_path / "images.ndjson").read_bytes() == b"yesterday's\n"
    lines = Done(0, partial.read_bytes(), "").lines
    assert lines
    assert set(lines) < set(lines_of(emulator.world))
    assert "images.ndjson is not replaced; what was had is in" in err.decode()
    assert f"{len(lines):,} lines, {partial.stat().st_size:,} bytes: {partial}\n" in err.decode()


async def stuck(program: Program, reading: int, writing: int) -> asyncio.subprocess.Process:
    """Start a run whose reader sleeps, and wait until it is blocked: its pipe is full."""
    process = await program.start("images", *PACE, "--summary", "run.json", stdout=writing)
    os.close(writing)
    waiting = bytearray(4)
    full = fcntl.fcntl(reading, fcntl.F_GETPIPE_SZ) - 4096
    async with asyncio.timeout(60):
        while int.from_bytes(waiting, sys.byteorder) < full:
            fcntl.ioctl(reading, 0x541B, waiting)  # FIONREAD
            await asyncio.sleep(0.01)
    return process


@pytest.mark.world(images=20_000)
async def test_sleeping_reader_and_a_signal(program: Program, tmp_path: Path) -> None:
    """It ends within 3 s all the same; the pipe holds whole lines, as many as the summary says (F6, S1)."""
    reading, writing = os.pipe()
    process = await stuck(program, reading, writing)
    sent_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert time.monotonic() - sent_s < 3
    assert process.returncode == 143, err
    data = b""
    while piece := os.read(reading, 1 << 20):
        data += piece
    os.close(reading)
    done = Done(143, data, err.decode())
    (file,) = load((tmp_path / "run.json").read_bytes()).files
    assert (file.lines, file.bytes) == (len(done.lines), len(data))


@pytest.mark.long
@pytest.mark.world(images=20_000)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
async def test_second_signal(program: Program, tmp_path: Path, number: int, code: int) -> None:
    """It ends the process at once: with the same exit code, before table and summary, without a traceback.

    Where others take the processor away, the process is about to end before it comes: one good run of five will do.
    """
    for _ in range(5):
        reading, writing = os.pipe()
        process = await stuck(program, reading, writing)
        process.send_signal(number)
        assert process.stderr
        await asyncio.wait_for(process.stderr.readline(), 60)
        with suppress(ProcessLookupError):
            process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), 60) == code
        os.close(reading)
        said = await process.stderr.read()
        if said == b"":
            break
        (tmp_path / "run.json").unlink(missing_ok=True)
    assert said == b""
    assert not (tmp_path / "run.json").exists()


@pytest.mark.long
@pytest.mark.world(images=20_000)
async def test_slow_reader_gets_everything(program: Program, emulator: Emulator) -> None:
    """A reader that sleeps in between slows the crawl down and loses nothing."""
    reading, writing = os.pipe()
    process = await stuck(program, reading, writing)
    held_at = emulator.statistics.requests
    data = await asyncio.to_thread(read_slowly, reading)
    assert await asyncio.wait_for(process.wait(), 60) == 0
    assert held_at < emulator.statistics.requests
    assert sorted(Done(0, data, "").lines) == lines_of(emulator.world)
    os.close(reading)


def read_slowly(reading: int) -> bytes:
    data = b""
    while piece := os.read(reading, 1 << 18):
        data += piece
        time.sleep(0.001)
    return data


@pytest.mark.world(images=20_000)
async def test_head(program: Program) -> None:
    """``… | head -1`` is quiet: one line, exit 141, no word on standard error."""
    script = f"{' '.join(COMMAND)} images --rate unlimited | head -1; echo ${{PIPESTATUS[0]}}"
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script, cwd=program.home, env=program.environ,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    line, code = out.splitlines()
    assert json.loads(line)["account"] == "default"
    assert (code, err) == (b"141", b"")


# --- what is said ------------------------------------------------------------------------------------------------


async def test_quiet(program: Program) -> None:
    """Nothing on standard error, if nothing is wrong; not even how the run ended."""
    done = await program("images", *PACE, "-q", "--log-format", "json")
    assert (done.code, done.err) == (0, "")


FAULTS = {"500": 0.1, "reset": 0.1, "truncate": 0.05, "error-body": 0.05, "html": 0.05}


@pytest.mark.world(faults=FAULTS, denied=1)
@pytest.mark.parametrize("form", ["text", "json"])
async def test_logs_are_lines_and_tell_no_secret(
    program: Program, emulator: Emulator, tmp_path: Path, form: str
) -> None:
    """At -vv everything is told but keys and signatures; as JSON each line is an object, to the end of the run (K1)."""
    done = await program("images", *PACE, "-vv", "--log-format", form, "--summary", "run.json")
    assert done.code == 3
    assert "again in" in done.err
    assert "complete, " in done.err
    assert "requests go over connections of aiohttp" in done.err
    if form == "json":
        told = [json.loads(line) for line in done.err.splitlines()]
        assert all({"time", "level", "message", "event"} <= line.keys() for line in told)
        assert {"ClientTaken", "TryFailed", "ListingEnded", "RunEnded"} <= {line["event"] for line in told}
        assert (told[-1]["event"], told[-1]["level"], told[-1]["verdict"]) == ("RunEnded", "warning", "incomplete")
        assert told[-1]["totals"]["images"] == len(done.lines)
    else:
        assert all(line.startswith("ncrawl: ") for line in done.err.partition("region ")[0].splitlines())
    everything = done.out.decode() + done.err + (tmp_path / "run.json").read_text()
    for secret in (emulator.access_key, emulator.secret_key, "x-ncp-", "signature"):
        assert secret not in everything.replace("requests signed", "")


async def test_errors_are_json_too(program: Program) -> None:
    """What ends the program early is a JSON line where logs are JSON."""
    done = await program("images", "-o", "missing/x", "--log-format", "json")
    assert done.code == 74
    (line,) = done.err.splitlines()
    assert json.loads(line)["level"] == "error"
    assert json.loads(line)["message"].startswith("cannot write missing/x: ")


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (["images", "--log-format", "json", "--rat", "5"], {}),
        (["images", "--log-format=json", "--rate", "rubbish"], {}),
        (["images", "--rate", "rubbish"], {"NCRAWL_LOG_FORMAT": "json"}),
        (["imags", "--log-format", "json"], {}),
        (["images", "--log-format", "text", "--log-format", "json", "--region", "mars"], {}),
    ],
    ids=["no such option", "bad value", "variable", "no such command", "twice"],
)
async def test_usage_errors_are_json_too(program: Program, arguments: list[str], environ: dict[str, str]) -> None:
    """Also what ends the program before it has read its settings."""
    program.environ |= environ
    done = await program(*arguments)
    assert (done.code, done.out) == (2, b"")
    lines = [json.loads(line) for line in done.err.splitlines()]
    assert lines
    assert {line["level"] for line in lines} == {"error"}
    assert any(word in lines[0]["message"] for word in ("No such option", "rubbish", "no such command", "mars"))


async def test_usage_errors_are_text_otherwise(program: Program) -> None:
    """A flag comes before the variable here as well, and no arguments at all are no error of ours."""
    program.environ["NCRAWL_LOG_FORMAT"] = "json"
    done = await program("images", "--log-format", "text", "--rate", "rubbish")
    assert (done.code, done.err.startswith("ncrawl: --rate: 'rubbish'")) == (2, True)
    assert (await program()).code == 2


async def test_each_request_is_told(program: Program, emulator: Emulator) -> None:
    """At -vv: one line for each that went out, with its target, status, size and time."""
    done = await program("images", *PACE, "-vv")
    told = re.findall(r"^ncrawl: debug: GET /\S+: 200, [\d,]+ bytes, \d+ ms$", done.err, re.MULTILINE)
    assert len(told) == emulator.statistics.requests


async def test_json_at_the_usual_level(program: Program) -> None:
    """A good run tells of its end and of nothing else."""
    done = await program("images", *PACE, "--log-format", "json")
    (line,) = done.err.splitlines()
    assert json.loads(line)["message"] == "complete, 400 images"


# --- reports -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("images", "-o", "x.ndjson"), ("registries",), ("snapshot", "nights")])
async def test_reports(program: Program, tmp_path: Path, command: tuple[str, ...]) -> None:
    """A monitor is told of start and success, the figures are written; neither log nor summary holds its URL."""
    (tmp_path / "nights").mkdir()
    async with RawServer(answer(b"", "Connection: close")) as monitor:
        told = ("--ping", f"{monitor.url}/TOKEN", "--metrics-file", "x.prom", "--summary", "run.json")
        done = await program(*command, *PACE, *told, "-vv")
    assert done.code == 0
    assert [request.head.partition(b" HTTP")[0] for request in monitor.requests] == [
        b"GET /TOKEN/start",
        b"POST /TOKEN",
    ]
    assert "TOKEN" not in done.err + (tmp_path / "run.json").read_text()
    metrics = (tmp_path / "x.prom").read_text()
    assert 'ncrawl_last_run_exit_code{account="default"} 0\n' in metrics
    assert "ncrawl_last_success_timestamp_seconds{" in metrics
    assert ('ncrawl_registries{account="default",region="kr",verdict="complete"} 6\n' in metrics) is (
        command[0] != "registries"
    )
    assert ("ncrawl_snapshots_kept{" in metrics) is (command[0] == "snapshot")


async def test_reports_of_a_run_without_keys(program: Program, tmp_path: Path) -> None:
    """What ends before the first request is told as well: exit 2, and why."""
    program.environ["NCLOUD_SECRET_KEY"] = ""
    async with RawServer(answer(b"", "Connection: close")) as monitor:
        done = await program("images", "--ping", f"{monitor.url}/x", "--metrics-file", "x.prom", "--account", "a")
    assert done.code == 2
    assert [request.target for request in monitor.requests] == ["/x/start", "/x/fail"]
    assert 'ncrawl_last_run_exit_code{account="a"} 2\n' in (tmp_path / "x.prom").read_text()


async def test_a_monitor_that_is_away_changes_nothing(program: Program) -> None:
    """The exit code and the output are those of a run without it; warnings say so."""
    done = await program("images", *PACE, "--ping", "http://127.0.0.1:1/TOKEN", "--metrics-file", "nowhere/x.prom")
    assert (done.code, len(done.lines)) == (0, 400)
    warnings = [line for line in done.err.splitlines() if line.startswith("ncrawl: warning: ")]
    assert len(warnings) == 4  # of the file in the beginning as well
    assert "TOKEN" not in done.err


@pytest.mark.world(registries=60, images=4000, latency_ms=60)
@pytest.mark.parametrize("command", ["images", "snapshot"])
async def test_a_stopped_run_is_told_and_says_how_to_go_on(program: Program, tmp_path: Path, command: str) -> None:
    """A monitor hears of 143; who stopped `images` learns that a snapshot could have been taken up."""
    (tmp_path / "nights").mkdir()
    arguments = ["images", "-o", "x.ndjson"] if command == "images" else ["snapshot", "nights"]
    async with RawServer(answer(b"", "Connection: close")) as monitor:
        process = await program.start(*arguments, "--ping", f"{monitor.url}/x", "--concurrency", "2", "-vv")
        assert process.stderr
        async with asyncio.timeout(60):
            while b"debug: GET " not in (line := await process.stderr.readline()):
                assert line
            process.send_signal(signal.SIGTERM)
            err = (await process.stderr.read()).decode()
            assert await process.wait() == 143
    assert [request.target for request in monitor.requests] == ["/x/start", "/x/fail"]
    assert ("`ncrawl snapshot DIR --resume`" in err) is (command == "images")


@pytest.mark.world(registries=6, denied=3)
@pytest.mark.parametrize("command", [("images", "-o", "x.ndjson"), ("snapshot", "nights")])
async def test_the_first_that_are_missing_are_named_to_cron(
    program: Program, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """Under -q: five of them, each with its reason, for a mail that one can act upon."""
    (tmp_path / "nights").mkdir()
    done = await program(*command, *PACE, "-q")
    assert done.code == 3
    named = re.findall(r"^ncrawl: error: \w+/\S+: denied: 401/210 ", done.err, re.MULTILINE)
    assert len(named) == 5
    assert "ncrawl: error: … and 4 more; --summary FILE holds them all\n" in done.err


async def test_what_a_run_goes_by(program: Program, tmp_path: Path) -> None:
    """-v: settings file, source of the keys, gateway and version, page sizes learned, and the output in the end."""
    (tmp_path / "my.toml").write_text("page_size = 20\n")
    done = await program("images", *PACE, "-v", "--config", "my.toml", "-o", "x.ndjson")
    assert "ncrawl: info: settings: my.toml\n" in done.err
    assert "ncrawl: info: keys: environment (NCLOUD_ACCESS_KEY_ID, " in done.err
    assert "ncrawl: info: gateway: http://127.0.0.1:" in done.err
    assert f", API v2, zone public, regions {', '.join(ALL)}\n" in done.err
    assert "ncrawl: info: kr: the gateway gives up to 20 records a page\n" in done.err
    assert re.search(r"^400 lines, [\d,]+ bytes: x\.ndjson$", done.err, re.MULTILINE)
