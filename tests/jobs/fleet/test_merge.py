"""A fleet's merged snapshot: what the accounts' are, byte for byte; one that cannot be merged costs itself alone."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from support.fleet import RUN, Fleet, a_fleet, make_account
from support.night import data_of
from support.snapshot_maker import reseal, unpack

import crawler
from crawler.cli import run
from crawler.core.errors import LockedError, UsageError
from crawler.core.model import Verdict
from crawler.jobs.fleet.layout import opened
from crawler.jobs.fleet.merge import _exchange, merge
from crawler.jobs.fleet.status import await_accounts, fleet_status
from crawler.jobs.python.snapshots import Snapshot
from crawler.snapshot.manifest import dump, read
from crawler.snapshot.verifying.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crawler.snapshot.manifest import Manifest


def merged(folder: Path, *expected: str) -> Manifest:
    """Merge, and prove what came of it."""
    made = merge(folder, RUN, opened(str(folder)), expected=expected)
    path = folder / "fleet" / RUN
    assert read(path) == made
    assert list(verify(path)) == []
    assert sorted(one.name for one in path.parent.iterdir()) == [".ncrawl.lock", RUN]
    return made


def changes(old: Path, new: Path) -> list[tuple[str, str | None, str | None]]:
    """Return what `diff` tells: the change, the account and the name."""
    return [(one.change, one.account, one.name) for one in crawler.diff(old, new)]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_is_what_the_accounts_are(tmp_path: Path, suffix: str) -> None:
    """Their files one after the other, by account; each record is found where its manifest says; also empty ones."""
    for account, images in [("b", "yz"), ("a", "x"), ("c", "")]:
        make_account(tmp_path, account, *images, suffix=suffix)
    made = merged(tmp_path)
    files = data_of(tmp_path / "fleet" / RUN)
    for name in (f"images.ndjson{suffix}", f"registries.ndjson{suffix}"):
        one_by_one = [(tmp_path / account / "20261123T020000Z" / name).read_bytes() for account in "abc"]
        assert unpack(files[name], suffix) == b"".join(unpack(data, suffix) for data in one_by_one)
        assert files[name] == b"".join(data for data in one_by_one if unpack(data, suffix))
    found = Snapshot(tmp_path / "fleet" / RUN).images()
    assert [(one.account, one.name) for one in found] == [("a", "x"), ("b", "y"), ("b", "z")]
    assert (made.verdict, made.totals.images, made.totals.registries.complete) == ("complete", 3, 6)
    assert [one.account for one in made.accounts or ()] == ["a", "b", "c"]
    assert made.run.run_id == RUN


def test_of_nothing_but_empty_accounts(tmp_path: Path) -> None:
    """One empty frame, as in any other snapshot without a line."""
    make_account(tmp_path, "a", suffix=".zst")
    assert merged(tmp_path).totals.images == 0


def test_it_is_the_same_whenever_it_is_made(tmp_path: Path) -> None:
    """Also the manifest: it holds no time but those of the runs; merged again it takes the old one's place."""
    make_account(tmp_path, "b", "y")
    make_account(tmp_path, "a", "x")
    once = dump(merged(tmp_path))
    shutil.copytree(tmp_path / "a", tmp_path / "kept")
    shutil.rmtree(tmp_path / "a")
    made = merged(tmp_path)
    assert made.totals.images == 1
    assert [one.reason for one in made.lacking_accounts] == [
        "20261123T020000Z: is of account a, in a folder of another name"
    ]
    shutil.move(tmp_path / "kept", tmp_path / "a")
    assert dump(merged(tmp_path)) == once


def test_what_cannot_be_merged(tmp_path: Path) -> None:
    """A damaged file, a damaged manifest, other options and nothing at all: each is said, and the rest is merged."""
    for account in "abcdef":
        make_account(tmp_path, account, *"xyz", suffix=".gz" if account == "c" else "")
    images = tmp_path / "b" / "20261123T020000Z" / "images.ndjson"
    images.write_bytes(images.read_bytes().replace(b"pull", b"pULL", 1))
    (tmp_path / "d" / "20261123T020000Z" / "manifest.json").write_text('{"run_id": "2026-11-26"}')
    (tmp_path / "e" / "20261123T020000Z" / "registries.ndjson").unlink()
    (tmp_path / "else" / "20261123T020000Z").mkdir(parents=True)
    make_account(tmp_path, "of-another-run", "x", run_id="2026-11-25")
    made = merged(tmp_path, "a", "nobody")
    told = {one.account: (one.verdict, one.reason or "") for one in made.accounts or ()}
    assert {name for name, (verdict, _) in told.items() if verdict == "complete"} == {"a", "f"}
    assert {name for name, (verdict, _) in told.items() if verdict == "missing"} == {"b", "c", "d", "e", "nobody"}
    assert "images.ndjson is damaged" in told["b"][1]
    assert "take it with the same options" in told["c"][1]
    assert "manifest.json" in told["d"][1]
    assert "registries.ndjson cannot be read" in told["e"][1]
    assert told["nobody"][1] == "has no snapshot of this run"
    assert (made.verdict, made.totals.images) == ("incomplete", 6)
    assert {one.account for one in made.registries} == {"a", "f"}


