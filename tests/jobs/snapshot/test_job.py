"""`ncrawl snapshot`: the nightly job from the command line to what is on the disk, and what it says."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

import msgspec
import pytest
from support.log_lines import unstamped
from support.night import CODES, ROOT, TOO_LARGE, Night, a_night, a_night_here, checked, data_of, path_of, tree_of
from support.snapshot_maker import IMAGES, REGISTRIES, make_snapshot, unpack

from crawler.cli import run
from crawler.cli.nightly import hint_to_go_on
from crawler.core.model import Verdict
from crawler.emulation import EmulatorOptions
from crawler.emulation.faults import REFUSALS
from crawler.emulation.wire import Answer
from crawler.snapshot.folder.latest import accepts
from crawler.snapshot.manifest import FORMAT, load, read
from crawler.snapshot.unfinished.journal import read_header, sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.night import Key
    from support.snapshot_maker import Place

WORLD = EmulatorOptions(registries=4, images=300)
SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    with a_night_here(tmp_path, monkeypatch, WORLD) as night:
        yield night


def expected_images(night: Night) -> bytes:
    """Return what images.ndjson has to hold, from the emulator's own books."""
    lines = [
        ((region, registry, record["name"]), {"account": "default", "region": region, "registry": registry} | record)
        for region, registry in night.account.registries()
        for record in night.account.world.images(region, registry)
    ]
    ordered = sorted(lines, key=lambda pair: [part.encode() for part in pair[0]])
    return b"".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for _, line in ordered)


def kill_at(request: int, number: signal.Signals, pid: int) -> Callable[[int], None]:
    """Return what sends a signal to a process when the n-th request arrives."""

    def on_request(requests: int) -> None:
        if requests == request:
            os.kill(pid, number)

    return on_request


def write_keys(night: Night, profile: str) -> Path:
    """Write the account's keys where the provider's tools have them; return the file."""
    file = night.home / ".ncloud" / "configure"
    file.parent.mkdir()
    keys = {"ncloud_access_key_id": night.account.access_key, "ncloud_secret_access_key": night.account.secret_key}
    file.write_text(f"[{profile}]\n" + "".join(f"{name} = {value}\n" for name, value in keys.items()))
    return file


# ── what it publishes ──


