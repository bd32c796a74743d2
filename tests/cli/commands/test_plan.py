"""`ncrawl plan` as a process: a table for people, the contract's object for machines, exit codes; and its words."""

from __future__ import annotations

import json
from math import inf
from typing import TYPE_CHECKING

import msgspec
import pytest
from support.shell import Shell

from crawler.api.collections import IMAGES, TAGS
from crawler.cli.plan_table import lines
from crawler.core.model import VerifyMode
from crawler.emulation.options import REGIONS
from crawler.jobs.plan.costs import Held, PageSizes
from crawler.jobs.plan.estimate import Choice, Limits
from crawler.jobs.plan.facts import Facts, RegionFacts

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.emulation import Emulator

pytestmark = pytest.mark.world(registries=4, images=700)

KNOWN = RegionFacts(
    registries=2,
    top=Held(2, 2),
    images=(Held(1_500, 1_500), Held(3, 3)),
    top_sizes=PageSizes(1_000),
    image_sizes=PageSizes(1_000),
    registry_bytes=200,
    image_bytes=450_000,
)


@pytest.fixture
def shell(emulator: Emulator, tmp_path: Path) -> Shell:
    """A shell with its keys."""
    keys = {"NCLOUD_ACCESS_KEY_ID": emulator.access_key, "NCLOUD_SECRET_KEY": emulator.secret_key}
    return Shell(tmp_path, NCRAWL_GATEWAY=emulator.url, **keys)


async def ended(shell: Shell, text: str) -> tuple[int | None, str, str]:
    """Run what may fail; return exit code, standard output and standard error."""
    process = await shell.start(text)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_for_machines(shell: Shell, emulator: Emulator, tmp_path: Path) -> None:
    """The contract's keys and no others; by the gateway as by a snapshot, which takes neither request nor key."""
    told = json.loads(await shell("ncrawl plan --json --rate 20"))
    assert list(told) == ["requests", "seconds", "bytes", "regions", "basis"]
    assert {tuple(one) for one in told["regions"].values()} == {("registries", "images", "tags", "requests")}
    assert sum(one["images"] for one in told["regions"].values()) == 700
    assert told["seconds"] == told["requests"] / 20
    assert told["basis"] == "gateway"
    await shell(f"ncrawl snapshot {tmp_path}")
    before = emulator.statistics.requests
    again = json.loads(await shell(f"unset ${{!NCLOUD_*}}; ncrawl plan --json --rate 20 --from {tmp_path}"))
    assert emulator.statistics.requests == before
    assert again == told | {"basis": "snapshot", "bytes": again["bytes"]}
    assert again["bytes"] == pytest.approx(told["bytes"], rel=0.05)
    assert again["bytes"] == json.loads((tmp_path / "latest/manifest.json").read_bytes())["totals"]["bytes"]


async def test_for_people(shell: Shell) -> None:
    """A table, a sum, what other options cost, what it rests on: nothing wider than 80 columns."""
    text = await shell("ncrawl plan")
    assert [line for line in text.splitlines() if len(line) > 80] == []
    assert text.startswith("region  registries  images\nkr ")
    assert "\nrequests for  registries  images  all\nkr " in text
    assert f"\ntotal           {4 * len(REGIONS)}     700" in text
    assert "\n--verify never " in text
    assert "requests to the gateway." in text


async def test_named_registries(shell: Shell, emulator: Emulator) -> None:
    """Only those are asked for, and no list of registries."""
    name = emulator.world.registry_names("kr")[0]
    told = json.loads(await shell(f"ncrawl plan --json kr/{name}"))
    assert told["regions"]["kr"]["registries"] == 1
    assert told["regions"]["sgn"] == {"registries": 0, "images": 0, "tags": None, "requests": 0}
    assert {target.partition("?")[0].rpartition("/")[2] for target in emulator.statistics.targets} == {name}


async def test_what_is_not_known(shell: Shell, tmp_path: Path) -> None:
    """A region that a snapshot lacks is null, and so is the sum: exit code 3. What is no snapshot is exit code 2."""
    await shell(f"ncrawl snapshot {tmp_path} --region kr,sgn")
    code, out, err = await ended(shell, f"ncrawl plan --json --from {tmp_path}")
    told = json.loads(out)
    assert (code, err) == (3, "")
    assert (told["requests"], told["seconds"], told["bytes"]) == (None, None, None)
    assert told["regions"]["jpn"] == {"registries": None, "images": None, "tags": None, "requests": None}
    assert told["regions"]["kr"]["requests"] > 1
    assert "jpn: nothing is known of it" in (await ended(shell, f"ncrawl plan --from {tmp_path}"))[1]
    for options in ("--from nowhere", f"--from {tmp_path} --api v3 --region kr", "--from . --zone gov"):
        code, out, err = await ended(shell, f"unset NCRAWL_GATEWAY; ncrawl plan --json {options}")
        assert (code, out) == (2, ""), err
        assert err.count("\n") == 1


async def test_a_key_that_is_refused(shell: Shell) -> None:
    """Nothing on standard output, and the exit code of a run."""
    code, out, err = await ended(shell, "NCLOUD_SECRET_KEY=of-somebody-else ncrawl plan")
    assert (code, out) == (4, "")
    assert "the gateway refuses the key or the clock" in err


def told(facts: RegionFacts | None, choice: Choice, limits: Limits) -> str:
    """Return what people are told of an account in one region."""
    return "\n".join(lines(Facts(basis="gateway", regions={"kr": facts}, source="a test"), choice, limits))


def test_the_sum() -> None:
    """Requests, bytes, and time at the limits that are there; without any, no time."""
    choice = Choice(IMAGES, VerifyMode.AUTO, 1_000)
    assert "6 requests, 450.2 kB of lines; 3.0 s or more, at --rate 2." in told(KNOWN, choice, Limits(2, inf, 64))
    assert "6 requests, 450.2 kB of lines." in told(KNOWN, choice, Limits(inf, inf, 64))
    assert "cannot be told" in told(None, choice, Limits(2, inf, 64))


def test_other_options() -> None:
    """Each with what the run would take with it instead; the one that is asked for is not among them."""
    many = msgspec.structs.replace(KNOWN, images=(Held(99_999_999),), tags=999_999_999)
    wide = told(many, Choice(TAGS, VerifyMode.ALWAYS, 20), Limits(0.001, 0.001, 64))
    assert [line for line in wide.splitlines() if len(line) > 80] == []
    text = told(KNOWN, Choice(TAGS, VerifyMode.NEVER, 100), Limits(1, inf, 64))
    assert "\n--verify auto          1,536  25m36s" in text
    assert "--verify never" not in text
    assert "--page-size" not in text
    assert "\n--level images            17  17.0 s" in text
    assert "a list of tags is one page" in text
    assert "\n--reuse latest           232   3m52s" in text, "17, and a seventh of 1,503"


def test_reuse() -> None:
    """A share of the lists of tags, and what is assumed by that; without it, all of them."""
    limits = Limits(1, inf, 64)
    text = told(KNOWN, Choice(TAGS, VerifyMode.AUTO, 1_000, 1), limits)
    assert "221 requests" in text
    assert "no image is another one than in the snapshot that is reused" in " ".join(text.split())
    assert "\nno --reuse             1,509  25m9s" in text
    assert "--reuse latest" not in text
    assert "\n--level tags --reuse latest       221   3m41s" in told(
        KNOWN, Choice(IMAGES, VerifyMode.AUTO, 1_000), limits
    )