@pytest.mark.parametrize("leads_out", ["file", "id"])
def test_a_manifest_that_leads_out_of_its_folder(tmp_path: Path, leads_out: str) -> None:
    """It names a file elsewhere, or another folder: nothing is read, written or removed by it; others are merged."""
    make_account(tmp_path, "a", "x")
    bad = make_account(tmp_path, "b", "y")

    def elsewhere(made: Manifest) -> Manifest:
        if leads_out == "id":
            return replace(made, run=replace(made.run, id="../a"))
        return replace(made, files=tuple(replace(one, name=f"../../{one.name}") for one in made.files))

    reseal(bad, elsewhere)
    made = merged(tmp_path)
    assert [one.verdict for one in made.accounts or ()] == ["complete", "missing"]
    assert "leads out of its folder" in str((made.accounts or ())[1].reason)


def test_two_merges_at_once(tmp_path: Path) -> None:
    """The second is for later, 75, and says who is at it; the first is as if there had been none."""
    make_account(tmp_path, "a", "x")
    refused = []

    def meanwhile(_done: int, _all: int) -> None:
        with pytest.raises(LockedError, match="another run holds") as caught:
            merge(tmp_path, RUN, opened(str(tmp_path)))
        refused.append(caught.value.exit_code)

    merge(tmp_path, RUN, opened(str(tmp_path)), tell=meanwhile)
    assert refused == [75]
    assert list(verify(tmp_path / "fleet" / RUN)) == []


def test_what_is_there_is_put_back(tmp_path: Path) -> None:
    """Where the new one cannot take its place."""
    work = tmp_path / "work"
    final = work / "final"
    final.mkdir(parents=True)
    (final / "x").touch()
    with pytest.raises(OSError, match="Invalid argument"):  # a folder does not go into itself
        _exchange(work, final)
    assert (final / "x").exists()
    assert [path.name for path in work.iterdir()] == ["final"]


def test_what_a_merge_that_was_killed_leaves(tmp_path: Path) -> None:
    """Is removed by the next one; what it had put aside is put back, also of another run."""
    make_account(tmp_path, "a", "x")
    merged(tmp_path)
    fleet = tmp_path / "fleet"
    shutil.copytree(fleet / RUN, fleet / ".ncrawl-merge-x")
    shutil.copytree(fleet / RUN, fleet / ".ncrawl-old-other")
    shutil.copytree(fleet / RUN, fleet / f".ncrawl-old-{RUN}")
    merge(tmp_path, RUN, opened(str(tmp_path)))
    assert sorted(path.name for path in fleet.iterdir()) == [".ncrawl.lock", RUN, "other"]


def _nothing(made: Manifest) -> Manifest:
    return replace(made, files=())


def _twice(made: Manifest) -> Manifest:
    return replace(made, files=made.files + made.files[:1])


def _no_images(made: Manifest) -> Manifest:
    return replace(made, files=made.files[1:])


def _no_time(made: Manifest) -> Manifest:
    return replace(made, run=replace(made.run, finished="soon"))


def _no_zone(made: Manifest) -> Manifest:
    return replace(made, run=replace(made.run, started="2026-11-23T02:00:00"))


@pytest.mark.parametrize("change", [_nothing, _twice, _no_images, _no_time, _no_zone])
def test_a_manifest_that_is_made_up(tmp_path: Path, change: Callable[[Manifest], Manifest]) -> None:
    """Whatever it says that cannot be: it costs its own account, though it comes first and there is but one other."""
    reseal(make_account(tmp_path, "a", "x"), change)
    make_account(tmp_path, "b", "y")
    made = merged(tmp_path)
    assert [one.verdict for one in made.accounts or ()] == ["missing", "complete"]
    assert "its manifest" in str((made.accounts or ())[0].reason)


def test_a_manifest_of_a_newer_format(tmp_path: Path) -> None:
    """It costs its own account, and is said; nor does a merged one of that kind keep a run from being told of."""
    newer = make_account(tmp_path, "a", "x") / "manifest.json"
    newer.write_bytes(
        json.dumps(json.loads(newer.read_bytes()) | {"format": 3}).encode().replace(b'"checksum"', b'"x"')
    )
    make_account(tmp_path, "b", "y")
    made = merged(tmp_path)
    assert [one.verdict for one in made.accounts or ()] == ["missing", "complete"]
    assert "has format 3" in str((made.accounts or ())[0].reason)
    shutil.copy(newer, tmp_path / "fleet" / RUN / "manifest.json")
    found = fleet_status(str(tmp_path), RUN)
    assert ([one.state for one in found.accounts], found.merged) == (["done"], "unreadable")