def test_a_snapshot_holds_every_image_in_order(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """Every image of the account, sorted bytewise; `latest` points to it; nothing is left over; the job says so."""
    assert night.snapshot() == 0
    assert data_of(night.newest())[IMAGES] == expected_images(night)
    manifest = checked(night.newest())
    assert (manifest.verdict, manifest.totals.images, manifest.totals.registries.complete) == (
        "complete",
        300,
        4 * len(CODES),
    )
    assert (night.folder / "latest").readlink().name == night.newest().name == manifest.run.id
    assert night.remains() == set()
    output = capsys.readouterr()
    assert output.out == ""
    assert f"{night.newest()}: complete, 300 images; latest points to it" in output.err


def test_the_bytes_depend_on_nothing_but_the_account(night: Night) -> None:
    """Concurrency, page size and a second pass change nothing; `diff` finds nothing."""
    options = [
        ("--concurrency", "1"),
        ("--concurrency", "64"),
        ("--page-size", "7"),
        ("--page-size", "33", "--concurrency", "5"),
        ("--verify", "always"),
    ]
    for chosen in options:
        assert night.snapshot(*chosen) == 0
    snapshots = [night.folder / name for name in night.names()]
    assert len(snapshots) == len(options)
    assert all(data_of(snapshot) == data_of(snapshots[0]) for snapshot in snapshots)
    assert {checked(snapshot).verdict for snapshot in snapshots} == {"complete"}


def test_faults_and_order_of_arrival_change_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that come late, out of order, broken or not at all: the same bytes."""
    faults = EmulatorOptions(
        registries=4, images=300, jitter_ms=5, latency_ms=5, faults={"503": 0.03, "truncate": 0.03}
    )
    with a_night_here(tmp_path, monkeypatch, faults) as night:
        assert night.snapshot("--page-size", "20") == 0
        assert data_of(night.newest())[IMAGES] == expected_images(night)
        checked(night.newest())


@pytest.mark.parametrize("compress", SUFFIXES)
def test_an_account_without_registries_has_a_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compress: str
) -> None:
    """Nothing there is an answer too: two empty files, whole, that tools unpack to nothing."""
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=0, images=0)) as night:
        for more in ((), ("--retry-failed", str(night.folder / "latest"))):
            assert night.snapshot("--compress", compress, *more) == 0
            assert checked(night.newest()).verdict == "complete"
            for stored in data_of(night.newest()).values():
                assert unpack(stored, SUFFIXES[compress]) == b""
                if which(compress):
                    subprocess.run([compress, "-dt"], input=stored, check=True)


# ── compression ──


@pytest.mark.parametrize("compress", ["gzip", "zstd"])
def test_a_compressed_file_is_an_ordinary_one(night: Night, compress: str) -> None:
    """The whole unpacks with anybody's tools; the same bytes again on another night; the lines are the plain ones."""
    suffix = SUFFIXES[compress]
    for concurrency in ("1", "16"):
        assert night.snapshot("--compress", compress, "--concurrency", concurrency) == 0
    first, second = (night.folder / name for name in night.names())
    assert data_of(first) == data_of(second)
    packed = data_of(first)[IMAGES + suffix]
    assert unpack(packed, suffix) == expected_images(night)
    if which(compress):
        unpacked = subprocess.run([compress, "-dc"], input=packed, capture_output=True, check=True).stdout
        assert unpacked == expected_images(night)
    checked(first)


@pytest.mark.parametrize("compress", SUFFIXES)
def test_a_registry_can_be_read_by_its_offset_and_length_alone(night: Night, compress: str) -> None:
    """The bytes that the manifest names, and no others, unpack to the lines of the registry."""
    assert night.snapshot("--compress", compress) == 0
    manifest = checked(night.newest())
    stored = data_of(night.newest())[IMAGES + SUFFIXES[compress]]
    for record in manifest.registries:
        assert record.offset is not None
        assert record.length is not None
        part = stored[record.offset : record.offset + record.length]
        lines = (unpack(part, SUFFIXES[compress]) if part else b"").splitlines()
        assert [json.loads(line)["registry"] for line in lines] == [record.registry] * record.images


def test_gzip_members_carry_no_time(night: Night) -> None:
    """The header's time is zero, or two nights would differ."""
    assert night.snapshot("--compress", "gzip") == 0
    packed = data_of(night.newest())[REGISTRIES + ".gz"]
    assert packed[4:8] == bytes(4)
    assert gzip.decompress(packed).count(b"\n") == 4 * len(CODES)


# ── the summary ──


def test_the_summary_is_the_manifest(night: Night) -> None:
    """--summary writes the same object, to the byte."""
    summary = night.home / "summary.json"
    assert night.snapshot("--summary", str(summary)) == 0
    assert summary.read_bytes() == (night.newest() / "manifest.json").read_bytes()


def test_a_summary_that_has_no_place_costs_no_request(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 74 and the path, before the first request; nothing is left over."""
    assert night.snapshot("--summary", str(night.home / "missing" / "summary.json")) == 74
    assert "missing/summary.json: No such file" in capsys.readouterr().err
    assert (night.account.statistics.requests, list(night.folder.iterdir())) == (0, [])


def test_a_summary_that_cannot_be_written_costs_nothing_else(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """Its folder goes while the crawl is on: a warning, exit 0; `latest` moves, and retention does its work."""
    place = night.home / "summaries"
    for nights in (1, 2, 2):
        place.mkdir()
        night.account.on_request = lambda requests: place.rmdir() if requests == 1 else None
        assert night.snapshot("--keep", "2", "--summary", str(place / "summary.json")) == 0
        assert f"warning: cannot write {place}/summary.json: No such file" in capsys.readouterr().err
        assert len(night.names()) == nights
        assert (night.folder / "latest").readlink().name == night.newest().name
        assert night.remains() == set()


def test_a_summary_whose_path_is_no_utf_8(night: Night) -> None:
    """Its name stands in the manifest as an escape, and costs no snapshot."""
    summary = night.home / "\udcff.json"
    assert night.snapshot("--summary", str(summary)) == 0
    assert load(summary.read_bytes()).run.options["summary"] == f"{night.home}/\\udcff.json"


def test_a_manifest_names_no_secret(night: Night) -> None:
    """Neither key is anywhere below the folder, nor in what a stopped run leaves."""
    night.account.on_request = kill_at(8, signal.SIGTERM, os.getpid())
    assert night.snapshot("--concurrency", "1") == 143
    night.account.on_request = None
    secrets = (night.account.access_key.encode(), night.account.secret_key.encode())
    assert not any(secret in data for data in tree_of(night.folder).values() for secret in secrets)
    assert night.snapshot("--resume", "--concurrency", "1") == 0
    assert not any(secret in data for data in tree_of(night.folder).values() for secret in secrets)


def test_a_stopped_run_has_a_summary_too(night: Night) -> None:
    """What was had when it was stopped: incomplete, no files, what is finished and what is not."""
    summary = night.home / "summary.json"
    night.account.on_request = kill_at(10, signal.SIGTERM, os.getpid())
    assert night.snapshot("--concurrency", "1", "--summary", str(summary)) == 143
    told = load(summary.read_bytes())
    assert (told.verdict, told.files) == ("incomplete", ())
    assert told.totals.registries.complete
    assert told.totals.registries.failed
    assert f".ncrawl-{told.run.id}" in night.remains()


def test_json_logs_are_json_to_the_last_line(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a night that is stopped, and of the one that goes on with it: every line is an object, and tells the end."""
    night.account.on_request = kill_at(10, signal.SIGTERM, os.getpid())
    assert night.snapshot("--log-format", "json", "--concurrency", "1") == 143
    night.account.on_request = None
    stopped = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert stopped[-1]["event"] == "RunEnded"
    assert stopped[-1]["verdict"] == "incomplete"
    assert night.snapshot("--log-format", "json", "--keep", "1", "--resume") == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (end,) = [line for line in lines if line.get("event") == "RunEnded"]
    assert (end["verdict"], end["totals"]["images"]) == ("complete", 300)
    assert lines[-1]["message"].endswith("complete, 300 images; latest points to it")


# ── what is not complete ──


def test_an_incomplete_registry_is_there_with_what_was_had(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 3; the registry has its first pages and a reason; `latest` stays; `diff` calls it unknown, not removed."""
    assert night.snapshot("--page-size", "20") == 0
    whole = night.newest()
    region, registry = night.account.registries()[0]
    night.account.replaced[path_of(region, registry), 3] = TOO_LARGE
    assert night.snapshot("--page-size", "20") == 3
    manifest = checked(night.newest())
    (record,) = [one for one in manifest.registries if (one.region, one.registry) == (region, registry)]
    assert record.verdict is Verdict.INCOMPLETE
    assert record.reason
    assert 40 <= record.images < len(list(night.account.world.images(region, registry)))
    assert manifest.verdict == "incomplete"
    assert (night.folder / "latest").readlink().name == whole.name
    assert night.remains() == set()
    error = capsys.readouterr().err
    assert f"{night.newest()}: incomplete" in error
    assert "latest is not moved: --accept complete" in error


def test_a_registry_whose_name_no_request_can_hold_is_told(night: Night) -> None:
    """Half a surrogate pair is one: in the manifest it is escaped, in registries.ndjson it stands as it came."""
    listed = b'{"count":1,"next":null,"previous":null,"results":[{"name":"\\ud800"}]}'
    night.account.replaced[path_of("kr"), 1] = Answer(200, listed)
    for options in ((), ("--retry-failed", "latest")):
        assert night.snapshot("--region", "kr", "--accept", "partial", *options) == 3
        (record,) = checked(night.newest()).registries
        assert (record.registry, record.verdict) == (r"\ud800", Verdict.FAILED)


def test_an_unknown_list_of_registries_makes_a_snapshot_incomplete(night: Night) -> None:
    """Where discovery fails in one region the others are there, the region says why, and only partial takes it."""
    night.account.replaced[path_of("sgn"), 1] = TOO_LARGE
    assert night.snapshot("--accept", "100%") == 3
    manifest = checked(night.newest())
    assert {one.region for one in manifest.registries} == set(CODES) - {"sgn"}
    assert {one.region: one.verdict for one in manifest.regions}["sgn"] is Verdict.FAILED
    assert not (night.folder / "latest").exists()


def test_a_list_of_registries_cut_off_gives_what_it_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A region whose list breaks off on page 2 has the registries of page 1."""
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=25, images=100)) as night:
        night.account.replaced[path_of("kr"), 2] = TOO_LARGE
        assert night.snapshot("--page-size", "10", "--region", "kr") == 3
        manifest = checked(night.newest())
        assert manifest.regions[0].verdict is Verdict.INCOMPLETE
        assert 10 <= len(manifest.registries) < 25
        assert manifest.regions[0].registries == len(manifest.registries)


@pytest.mark.parametrize(("policy", "moves"), [("complete", False), ("5%", False), ("10%", True), ("partial", True)])
def test_latest_moves_as_far_as_the_policy_allows(night: Night, policy: str, moves: bool) -> None:  # noqa: FBT001
    """One registry of twelve fails: 8.3 %. The snapshot is published either way, and the exit code is 3."""
    region, registry = night.account.registries()[3]
    night.account.replaced[path_of(region, registry), 1] = TOO_LARGE
    assert night.snapshot("--accept", policy) == 3
    assert read(night.newest()).totals.registries.failed == 1
    assert (night.folder / "latest").is_symlink() is moves


def test_what_is_gone_is_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that vanished between discovery and its listing is complete news; one that is denied is not."""
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=4, images=50, gone=1)) as night:
        assert night.snapshot() == 0
        assert checked(night.newest()).totals.registries.gone == len(CODES)
        assert (night.folder / "latest").is_symlink()
        assert accepts("0%", read(night.newest()))


def test_404_of_all_that_are_listed_moves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 3, a snapshot that is incomplete, and no `latest`: the list still names them, so nothing is gone."""
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=3, images=90, hidden=3)) as night:
        assert night.snapshot() == 3
        manifest = checked(night.newest())
        assert (manifest.verdict, manifest.totals.registries.denied, manifest.totals.images) == (
            "incomplete",
            3 * len(CODES),
            0,
        )
        assert not (night.folder / "latest").is_symlink()


