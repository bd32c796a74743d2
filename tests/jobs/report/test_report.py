"""The whole job: the same bytes whenever it is done, a size that is bounded, and nothing made of what is damaged."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec import defstruct
from msgspec.structs import replace as with_fields
from support.inventory import A, B, C, days_ago, make_night, named_after, record, tag
from support.snapshot_maker import as_format_1, reseal

from crawler.core.errors import NcrawlError
from crawler.core.model import Verdict
from crawler.jobs.report.contents import list_data
from crawler.jobs.report.facts import gather
from crawler.jobs.report.history import History
from crawler.jobs.report.page import page
from crawler.jobs.report.report import report
from crawler.snapshot.manifest import Manifest

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 300_000
"""What a page may take beside its list of images."""


def list_of(html: bytes) -> dict[str, list[list[object]]]:
    """Return the list that a page holds for its script."""
    (data,) = re.findall(rb'<script type="application/json" id="data">(.*?)</script>', html)
    found: dict[str, list[list[object]]] = json.loads(data)
    return found


def test_the_same_bytes_at_any_time(tmp_path: Path) -> None:
    """Nothing in it depends on when or where it is made; the folder and the snapshot in it give the same."""
    snapshot = make_night(tmp_path / "a", {A: [record("x", last_updated=days_ago(3))]})
    elsewhere = make_night(tmp_path / "b", {A: [record("x", last_updated=days_ago(3))]})
    assert report(snapshot) == report(tmp_path / "a") == report(elsewhere)


def test_the_list_for_the_script(tmp_path: Path) -> None:
    """Region and label of a registry once, then a row an image: registry, name, day, pulls, rank."""
    make_night(
        tmp_path, {A: [record("</script>", pull_count=2)], B: [record("y", pull_count=0, last_updated=days_ago(400))]}
    )
    html = report(tmp_path).html
    found = list_of(html)
    assert found["registries"] == [["kr", "kr/team-a"], ["kr", "kr/team-b"]]
    assert found["rows"] == [[1, "y", days_ago(400) // 86_400_000, 0, 0], [0, "</script>", None, 2, 3]]
    assert html.count(b"</script>") == 2


def test_a_list_that_is_cut_says_so(tmp_path: Path) -> None:
    """How many are in it, and of how many."""
    make_night(tmp_path, {A: [record(f"{n}") for n in range(9)]})
    html = report(tmp_path, most_listed=4).html
    assert len(list_of(html)["rows"]) == 4
    assert b"The 4 stalest of 9 images" in html
    assert b"All images, the stalest first." in report(tmp_path).html


def test_how_large_it_is_at_most(tmp_path: Path) -> None:
    """However much there is to tell: what is shown is cut, and says so."""
    gaps = {("default", "kr", f"registry-with-a-long-name-{n:04}"): Verdict.FAILED for n in range(700)}
    excluded = {("default", "sgn", f"another-registry-{n:04}"): "sgn/another-*" for n in range(700)}
    images = {place: [record(f"team/image-{n:05}", v=1) for n in range(500)] for place in (A, B, C)}
    make_night(tmp_path, images, 1)
    changed = {A: [record(f"team/image-{n:05}", v=2) for n in range(500)], B: [], C: images[C]}
    reasons = dict.fromkeys(gaps, "503/500 Endpoint Error (trace 0123456789abcdef, answered by ENDPOINT)")
    make_night(tmp_path, changed, verdicts=gaps, excluded=excluded, reasons=reasons)
    facts = gather(tmp_path)
    last = facts.history.points[-1]
    points = [last._replace(started=last.started + timedelta(n), images=n * n % 9973) for n in range(1000)]
    facts = replace(facts, history=History(points, ["It cannot be read."] * 30))
    html = page(facts).decode()
    assert len(html) - len(list_data(facts)) < MOST_BYTES
    assert html.count("… and 400 more: the manifest holds them all.") == 2
    assert "200 of " in html
    assert "The newest 200 of 1,000 snapshots" in html
    assert "The 50 largest of 703 registries" in html
    assert "… and 10 more cannot be read." in html


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    """Registries, lists of registries, and how many of each."""
    verdicts = {B: Verdict.INCOMPLETE, C: Verdict.GONE}
    make_night(
        tmp_path, {A: [record("x")]}, verdicts=verdicts, regions={"jpn": Verdict.FAILED}, reasons={B: "page 3: 503"}
    )
    html = report(tmp_path).html.decode()
    assert "Incomplete: something is missing of 1 registry, 1 list of registries." in html
    assert "page 3: 503" in html
    assert "jpn: its list of registries" in html
    assert "sgn/team-c" in html


def test_complete_is_not_proved(tmp_path: Path) -> None:
    """What was looked at once is not called proved: under --verify never, and in format 1, which does not say it."""
    once = make_night(tmp_path / "once", {A: [record("x")]}, verdicts={B: Verdict.UNVERIFIED})
    reseal(once, lambda made: with_fields(made, verdict="complete"))
    assert b"Complete, but not proved: 1 list was looked at once" in report(once).html
    old = as_format_1(make_night(tmp_path / "old", {A: [record("x")]}))
    assert b"Complete, but not proved: 1 list was looked at once" in report(old).html


def test_incomplete_for_no_registry(tmp_path: Path) -> None:
    """A run that ended early says so, though no registry lacks anything."""
    snapshot = make_night(tmp_path, {A: [record("x")]}, verdicts={C: Verdict.GONE})
    assert b"Incomplete: the run ended before it was done." in report(snapshot).html


def test_a_manifest_that_says_complete_and_names_a_gap(tmp_path: Path) -> None:
    """When in doubt, the inventory is not complete."""
    snapshot = make_night(tmp_path, {A: [], B: []}, verdicts={A: Verdict.FAILED})
    reseal(snapshot, lambda made: with_fields(made, verdict="complete"))
    assert b"Incomplete: something is missing of 1 registry." in report(snapshot).html


def test_images_whose_tags_are_not_whole(tmp_path: Path) -> None:
    """Where a manifest names such, each is told, with its reason."""
    gap = {
        "account": "default",
        "region": "kr",
        "registry": "team-a",
        "image": "a/b",
        "verdict": "failed",
        "reason": "404",
    }
    facts = gather(make_night(tmp_path, {A: [record("a/b")]}))
    with_tags = defstruct("WithTags", [("tag_gaps", tuple, (gap,))], bases=(Manifest,), frozen=True, kw_only=True)
    fields = {name: getattr(facts.manifest, name) for name in facts.manifest.__struct_fields__}
    manifest = with_tags(**fields | {"verdict": "incomplete"})
    assert isinstance(manifest, Manifest)
    html = page(replace(facts, manifest=manifest)).decode()
    assert "Incomplete: something is missing of the tags of 1 image." in html
    assert '<th scope="row">kr/team-a/a/b</th><td class="bad">failed</td><td class="told">404</td>' in html


def test_several_accounts(tmp_path: Path) -> None:
    """Registries of one name are told apart."""
    make_night(tmp_path, {("one", "kr", "r"): [record("x")], ("two", "kr", "r"): [record("x")]})
    html = report(tmp_path).html
    assert b"Container registries of one, two" in html
    assert b"two: kr/r" in html


def test_nothing_at_all(tmp_path: Path) -> None:
    """An account without registries has a page like any other."""
    make_night(tmp_path, {}, regions={"kr": Verdict.COMPLETE})
    html = report(tmp_path).html
    assert b"Complete: nothing is missing." in html
    assert list_of(html)["rows"] == []


def test_nothing_changed(tmp_path: Path) -> None:
    """It is said, and that some were pulled."""
    make_night(tmp_path, {A: [record("x", pull_count=1)]}, 1)
    make_night(tmp_path, {A: [record("x", pull_count=2)]})
    html = report(tmp_path).html
    assert b"Nothing else changed." in html
    assert b"Images that differ only in how often they were pulled: 1." in html


def test_registries_alone(tmp_path: Path) -> None:
    """A snapshot without a file of images has no images, and is not damaged."""
    snapshot = make_night(tmp_path, {A: [], B: []})
    (snapshot / "images.ndjson").unlink()
    reseal(snapshot, lambda made: with_fields(made, registries=(), files=made.files[1:]))
    html = report(tmp_path).html
    assert b"<dt>registries</dt><dd>2</dd>" in html
    assert b"Complete: nothing is missing." in html


def test_latest_is_another(tmp_path: Path) -> None:
    """It is said where `latest` does not mean the snapshot that is shown."""
    make_night(tmp_path, {A: []}, 1)
    make_night(tmp_path, {A: []})
    (tmp_path / "latest").symlink_to(named_after(1))
    assert f"latest is {named_after(1)}".encode() in report(tmp_path).html
    assert b"latest is" not in report(tmp_path / "latest").html


def test_sizes_that_are_missing_are_told(tmp_path: Path) -> None:
    """The sum is of what has a size; where there are no tags, that is said."""
    make_night(tmp_path, {A: [record("x")]}, tags={A: [b'{"image":"x","name":"1","images":[{"digest":"a"}]}']})
    assert b"1 images have no size and are left out" in report(tmp_path).html
    make_night(tmp_path / "other", {A: [record("x")]}, tags={A: [tag("x", "1", ("a", 2048))]})
    assert b"2.0 KiB" in report(tmp_path / "other").html
    make_night(tmp_path / "none", {A: [record("x")]})
    assert b"no tags, which are what tells sizes" in report(tmp_path / "none").html


def test_earlier_damage_is_told(tmp_path: Path) -> None:
    """In the page and to the caller, who gets the page all the same."""
    before = make_night(tmp_path, {A: [record("x")]}, 1)
    make_night(tmp_path, {A: [record("x")]})
    (before / "images.ndjson").write_bytes(b"")
    made = report(tmp_path)
    assert len(made.problems) == 2
    assert all(named_after(1) in problem for problem in made.problems)
    assert b"where 1 should be" in made.html


def test_a_time_that_is_none(tmp_path: Path) -> None:
    """A manifest that was sealed with it is damaged all the same."""
    snapshot = make_night(tmp_path, {A: [record("x")]})
    reseal(snapshot, lambda made: with_fields(made, run=with_fields(made.run, started="yesterday")))
    with pytest.raises(NcrawlError, match="the manifest is damaged") as raised:
        report(snapshot)
    assert raised.value.exit_code == 3
