"""What reads snapshots reads them where they were pushed to, and asks for no more than it takes."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from support.object_server import ObjectServer, Stored
from support.snapshot_maker import image, make_nights, make_snapshot

import crawler
from crawler.cli import run
from crawler.core.errors import UsageError
from crawler.jobs.prune import prune
from crawler.jobs.push.job import outgoing, push
from crawler.jobs.python.snapshots import Snapshot
from crawler.jobs.shelf import look_at
from crawler.output.stores.opening import place_at, store_at
from crawler.snapshot.folder.retention import Retention

if TYPE_CHECKING:
    from pathlib import Path

    from support.object_server import Request

URL = "s3://bucket/prefix"
OLD, NEW = "20261122T020000Z", "20261123T020000Z"
CONTENTS = {("team", "kr", name): [image("x", size=name), image("y")] for name in ("a", "b", "c")}


@pytest.fixture(params=["", ".zst"])
def folder(request: pytest.FixtureRequest, server: ObjectServer, tmp_path: Path) -> Path:
    """Return a folder of two snapshots, which are in the storage as well."""
    suffix = request.param
    make_snapshot(tmp_path / OLD, CONTENTS, suffix=suffix)
    make_snapshot(tmp_path / NEW, {**CONTENTS, ("team", "kr", "b"): [image("y"), image("z")]}, suffix=suffix)
    for name in (OLD, NEW):
        push(outgoing(tmp_path / name), store_at(URL))
    server.requests.clear()
    return tmp_path


def _ran(capfd: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = run([str(word) for word in words])
    told = capfd.readouterr()
    return code, told.out, told.err


def test_commands_say_the_same_of_a_url_as_of_a_folder(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each command that reads prints of what was pushed what it prints of the folder, and ends the same."""
    (folder / "latest").symlink_to(NEW)
    account = f"{URL}/team"
    for words in (
        ("verify", "DIR/latest"),
        ("verify", f"DIR/{OLD}"),
        ("diff", f"DIR/{OLD}", "DIR/latest"),
        ("snapshots", "DIR", "--json"),
        ("history", "DIR", "kr/b/x"),
        ("report", "DIR"),
    ):
        here, there = (_ran(capfd, *(word.replace("DIR", place) for word in words)) for place in (str(folder), account))
        assert there[:2] == here[:2], words
        assert there[1] or words[0] == "verify"


