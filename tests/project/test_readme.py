"""README.md's commands, and those of pages that go on from it, do what they say: each is run as its file has it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
import zstandard
from support.commands import options_of
from support.shell import BIN, Shell

from crawler.cli import COMMANDS, cli
from crawler.emulation import Emulator, EmulatorOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    *("docs/how-to/recipes.md", "docs/how-to/emulator.md", "docs/how-to/watch.md", "docs/how-to/report.md"),
    "docs/explanation/v3.md",
    "docs/reference/python.md",
)
YEAR_MS = 31_536_000_000
OF_OTHER_PROGRAMS = {"--argjson", "--no-deps", "--require-hashes"}
HELD_ELSEWHERE = (
    "ncrawl/0",  # what runs the tests, and the demo, which test_demo.py runs
    *("From Python/0", "Examples/0", "Examples/1"),  # which test_python_api.py runs
)


def blocks() -> dict[str, str]:
    """Return the blocks of commands of all pages, by their heading and place below it."""
    found: dict[str, str] = {}
    for page in PAGES:
        heading, number = "", 0
        for one in re.finditer(r"^#+ (.*)\n|^```(.*)\n((?:.*\n)*?)```$", (ROOT / page).read_text(), re.MULTILINE):
            if one[1]:
                heading, number = one[1], 0
            elif not one[2]:  # what has a language is another's, or no block of commands
                found[f"{heading}/{number}"] = one[3]
                number += 1
    return found


def recipe(begins: str) -> str:
    """Return the recipe whose comment begins so."""
    (found,) = [one for one in blocks()["Recipes/0"].split("\n\n") if one.startswith(f"# {begins}")]
    return found


def commands(block: str) -> list[str]:
    """Return the commands of a block, a line each; those that only show where secrets go are left out."""
    return [line for line in block.splitlines() if line and not re.search(r"^#|=…", line)]


@pytest.fixture
async def account(tmp_path: Path) -> AsyncIterator[Shell]:
    """A shell with the keys of an emulated account."""
    async with Emulator(EmulatorOptions(registries=3, images=60)) as emulator:
        keys = {"NCLOUD_ACCESS_KEY_ID": emulator.access_key, "NCLOUD_SECRET_KEY": emulator.secret_key}
        yield Shell(tmp_path, NCRAWL_GATEWAY=emulator.url, **keys)


def needs(*programs: str) -> None:
    """Skip the test where a program is not to be had."""
    for program in programs:
        if shutil.which(program, path=f"{BIN}{os.pathsep}{os.environ['PATH']}") is None:
            pytest.skip(f"not run: {program} is not here")


def write_records(path: Path, *records: dict[str, Any]) -> None:
    """Write records as a crawl does; what is not given is missing."""
    lines = [json.dumps({"account": "default", "region": "kr", "registry": "team-a"} | record) for record in records]
    data = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(zstandard.ZstdCompressor().compress(data) if path.suffix == ".zst" else data)


def test_every_block_is_held() -> None:
    """A block that no test runs is not added without a word."""
    here = Path(__file__).read_text()
    assert [name for name in blocks() if f'"{name}"' not in here] == []
    assert len(blocks()["Recipes/0"].split("\n\n")) == len(re.findall(r'\(recipe\("\w', here))


def test_targets_exist() -> None:
    """Every `make …` that the documentation names is one."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "".join(path.read_text() for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))
    named = set(re.findall(r"(?:`|^\$ |^)make ([a-z-]+)", text, re.MULTILINE))
    assert named >= {"demo", "test"}
    assert named <= targets


def test_commands_and_options() -> None:
    """README.md names every command, and no option that there is not; the reference's pages are made of all options."""
    text, context = (ROOT / "README.md").read_text(), click.Context(cli)
    assert isinstance(cli, click.Group)
    commands = {name: cli.get_command(context, name) for name in COMMANDS}
    assert set(re.findall(r"(?<!/)\bncrawl ([a-z]+)", text)) == set(commands)
    options = {name: options_of(command) for name, command in commands.items() if command}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - OF_OTHER_PROGRAMS
    assert named - set().union(*options.values()) - {"--help"} == set()