def test_denied_registries_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 3, each with its verdict."""
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=4, images=50, denied=1)) as night:
        assert night.snapshot() == 3
        manifest = checked(night.newest())
        denied = {(one.region, one.registry) for one in manifest.registries if one.verdict is Verdict.DENIED}
        assert denied == night.account.gateway.denied


# ── stopped and taken up again ──


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_stops_and_resume_goes_on(
    night: Night, capsys: pytest.CaptureFixture[str], number: signal.Signals, code: int
) -> None:
    """Exit 143, 130 or 129; what was finished is not fetched again; the data are those of an undisturbed run."""
    assert night.snapshot() == 0
    undisturbed = data_of(night.newest())
    before = tree_of(night.newest())
    night.account.on_request = kill_at(10, number, os.getpid())
    assert night.snapshot("--concurrency", "1") == code
    assert "unfinished: run `ncrawl snapshot" in capsys.readouterr().err
    night.account.on_request = None
    (unfinished,) = night.remains()
    done = night.finished()
    assert {registry for _, registry in done} > {None}
    assert night.snapshot("--concurrency", "1", "--resume") == 0
    assert not night.fetched() & done
    assert night.fetched() | done >= set(night.account.registries())
    said = capsys.readouterr().err
    assert f"resuming the run of {night.names()[-1]}: {len(done)} listings are finished" in said
    assert data_of(night.newest()) == undisturbed
    manifest = checked(night.newest())
    assert len(manifest.run.resumed) == 1
    assert f".ncrawl-{manifest.run.id}" == unfinished
    assert night.remains() == set()
    assert tree_of(night.folder / night.names()[0]) == before


def test_kill_9_loses_only_what_was_under_way(night: Night) -> None:
    """The same after SIGKILL, three times over, in processes of their own; the lock dies with its owner."""
    assert night.snapshot("--compress", "zstd") == 0
    undisturbed = data_of(night.newest())
    done: set[Key] = set()
    for session in range(3):
        night.account.forget()
        started: list[subprocess.Popen[str]] = []
        night.account.on_request = lambda requests, it=started: it[0].kill() if requests == 5 else None
        started.append(night.start("--compress", "zstd", "--concurrency", "1", *(["--resume"] if session else [])))
        started[0].communicate()
        assert started[0].returncode == -signal.SIGKILL
        assert not night.fetched() & done
        assert night.finished() > done
        done = night.finished()
    night.account.on_request = None
    assert night.snapshot("--compress", "zstd", "--resume") == 0
    assert not night.fetched() & done
    assert data_of(night.newest()) == undisturbed
    assert len(checked(night.newest()).run.resumed) == 3


SIGNALLED = """
import os, signal, sys, threading
from crawler.__main__ import main

