"""`ncrawl snapshot --level tags --reuse`: tags of images that did not change are copied, the others are fetched."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec import UNSET
from msgspec.structs import replace
from support.log_lines import unstamped
from support.night import TOO_LARGE, Night, a_night_here, checked, data_of, path_of_tags
from support.tag_level import TAG_LEVEL, asked_for_tags, images_of, tag_lines

import crawler
from crawler.core.model import Verdict
from crawler.core.text import iso
from crawler.emulation import EmulatorOptions
from crawler.snapshot.manifest import MANIFEST, dump, load, read
from crawler.snapshot.rotation import CLASSES, class_of
from crawler.snapshot.verifying.verify import verify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crawler.snapshot.entries import Reused

Image = tuple[str, str, str]
REUSE = (*TAG_LEVEL, "--reuse", "latest")
NONE = (*REUSE, "--refresh", "none")
IMAGES = 70
NOW_MS = 1_900_000_000_000


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=4, images=IMAGES)) as night:
        yield night


def retag(night: Night, *images: Image) -> None:
    """Change the tags of images, which their records show."""
    for place in images:
        contents = night.account.world.contents(*place[:2])
        assert contents is not None
        contents.change_tags(place[2], random.Random(place[2]), NOW_MS)


def retag_in_silence(night: Night, *images: Image) -> None:
    """Change the tags of images, which their records do not show."""
    for place in images:
        contents = night.account.world.contents(*place[:2])
        assert contents is not None
        before = contents.find(place[2])
        contents.change_tags(place[2], random.Random(place[2]), NOW_MS)
        position = contents._position(place[2])
        assert position is not None
        assert before is not None
        contents._materialised()[position] = before


def pull(night: Night, *images: Image) -> None:
    """Pull images, which only their counts show."""
    for place in images:
        contents = night.account.world.contents(*place[:2])
        assert contents is not None
        position = contents._position(place[2])
        assert position is not None
        contents._materialised()[position] = contents.record(position) | {"pull_count": 4_711}


def was_taken(snapshot: Path, *, days: float) -> None:
    """Let a snapshot be so many days older than it is, and the lists in it as well."""
    made = read(snapshot)

    def then(time: str) -> str:
        return iso((datetime.fromisoformat(time) - timedelta(days=days)).timestamp() * 1000)

    since = made.run.tags_listed_since
    run = replace(made.run, started=then(made.run.started), tags_listed_since=since and tuple(map(then, since)))
    (snapshot / MANIFEST).write_bytes(dump(replace(made, run=run)))


def reused(night: Night) -> Reused:
    """Return what the newest snapshot says that it reused; it is proved."""
    told = checked(night.newest()).run.reuse
    assert told
    return told


def class_of_today() -> int:
    """Return the class of lists that is due today."""
    return int(datetime.now(UTC).timestamp()) // 86_400 % CLASSES


def due_today(night: Night) -> set[Image]:
    """Return the images whose tags are fetched today, whatever else is."""
    return {place for place in images_of(night) if class_of(*place) == class_of_today()}


# ── what is copied ──


@pytest.mark.long
@pytest.mark.parametrize("compress", ["none", "gzip", "zstd"])
def test_only_what_changed_and_a_seventh_is_fetched(night: Night, compress: str) -> None:
    """Data files are those of a full snapshot, to the byte; the lists of images are read anew."""
    packed = ("--compress", compress)
    assert night.snapshot(*TAG_LEVEL, *packed) == 0
    changed, pulled = images_of(night)[::100], images_of(night)[1::50]
    retag(night, *changed)
    pull(night, *pulled)
    assert night.snapshot(*REUSE, *packed) == 0
    assert asked_for_tags(night) == {*changed, *due_today(night)}
    assert night.fetched() - asked_for_tags(night) == {
        (region, registry) for region, registry in night.account.registries()
    } | {(region, None) for region in ("kr", "sgn", "jpn")}
    told, made = reused(night), read(night.newest())
    assert (told.reused, told.refreshed) == (IMAGES - len(asked_for_tags(night)), len(due_today(night) - {*changed}))
    assert told.refreshed_and_different == 0
    assert sum(one.reused or 0 for one in made.registries) == told.reused
    data = data_of(night.newest())
    assert night.snapshot(*TAG_LEVEL, *packed) == 0
    assert data_of(night.newest()) == data
    assert read(night.newest()).run.reuse is UNSET


@pytest.mark.long
def test_requests_of_a_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the first level, of what changed (one image in a hundred), and of a seventh of the rest by its hash."""
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=2, images=1_000, max_page_size=1_000)) as night:
        assert night.snapshot(*TAG_LEVEL) == 0
        changed = images_of(night)[::100]
        retag(night, *changed)
        assert night.snapshot(*REUSE) == 0
        of_tags, first_level = len(asked_for_tags(night)), 3 + 3 * 2
        assert sum(night.account.statistics.requests_by_path.values()) == first_level + of_tags
        assert of_tags <= len(changed) + len(due_today(night)), "a request a list, at a thousand tags a page"
        assert len(due_today(night)) < 1_000 / 7 + 4 * 11, "four standard deviations"
        assert data_of(night.newest())["tags.ndjson"] == tag_lines(night)


