"""What is left aside on purpose: registries that are excluded, and gaps that are expected."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest
from support.night import CODES, a_night_here, checked, data_of, path_of
from support.snapshot_maker import IMAGES, REGISTRIES

from crawler.cli import run
from crawler.core.model import Verdict
from crawler.emulation import EmulatorOptions
from crawler.emulation.wire import Answer
from crawler.snapshot.manifest import Manifest, load, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.night import Night

WORLD = EmulatorOptions(registries=4, images=300)


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    with a_night_here(tmp_path, monkeypatch, WORLD) as night:
        yield night


def deny(night: Night, region: str, registry: str) -> None:
    """Let the gateway refuse a registry."""
    body = b'{"error":{"errorCode":"210","message":"Permission Denied"}}'
    night.account.replaced[path_of(region, registry), 1] = Answer(401, body)


def registries_of(night: Night) -> list[str]:
    """Return the registries that the newest snapshot's registries.ndjson has a line for."""
    lines = data_of(night.newest())[REGISTRIES].splitlines()
    return [f"{one['region']}/{one['name']}" for one in map(json.loads, lines)]


def summary(path: Path) -> Manifest:
    return load(path.read_bytes())


# ── --exclude ──


def test_what_is_excluded_is_not_fetched_and_named(night: Night, capfd: pytest.CaptureFixture[str]) -> None:
    """No request, no line, no verdict; its line among the registries, and itself and its pattern in the manifest."""
    (region, name), (other_region, other), *_ = night.account.registries()
    patterns = [f"{region}/{name}", f"{other_region}/{other[:-1]}*"]
    assert night.snapshot("--exclude", patterns[0], "--exclude", patterns[1], "--exclude", "no-such-*", "-v") == 0
    manifest = checked(night.newest())
    assert manifest.verdict == "complete"
    excluded = {(one.account, one.region, one.registry): one.pattern for one in manifest.excluded}
    assert (
        excluded.items()
        >= {("default", region, name): patterns[0], ("default", other_region, other): patterns[1]}.items()
    )
    assert manifest.run.options["exclude"] == [*patterns, "no-such-*"]
    assert not excluded.keys() & {one.place for one in manifest.registries}
    assert not {(region, name) for _, region, name in excluded} & night.fetched()
    assert len(registries_of(night)) == 4 * len(CODES) == len(excluded) + len(manifest.registries)
    assert (night.folder / "latest").readlink().name == night.newest().name
    assert "--exclude no-such-* stands for no registry that was found" in capfd.readouterr().err


def test_the_night_after_an_exclusion(night: Night, capfd: pytest.CaptureFixture[str]) -> None:
    """Against the night before, the images are unknown, never removed; against the next night, nothing differs."""
    everything = night.account.registries()
    names = [name for _, name in everything]
    region, name = next(one for one in everything if names.count(one[1]) == 1)
    assert [night.snapshot(*options) for options in ((), ("--exclude", name), ("--exclude", f"{region}/*{name}"))] == [
        0
    ] * 3
    nights = [str(night.folder / each) for each in night.names()]
    capfd.readouterr()
    assert run(["diff", *nights[:2]]) == 3
    changes = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert {(one["change"], one["registry"]) for one in changes} == {("unknown", name)}
    assert len(changes) > 1
    assert run(["diff", *nights[1:]]) == 0
    assert capfd.readouterr().out == ""


def test_exclusion_holds_where_a_run_is_resumed_or_retried(night: Night) -> None:
    """What was copied from an earlier snapshot, or found before the interruption, is left out all the same."""
    (region, name), (broken_region, broken), *_ = night.account.registries()
    deny(night, broken_region, broken)
    assert night.snapshot() == 3
    night.account.replaced.clear()
    assert night.snapshot("--retry-failed", night.newest().name, "--exclude", f"{region}/{name}") == 0
    manifest = checked(night.newest())
    assert [(one.region, one.registry) for one in manifest.excluded] == [(region, name)]
    assert len(manifest.registries) == 4 * len(CODES) - 1

    night.account.on_request = lambda requests: os.kill(os.getpid(), signal.SIGTERM) if requests == 8 else None
    assert night.snapshot("--concurrency", "1", "--exclude", f"{region}/{name}") == 143
    night.account.on_request = None
    assert night.snapshot("--resume", "--exclude", f"{region}/{name}") == 0
    assert [(one.region, one.registry) for one in checked(night.newest()).excluded] == [(region, name)]