def test_figures_of_the_benchmark() -> None:
    """What README.md says of speed and memory stands in RESULTS.md, and is of the commit that it names."""
    (said,) = re.findall(r"^- \*\*Fast\.\*\*.*?\n(?=- )", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    results = (ROOT / "benchmarks/RESULTS.md").read_text()
    assert re.findall(r"`make bench` at ([0-9a-f]{7})\b", said) == re.findall(r" UTC, commit ([0-9a-f]{7})", results)
    ratios, megabytes = re.findall(r"\d+\.\d\d", said), re.findall(r"(\d+) MB", said)
    assert len(ratios) >= 4
    assert len(megabytes) >= 2
    assert [one for one in ratios if f"| {one} (" not in re.sub(" +", " ", results)] == []
    assert [one for one in megabytes if not re.search(rf"\| +{one} \|$", results, re.MULTILINE)] == []


def test_figures_of_the_faults() -> None:
    """README.md and the table in ARCHITECTURE.md tell of one and the same run."""
    pattern = (
        r"Of (\d+)\s+runs under injected faults \(`make faults` at ([0-9a-f]{7})\) (\d+) ended complete, (\d+) said"
    )
    (said,) = re.findall(pattern, (ROOT / "README.md").read_text())
    table = (ROOT / "ARCHITECTURE.md").read_text()
    (measured,) = re.findall(r"^### Measured, .*, by `make faults` at ([0-9a-f]{7})$", table, re.MULTILINE)
    (runs,), ended = (re.findall(rf"^\| {row} \| (\d+)", table, re.MULTILINE) for row in ("injected runs", "… .*"))
    assert said == (runs, measured, *ended)


@pytest.mark.long
async def test_the_demo_prints_what_is_shown(tmp_path: Path) -> None:
    """Regions, registries and images of the table, and the line that is shown; requests and seconds may differ."""
    shown = blocks()["ncrawl/1"]
    shell = Shell(tmp_path)
    text = await shell("ncrawl demo --output demo.ndjson 2>&1")
    rows = re.findall(r"^(?:kr|sgn|jpn) +\d+ +\d+ +[\d,]+", shown, re.MULTILINE)
    assert len(rows) == 3
    assert all(re.search(" +".join(row.split()), text) for row in rows)
    assert "demo.ndjson holds one image a line" in text
    (line,) = re.findall(r"^(\{.*?)…\}$", shown, re.MULTILINE)
    assert any(each.startswith(line) for each in (tmp_path / "demo.ndjson").read_text().splitlines())


@pytest.mark.long
async def test_install(tmp_path: Path) -> None:
    """A clone can be installed and gives the command; what comes from the network is left out, and so is pipx."""
    assert commands(blocks()["Install/0"])[0].startswith("pipx install . ")
    venv, locked, own = commands(blocks()["Install/1"])
    assert venv == "python3 -m venv /opt/ncrawl"
    assert locked == "/opt/ncrawl/bin/pip install --no-deps --require-hashes -r requirements/runtime.lock"
    assert (ROOT / "requirements/runtime.lock").is_file()
    offline = "--quiet --no-index --no-build-isolation --disable-pip-version-check"
    pip, _, arguments = own.partition(" ")
    assert pip == "/opt/ncrawl/bin/pip"
    shell = Shell(tmp_path, PYTHONPATH=str(tmp_path / "here"))
    await shell(f"cd {ROOT} && {sys.executable} -m pip {arguments} {offline} --target {tmp_path / 'here'}")
    assert (await shell("here/bin/ncrawl --version")).startswith("ncrawl ")


@pytest.mark.long
async def test_first_real_crawl(account: Shell, tmp_path: Path) -> None:
    """Each line of it runs, one after the other, and the recipes take what it leaves."""
    needs("jq", "duckdb")
    names = (await account("ncrawl registries -q --region kr | jq -r .name")).split()
    for command in commands(blocks()["The first real crawl/0"]):
        assert command.startswith("ncrawl ")
        await account(command.replace("team-a", names[0]).replace("team-b", names[1]))
    images = (tmp_path / "images.ndjson").read_bytes()
    assert images.count(b"\n") == 60
    packed = (tmp_path / "images.ndjson.zst").read_bytes()
    assert sorted(zstandard.ZstdDecompressor().decompressobj().decompress(packed).splitlines()) == sorted(
        images.splitlines()
    )
    assert json.loads((tmp_path / "run.json").read_bytes())["totals"]["images"] == 60
    for one in blocks()["Recipes/0"].split("\n\n"):
        await account(one)


@pytest.mark.long
async def test_every_night(account: Shell, tmp_path: Path) -> None:
    """Its commands run one after the other, and leave what the tree shows."""
    first, *others = commands(blocks()["Every night/1"])
    await account(first.replace("/var/lib/ncrawl", str(tmp_path)))
    (name,) = (await account("ls -d 2*T*Z")).split()
    tree = re.findall(r"^ {2,}([a-z.]+)", blocks()["Every night/0"], re.MULTILINE)
    assert sorted(tree) == sorted([*os.listdir(tmp_path / name), "latest"])  # noqa: PTH208
    assert (tmp_path / "latest").exists()
    for command in others:
        assert command.startswith("ncrawl ")
        await account(command.replace("20261122T020000Z", name).replace("/var/lib/ncrawl", str(tmp_path)))


@pytest.mark.long
async def test_completion(account: Shell) -> None:
    """The line defines what completes, in the shell that reads it."""
    (command,) = commands(blocks()["At the shell/0"])
    assert "_ncrawl_completion" in await account(f"{command}\ncomplete -p ncrawl")


@pytest.mark.long
async def test_many_accounts(tmp_path: Path) -> None:
    """A run of four accounts, its state, and a report of all of them."""
    async with Emulator(EmulatorOptions(accounts=4, registries=1, images=8)) as emulator:
        (tmp_path / "accounts.toml").write_text(emulator.accounts.file(emulator.url))
        (tmp_path / "fleet").mkdir()
        told = ""
        for command in commands(blocks()["Many accounts/0"]):
            told += await Shell(tmp_path)(command.replace("/etc/ncrawl", str(tmp_path)).replace("/srv", str(tmp_path)))
    assert "run 2026-11-26: 4 accounts: 4 complete; merged: complete" in told
    assert (tmp_path / "report.html").exists()


@pytest.mark.long
async def test_look_at_it(account: Shell, tmp_path: Path) -> None:
    """Its commands leave a page, each the same of the only snapshot there is; the picture is there."""
    await account(f"ncrawl snapshot {tmp_path}")
    pages = []
    for command in commands(blocks()["Look at it/0"]):
        assert command.startswith("ncrawl report ")
        await account(command.replace("/var/lib/ncrawl", str(tmp_path)))
        pages.append((tmp_path / "report.html").read_bytes())
        (tmp_path / "report.html").unlink()
    assert len(pages) == 2
    assert pages[0] == pages[1]
    (picture,) = re.findall(r"!\[.*\]\((.*)\)", (ROOT / "README.md").read_text())
    assert (ROOT / picture).read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
async def test_load_it(account: Shell, tmp_path: Path) -> None:
    """Two nights are exported to what the tree shows, and each recipe tells of them."""
    needs("duckdb")
    for module in ("pyarrow", "polars"):
        pytest.importorskip(module, reason=f"not run: {module} is not here")

    def here(text: str) -> str:
        return text.replace("/var/lib/ncrawl", f"{tmp_path}/nights").replace("/srv", str(tmp_path))

    await account("mkdir nights && ncrawl snapshot nights && ncrawl snapshot nights")
    for command in commands(blocks()["Load it/0"]):
        assert command.startswith("ncrawl export ")
        await account(here(command))
    tables = re.findall(r"^  ([a-z]+)/", blocks()["Load it/1"], re.MULTILINE)
    assert sorted(set(tables) - {"tags"}) == sorted(
        path.name for path in (tmp_path / "inventory").iterdir() if path.is_dir()
    )
    assert len(list((tmp_path / "inventory/images").iterdir())) == 2
    grew, unpulled, unknown, largest = [await account(here(one)) for one in blocks()["Load it/2"].split("\n\n")]
    nights = sorted(path.name for path in (tmp_path / "nights").glob("2*"))
    assert all(night in grew for night in nights)
    assert "images" in unpulled
    assert "0 rows" in unknown
    assert "registry" in largest


@pytest.mark.long
async def test_how_it_changed(account: Shell, tmp_path: Path) -> None:
    """Each command tells when the thing was seen first."""
    needs("jq")
    await account("mkdir nights && ncrawl snapshot nights")
    line = json.loads((tmp_path / "nights/latest/images.ndjson").read_bytes().splitlines()[0])
    registry = f"{line['region']}/{line['registry']}"
    for command in commands(blocks()["How it changed/0"]):
        here = command.replace("/var/lib/ncrawl", "nights")
        here = here.replace("kr/team-a/app/web", f"{registry}/{line['name']}").replace("kr/team-a", registry)
        assert "first" in await account(here)


@pytest.mark.long
async def test_emulator(tmp_path: Path) -> None:
    """It starts with the switches that are shown, and what it prints, pasted, leads a crawl to it."""
    (command,) = commands(blocks()["The emulator/0"])
    shell = Shell(tmp_path)
    process = await shell.start("exec " + command.replace("--port 8080", "--port 0"))
    try:
        assert process.stdout
        async with asyncio.timeout(60):
            greeting = b"".join([await process.stdout.readline() for _ in range(5)]).decode()
        assert "Paste these lines" in greeting
        assert (await shell(f"{greeting}\nncrawl registries -q --region kr --rate unlimited | wc -l")).strip() == "300"
    finally:
        process.send_signal(signal.SIGTERM)
        await process.communicate()


@pytest.mark.long
async def test_recipe_of_the_largest_registries(tmp_path: Path) -> None:
    """Ten of twelve, most images first; records with nothing but their name count like others."""
    counts = {f"registry-{number:02}": number for number in range(1, 13)}
    records = [{"registry": name, "name": f"{n}"} for name, number in counts.items() for n in range(number)]
    write_records(tmp_path / "images.ndjson", *records, {"registry": "registry-12", "name": None})
    needs("jq")
    told = await Shell(tmp_path)(recipe("the ten registries with the most images"))
    expected = [["13", "kr/registry-12"], *([str(n), f"kr/registry-{n:02}"] for n in range(11, 2, -1))]
    assert [line.split() for line in told.splitlines()] == expected


@pytest.mark.long
async def test_recipe_of_stale_images(tmp_path: Path) -> None:
    """Only those that say so are old and never pulled: absent, null or odd is not oldest, nor never."""
    needs("jq")
    odd: tuple[Any, ...] = (None, False, "2001", "0", "", [], {})
    now_ms = int(time.time() * 1000)
    old, young = now_ms - YEAR_MS - 3_600_000, now_ms - YEAR_MS + 3_600_000
    write_records(
        tmp_path / "images.ndjson",
        {"name": "old", "pull_count": 0, "last_updated": old},
        {"name": "old, in fractions", "pull_count": 0.0, "last_updated": old + 0.5},
        {"name": "young", "pull_count": 0, "last_updated": young},
        {"name": "pulled", "pull_count": 1, "last_updated": old},
        *({"name": f"dated {one!r}", "pull_count": 0, "last_updated": one} for one in odd),
        *({"name": f"pulled {one!r}", "pull_count": one, "last_updated": old} for one in odd),
        {"name": "without a date", "pull_count": 0},
        {"name": "without a count", "last_updated": old},
        {"name": "with a name only"},
    )
    told = await Shell(tmp_path)(recipe("images that nobody pulled"))
    expected = [{"region": "kr", "registry": "team-a", "name": name} for name in ("old", "old, in fractions")]
    assert [json.loads(line) for line in told.splitlines()] == expected


@pytest.mark.long
async def test_recipe_of_what_is_missing(tmp_path: Path) -> None:
    """Registries and lists of registries, each with its reason, if it has one."""
    needs("jq")
    verdicts = ("complete", "complete_with_drift", "unverified", "incomplete", "denied", "gone", "failed")
    registries: list[dict[str, Any]] = [
        {"region": "kr", "registry": one, "verdict": one, "reason": f"why {one}"} for one in verdicts
    ]
    registries += [{"region": "kr", "registry": "x", "verdict": "failed", "reason": None}]
    registries += [{"region": "kr", "registry": "y", "verdict": "failed"}]
    regions: list[dict[str, Any]] = [{"region": "kr", "verdict": "complete", "reason": None, "registries": 9}]
    regions += [{"region": "sgn", "verdict": "failed", "reason": "down", "registries": 0}]
    (tmp_path / "run.json").write_text(json.dumps({"registries": registries, "regions": regions}))
    told = await Shell(tmp_path)(recipe("what is not complete"))
    assert told.splitlines() == [
        *(f"kr/{one}: {one}: why {one}" for one in verdicts[2:]),
        "kr/x: failed: no reason given",
        "kr/y: failed: no reason given",
        "sgn/(its list of registries): failed: down",
    ]


@pytest.mark.long
async def test_recipe_in_sql(tmp_path: Path) -> None:
    """Odd counts of pulls, and those beyond 64 bits, stop nothing; a registry without any has no sum."""
    needs("duckdb")
    odd: list[Any] = [None, "many", [], {"a": 1}, 2**64, 5, 1e300]
    write_records(
        tmp_path / "images.ndjson.zst",
        *({"name": str(number), "pull_count": value} for number, value in enumerate(odd)),
        {"name": "missing"},
        {"registry": "team-b", "name": "a", "last_updated": {"odd": []}},
    )
    (tmp_path / ".duckdbrc").write_text(".mode csv\n")
    told = await Shell(tmp_path)(recipe("the first one in SQL"))
    assert told.split() == ["region,registry,images,pulls", f"kr,team-a,8,{2**64 + 5}", "kr,team-b,1,NULL"]