def test_images_that_came_and_went(night: Night) -> None:
    """What is new is fetched, what is gone is not copied."""
    assert night.snapshot(*TAG_LEVEL) == 0
    rng = random.Random(7)
    for region, registry in night.account.registries():
        contents = night.account.world.contents(region, registry)
        assert contents is not None
        for _ in range(9):
            contents.change(rng, NOW_MS)
    assert night.snapshot(*NONE) == 0
    assert data_of(night.newest())["tags.ndjson"] == tag_lines(night)
    assert 0 < len(asked_for_tags(night)) < 100


def test_what_is_reused_can_be_reused_again(night: Night) -> None:
    """Night after night; the manifest keeps since when the lists of each class were read."""
    assert night.snapshot(*TAG_LEVEL) == 0
    full = read(night.newest()).run
    assert full.tags_listed_since is UNSET
    for _ in range(2):
        assert night.snapshot(*REUSE) == 0
        made = read(night.newest()).run
        today = class_of_today()
        since = (full.started,) * today + (made.started,) + (full.started,) * (CLASSES - 1 - today)
        assert made.tags_listed_since == since
    assert data_of(night.newest())["tags.ndjson"] == tag_lines(night)


def test_all_and_none(night: Night) -> None:
    """Everything is fetched and compared, or nothing that did not change."""
    assert night.snapshot(*TAG_LEVEL) == 0
    assert night.snapshot(*REUSE, "--refresh", "all") == 0
    told = reused(night)
    assert (told.reused, told.refreshed, told.refreshed_and_different) == (0, IMAGES, 0)
    assert night.snapshot(*NONE) == 0
    told = reused(night)
    assert (told.reused, told.refreshed) == (IMAGES, 0)
    assert asked_for_tags(night) == set()


def test_a_change_that_no_record_shows_is_counted_and_said(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """Among what is refreshed it is seen, with what it suggests; among what is reused it cannot be."""
    assert night.snapshot(*TAG_LEVEL) == 0
    due = sorted(due_today(night))
    others = sorted(set(images_of(night)) - {*due})
    retag_in_silence(night, *due[:3], *others[:2])
    assert night.snapshot(*REUSE) == 0
    assert reused(night).refreshed_and_different == 3
    err = unstamped(capsys.readouterr().err)
    assert f"3 of {len(due)} refreshed lists of tags are not as in {night.names()[0]}" in err
    assert "--refresh all fetches every one" in err
    assert data_of(night.newest())["tags.ndjson"] != tag_lines(night)
    assert night.snapshot(*REUSE, "--refresh", "all") == 0
    assert reused(night).refreshed_and_different == 2
    assert data_of(night.newest())["tags.ndjson"] == tag_lines(night)


def test_nights_that_were_skipped_are_made_up_for(night: Night) -> None:
    """Three days later three more classes are due."""
    assert night.snapshot(*TAG_LEVEL) == 0
    was_taken(night.newest(), days=3)
    assert night.snapshot(*REUSE) == 0
    due = {(class_of_today() - ago) % CLASSES for ago in range(3)}
    assert asked_for_tags(night) == {place for place in images_of(night) if class_of(*place) in due}


# ── what is not ──


def test_what_was_not_whole_is_fetched(night: Night) -> None:
    """A list that was a gap, though its image's record is the same."""
    gap = images_of(night)[5]
    night.account.replaced[path_of_tags(*gap), 1] = TOO_LARGE
    assert night.snapshot(*TAG_LEVEL) == 3
    night.account.replaced.clear()
    assert night.snapshot(*TAG_LEVEL, "--reuse", night.newest().name, "--refresh", "none") == 0
    assert asked_for_tags(night) == {gap}
    assert data_of(night.newest())["tags.ndjson"] == tag_lines(night)
    assert reused(night).reused == IMAGES - 1


def test_what_is_refreshed_and_fails_is_a_gap(night: Night) -> None:
    """And is no difference; the tags of then are not put in its place."""
    assert night.snapshot(*TAG_LEVEL) == 0
    failing = min(due_today(night))
    night.account.replaced[path_of_tags(*failing), 1] = TOO_LARGE
    assert night.snapshot(*REUSE) == 3
    told, made = reused(night), read(night.newest())
    assert told.refreshed == len(due_today(night)) - 1
    assert told.refreshed_and_different == 0
    assert [gap["image"] for gap in made.tag_gaps] == [failing[2]]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("days", "why"), [(8.01, "older than eight nights"), (-1, "or from the future")])