def test_images_leave_out_what_is_excluded(night: Night, capfd: pytest.CaptureFixture[str]) -> None:
    """In the stream as in a snapshot; the list comes from the environment here."""
    region, name = night.account.registries()[0]
    os.environ["NCRAWL_EXCLUDE"] = f"{region}/{name},no-such"
    try:
        assert run(["images", "--summary", "run.json"]) == 0
    finally:
        del os.environ["NCRAWL_EXCLUDE"]
    found = {(one["region"], one["registry"]) for one in map(json.loads, capfd.readouterr().out.splitlines())}
    assert found
    assert (region, name) not in found
    assert [(one.region, one.registry, one.pattern) for one in summary(night.home / "run.json").excluded] == [
        (region, name, f"{region}/{name}")
    ]


def test_a_registry_that_is_named_and_excluded(night: Night, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit 2 and no request: nobody can mean both; also where the name stands in a file."""
    (night.home / "list").write_text("kr/team-a\nteam-b\n")
    for arguments, named in (
        (["kr/team-a"], "kr/team-a"),
        (["--registry-file", "list"], "kr/team-a"),
        (["team-a"], "kr/team-a"),
    ):
        assert run(["images", *arguments, "--exclude", "kr/team-*", "--region", "kr"]) == 2
        assert f"{named} is named, and excluded by --exclude kr/team-*: drop one of them" in capfd.readouterr().err
    assert night.account.statistics.requests == 0


# ── --expect-gap ──


def test_an_expected_gap_makes_no_night_fail(night: Night, capfd: pytest.CaptureFixture[str]) -> None:
    """It is tried, has its verdict and reason, and is named apart; exit 0, complete, and `latest` moves."""
    region, name = night.account.registries()[0]
    deny(night, region, name)
    assert night.snapshot("--expect-gap", f"{region}/{name}") == 0
    assert (region, name) in night.fetched()
    manifest = checked(night.newest())
    assert manifest.verdict == "complete"
    (gap,) = manifest.expected_gaps
    assert (gap.account, gap.region, gap.registry, gap.verdict) == ("default", region, name, Verdict.DENIED)
    assert gap.reason
    assert "210" in gap.reason
    assert manifest.totals.registries.denied == 1
    assert (night.folder / "latest").readlink().name == night.newest().name
    err = capfd.readouterr().err
    assert f"expected gaps: {region}/{name} (denied)" in err
    assert "latest points to it" in err


def test_a_gap_that_nobody_expects_counts(night: Night) -> None:
    """Beside an expected one, another makes the run incomplete; a share of --accept counts that other one alone."""
    (region, name), (other_region, other), *_ = night.account.registries()
    deny(night, region, name)
    deny(night, other_region, other)
    assert night.snapshot("--expect-gap", f"{region}/{name}") == 3
    manifest = checked(night.newest())
    assert manifest.verdict == "incomplete"
    assert [(one.region, one.registry) for one in manifest.expected_gaps] == [(region, name)]
    assert not (night.folder / "latest").exists()
    assert night.snapshot("--expect-gap", f"{region}/{name}", "--accept", "10%") == 3
    assert (night.folder / "latest").readlink().name == night.newest().name


def test_lists_of_registries_are_never_expected_to_fail(night: Night) -> None:
    """A pattern for every registry does not cover a region whose registries nobody could list."""
    night.account.replaced[path_of("sgn"), 1] = Answer(401, b'{"error":{"errorCode":"210"}}')
    assert night.snapshot("--expect-gap", "*") == 3
    assert read(night.newest()).verdict == "incomplete"


def test_what_is_expected_is_unknown_in_a_diff(night: Night, capfd: pytest.CaptureFixture[str]) -> None:
    """What a gap hides is no removal, for all that it was expected."""
    region, name = night.account.registries()[0]
    assert night.snapshot() == 0
    deny(night, region, name)
    assert night.snapshot("--expect-gap", name) == 0
    old, new = (str(night.folder / each) for each in night.names())
    capfd.readouterr()
    assert run(["diff", old, new]) == 3
    changes = {json.loads(line)["change"] for line in capfd.readouterr().out.splitlines()}
    assert changes == {"unknown"}


def test_a_gap_that_is_none_any_more(night: Night, capfd: pytest.CaptureFixture[str]) -> None:
    """One sentence a pattern, also beside gaps that remain; a pattern that stands for nothing is told at -v."""
    (region, name), (other_region, other), *_ = night.account.registries()
    assert night.snapshot("--expect-gap", f"{region}/{name}") == 0
    told = f"{region}/{name} was expected to be a gap and is whole now: drop --expect-gap {region}/{name}"
    assert capfd.readouterr().err.count(told) == 1
    deny(night, other_region, other)
    assert night.snapshot("--expect-gap", f"{other_region}/*", "--expect-gap", "no-such", "-v") == 0
    err = capfd.readouterr().err
    assert f"are whole now: narrow --expect-gap {other_region}/*" in err
    assert f"{other_region}/{other}" not in err.split("whole now")[0].splitlines()[-1]
    assert "--expect-gap no-such stands for no registry that was listed" in err
    assert [one.registry for one in read(night.newest()).expected_gaps] == [other]


def test_images_with_an_expected_gap(night: Night, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit 0, also for a registry that was named; a collector of JSON lines gets no warning of it."""
    region, name = night.account.registries()[0]
    deny(night, region, name)
    assert run(["images", "--summary", "run.json", "--log-format", "json"]) == 3
    assert f"{region}/{name}: denied" in capfd.readouterr().err
    for named in ([], [f"{region}/{name}"]):
        arguments = ["--expect-gap", f"{region}/*", "--summary", "run.json", "--log-format", "json", "-o", "x"]
        assert run(["images", *named, *arguments]) == 0
        assert [one.registry for one in summary(night.home / "run.json").expected_gaps] == [name]
        lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
        assert not [one for one in lines if one["level"] == "warning" and name in one["message"]]


# ── the totals ──


def test_totals_by_region_add_up(night: Night) -> None:
    """Of everything that is counted, the regions' sums are the run's; each says how long it took."""
    region, name = night.account.registries()[0]
    deny(night, region, name)
    assert night.snapshot() == 3
    totals = checked(night.newest()).totals
    assert list(totals.regions) == sorted(CODES)
    regions = totals.regions.values()
    for field in ("images", "pages", "requests", "retries", "throttled", "bytes"):
        assert sum(getattr(one, field) for one in regions) == getattr(totals, field), field
    for verdict in Verdict:
        assert sum(getattr(one.registries, verdict) for one in regions) == getattr(totals.registries, verdict)
    assert totals.seconds is not None
    assert all(0 < one.seconds <= totals.seconds for one in regions)


def test_a_stream_has_no_bytes_by_region(night: Night, capfd: pytest.CaptureFixture[str]) -> None:
    """Where the lines of all regions go into one stream, only the whole has a size."""
    assert run(["images", "--summary", "run.json"]) == 0
    totals = summary(night.home / "run.json").totals
    assert totals.bytes == len(capfd.readouterr().out.encode())
    assert {one.bytes for one in totals.regions.values()} == {None}


def test_what_format_1_has_not_proved_is_fetched_again(night: Night) -> None:
    """Its lists of several pages may have been looked at once; what came in one page, or twice, is copied."""
    from support.snapshot_maker import as_format_1  # noqa: PLC0415 - for this test alone

    assert night.snapshot("--page-size", "20") == 0
    whole = data_of(night.newest())
    old = as_format_1(night.newest())
    doubtful = {(one.region, one.registry) for one in read(old).registries if one.pages > 1 and one.passes == 1}
    assert night.snapshot("--page-size", "20", "--retry-failed", old.name) == 0
    assert {one for one in night.fetched() if one[1] is not None} == doubtful
    assert data_of(night.newest())[IMAGES] == whole[IMAGES]
