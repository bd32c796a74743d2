"""`--retry-failed`: a new snapshot that fetches only what an earlier one lacks, and copies the rest."""

from __future__ import annotations

import json
import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest
from support.log_lines import unstamped
from support.night import CODES, TOO_LARGE, Night, a_night_here, checked, data_of, path_of, tree_of
from support.snapshot_maker import image, make_snapshot

from crawler.core.model import Verdict
from crawler.emulation import EmulatorOptions
from crawler.snapshot.manifest import MANIFEST, TakenOver, dump, load, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

import msgspec

SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=4, images=200)) as night:
        yield night


def partial(night: Night, *options: str, incomplete: int = 0, failed: int = 1) -> tuple[dict[str, bytes], Path]:
    """Take a whole snapshot and one with two registries that are not complete; return the whole one's data, and it."""
    assert night.snapshot(*options) == 0
    whole = data_of(night.newest())
    registries = night.account.registries()
    night.account.replaced[path_of(*registries[incomplete]), 2] = TOO_LARGE
    night.account.replaced[path_of(*registries[failed]), 1] = TOO_LARGE
    assert night.snapshot(*options) == 3
    night.account.replaced.clear()
    return whole, night.newest()


@pytest.mark.parametrize("compress", SUFFIXES)
def test_only_what_was_not_complete_is_fetched(night: Night, compress: str) -> None:
    """The new snapshot has the bytes of an undisturbed run; the old one stays as it is."""
    options = ("--compress", compress, "--page-size", "20")
    whole, lacking = partial(night, *options)
    before = tree_of(lacking)
    assert night.snapshot("--retry-failed", str(lacking), *options) == 0
    assert night.fetched() == set(night.account.registries()[:2])
    assert data_of(night.newest()) == whole
    manifest = checked(night.newest())
    assert manifest.verdict == "complete"
    assert manifest.run.options["retry_failed"] == str(lacking)
    assert (night.folder / "latest").readlink().name == night.newest().name
    assert tree_of(lacking) == before


def test_a_name_in_the_folder_will_do(night: Night) -> None:
    """As the job printed it, or `latest`."""
    _, lacking = partial(night)
    assert night.snapshot("--retry-failed", lacking.name) == 0
    assert len(night.fetched()) == 1
    assert night.snapshot("--retry-failed", "latest") == 0
    assert night.fetched() == set()
    assert data_of(night.newest()) == data_of(night.folder / "latest")


def test_it_may_be_packed_otherwise(night: Night) -> None:
    """What is copied is packed anew."""
    whole, lacking = partial(night, "--compress", "zstd")
    assert night.snapshot("--retry-failed", str(lacking)) == 0
    assert set(data_of(night.newest())) == {"images.ndjson", "registries.ndjson"}
    assert night.snapshot("--retry-failed", "latest", "--compress", "zstd") == 0
    assert data_of(night.newest()) == whole


def test_an_unknown_list_of_registries_is_asked_for_again(night: Night) -> None:
    """And every registry of that region; the others are copied."""
    assert night.snapshot() == 0
    whole = data_of(night.newest())
    night.account.replaced[path_of("sgn"), 1] = TOO_LARGE
    assert night.snapshot() == 3
    night.account.replaced.clear()
    assert night.snapshot("--retry-failed", night.newest().name) == 0
    assert {region for region, _ in night.fetched()} == {"sgn"}
    assert data_of(night.newest()) == whole


def test_other_regions_are_left_out(night: Night) -> None:
    """--region says what is in a snapshot, here as everywhere."""
    _, lacking = partial(night)
    assert night.snapshot("--retry-failed", lacking.name, "--region", "kr") == 0
    assert {one.region for one in checked(night.newest()).registries} == {"kr"}