def test_nothing_is_reused_whose_age_is_not_known(
    night: Night, days: float, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Too old, or of a time to come: all is fetched, and said."""
    assert night.snapshot(*TAG_LEVEL) == 0
    was_taken(night.newest(), days=days)
    assert night.snapshot(*NONE) == 0
    assert asked_for_tags(night) == set(images_of(night))
    assert why in unstamped(capsys.readouterr().err)
    assert read(night.newest()).run.reuse is UNSET


def test_what_is_older_than_eight_nights_is_fetched_though_its_snapshot_is_not(night: Night) -> None:
    """The age of a list counts, not that of the snapshot that it is copied from: a reused list's goes on."""
    assert night.snapshot(*TAG_LEVEL) == 0
    was_taken(night.newest(), days=5)
    assert night.snapshot(*NONE) == 0
    assert asked_for_tags(night) == set()
    was_taken(night.newest(), days=3.01)
    assert night.snapshot(*NONE) == 0
    assert asked_for_tags(night) == set(images_of(night))


def test_what_retry_failed_copied_keeps_its_age(night: Night) -> None:
    """A snapshot that was mended holds lists of then."""
    night.account.replaced[path_of_tags(*images_of(night)[5]), 1] = TOO_LARGE
    assert night.snapshot(*TAG_LEVEL) == 3
    night.account.replaced.clear()
    was_taken(night.newest(), days=7)
    assert night.snapshot(*TAG_LEVEL, "--retry-failed", night.newest().name) == 0
    assert read(night.newest()).run.tags_listed_since == (read(night.folder / night.names()[0]).run.started,) * CLASSES
    was_taken(night.newest(), days=1.01)
    assert night.snapshot(*NONE) == 0
    assert asked_for_tags(night) == set(images_of(night))


def test_an_old_mended_snapshot_does_not_tell_how_old_its_lists_are(
    night: Night, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not known to be young is fetched."""
    assert night.snapshot(*TAG_LEVEL) == 0
    assert night.snapshot(*TAG_LEVEL, "--retry-failed", "latest") == 0
    made = read(night.newest())
    (night.newest() / MANIFEST).write_bytes(dump(replace(made, run=replace(made.run, tags_listed_since=UNSET))))
    assert night.snapshot(*NONE) == 0
    assert asked_for_tags(night) == set(images_of(night))
    assert "it does not say since when its lists of tags were read" in unstamped(capsys.readouterr().err)


def test_nothing_is_reused_of_other_keys(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor of another account, under whatever name."""
    assert night.snapshot(*TAG_LEVEL) == 0
    assert night.snapshot(*NONE, "--account", "other") == 0
    assert asked_for_tags(night) == set(images_of(night))
    made = read(night.newest())
    identity = replace(made.run, identity="0" * 64)
    (night.newest() / MANIFEST).write_bytes(dump(replace(made, run=identity)))
    assert night.snapshot(*NONE, "--account", "other") == 0
    assert asked_for_tags(night) == set(images_of(night))
    assert unstamped(capsys.readouterr().err).count("it is of another account, or was taken with other keys") == 2


@pytest.mark.parametrize(("option", "then", "now"), [("api", "v3", "v2"), ("zone", "gov", "public")])
def test_nothing_is_reused_of_another_version_or_zone(
    night: Night, option: str, then: str, now: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Records of other versions have other fields."""
    assert night.snapshot(*TAG_LEVEL) == 0
    made = read(night.newest())
    options = replace(made.run, options=made.run.options | {option: then})
    (night.newest() / MANIFEST).write_bytes(dump(replace(made, run=options)))
    assert night.snapshot(*NONE) == 0
    assert asked_for_tags(night) == set(images_of(night))
    assert f"it was taken with --{option} {then}, and --{option} is {now} now" in unstamped(capsys.readouterr().err)


def test_what_was_looked_at_once_is_reused_by_a_run_that_looks_once(
    night: Night, capsys: pytest.CaptureFixture[str]
) -> None:
    """`unverified` is no proof."""
    assert night.snapshot(*TAG_LEVEL, "--verify", "never") == 0
    assert night.snapshot(*NONE, "--verify", "never") == 0
    assert asked_for_tags(night) == set()
    assert list(verify(night.newest())) == []
    assert {one.verdict for one in read(night.newest()).registries if one.images} == {Verdict.UNVERIFIED}
    assert night.snapshot(*NONE) == 0
    assert asked_for_tags(night) == set(images_of(night))
    assert "it was taken with --verify never, and --verify is auto now" in unstamped(capsys.readouterr().err)
    assert night.snapshot(*NONE, "--verify", "never") == 0
    assert asked_for_tags(night) == set(), "what is proved will do for a run that looks once"


def test_a_damaged_part_is_fetched(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """That registry's, and it is said; the others are reused."""
    assert night.snapshot(*TAG_LEVEL) == 0
    (place, record) = next(((one.region, one.registry), one) for one in read(night.newest()).registries if one.images)
    extent = (record.extents or {})["tags"]
    with (night.newest() / "tags.ndjson").open("r+b") as file:
        file.seek(extent.offset + extent.length // 2)
        file.write(b"?")
    assert night.snapshot(*NONE) == 0
    assert asked_for_tags(night) == {one for one in images_of(night) if one[:2] == place}
    assert data_of(night.newest())["tags.ndjson"] == tag_lines(night)
    assert f"{place[0]}/{place[1]}: its tags are fetched" in unstamped(capsys.readouterr().err)


def test_a_damaged_manifest_reuses_nothing(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """A night is not lost for it."""
    assert night.snapshot(*TAG_LEVEL) == 0
    manifest = night.newest() / MANIFEST
    manifest.write_bytes(manifest.read_bytes().replace(b'"images": ', b'"images":  ', 1))
    assert night.snapshot(*NONE) == 0
    assert asked_for_tags(night) == set(images_of(night))
    assert "no tags of it are reused, so all are fetched" in unstamped(capsys.readouterr().err)


def test_a_clock_that_is_wrong_reuses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It does not know how old a list is."""
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=2, images=30)) as night:
        assert night.snapshot(*TAG_LEVEL) == 0
    (tmp_path / "b").mkdir()
    with a_night_here(tmp_path / "b", monkeypatch, EmulatorOptions(registries=2, images=30, clock_skew_s=-90_000)) as b:
        shutil.copytree(night.newest(), b.folder / night.newest().name)
        assert b.snapshot(*TAG_LEVEL, "--reuse", night.newest().name, "--refresh", "none") == 0
        assert asked_for_tags(b) == set(images_of(b))
        assert "this machine's clock is wrong by" in unstamped(capsys.readouterr().err)


# ── how it is asked for ──


def test_from_python(night: Night) -> None:
    """The same, as arguments; whoever asks for the same run again gets it as it is."""
    options: crawler.SnapshotOptions = {"gateway": night.account.url, "keys": night.keys, "level": "tags"}
    first = crawler.take_snapshot(night.folder, **options)
    options |= {"reuse": "latest", "refresh": "none"}
    done = crawler.take_snapshot(night.folder, run_id="two", **options)
    assert done.is_complete
    assert done.totals.requests < first.totals.requests - IMAGES + 1
    assert reused(night).reused == IMAGES
    again = crawler.take_snapshot(night.folder, run_id="two", **options)
    assert again.path == done.path


def test_it_is_told_in_the_table_the_summary_and_json(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """How many lists were reused, and from where."""
    assert night.snapshot(*TAG_LEVEL) == 0
    first, summary = night.newest().name, night.home / "summary.json"
    assert night.snapshot(*NONE, "--summary", str(summary)) == 0
    assert f"tags of {IMAGES} images reused from {first}; those of 0 refreshed" in unstamped(capsys.readouterr().err)
    assert load(summary.read_bytes()) == read(night.newest())
    assert night.snapshot(*NONE, "--log-format", "json") == 0
    (ended,) = [one for one in map(json.loads, capsys.readouterr().err.splitlines()) if one.get("event") == "RunEnded"]
    assert ended["reuse"]["reused"] == IMAGES


def test_the_first_night_has_nothing_to_reuse(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so once, and is a full run."""
    assert night.snapshot(*REUSE) == 0
    err = unstamped(capsys.readouterr().err)
    assert err.count("there is no latest snapshot yet whose tags could be reused: all are fetched") == 1
    assert asked_for_tags(night) == set(images_of(night))


def test_a_snapshot_without_tags_has_none_to_reuse(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """That is said, too."""
    assert night.snapshot() == 0
    assert night.snapshot(*REUSE) == 0
    assert "it has none" in unstamped(capsys.readouterr().err)
    assert asked_for_tags(night) == set(images_of(night))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--reuse", "latest"), "--reuse copies tags, and --level images lists none: add --level tags"),
        ((*REUSE, "--retry-failed", "latest"), "--reuse and --retry-failed contradict each other"),
        ((*TAG_LEVEL, "--reuse", "20200101T000000Z"), "--reuse: "),
        ((*REUSE, "--refresh", "1/8"), "'1/8' is no share of a night: give 1/7, or up to 6/7, or all, or none"),
    ],
)
def test_what_makes_no_sense_is_refused(
    night: Night, options: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a sentence, before anything is requested or left behind."""
    assert night.snapshot(*options) == 2
    assert sentence in capsys.readouterr().err
    assert night.account.statistics.requests == 0
    assert night.remains() == set()


def test_in_a_settings_file_it_stands_for_the_nights_that_it_goes_with(night: Night) -> None:
    """What is asked for tonight comes first: another level, or a snapshot to be mended."""
    config = night.home / "ncrawl.toml"
    config.write_text('reuse = "latest"\nrefresh = "none"\nlevel = "tags"\n')
    config.chmod(0o600)
    for options, asked in (((), IMAGES), ((), 0), (("--retry-failed", "latest"), 0), (("--level", "images"), 0)):
        assert night.snapshot("--config", str(config), *options) == 0
        assert len(asked_for_tags(night)) == asked
    assert read(night.newest()).run.reuse is UNSET
    assert night.snapshot("--config", str(config), "--level", "images", "--reuse", "latest") == 2


# ── after a kill ──


def kill(night: Night, *options: str, at: int) -> None:
    """Begin a run, and kill it at a request."""
    process = night.start(*options, "--concurrency", "4", "--rate", "100")
    night.account.on_request = lambda requests: os.kill(process.pid, signal.SIGKILL) if requests == at else None
    night.account.forget()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    night.account.on_request = None


def test_a_run_that_was_killed_goes_on_reusing(night: Night) -> None:
    """From the same snapshot; what was copied or fetched is not fetched again; the bytes are those of a full run."""
    assert night.snapshot(*TAG_LEVEL) == 0
    retag(night, *images_of(night)[::4])
    kill(night, *REUSE, at=30)
    before = asked_for_tags(night)
    assert night.snapshot("--resume", "--reuse", "latest") == 0, "with the level that it had"
    after = asked_for_tags(night)
    assert before
    assert after
    assert before | after == {*images_of(night)[::4], *due_today(night)}
    told = reused(night)
    assert told.reused == IMAGES - len(before | after)
    assert told.refreshed == len(due_today(night) - {*images_of(night)[::4]})
    assert data_of(night.newest())["tags.ndjson"] == tag_lines(night)


def test_a_run_that_was_killed_fetches_what_is_gone_meanwhile(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """The earlier snapshot was removed: that is said, and what is left is fetched."""
    assert night.snapshot(*TAG_LEVEL) == 0
    earlier = night.newest()
    retag(night, *images_of(night)[::4])
    kill(night, *NONE, at=30)
    shutil.rmtree(earlier)
    (night.folder / "latest").unlink()
    assert night.snapshot("--resume") == 0
    assert f"no more tags of {earlier.name} can be reused, so all that are left are fetched" in unstamped(
        capsys.readouterr().err
    )
    assert data_of(night.newest())["tags.ndjson"] == tag_lines(night)
    assert 0 < reused(night).reused < IMAGES


def test_what_is_removed_while_it_is_read_is_read_to_its_end(night: Night) -> None:
    """Its files are open."""
    assert night.snapshot(*TAG_LEVEL) == 0
    earlier = night.newest()
    night.account.on_request = lambda _: shutil.rmtree(earlier, ignore_errors=True)
    assert night.snapshot(*NONE) == 0
    assert asked_for_tags(night) == set()
    assert not earlier.exists()
    assert data_of(night.newest())["tags.ndjson"] == tag_lines(night)
