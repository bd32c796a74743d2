"""`ncrawl snapshot --level`: registries, images or tags; what is in it, what is missing, and how it goes on."""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from support.log_lines import unstamped
from support.night import CODES, Night, a_night_here, checked, data_of, path_of, path_of_tags
from support.snapshot_maker import unpack
from support.tag_level import TAG_LEVEL, asked_for_tags, images_of, tag_lines

from crawler.api.collections import TAGS
from crawler.cli import run
from crawler.core.model import Verdict
from crawler.emulation import EmulatorOptions
from crawler.emulation.faults import REFUSALS
from crawler.emulation.wire import Answer
from crawler.snapshot.manifest import load, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


IMAGES = 50
WORLD = EmulatorOptions(registries=4, images=IMAGES)
DENIED = Answer(401, REFUSALS[210].body)


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    with a_night_here(tmp_path, monkeypatch, WORLD) as night:
        yield night


def asked_above(night: Night) -> Counter[str]:
    """Return what else was asked for, and how often."""
    asked = night.account.statistics.requests_by_path
    return Counter({path: number for path, number in asked.items() if not path.endswith("/tags")})


# ── what is in it ──


@pytest.mark.parametrize("compress", ["none", "gzip", "zstd"])
def test_a_snapshot_of_tags_holds_every_tag_in_order(
    night: Night, compress: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sorted bytewise, proved by `verify`, counted everywhere; and what is told of it fits 80 columns."""
    assert night.snapshot(*TAG_LEVEL, "--compress", compress) == 0
    made = checked(night.newest())
    suffix = {"none": "", "gzip": ".gz", "zstd": ".zst"}[compress]
    expected = tag_lines(night)
    assert unpack(data_of(night.newest())[f"tags.ndjson{suffix}"], suffix) == expected
    assert (made.verdict, made.totals.images) == ("complete", IMAGES)
    number = expected.count(b"\n")
    assert made.totals.tags == sum(one.tags for one in made.registries) == number  # type: ignore[attr-defined]
    assert made.gaps_of(TAGS) == ()
    assert made.run.options["level"] == "tags"
    told = unstamped(capsys.readouterr().err)
    assert f"complete, {IMAGES} images, {number:,} tags; latest points to it" in told
    assert all(len(line) <= 80 for line in told.splitlines() if line.startswith(("region", *CODES, "total")))
    assert run(["verify", str(night.newest())]) == 0
    assert f"is whole: {IMAGES} images, {number:,} tags in " in capsys.readouterr().err


def test_the_bytes_of_tags_depend_on_nothing_but_the_account(night: Night) -> None:
    """Concurrency, page size and a second look change nothing; `diff` finds nothing."""
    for chosen in (("--concurrency", "1"), ("--concurrency", "64"), ("--page-size", "7"), ("--verify", "always")):
        assert night.snapshot(*TAG_LEVEL, *chosen) == 0
    first, *others = (data_of(night.folder / name) for name in night.names())
    assert others == [first] * 3


def test_a_snapshot_of_registries_asks_for_nothing_else(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """One file, whole, a request a region; what would need images says so."""
    assert night.snapshot("--level", "registries") == 0
    assert asked_above(night) == {path_of(region): 1 for region in CODES}
    assert list(data_of(night.newest())) == ["registries.ndjson"]
    assert run(["verify", str(night.newest())]) == 0
    made = read(night.newest())
    assert (made.verdict, made.registries) == ("complete", ())
    assert sum(one.registries for one in made.regions) == 4 * len(CODES)
    assert f"complete, {4 * len(CODES)} registries; latest points to it" in capsys.readouterr().err
    assert run(["diff", str(night.newest()), str(night.newest())]) == 0


def test_what_a_snapshot_of_registries_does_not_know_is_not_zero(
    night: Night, capfd: pytest.CaptureFixture[str]
) -> None:
    """A list of snapshots, a plan and a report say nothing of images; later reports do not count it as a night."""
    assert night.snapshot("--level", "registries") == 0
    capfd.readouterr()
    assert run(["snapshots", "--json", str(night.folder)]) == 0
    assert json.loads(capfd.readouterr().out)["images"] is None
    assert run(["plan", "--json", "--from", str(night.folder)]) == 3
    assert json.loads(capfd.readouterr().out)["regions"]["kr"]["images"] is None
    page = night.home / "report.html"
    assert run(["report", str(night.folder), "-o", str(page)]) == 2
    assert "has no images to report: it is a snapshot of --level registries" in capfd.readouterr().err
    assert night.snapshot() == 0
    assert run(["report", str(night.folder), "-o", str(page)]) == 0
    assert "nothing to compare yet" in page.read_text()


def test_a_plan_of_an_image_is_refused(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """With a sentence, whatever the level is."""
    region, registry, image = images_of(night)[0]
    assert run(["plan", *TAG_LEVEL, f"{region}/{registry}/{image}"]) == 2
    assert "names an image: `ncrawl tags` lists what is in one" in capsys.readouterr().err


def test_an_unknown_level_is_refused(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """With those that there are."""
    assert night.snapshot("--level", "layers") == 2
    assert "--level: 'layers' is not known: give registries or images or tags" in capsys.readouterr().err


def test_a_diff_of_tags_names_level_image_and_tag(night: Night, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """And of a night without tags and one with them, what both have is compared."""
    assert night.snapshot() == 0
    assert night.snapshot(*TAG_LEVEL) == 0
    path = min(images_of(night), key=lambda place: len(night.account.world.tags(*place)) or 1000)
    tags = len(night.account.world.tags(*path))
    empty = b'{"count":0,"next":null,"previous":null,"results":[]}'
    night.account.replaced[path_of_tags(*path), 1] = Answer(200, empty)
    assert night.snapshot(*TAG_LEVEL) == 0
    without, before, after = (str(night.folder / name) for name in night.names())
    capfdbinary.readouterr()
    assert run(["diff", before, after]) == 0
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    found = {(one["change"], one["level"], one["region"], one["registry"], one["image"]) for one in lines}
    assert found == {("removed", "tag", *path)}
    assert len(lines) == tags
    assert run(["diff", without, before]) == 0
    assert capfdbinary.readouterr().out == b""


def test_old_snapshots_with_tags_are_removed_whole(night: Night) -> None:
    """--keep leaves nothing of them."""
    for _ in range(3):
        assert night.snapshot(*TAG_LEVEL, "--keep", "2") == 0
    assert len(night.names()) == 2
    assert night.remains() == set()


# ── what is missing ──


def test_a_tag_list_that_is_missing_makes_the_run_incomplete(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named with its reason, its registry is incomplete, `latest` does not move, the exit code is 3."""
    place = images_of(night)[5]
    night.account.replaced[path_of_tags(*place), 1] = DENIED
    assert night.snapshot(*TAG_LEVEL) == 3
    made = checked(night.newest())
    (gap,) = made.gaps_of(TAGS)
    assert gap == {"account": "default", "region": place[0], "registry": place[1], "image": place[2]} | {
        "verdict": "denied",
        "reason": "401/210 Permission Denied",
    }
    lacking = [one for one in made.registries if not one.verdict.is_good]
    assert [(one.region, one.registry, one.verdict, one.own_verdict) for one in lacking] == [
        (*place[:2], Verdict.INCOMPLETE, Verdict.COMPLETE)
    ]
    assert not (night.folder / "latest").exists()
    assert "/".join(place) + ": denied: 401/210 Permission Denied" in capsys.readouterr().err


def test_what_is_missing_of_an_expected_gap_is_no_fault(night: Night) -> None:
    """Neither exit code nor `latest` mind a tag list of it."""
    place = images_of(night)[5]
    night.account.replaced[path_of_tags(*place), 1] = DENIED
    assert night.snapshot(*TAG_LEVEL, "--expect-gap", "/".join(place[:2])) == 0
    assert (night.folder / "latest").readlink().name == night.newest().name


def test_retry_fetches_only_the_tags_that_were_not_whole(night: Night) -> None:
    """No list of images again, no other list of tags; and the bytes are those of a night without trouble."""
    places = images_of(night)[5:8]
    for place in places:
        night.account.replaced[path_of_tags(*place), 1] = DENIED
    assert night.snapshot(*TAG_LEVEL) == 3
    night.account.replaced.clear()
    assert night.snapshot(*TAG_LEVEL, "--retry-failed", night.names()[0]) == 0
    assert asked_for_tags(night) == set(places)
    assert not asked_above(night)
    assert data_of(night.newest())["tags.ndjson"] == tag_lines(night)
    assert checked(night.newest()).verdict == "complete"


def test_retry_where_a_registry_was_deleted_since(night: Night) -> None:
    """What was missing of it is gone, as the lists bear out that are read after its 404, and the night is whole."""
    place = images_of(night)[5]
    night.account.replaced[path_of_tags(*place), 1] = DENIED
    assert night.snapshot(*TAG_LEVEL) == 3
    night.account.replaced.clear()
    night.account.world.delete_registry(*place[:2])
    assert night.snapshot(*TAG_LEVEL, "--retry-failed", night.names()[0]) == 0
    assert checked(night.newest()).verdict == "complete"
    (gap,) = json.loads((night.newest() / "manifest.json").read_bytes())["tag_gaps"]
    assert (gap["region"], gap["registry"], gap["image"], gap["verdict"]) == (*place, "gone")


def test_retry_adds_the_tags_to_a_night_without_them(night: Night) -> None:
    """Lists of registries and images are copied; and the other way, tags are left out."""
    assert night.snapshot() == 0
    assert night.snapshot(*TAG_LEVEL, "--retry-failed", "latest") == 0
    assert asked_for_tags(night) == set(images_of(night))
    assert not asked_above(night)
    assert data_of(night.newest())["tags.ndjson"] == tag_lines(night)
    for level, files in (("images", 2), ("registries", 1)):
        assert night.snapshot("--level", level, "--retry-failed", "latest") == 0
        assert len(data_of(night.newest())) == files
        assert not night.account.statistics.requests


# ── stopped and taken up ──


def test_a_killed_run_goes_on_within_a_registry(night: Night) -> None:
    """What tag lists the journal has are not fetched again; the bytes are those of a run in one piece."""
    process = night.start(*TAG_LEVEL, "--concurrency", "4", "--rate", "100")
    night.account.on_request = lambda requests: os.kill(process.pid, signal.SIGKILL) if requests == 45 else None
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    night.account.on_request = None
    finished = {key for key in night.finished() if len(key) == 3}
    assert finished
    assert night.snapshot("--resume") == 0, "with the level that it had"
    assert not finished & asked_for_tags(night)
    assert asked_for_tags(night) < set(images_of(night))
    assert data_of(night.newest())["tags.ndjson"] == tag_lines(night)
    assert checked(night.newest()).run.resumed


def test_a_run_is_not_taken_up_at_another_level(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """The level decides what is in a snapshot."""
    process = night.start(*TAG_LEVEL)
    night.account.on_request = lambda requests: process.terminate() if requests == 20 else None
    process.communicate()
    night.account.on_request = None
    assert night.snapshot("--resume", "--level", "images") == 2
    assert "--level was tags and is images" in capsys.readouterr().err


# ── sizes ──


def test_sizes_are_the_same_in_a_snapshot_and_in_a_summary(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """By the emulator's own books; the registries that store most are told, within 80 columns."""
    assert night.snapshot(*TAG_LEVEL, "--compress", "zstd") == 0
    told = unstamped(capsys.readouterr().err)
    summary = night.home / "summary.json"
    assert run(["tags", "-o", str(night.home / "tags.ndjson"), "--summary", str(summary)]) == 0
    found = {(one.region, one.registry): one for one in read(night.newest()).registry_sizes}
    of_summary = load(summary.read_bytes()).registry_sizes
    assert {place: found[place] for place in found} == {
        (one.region, one.registry): one for one in of_summary if one.tags
    }
    world, largest = night.account.world, dict[tuple[str, str], dict[str, int]]()
    for place in images_of(night):
        held = largest.setdefault(place[:2], {})
        held |= {one["digest"]: one["size"] for tag in world.tags(*place) for one in tag["images"]}
    books = {place: (len(held), sum(held.values())) for place, held in largest.items() if held}
    assert {place: (one.digests, one.bytes_at_most) for place, one in found.items()} == books
    total = sum(size for _, size in books.values())
    last = re.search(rf"^total +[\d,]+ +[\d,]+ +{total:,}$", told, re.MULTILINE)
    assert last
    assert max(map(len, told[told.index("bytes at most") : last.end()].splitlines())) <= 80


def test_a_snapshot_without_tags_says_nothing_of_sizes(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither in its manifest nor to people."""
    assert night.snapshot() == 0
    assert "sizes" not in json.loads((night.newest() / "manifest.json").read_bytes())
    assert "bytes at most" not in capsys.readouterr().err
