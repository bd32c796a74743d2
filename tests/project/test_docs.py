"""The documentation and the program say the same: commands, options, fields, links; and the tutorial runs."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click
import msgspec
import pytest
from support.commands import check_call, options_of
from support.shell import Shell

import crawler
from crawler import __version__
from crawler.cli import COMMANDS, cli
from crawler.core.events import Event
from crawler.emulation import Emulator, EmulatorOptions
from crawler.jobs.doctor.checks import FIELDS
from crawler.jobs.events import ClientTaken
from crawler.jobs.history.changes import Change
from crawler.jobs.history.wanted import parse
from crawler.jobs.progress import Progress
from crawler.jobs.shelf import Entry
from crawler.snapshot.manifest import Manifest
from crawler.snapshot.verifying.diagnosis import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *DOCS.rglob("*.rst")])
TEXTS = [*PAGES, *(ROOT / f"{name}.md" for name in ("README", "ARCHITECTURE", "CONTRIBUTING", "SECURITY", "CHANGELOG"))]
OTHERWISE_IN_A_LOG = {"collection", "within", "records"}
"""Fields of events that a log has under other names: `registry`, `image`, `images`."""
LEFT_OUT = {"checksum"}  # of the manifest's fields: it is no part of the object, it seals its file


def calls(text: str) -> list[str]:
    """Return what is called as `ncrawl …` in the blocks of a page."""
    blocks = "\n".join(re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL))
    return re.findall(r"^ *ncrawl (.+?)(?:\s+#.*|\s*\|.*|\s*>.*)?$", blocks, re.MULTILINE)


def named(type_: object) -> Iterator[str]:
    """Return the names of the fields of a structure, and of the structures in it."""
    for part in getattr(type_, "__args__", ()):
        yield from named(part)
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct) and type_.__name__ != "VerdictCounts":
        for field in msgspec.structs.fields(type_):
            yield field.encode_name
            yield from named(field.type)


def slug(heading: str) -> str:
    """Return the anchor that a heading gets."""
    plain = re.sub(r"[`*]|\[(.*?)\]\(.*?\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")


def test_every_command_has_a_page() -> None:
    """And no page is of a command that there is not."""
    pages = {path.stem for path in (DOCS / "reference/commands").iterdir()} - {"index"}
    assert pages == set(COMMANDS)
    for name in COMMANDS:
        page = (DOCS / "reference/commands" / f"{name}.rst").read_text()
        assert page.startswith(f".. click:: crawler.cli.commands.{name}:command\n   :prog: ncrawl {name}\n")


def test_what_is_called_exists() -> None:
    """Every `ncrawl …` in a block of the documentation parses as the program would."""
    lines = [line for page in PAGES for line in calls(page.read_text())]
    assert len(lines) >= 15
    for line in lines:
        context = click.Context(cli)
        arguments = shlex.split(line.replace("snapshots/2*", "snapshots/OLD snapshots/NEW"))
        if arguments[0].startswith("--"):
            assert arguments == ["--version"]
            continue
        command = cli.get_command(context, arguments[0])
        assert command is not None, line
        check_call(command, arguments[0], arguments[1:])


def test_options_that_are_named_exist() -> None:
    """Every `--option` that a page names is one of the program, or stands in a line of another program's."""
    known = {"--help", "--version", "--config"}
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        known |= options_of(command)
    ours = {option for page in PAGES for option in re.findall(r"`(--[a-z-]+)", page.read_text())}
    assert len(ours) >= 10
    assert ours <= known


def test_every_field_is_explained() -> None:
    """Each of the manifest's, and each that the emulator, like the gateway, gives to an image or a registry."""
    text = (DOCS / "reference/formats.md").read_text()
    explained = set(re.findall(r"`([a-z0-9_]+)`", text))
    assert set(named(Manifest)) - LEFT_OUT - explained == set()
    world = Emulator(EmulatorOptions(registries=1, images=3)).world
    (registry,) = world.registries("kr")
    regions = ("kr", "sgn", "jpn")
    image = next(one for region in regions for one in world.images(region, world.registry_names(region)[0]))
    assert set(registry) | set(image) <= explained


def test_everything_that_machines_read_is_explained() -> None:
    """Each field that a command writes as JSON, each event of the log with its fields, and each metric."""
    explained = set(re.findall(r"`([A-Za-z0-9_]+)`", (DOCS / "reference/formats.md").read_text()))
    change = json.loads(Change("20261123T020000Z", "gone", parse("kr/team-a", None), "a").line())
    events = {one.__name__: {*one.__struct_fields__} - OTHERWISE_IN_A_LOG for one in (*get_args(Event), ClientTaken)}
    fields = {*change, *FIELDS, *named(Entry), *named(Finding), *named(Progress)}
    assert fields.union(events, {"Heartbeat", "RunEnded"}, *events.values()) - explained == set()
    source = (ROOT / "crawler/jobs/metrics.py").read_text()
    metrics = {f"ncrawl_{one}" for one in re.findall(r'^    "(\w+)": "[A-Z]', source, re.MULTILINE)}
    metrics |= set(re.findall(r'"(ncrawl_\w+)"', source))
    assert len(metrics) >= 13
    assert metrics - explained == set()


def test_every_field_of_a_tag_is_explained() -> None:
    """Each that the emulator, like the gateway, gives to a tag, and to a platform of it."""
    world = Emulator(EmulatorOptions(registries=1, images=60)).world
    (registry,) = world.registry_names("kr")
    tags = [tag for image in world.images("kr", registry) for tag in world.tags("kr", registry, image["name"])]
    platforms = [one for tag in tags for one in tag["images"] or ()]
    assert platforms
    text = (DOCS / "reference/formats.md").read_text()
    assert {name for one in (*tags, *platforms) for name in one} <= set(re.findall(r"`(\w+)`", text))


def test_the_whole_python_api_has_a_place() -> None:
    """Each name that can be imported, and none that cannot."""
    text = (DOCS / "reference/python.md").read_text()
    assert set(re.findall(r"auto\w+:: crawler\.(\w+)", text)) == {*crawler.__all__} - {"__version__"}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links(path: Path) -> None:
    """A link within the tree leads to a file that is there, and to a heading that it has."""
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        assert "example" not in target
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            assert anchor in map(slug, headings), target


def test_versions_are_this_one() -> None:
    """Names of files that are released, and the job's image, bear the version that the program has."""
    texts = [path.read_text() for path in (*PAGES, *(ROOT / "config").iterdir(), ROOT / "README.md")]
    versions = {one for text in texts for one in re.findall(r"ncrawl[-:](\d+\.\d+\.\d+)", text)}
    assert versions == {__version__}


@pytest.mark.long
async def test_the_tutorial(tmp_path: Path) -> None:
    """Its commands run one after the other, from nothing to two snapshots that are the same."""
    text = (DOCS / "tutorial.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    assert len(commands) >= 10
    (started,) = re.findall(r"^ncrawl emulator .*$", text, re.MULTILINE)
    assert started == "ncrawl emulator --port 8080 --registries 5 --images 200"
    async with Emulator(EmulatorOptions(registries=5, images=200)) as emulator:
        keys = {"NCLOUD_ACCESS_KEY_ID": emulator.access_key, "NCLOUD_SECRET_ACCESS_KEY": emulator.secret_key}
        shell = Shell(tmp_path, NCRAWL_GATEWAY=emulator.url, **keys)
        said = [await shell(command) for command in commands if "jq" not in command]
    assert "manifest.json" in "".join(said)
    assert len(list((tmp_path / "snapshots").glob("2*Z"))) == 2