@pytest.mark.long
@pytest.mark.parametrize(
    ("has_keys", "told"), [(True, "the store cannot be reached: check its endpoint"), (False, "there are no keys for")]
)
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (f"verify {URL}/{OLD}", 2),
        (f"diff {URL}/{OLD} {URL}/{NEW}", 2),
        (f"snapshots {URL}", 2),
        (f"history {URL} kr/b", 2),
        (f"report {URL} -o report.html", 2),
        (f"export {URL} --format csv -o out", 2),
        (f"prune {URL} --keep 1", 74),
        (f"push DIR/{NEW} {URL}", 74),
        (f"fleet status {URL}", 74),
        (f"fleet merge {URL} --run-id x", 74),
    ],
)
def test_a_storage_that_does_not_answer(
    words: str,
    code: int,
    told: str,
    *,
    has_keys: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """One sentence that says so; 2 where there are no keys, for then nothing was asked of it, and nothing is left."""
    make_snapshot(tmp_path / NEW, CONTENTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        if has_keys:
            monkeypatch.setenv(name, "key")
        else:
            monkeypatch.delenv(name, raising=False)
    found, out, err = _ran(capfd, *words.replace("DIR", str(tmp_path)).split())
    assert (found, out, err.count("\n")) == (code if has_keys else 2, "", 1)
    assert told in err
    assert [path.name for path in tmp_path.iterdir()] == [NEW]


@pytest.mark.long
@pytest.mark.parametrize("night", [OLD, NEW])
def test_a_night_that_nobody_can_look_at_is_not_left_out(
    night: str, folder: Path, server: ObjectServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its manifest is denied, so whether it is a snapshot nobody knows: it is unknown, and keeps no other."""
    account = f"{URL}/team"
    manifest = f"prefix/team/{night}/manifest.json"
    server.misdeed = lambda request: 403 if request.name == manifest else None
    code, out, err = _ran(capfd, "history", account, "kr/b/x")
    told = [(change["snapshot"], change["change"]) for change in map(json.loads, out.splitlines())]
    assert (night, "unknown") in told
    assert (code, "the store denies it" in out + err) == (3, True)
    denied = f"{night} is not a snapshot that can be read: the store denies"
    code, _, err = _ran(capfd, "export", account, "--all", "--format", "csv", "-o", folder / "out")
    assert (code, denied in err, "is exported to" in err) == (3, True, True)
    code, out, err = _ran(capfd, "snapshots", account, "--json")
    assert (code, denied in err, len(out.splitlines())) == (3, True, 2)
    (problem,) = prune(place_at(account), Retention(keep=1), now=datetime.now(UTC))
    assert (problem.name, "cannot be looked at: the store denies" in str(problem.problem)) == (night, True)
    code, _, err = _ran(capfd, "report", account)
    assert (code, denied in err) == (2 if night == NEW else 3, True)
    server.misdeed = lambda request: 404 if request.name == manifest else None
    changes = [json.loads(line)["change"] for line in _ran(capfd, "history", account, "kr/b/x")[1].splitlines()]
    assert "unknown" not in changes


def test_where_nobody_can_look_at_any_night_prune_says_so(folder: Path, server: ObjectServer) -> None:
    """There is something, and nothing is removed."""
    assert folder
    server.misdeed = lambda request: 403 if request.name.endswith("/manifest.json") else None
    problems = list(prune(place_at(f"{URL}/team"), Retention(keep=1), now=datetime.now(UTC)))
    assert [(one.name, "cannot be looked at" in str(one.problem)) for one in problems] == [(OLD, True), (NEW, True)]


def test_an_export_of_a_url_is_that_of_the_folder(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What `latest` of a URL is comes out as what that of the folder is."""
    (folder / "latest").symlink_to(NEW)
    for place, out in ((folder, "here"), (f"{URL}/team", "there")):
        assert _ran(capfd, "export", "--format", "csv", place, "-o", tmp_path / out)[0] == 0
    files = {path.relative_to(tmp_path / "here") for path in (tmp_path / "here").rglob("*.csv")}
    assert len(files) == 3
    for file in files:
        assert (tmp_path / "there" / file).read_bytes() == (tmp_path / "here" / file).read_bytes()


def test_a_registry_is_read_by_one_range_request(folder: Path, server: ObjectServer) -> None:
    """Of a data file no more is asked for than a registry's own frame, and at once."""
    snapshot = Snapshot(f"{URL}/team/latest")
    server.requests.clear()
    assert [one.name for one in snapshot.images(registry="b")] == ["y", "z"]
    [record] = [one for one in snapshot.manifest.registries if one.registry == "b"]
    assert record.offset is not None
    assert record.length is not None
    [request] = server.requests
    assert request.range == f"bytes={record.offset}-{record.offset + record.length - 1}"
    assert [str(one) for one in crawler.Snapshot(folder / NEW).images()] == [str(one) for one in snapshot.images()]


def test_a_history_asks_for_one_range_of_each_snapshot(
    folder: Path, server: ObjectServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever a snapshot holds, the history of an image costs it its manifest and one part of one file."""
    assert folder
    code, out, _ = _ran(capfd, "history", f"{URL}/team", "kr/b/x")
    assert code == 0
    assert out.count("\n") == 2
    requests = [one for one in server.requests if "images.ndjson" in one.name]
    assert len(requests) == 2
    assert all(one.range for one in requests)


def test_verify_tells_of_what_is_damaged(folder: Path, server: ObjectServer, capfd: pytest.CaptureFixture[str]) -> None:
    """A flipped bit, a file that is missing and one too many are told of a URL as of a folder."""
    assert folder
    name = next(name for name in server.files if name.startswith(f"prefix/team/{NEW}/images"))
    data = bytearray(server.files[name].data)
    data[len(data) // 2] ^= 1
    server.files[name] = Stored(bytes(data), {})
    server.files[f"prefix/team/{NEW}/foreign"] = Stored(b"", {})
    code, out, err = _ran(capfd, "verify", f"{URL}/team/{NEW}")
    assert code == 3
    assert "images" in out
    assert f"{URL}/team/{NEW}/foreign does not belong to the snapshot" in err
    del server.files[name]
    assert _ran(capfd, "verify", f"{URL}/team/{NEW}")[0] == 3


def test_prune_leaves_what_latest_names(server: ObjectServer, tmp_path: Path) -> None:
    """What no rule keeps goes, its manifest first; the newest, and what `latest.json` names, never."""
    names = make_nights(tmp_path, 4)
    for name in names:
        push(outgoing(tmp_path / name), store_at(URL))
    place = place_at(f"{URL}/default")
    server.files["prefix/default/latest.json"] = Stored(
        b'{"snapshot":"%b","manifest_sha256":""}' % names[1].encode(), {}
    )
    now = datetime.now(UTC)
    assert [one.name for one in prune(place, Retention(keep=1), now=now, is_dry=True)] == [names[2], names[0]]
    server.requests.clear()
    removals = list(prune(place, Retention(keep=1), now=now))
    assert removals == [(names[2], None), (names[0], None)]
    assert [entry.id for entry in look_at(place).entries] == [names[1], names[3]]
    deleted = [one.name.rpartition("/")[2] for one in server.of("DELETE")]
    assert deleted == ["manifest.json", "images.ndjson", "registries.ndjson"] * 2


def test_what_prune_cannot_remove_is_told(server: ObjectServer, tmp_path: Path) -> None:
    """A snapshot whose manifest stays is whole still; one whose data stays is none any more, and that is said."""
    names = make_nights(tmp_path, 3)
    for name in names:
        push(outgoing(tmp_path / name), store_at(URL))
    place = place_at(f"{URL}/default")

    def deny(request: Request) -> int | None:
        what = f"{names[1]}/manifest.json", f"{names[0]}/images.ndjson"
        return 403 if request.method == "DELETE" and request.name.endswith(what) else None

    server.misdeed = deny
    newer, older = prune(place, Retention(keep=1), now=datetime.now(UTC))
    assert "denies it" in str(newer.problem)
    assert "the next run tries again" in str(newer.problem)
    assert "is no snapshot any more, but files of it are left" in str(older.problem)
    assert [entry.id for entry in look_at(place).entries] == names[1:]
    assert Snapshot(f"{URL}/default/{names[1]}").verify() == []


def test_prune_removes_nothing_where_latest_is_damaged(server: ObjectServer, tmp_path: Path) -> None:
    """A `latest.json` that names nothing could be of any snapshot."""
    for name in make_nights(tmp_path, 3):
        push(outgoing(tmp_path / name), store_at(URL))
    server.files["prefix/default/latest.json"] = Stored(b"{}", {})
    before = dict(server.files)
    [problem] = prune(place_at(f"{URL}/default"), Retention(keep=1), now=datetime.now(UTC) + timedelta(days=9))
    assert "nothing is removed" in str(problem.problem)
    assert server.files == before


def test_what_is_no_snapshot(server: ObjectServer, tmp_path: Path) -> None:
    """A place with nothing, and one that a push was cut off in, are no snapshots; `latest` is offered where it is."""
    push(outgoing(make_snapshot(tmp_path / NEW, CONTENTS)), store_at(URL))
    with pytest.raises(UsageError, match=f"did you mean {URL}/team/latest"):
        Snapshot(f"{URL}/team")
    with pytest.raises(UsageError, match="is not a snapshot: nothing is there"):
        Snapshot(f"{URL}/team/{OLD}")
    del server.files[f"prefix/team/{NEW}/manifest.json"]
    assert look_at(place_at(f"{URL}/team")).strangers == [NEW]


def test_a_storage_that_denies_is_told_in_words(folder: Path, server: ObjectServer) -> None:
    """What cannot be read is told with the reason, and without what the storage says of itself."""
    assert folder
    server.misdeed = lambda _: 403
    with pytest.raises(UsageError, match=r"denies it \(403 Wrong\)") as caught:
        Snapshot(f"{URL}/team/{NEW}")
    assert "NEVERTOLD" not in str(caught.value)
    with pytest.raises(UsageError, match="denies it"):
        look_at(place_at(f"{URL}/team"))


def test_lists_that_end_after_a_page_are_refused(server: ObjectServer) -> None:
    """A storage that gives one page of a list, because it knows no second version of lists, hides no snapshots."""
    server.files |= {f"prefix/team/{number:06}/a": Stored(b"", {}) for number in range(1_500)}
    assert len(store_at(URL).folders("team")) == 1_500
    server.lists_once = True
    with pytest.raises(OSError, match="lists only 1,000 files"):
        store_at(URL).folders("team")
    for number in range(1_000, 1_500):
        del server.files[f"prefix/team/{number:06}/a"]
    server.lists_once = False
    assert len(store_at(URL).folders("team")) == 1_000


def test_a_place_is_no_path_of_this_machine(server: ObjectServer) -> None:
    """What was not written for URLs fails, instead of reading a file of that name here."""
    assert server
    place = place_at(f"{URL}/team")
    with pytest.raises(TypeError):
        os.fspath(place)
    with pytest.raises((TypeError, AttributeError)):
        shutil.rmtree(place)