def test_gone_and_denied_registries_are_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One may have come back, a permission can have been given meanwhile: the list that is copied still names them."""
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=4, images=50, gone=1, denied=1)) as night:
        assert night.snapshot() == 3
        first = checked(night.newest())
        asked_again = {(one.region, one.registry) for one in first.registries if not one.verdict.is_good}
        assert len(asked_again) == 2 * len(CODES)
        assert night.snapshot("--retry-failed", night.newest().name) == 3
        asked = night.account.statistics.requests_by_path
        assert all(asked[path_of(region, registry)] for region, registry in asked_again)
        counts = checked(night.newest()).totals.registries
        assert (counts.complete, counts.denied, counts.gone) == (2 * len(CODES), len(CODES), len(CODES))


def test_what_was_looked_at_once_is_taken_over_by_a_run_that_looks_once(night: Night) -> None:
    """`unverified` is no proof: a run that proves lists such registries, and such lists of registries, anew."""
    assert night.snapshot("--verify", "never") == 0
    once = night.newest().name
    assert night.snapshot("--verify", "never", "--retry-failed", once) == 0
    assert night.fetched() == set()
    assert night.snapshot("--retry-failed", once) == 0
    assert night.fetched() >= set(night.account.registries())
    assert checked(night.newest()).totals.registries.complete == len(night.account.registries())


# ── what it cost, and what it did not ──


def test_totals_and_table_tell_of_this_run(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """Requests and pages are those that the gateway saw; what is copied is counted apart, in both."""
    _, lacking = partial(night, "--page-size", "20")
    summary = night.home / "summary.json"
    capsys.readouterr()
    assert night.snapshot("--retry-failed", lacking.name, "--page-size", "20", "--summary", str(summary)) == 0
    made = checked(night.newest())
    assert made.totals.requests == night.account.statistics.requests
    assert made.totals.requests == made.totals.pages == sum(one.requests for one in made.registries)
    taken = [one for one in made.registries if one.taken_from is not None]
    assert {one.taken_from for one in taken} == {lacking.name}
    assert {one.taken_from for one in made.regions} == {lacking.name}
    assert {(one.requests, one.pages) for one in taken} == {(0, 0)}
    counted = TakenOver(snapshot=lacking.name, registries=4 * len(CODES) - 2, images=sum(one.images for one in taken))
    assert made.run.taken_over == counted
    assert load(summary.read_bytes()) == made
    assert (made.totals.registries.complete, made.totals.images) == (4 * len(CODES), 200)
    table = [line.split() for line in unstamped(capsys.readouterr().err).splitlines()]
    untouched = set(CODES) - {one.region for one in made.registries if one.taken_from is None}
    assert untouched
    assert all([region, "0", "0", "0", "0", "0", "0", "0.0"] in table for region in untouched)
    assert sum(int(row[1]) for row in table if row and row[0] in CODES) == 2
    assert f"taken over from {lacking.name}: {counted.registries} registries, {counted.images} images".split() in table


def test_what_is_copied_twice_keeps_its_origin(night: Night) -> None:
    """Its data are as old as they were; when they were listed, and in how many passes, stays."""
    assert night.snapshot("--verify", "always") == 0
    first = checked(night.newest())
    for _ in range(2):
        assert night.snapshot("--retry-failed", "latest") == 0
    last = checked(night.newest())
    assert {one.taken_from for one in last.registries} == {one.taken_from for one in last.regions} == {first.run.id}
    assert last.run.taken_over == TakenOver(snapshot=night.names()[1], registries=4 * len(CODES), images=200)
    assert [(one.started, one.passes) for one in last.registries] == [
        (one.started, one.passes) for one in first.registries
    ]
    assert (last.totals.requests, last.totals.pages) == (0, 0)
    assert last.observed["regions"] == {}


def test_a_collector_of_logs_is_told_too(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """The line with the totals has beside them what was taken over."""
    _, lacking = partial(night)
    capsys.readouterr()
    assert night.snapshot("--retry-failed", lacking.name, "--log-format", "json") == 0
    (end,) = [line for line in map(json.loads, capsys.readouterr().err.splitlines()) if line.get("event") == "RunEnded"]
    assert (end["totals"]["requests"], end["taken_over"]["registries"]) == (1, 4 * len(CODES) - 1)


def test_an_interruption_forgets_nothing_of_it(night: Night) -> None:
    """Taken up, a retry still knows what it copied, and from where."""
    _, lacking = partial(night)
    night.account.silent = (path_of(*night.account.registries()[1]),)
    night.account.on_request = lambda _requests: os.kill(os.getpid(), signal.SIGTERM)
    assert night.snapshot("--retry-failed", lacking.name) == 143
    night.account.on_request, night.account.silent = None, ()
    assert night.snapshot("--resume") == 0
    assert night.fetched() == set(night.account.registries()[1:2])
    taken = checked(night.newest()).run.taken_over
    assert (taken.snapshot, taken.registries) == (lacking.name, 4 * len(CODES) - 1) if taken else False


def test_what_a_deadline_left_out_can_be_fetched_alone(night: Night) -> None:
    """A region that was down all night, fetched in the morning: the bytes of an undisturbed run."""
    assert night.snapshot() == 0
    whole = data_of(night.newest())
    night.account.silent = (path_of("sgn"),)
    assert night.snapshot("--deadline", "3s") == 3
    night.account.silent = ()
    assert night.snapshot("--retry-failed", night.newest().name) == 0
    assert {region for region, _ in night.fetched()} == {"sgn"}
    assert data_of(night.newest()) == whole


def test_a_retry_that_has_nothing_publishes_nothing(night: Night) -> None:
    """A copy of what is there already is no news."""
    _, lacking = partial(night)
    names = night.names()
    night.account.silent = (path_of(*night.account.registries()[1]),)
    assert night.snapshot("--retry-failed", lacking.name, "--deadline", "1s") == 3
    assert night.names() == names
    assert night.remains() == set()


@pytest.mark.parametrize("compress", SUFFIXES)
def test_a_region_without_registries_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compress: str) -> None:
    """Not even a packed file's first bytes are written for it: gzip would begin a member that never ends."""
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=0, images=0)) as night:
        assert night.snapshot("--compress", compress) == 0
        whole = data_of(night.newest())
        assert night.snapshot("--compress", compress, "--retry-failed", "latest") == 0
        assert night.fetched() == set()
        checked(night.newest())
        assert data_of(night.newest()) == whole


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("compress", SUFFIXES)
def test_what_rotted_on_the_disk_is_fetched_anew(night: Night, compress: str) -> None:
    """A registry, or the list of registries, that does not match its checksum is not copied."""
    assert night.snapshot("--compress", compress) == 0
    whole = data_of(night.newest())
    rotten = shutil.copytree(night.newest(), night.home / "rotten")
    record = max(read(rotten).registries, key=lambda one: one.images)
    assert record.offset is not None
    assert record.length
    flip(rotten / f"images.ndjson{SUFFIXES[compress]}", record.offset + record.length // 2)
    assert night.snapshot("--compress", compress, "--retry-failed", str(rotten)) == 0
    assert night.fetched() == {(record.region, record.registry)}
    assert data_of(night.newest()) == whole
    flip(rotten / f"registries.ndjson{SUFFIXES[compress]}", 200)
    assert night.snapshot("--compress", compress, "--retry-failed", str(rotten)) == 0
    assert night.fetched() == {(record.region, record.registry), *((code, None) for code in CODES)}
    assert data_of(night.newest()) == whole


def test_missing_files_are_fetched_anew(night: Night) -> None:
    """A manifest without its data is still good for knowing what there was."""
    assert night.snapshot() == 0
    whole = data_of(night.newest())
    bare = shutil.copytree(night.newest(), night.home / "bare")
    (bare / "images.ndjson").unlink()
    (bare / "registries.ndjson").unlink()
    assert night.snapshot("--retry-failed", str(bare)) == 0
    assert data_of(night.newest()) == whole


def test_what_cannot_be_a_source_is_refused(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """No snapshot, a damaged one, of other keys, account or zone: exit 2, no request, nothing left over."""
    assert night.snapshot() == 0
    damaged = shutil.copytree(night.newest(), night.home / "damaged")
    flip(damaged / MANIFEST, (damaged / MANIFEST).read_bytes().index(b'"id": "') + len(b'"id": "'))
    other_zone = shutil.copytree(night.newest(), night.home / "zone")
    manifest = read(other_zone)
    run = msgspec.structs.replace(manifest.run, options=manifest.run.options | {"zone": "gov"})
    (other_zone / MANIFEST).write_bytes(dump(msgspec.structs.replace(manifest, run=run)))
    other_keys = shutil.copytree(night.newest(), night.home / "keys")
    run = msgspec.structs.replace(manifest.run, identity="of other keys")
    (other_keys / MANIFEST).write_bytes(dump(msgspec.structs.replace(manifest, run=run)))
    other_account = make_snapshot(night.home / "account", {("work", "kr", "r"): [image("a")]})
    capsys.readouterr()
    for source, complaint in (
        ("nowhere", "nowhere is not a snapshot"),
        (str(night.home), "is not a snapshot"),
        (str(damaged), "do not match its own checksum"),
        (str(other_zone), "is of zone gov, this run of public"),
        (str(other_keys), "was taken with other keys, perhaps of another account"),
        (str(other_account), "is of account work, this run of default"),
    ):
        assert night.snapshot("--retry-failed", source) == 2
        assert complaint in capsys.readouterr().err
        assert night.account.statistics.requests == 0
        assert night.remains() == set()


def test_a_retry_that_fails_again_says_so(night: Night) -> None:
    """Exit 3, with the same registry incomplete; `latest` stays."""
    _, lacking = partial(night)
    latest = (night.folder / "latest").readlink()
    region, registry = night.account.registries()[1]
    night.account.replaced[path_of(region, registry), 1] = TOO_LARGE
    assert night.snapshot("--retry-failed", lacking.name) == 3
    (failed,) = [one for one in checked(night.newest()).registries if not one.verdict.is_whole]
    assert (failed.region, failed.registry, failed.verdict) == (region, registry, Verdict.FAILED)
    assert (night.folder / "latest").readlink() == latest