call, path = sys.argv[1:3]
del sys.argv[1:3]

def stop_there(event, arguments):
    if event == call and str(arguments[0]).endswith(path):
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait()  # it gets no further: what it was about to do is not done

sys.addaudithook(stop_there)
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("call", "path", "is_published"),
    [("os.mkdir", "/snapshot", False), ("os.rename", "/snapshot", False), ("os.rename", "/.ncrawl-latest", True)],
)
def test_sigterm_while_publishing(night: Night, call: str, path: str, is_published: bool) -> None:  # noqa: FBT001
    """Before its data are put together, before they get their name, before `latest` moves: 143 at once, all or nothing.

    It says how to go on; that fetches nothing, unless the snapshot is there and this is another night.
    """
    assert night.snapshot() == 0
    undisturbed, latest = data_of(night.newest()), (night.folder / "latest").readlink()
    stopped = night.start(program=(SIGNALLED, call, path))
    output, _ = stopped.communicate()
    assert stopped.returncode == 143
    assert f"stopped by SIGTERM; run `ncrawl snapshot {night.folder} --resume` to go on" in output
    assert (night.folder / "latest").readlink() == latest
    assert len(night.names()) == (2 if is_published else 1)
    assert data_of(night.newest()) == undisturbed
    assert night.snapshot("--resume") == 0
    assert bool(night.fetched()) is is_published
    assert len(night.names()) == (3 if is_published else 2)
    assert data_of(night.newest()) == undisturbed
    assert (night.folder / "latest").readlink().name == night.newest().name
    assert night.remains() == set()


# ── ended by itself ──


def test_a_deadline_publishes_what_was_had(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 3; one region is silent all night, and costs its own data; the next night fetches everything anew."""
    assert night.snapshot() == 0
    whole = night.newest()
    night.account.silent = (path_of("sgn"),)
    assert night.snapshot("--deadline", "3s", "--resume", "--summary", str(night.home / "summary")) == 3
    lacking = night.newest()
    assert (night.home / "summary").read_bytes() == (lacking / "manifest.json").read_bytes()
    manifest = checked(lacking)
    assert manifest.verdict == "incomplete"
    assert manifest.observed["stopped"].startswith("the deadline came")
    whole_regions = dict.fromkeys(CODES, Verdict.COMPLETE)
    assert {one.region: one.verdict for one in manifest.regions} == whole_regions | {"sgn": Verdict.FAILED}
    assert manifest.totals.registries.complete == 4 * (len(CODES) - 1)
    assert (night.folder / "latest").readlink().name == whole.name
    assert night.remains() == set()
    assert f"{lacking}: incomplete" in capsys.readouterr().err
    night.account.silent = ()
    assert night.snapshot("--resume") == 0
    assert night.fetched() >= set(night.account.registries())
    assert data_of(night.newest()) == data_of(whole)


@pytest.mark.long
@pytest.mark.parametrize("compress", SUFFIXES)
def test_what_a_deadline_cut_off_is_there_with_what_was_had(night: Night, compress: str) -> None:
    """A listing under way and a list of registries under way: `incomplete`, with the records of their first pages."""
    region, registry = night.account.registries()[0]
    other = next(one for one in CODES if one != region)
    options = ("--page-size", "3", "--compress", compress, "--region", region, "--region", other, "--accept", "partial")
    night.account.silent = (f"{path_of(region, registry)}?page=3", f"{path_of(other)}?page=2")
    assert night.snapshot(*options, "--deadline", "3s") == 3
    manifest = checked(night.newest())
    (record,) = [one for one in manifest.registries if (one.region, one.registry) == (region, registry)]
    assert record.verdict is Verdict.INCOMPLETE
    assert (record.reason or "").startswith("the deadline came")
    assert record.images >= 6
    images = unpack(data_of(night.newest())[IMAGES + SUFFIXES[compress]], SUFFIXES[compress])
    assert images.count(b'"registry":"%b"' % registry.encode()) == record.images
    (listed,) = [one for one in manifest.regions if one.region == other]
    assert (listed.verdict, listed.registries) == (Verdict.INCOMPLETE, 3)
    assert sum(one.region == other for one in manifest.registries) == 3
    assert (night.folder / "latest").readlink().name == night.newest().name
    assert night.remains() == set()


@pytest.mark.long
def test_sigterm_while_a_deadline_is_published(night: Night) -> None:
    """It is an interruption then: nothing is published, and what was cut off is fetched when it is taken up."""
    assert night.snapshot() == 0
    undisturbed = data_of(night.newest())
    night.account.silent = (path_of("sgn"),)
    for deadline in ("5s", "20s", "80s"):  # where others have the processor, nothing may be had so soon
        stopped = night.start("--deadline", deadline, program=(SIGNALLED, "os.mkdir", "/snapshot"))
        output, _ = stopped.communicate()
        if stopped.returncode != 3:
            break
    assert (stopped.returncode, len(night.names())) == (143, 1), output
    night.account.silent = ()
    assert night.snapshot("--resume") == 0
    assert {region for region, _ in night.fetched()} == {"sgn"}
    assert data_of(night.newest()) == undisturbed
    assert night.remains() == set()


def test_a_run_taken_up_that_ends_by_itself_publishes_both_sessions(night: Night) -> None:
    """What was finished before the interruption is in it, too."""
    night.account.on_request = kill_at(10, signal.SIGTERM, os.getpid())
    assert night.snapshot("--concurrency", "1") == 143
    night.account.on_request = None
    done = {key for key in night.finished() if key[1] is not None}
    night.account.silent = (path_of("sgn"),)
    assert night.snapshot("--resume", "--deadline", "3s") == 3
    manifest = checked(night.newest())
    assert done
    assert done <= {(one.region, one.registry) for one in manifest.registries if one.verdict is Verdict.COMPLETE}
    assert len(manifest.run.resumed) == 1


def test_a_quota_that_ends_publishes_what_was_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 4; every registry has its verdict, those that were not begun say why; nothing is left to be taken up."""
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=4, images=60, quota=9)) as night:
        assert night.snapshot("--concurrency", "1") == 4
        manifest = checked(night.newest())
        assert manifest.verdict == "incomplete"
        assert manifest.totals.registries.complete
        failed = [one for one in manifest.registries if one.verdict is Verdict.FAILED]
        assert failed
        assert all("quota is used up" in (one.reason or "") for one in failed)
        assert not (night.folder / "latest").exists()
        assert night.remains() == set()