def test_nothing_of_a_run(tmp_path: Path) -> None:
    """Exit 2, a sentence, and no folder that looks like a snapshot."""
    make_account(tmp_path, "a", "x", run_id="another")
    with pytest.raises(UsageError, match="nothing to merge"):
        merge(tmp_path, RUN, opened(str(tmp_path)))
    assert [path.name for path in (tmp_path / "fleet").iterdir()] == [".ncrawl.lock"]
    assert run(["fleet", "merge", str(tmp_path / "nowhere"), "--run-id", RUN]) == 2


def test_what_an_account_lacks(tmp_path: Path) -> None:
    """Is what the fleet lacks, with its reason; expected gaps of all are kept apart."""
    snapshot = make_account(tmp_path, "a", "x", regions={"jpn": Verdict.FAILED})
    make_account(tmp_path, "b", "y", verdicts={("b", "kr", "locked"): Verdict.DENIED})
    reseal(
        snapshot, lambda made: replace(made, regions=tuple(replace(one, reason="no answer") for one in made.regions))
    )
    made = merged(tmp_path)
    records = {one.account: (one.verdict, one.reason, one.gaps) for one in made.accounts or ()}
    assert records == {"a": ("incomplete", "jpn: no answer", 1), "b": ("incomplete", "kr/locked: denied", 1)}
    assert [(one.owner, one.region, one.verdict.value) for one in made.regions if one.verdict.is_gap] == [
        ("a", "jpn", "failed")
    ]


def test_two_fleets_are_compared(tmp_path: Path) -> None:
    """Account by account; what one lacks as a whole is unknown, never removed, and so is what its regions lack."""
    for night, accounts in [("old", "abc"), ("new", "abd")]:
        for account in accounts:
            make_account(tmp_path / night, account, *("xy" if (night, account) == ("old", "b") else "x"))
        merged(tmp_path / night)
    found = changes(tmp_path / "old" / "fleet" / RUN, tmp_path / "new" / "fleet" / RUN)
    assert ("removed", "b", "y") in found
    assert {change for change, account, _ in found if account in ("c", "d")} == {"unknown"}
    assert not [one for one in found if one[1] == "a"]


def test_two_fleets_of_which_one_region_failed(tmp_path: Path) -> None:
    """Of one account: the other's registries of that region are known all the same."""
    for night in ("old", "new"):
        verdict = Verdict.FAILED if night == "new" else Verdict.COMPLETE
        make_account(tmp_path / night, "a", "x", regions={"jpn": verdict})
        make_account(tmp_path / night, "b", "x", regions={"jpn": Verdict.COMPLETE})
        merged(tmp_path / night)
    found = changes(tmp_path / "old" / "fleet" / RUN, tmp_path / "new" / "fleet" / RUN)
    assert found == [("unknown", "a", None)]


def test_with_tags_read_by_everything(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Real snapshots, packed, with tags: verify, report, export and the accounts that are missing in the report."""
    with a_fleet(tmp_path, accounts=3, denied=1) as fleet:
        for account in ("account-1", "account-3"):
            take(fleet, account)
    place = str(fleet.folder / "fleet" / RUN)
    words = ["fleet", "merge", str(fleet.folder), "--run-id", RUN, "--accounts", str(fleet.file)]
    assert run([*words, "--summary", str(tmp_path / "summary.json")]) == 3
    assert "account-2: missing" in capfd.readouterr().err
    assert json.loads((tmp_path / "summary.json").read_text())["verdict"] == "incomplete"
    made = read(fleet.folder / "fleet" / RUN)
    assert made.totals.tags > 0  # type: ignore[attr-defined]
    assert len(made.registry_sizes) == len([one for one in made.registries if one.verdict is Verdict.COMPLETE])
    assert run(["verify", place]) == 0  # whole, and says what is missing
    assert run(["report", place, "-o", str(tmp_path / "report.html")]) == 0
    assert "account-2" in (tmp_path / "report.html").read_text()
    assert run(["diff", place, place, "-q"]) == 3
    assert run(["export", "--format", "csv", place, "-o", str(tmp_path / "sheets")]) == 0


def take(fleet: Fleet, account: str) -> None:
    """Take an account's snapshot in this process."""
    (fleet.folder / account).mkdir()
    crawler.take_snapshot(
        fleet.folder / account,
        run_id=RUN,
        accounts=fleet.file,
        account=account,
        level="tags",
        compress="zstd",
        rate=None,
    )


def test_waiting_for_accounts(tmp_path: Path) -> None:
    """Until all are there, or as long as was said."""
    make_account(tmp_path, "a", "x")
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            make_account(tmp_path, "b", "x")

    await_accounts(str(tmp_path), RUN, ["a", "b"], patience_s=1000, sleep=sleep)
    assert len(waits) == 2
    await_accounts(str(tmp_path), RUN, ["a", "c"], patience_s=0.0, sleep=waits.append)
    assert len(waits) == 2