def test_a_key_that_is_refused_in_mid_run_publishes_what_was_had(night: Night) -> None:
    """Exit 4: it was disabled while the run went on."""
    region, registry = night.account.registries()[0]
    night.account.replaced[path_of(region, registry), 1] = REFUSALS[200]
    assert night.snapshot("--concurrency", "1", "--region", region) == 4
    manifest = checked(night.newest())
    assert manifest.regions[0].verdict is Verdict.COMPLETE
    assert manifest.totals.registries.failed
    assert night.remains() == set()


def test_a_deadline_with_nothing_at_all_publishes_nothing(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """A snapshot of nothing is no inventory: exit 3, a sentence, a summary, nothing left over."""
    assert night.snapshot() == 0
    before = night.names()
    night.account.silent = tuple(path_of(region) for region in CODES)
    summary = night.home / "summary.json"
    assert night.snapshot("--deadline", "1s", "--summary", str(summary)) == 3
    assert "nothing was had, so no snapshot is published: the deadline came" in capsys.readouterr().err
    assert load(summary.read_bytes()).verdict == "incomplete"
    assert night.names() == before
    assert night.remains() == set()


# ── taken up or not ──


def interrupt(night: Night, *options: str) -> Path:
    """Have a signal stop a run when some of it is finished; return its folder."""
    night.account.on_request = kill_at(10, signal.SIGTERM, os.getpid())
    assert night.snapshot("--concurrency", "1", *options) == 143
    night.account.on_request = None
    return max(night.folder.glob(".ncrawl-2*"))


def interrupt_twice(night: Night) -> tuple[Path, Path]:
    """Leave two unfinished runs, as if both had been killed; return their folders, the older one first."""
    first = interrupt(night)
    kept = tree_of(first)
    second = interrupt(night)
    first.mkdir()
    for name, data in kept.items():
        (first / name).write_bytes(data)
    return first, second


def let_it_have_begun(run: Path, hours: float) -> None:
    """Change when an unfinished run began, by so many hours before now."""
    header = read_header(run)
    started_ms = int(time.time() * 1000 - hours * 3_600_000)
    (run / "run.json").write_bytes(sealed(msgspec.structs.replace(header, started_ms=started_ms)))


@pytest.mark.parametrize(
    ("hours", "options", "is_taken_up"),
    [
        (11.9, (), True),
        (12.1, (), False),
        (12.1, ("--resume-within", "13h"), True),
        (0.6, ("--resume-within", "30m"), False),
        (-0.05, (), True),
        (-0.2, (), False),
    ],
)
def test_only_what_began_within_some_hours_is_taken_up(
    night: Night,
    capsys: pytest.CaptureFixture[str],
    hours: float,
    options: tuple[str, ...],
    is_taken_up: bool,  # noqa: FBT001
) -> None:
    """12 h unless said otherwise; one from the future has no age that can be believed; what is left behind goes."""
    unfinished = interrupt(night)
    let_it_have_begun(unfinished, hours)
    done = night.finished()
    capsys.readouterr()
    assert night.snapshot("--resume", *options) == 0
    assert bool(night.fetched() & done) is not is_taken_up
    assert (f".ncrawl-{night.newest().name}" == unfinished.name) is is_taken_up
    said = f"the unfinished run of {unfinished.name.removeprefix('.ncrawl-')} is not taken up: it began "
    err = capsys.readouterr().err
    assert (said in err) is not is_taken_up
    assert ("m ago; --resume-within is 30m" in re.sub(r"\d+s ago", " ago", err)) is (hours == 0.6)
    assert night.remains() == set()


@pytest.mark.parametrize("spoilt", ["run.json", "journal", "version", "options"])
def test_an_unfinished_run_that_is_no_good_costs_no_night(
    night: Night, capsys: pytest.CaptureFixture[str], spoilt: str
) -> None:
    """It is kept under a name that nothing takes for a run, and that is said; tonight's begins; tomorrow is quiet."""
    unfinished = interrupt(night)
    header = read_header(unfinished)
    if spoilt == "version":
        changed = msgspec.structs.replace(header, format=FORMAT + 1)
        (unfinished / "run.json").write_bytes(sealed(changed))
    elif spoilt == "options":
        changed = msgspec.structs.replace(header, options=header.options | {"verify": "sometimes"})
        (unfinished / "run.json").write_bytes(sealed(changed))
    else:
        (unfinished / spoilt).write_bytes(b"rubbish\n")
    before = tree_of(unfinished)
    capsys.readouterr()
    assert night.snapshot("--resume") == 0
    aside = night.folder / f".ncrawl.aside-{header.id}"
    said = capsys.readouterr().err
    assert f"{unfinished} cannot be taken up: " in said
    assert f"it is kept as {aside}" in said
    assert tree_of(aside) == before
    assert checked(night.newest()).run.resumed == ()
    assert night.fetched() >= set(night.account.registries())
    assert night.snapshot("--resume", "--keep", "1") == 0
    assert "aside" not in capsys.readouterr().err
    assert night.remains() == {aside.name}
    assert len(night.names()) == 1


def test_when_the_newest_is_no_good_the_one_before_is_taken_up(night: Night) -> None:
    """Both were killed, so both are there."""
    first, second = interrupt_twice(night)
    (second / "run.json").write_bytes(b"rubbish")
    assert night.snapshot("--resume") == 0
    assert f".ncrawl-{night.newest().name}" == first.name
    assert night.remains() == {second.name.replace("-", ".aside-", 1)}


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (("--page-size", "7"), {"page_size": 7}),
        (("--region", "sgn", "--region", "kr", "--verify", "always"), {"region": ["sgn", "kr"], "verify": "always"}),
        (("--compress", "zstd", "--rate", "500", "--deadline", "50m"), {"compress": "zstd", "deadline": 3000.0}),
        (("--accept", "5%", "--keep", "1", "--region-rate", "300"), {"accept": "5%", "keep": None, "region_rate": 300}),
    ],
)
def test_a_run_is_taken_up_with_its_own_options(
    night: Night, options: tuple[str, ...], kept: dict[str, object]
) -> None:
    """Nothing has to be given again; what is given and decides nothing takes their place."""
    interrupt(night, *options)
    done = night.finished()
    assert night.snapshot("--resume", "--concurrency", "3") == 0
    assert not night.fetched() & done
    told = checked(night.newest()).run.options
    assert {name: told[name] for name in kept} == kept
    assert told["concurrency"] == 3


def test_the_hint_can_be_pasted(tmp_path: Path) -> None:
    """Into a shell, whatever the folder is called, however long; with what leads to the keys and the gateway."""
    home = tmp_path / "it's a $HOME; \n*" / ("which is not short at all, " * 9) / "중첩"
    home.mkdir(parents=True)
    with a_night(home, WORLD) as night:
        write_keys(night, "night work").chmod(0o600)
        (home / "my.toml").write_text('compress = "zstd"\n')
        taken = ("HOME", "PATH", "NCLOUD_METADATA_ENDPOINT")
        environment = {name: value for name, value in night.environment.items() if name in taken}
        options = ("--profile", "night work", "--config", str(home / "my.toml"), "--gateway", night.account.url)
        started: list[subprocess.Popen[str]] = []
        night.account.on_request = lambda requests: started[0].terminate() if requests == 10 else None
        started.append(night.start("--concurrency", "1", *options, environment=environment))
        output, _ = started[0].communicate()
        night.account.on_request = None
        assert started[0].returncode == 143
        (hint,) = re.findall("unfinished: run `(.*)` to go on", output)
        done = night.finished()
        assert done
        night.account.forget()
        program = f'ncrawl() {{ {shlex.quote(sys.executable)} -m crawler "$@"; }}; {hint}'
        pasted = subprocess.run(["bash", "-c", program], cwd=ROOT, env=environment, check=False, capture_output=True)
        assert (pasted.returncode, b"resuming" in pasted.stderr) == (0, True), pasted.stderr
        assert not night.fetched() & done
        assert checked(night.newest()).run.options["compress"] == "zstd"


@pytest.mark.parametrize(
    ("folder", "flags", "hint"),
    [
        ("nights", {}, "ncrawl snapshot nights --resume"),
        ("-n", {"quiet": True, "rate": "5"}, "ncrawl snapshot ./-n --resume"),
        ("a\t'\udcff\\", {}, r"ncrawl snapshot $'a\x09\x27\xff\x5c' --resume"),
        ("n", {"trust_env": True, "allow_gateway": False}, "ncrawl snapshot n --resume --trust-env"),
        ("n", {"summary": "a b", "profile": "p"}, "ncrawl snapshot n --resume --profile p --summary 'a b'"),
        (
            "n",
            {"gateway": ("kr=https://k", "https://x")},
            "ncrawl snapshot n --resume --gateway kr=https://k --gateway https://x",
        ),
    ],
)
def test_the_hint_says_what_a_folder_may_not(folder: str, flags: dict[str, object], hint: str) -> None:
    """What leads to keys, gateway and files is in it if it was a flag; a run knows the rest itself."""
    assert hint_to_go_on(Path(folder), flags) == f"run `{hint}` to go on"


def test_a_folder_does_not_decide_where_requests_go(
    night: Night, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A gateway that is not the provider's has to be given again: whoever can write the folder could choose it."""
    interrupt(night)
    monkeypatch.delenv("NCRAWL_GATEWAY")
    night.account.forget()
    assert run(["snapshot", str(night.folder), "--resume"]) == 2
    assert f"--gateway was {night.account.url}, which a folder does not decide" in capsys.readouterr().err
    assert night.account.statistics.requests == 0


def test_without_resume_a_new_run_starts_and_the_remains_go(night: Night) -> None:
    """They stay until there is something newer to go on with, or a snapshot."""
    (first, second) = (interrupt(night), interrupt(night))
    assert first != second
    assert night.remains() == {second.name}
    night.account.silent = tuple(path_of(region) for region in CODES)
    night.account.on_request = kill_at(1, signal.SIGTERM, os.getpid())
    assert night.snapshot() == 143
    assert night.remains() == {second.name}
    night.account.on_request, night.account.silent = None, ()
    assert night.snapshot() == 0
    assert night.fetched() >= set(night.account.registries())
    assert night.remains() == set()
    assert checked(night.newest()).run.resumed == ()


def test_the_newest_unfinished_run_is_taken_up(night: Night) -> None:
    """Of two that were killed, the later one; both are gone afterwards."""
    _first, second = interrupt_twice(night)
    assert night.snapshot("--resume") == 0
    assert f".ncrawl-{night.newest().name}" == second.name
    assert night.remains() == set()


def test_failing_nights_do_not_fill_the_disk(night: Night) -> None:
    """Of unfinished runs only the newest is kept."""
    for _ in range(3):
        unfinished = interrupt(night)
        assert night.remains() == {unfinished.name}


def test_resume_without_an_unfinished_run_begins_one(night: Night) -> None:
    """So that a cron job can always say --resume."""
    assert night.snapshot("--resume") == 0
    assert night.snapshot("--resume") == 0
    assert len(night.names()) == 2
    assert {checked(night.folder / name).run.resumed for name in night.names()} == {()}


def test_a_stop_before_anything_is_finished_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to resume, so there are no remains either."""
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=2, images=9, latency_ms=5000)) as night:
        night.account.on_request = kill_at(1, signal.SIGTERM, os.getpid())
        assert night.snapshot() == 143
        assert night.remains() == set()


def test_incomplete_registries_of_a_stopped_run_are_tried_again(night: Night) -> None:
    """Only what is finished is taken over: a failure of the first session is mended in the second."""
    region, registry = "kr", night.account.world.listed("kr")[0].registry.name  # asked for first: others are left
    night.account.replaced[path_of(region, registry), 1] = TOO_LARGE

    def stop(_requests: int) -> None:
        night.account.on_request = None
        os.kill(os.getpid(), signal.SIGTERM)

    def stop_after_failure(_requests: int) -> None:
        if (region, registry) in night.fetched():
            night.account.on_request = stop

    night.account.on_request = stop_after_failure
    assert night.snapshot("--concurrency", "1", "--region", "kr") == 143
    assert ("kr", registry) not in night.finished()
    night.account.replaced.clear()
    assert night.snapshot("--region", "kr", "--resume") == 0
    assert (region, registry) in night.fetched()
    assert checked(night.newest()).verdict == "complete"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--page-size", "50"), "--page-size was auto and is 50"),
        (("--compress", "gzip"), "--compress was none and is gzip"),
        (("--region", "kr"), "--region was "),
        (("--verify", "always"), "--verify was auto and is always"),
    ],
)
def test_other_options_are_refused(
    night: Night, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], complaint: str
) -> None:
    """Exit 2, the option named, nothing requested, no byte changed; with the same options it still works."""
    night.account.on_request = kill_at(10, signal.SIGTERM, os.getpid())
    assert night.snapshot("--concurrency", "1") == 143
    night.account.on_request = None
    (unfinished,) = night.remains()
    before = tree_of(night.folder / unfinished)
    capsys.readouterr()
    assert night.snapshot("--resume", *options) == 2
    assert complaint in capsys.readouterr().err
    assert night.account.statistics.requests == 0
    assert tree_of(night.folder / unfinished) == before
    assert night.snapshot("--resume") == 0


def test_a_run_of_other_keys_costs_no_night(
    night: Night, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another access key may be another account, or be this one's new one: nothing is mixed, nobody has to come."""
    unfinished = interrupt(night)
    before = tree_of(unfinished)
    with monkeypatch.context() as other:
        other.setenv("NCLOUD_ACCESS_KEY_ID", "another-key")
        assert night.snapshot("--resume") == 4
    aside = night.folder / unfinished.name.replace("-", ".aside-", 1)
    said = capsys.readouterr().err
    assert f"{unfinished} cannot be taken up: it is another account, or other keys; it is kept as {aside}" in said
    assert tree_of(aside) == before
    assert night.remains() == {aside.name}


def test_after_a_run_cut_off_after_publishing_the_night_has_its_own(
    night: Night, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed between the snapshot's name and the removal of its remains: the next night tidies up and takes its own."""
    night.account.on_request = kill_at(10, signal.SIGTERM, os.getpid())
    assert night.snapshot("--concurrency", "1") == 143
    night.account.on_request = None
    (unfinished,) = night.remains()
    remains = tree_of(night.folder / unfinished)
    assert night.snapshot("--resume") == 0
    cut_off, published = night.newest(), tree_of(night.newest())
    (night.folder / unfinished).mkdir()
    for name, data in remains.items():
        (night.folder / unfinished / name).write_bytes(data)
    (night.folder / "latest").unlink()
    night.account.replaced[path_of("kr"), 1] = TOO_LARGE  # so that tonight's is not accepted
    capsys.readouterr()
    assert night.snapshot("--resume") == 3
    said = capsys.readouterr().err
    assert f"the run of {cut_off.name} was cut off after it was published; latest points to it" in said
    assert tree_of(cut_off) == published
    assert (night.folder / "latest").readlink().name == cut_off.name
    assert night.newest() != cut_off
    assert checked(night.newest()).run.resumed == ()
    assert night.remains() == set()


def test_a_published_snapshot_that_is_damaged_ends_no_night(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """Its run was cut off before its remains went: they are kept, for the parts are whole, and tonight's begins."""
    unfinished = interrupt(night)
    published = night.folder / unfinished.name.removeprefix(".ncrawl-")
    published.mkdir()
    (published / "manifest.json").write_bytes(b"rubbish")
    before = tree_of(unfinished)
    capsys.readouterr()
    for _ in range(2):
        assert night.snapshot("--resume") == 0
    aside = night.folder / unfinished.name.replace("-", ".aside-", 1)
    assert capsys.readouterr().err.count(f"what its run left is kept as {aside}") == 1
    assert tree_of(aside) == before
    assert checked(night.newest()).verdict == "complete"


def test_a_registry_that_went_while_the_run_was_stopped_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of registries, if it had to be fetched again, decides what is in the snapshot."""
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=24, images=100)) as night:
        # The list's third page is never had in the first session, so the list is fetched again in the second.
        night.account.replaced[path_of("kr"), 3] = REFUSALS[500]

        def stop_when_some_are_done(_requests: int) -> None:
            if len(night.finished()) > 1:
                night.account.on_request = None
                os.kill(os.getpid(), signal.SIGTERM)

        night.account.on_request = stop_when_some_are_done
        assert night.snapshot("--region", "kr", "--page-size", "10", "--concurrency", "1") == 143
        night.account.replaced.clear()
        assert ("kr", None) not in night.finished()
        went = next(registry for _, registry in night.finished())
        listed = night.account.world.listed("kr")
        listed.remove(next(one for one in listed if one.registry.name == went))
        assert night.snapshot("--region", "kr", "--page-size", "10", "--resume") == 0
        manifest = checked(night.newest())
        assert went not in {one.registry for one in manifest.registries}
        assert len(manifest.registries) == 23


# ── refused before the first request ──


def test_resume_and_retry_failed_contradict_each_other(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """One takes a run up, the other begins one."""
    assert night.snapshot("--resume", "--retry-failed", "x") == 2
    assert "contradict each other" in capsys.readouterr().err


def test_no_request_without_a_folder(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is missing is named, with the command that makes it."""
    night.folder.rmdir()
    assert night.snapshot() == 2
    assert f"mkdir -p {night.folder}" in capsys.readouterr().err
    assert night.account.statistics.requests == 0


def test_a_refused_key_ends_with_4(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is published, nothing is left over, earlier snapshots are as they were."""
    assert night.snapshot() == 0
    before = tree_of(night.folder)
    monkeypatch.setenv("NCLOUD_SECRET_KEY", "wrong")
    assert night.snapshot() == 4
    before.pop(".ncrawl.lock")
    assert {name: data for name, data in tree_of(night.folder).items() if name != ".ncrawl.lock"} == before


def test_a_key_file_that_others_can_read_is_warned_of(
    night: Night, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As by every command that signs; the job goes on."""
    monkeypatch.delenv("NCLOUD_ACCESS_KEY_ID")
    monkeypatch.delenv("NCLOUD_SECRET_KEY")
    write_keys(night, "DEFAULT").chmod(0o644)
    assert night.snapshot() == 0
    assert "warning" in capsys.readouterr().err


def test_quiet_says_nothing_of_a_good_night(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """No mail from cron."""
    assert night.snapshot("--quiet") == 0
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "")


def test_quiet_names_what_a_bad_night_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cron's mail holds what is missing, and why, and which snapshot lacks how much."""
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=4, images=60, denied=1)) as night:
        assert night.snapshot("--quiet") == 3
        (name,) = night.names()
        lacking = f"{len(CODES)} of {4 * len(CODES)} registries"
        told = f"{night.folder / name} is incomplete: {lacking}; its manifest.json says what is missing"
        *named, last = unstamped(capsys.readouterr().err).splitlines()
    assert last == f"ncrawl: error: {told}"
    assert [line.partition(": denied: ")[2] for line in named] == ["401/210 Permission Denied"] * len(CODES)


def test_retention_says_what_it_removed(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    """--keep 2 of four: the two oldest are named and gone."""
    for _ in range(3):
        assert night.snapshot() == 0
    names = night.names()
    capsys.readouterr()
    assert night.snapshot("--keep", "2") == 0
    assert re.findall(r"removed (.*)", capsys.readouterr().err) == [str(night.folder / name) for name in names[1::-1]]
    assert night.names()[0] == names[2]
    assert len(night.names()) == 2


def test_the_share_of_missing_registries_is_exact(tmp_path: Path) -> None:
    """At most so many percent: equal is accepted; gone is not missing; an unknown list of registries never is."""
    contents: dict[Place, list[bytes]] = {("default", "kr", f"r{number}"): [] for number in range(38)}
    verdicts = {("default", "kr", "lost"): Verdict.FAILED, ("default", "kr", "went"): Verdict.GONE}
    made = read(make_snapshot(tmp_path / "made", contents, verdicts=verdicts))
    assert accepts("2.5%", made)
    assert not accepts("2.4%", made)
    assert not accepts("complete", made)
    unknown = read(make_snapshot(tmp_path / "unknown", contents, regions={"kr": Verdict.INCOMPLETE}))
    assert not accepts("100%", msgspec.structs.replace(unknown, verdict="incomplete"))
