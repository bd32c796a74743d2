"""Pushing snapshots, and reading them where they were pushed to, against storages good and bad."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec
import pytest
from support.object_server import ObjectServer
from support.snapshot_maker import image, make_snapshot, reseal

from crawler.core.errors import OutputError, UsageError
from crawler.core.model import Verdict
from crawler.jobs.push.job import Pushed, outgoing, push
from crawler.output.stores.opening import Patience, place_at, store_at
from crawler.snapshot.manifest import ManifestError
from crawler.snapshot.reading.chunks import DamagedError

if TYPE_CHECKING:
    from pathlib import Path

    from support.object_server import Misdeed, Request

    from crawler.snapshot.manifest import Manifest

URL = "s3://bucket/some/prefix"
OLD, NEW = "20261122T020000Z", "20261123T020000Z"
PLACE = ("team", "kr", "a")
LATEST = "some/prefix/team/latest.json"
_IMPATIENT = Patience(connect_s=5, silence_s=2.0, retries=0)


def _made(folder: Path, name: str = NEW, verdict: Verdict = Verdict.COMPLETE) -> Path:
    return make_snapshot(folder / name, {PLACE: [image("x"), image("y")]}, verdicts={PLACE: verdict})


def _pushed(snapshot: Path, url: str = URL) -> Pushed:
    return push(outgoing(snapshot), store_at(url, _IMPATIENT))


def _latest(server: ObjectServer) -> str | None:
    stored = server.files.get(LATEST)
    return None if stored is None else str(json.loads(stored.data)["snapshot"])


def test_a_push_has_the_layout_that_is_promised(server: ObjectServer, tmp_path: Path) -> None:
    """Files stand under the account and the name, byte by byte; `latest.json` names the snapshot and its manifest."""
    snapshot = _made(tmp_path)
    pushed = _pushed(snapshot)
    below = f"some/prefix/team/{NEW}"
    assert {name: stored.data for name, stored in server.files.items() if name != LATEST} == {
        f"{below}/{path.name}": path.read_bytes() for path in snapshot.iterdir()
    }
    sha256 = hashlib.sha256((snapshot / "manifest.json").read_bytes()).hexdigest()
    assert json.loads(server.files[LATEST].data) == {"snapshot": NEW, "manifest_sha256": sha256}
    assert (pushed.url, pushed.sent, pushed.is_safe) == (f"{URL}/team/{NEW}", 2, True)


def test_what_comes_last(server: ObjectServer, tmp_path: Path) -> None:
    """Data goes first, then the manifest, then `latest.json`: cut off anywhere, nothing names what is not whole."""
    _pushed(_made(tmp_path))
    order = [one.name.rpartition("/")[2] for one in server.of("PUT") if "probe" not in one.name]
    assert order == ["images.ndjson", "registries.ndjson", "manifest.json", "latest.json"]


def test_nothing_is_sent_twice(server: ObjectServer, tmp_path: Path) -> None:
    """A push of what is there sends no file, and one that was cut off sends only what is missing."""
    snapshot = _made(tmp_path)
    _pushed(snapshot)
    assert _pushed(snapshot).sent == 0
    for name in (f"some/prefix/team/{NEW}/manifest.json", f"some/prefix/team/{NEW}/registries.ndjson", LATEST):
        del server.files[name]
    assert _pushed(snapshot).sent == 1
    assert _latest(server) == NEW


def test_what_is_there_is_believed_only_by_its_checksum(server: ObjectServer, tmp_path: Path) -> None:
    """A file of another content, or without a checksum, is sent again."""
    snapshot = _made(tmp_path)
    _pushed(snapshot)
    del server.files[f"some/prefix/team/{NEW}/manifest.json"]
    stored = server.files[f"some/prefix/team/{NEW}/images.ndjson"]
    stored.headers["x-amz-meta-sha256"] = "0" * 64
    server.files[f"some/prefix/team/{NEW}/registries.ndjson"].headers.clear()
    assert _pushed(snapshot).sent == 2


def test_latest_is_never_moved_back(server: ObjectServer, tmp_path: Path) -> None:
    """An older snapshot is pushed, and what `latest.json` names stays."""
    _pushed(_made(tmp_path))
    pushed = _pushed(_made(tmp_path, OLD))
    assert f"some/prefix/team/{OLD}/manifest.json" in server.files
    assert pushed.latest == "latest points to it, or a newer one"
    assert _latest(server) == NEW


def test_latest_is_moved_only_to_what_its_run_accepted(server: ObjectServer, tmp_path: Path) -> None:
    """An incomplete snapshot is pushed, and named only if its own --accept took it."""
    snapshot = _made(tmp_path, verdict=Verdict.INCOMPLETE)
    assert _pushed(snapshot).latest == "latest is not moved: --accept complete"
    assert _latest(server) is None
    partial = _made(tmp_path / "partial", verdict=Verdict.INCOMPLETE)

    def accepting(made: Manifest) -> Manifest:
        run = msgspec.structs.replace(made.run, options={"accept": "partial"})
        return msgspec.structs.replace(made, run=run)

    _pushed(reseal(partial, accepting), "s3://bucket/other")
    assert json.loads(server.files["other/team/latest.json"].data)["snapshot"] == NEW


def test_a_damaged_snapshot_is_refused(server: ObjectServer, tmp_path: Path) -> None:
    """A data file that is not what the manifest says, by length or by checksum, ends the push without a manifest."""
    for number, data in enumerate((b"shorter", None)):
        snapshot = _made(tmp_path / str(number))
        file = snapshot / "images.ndjson"
        file.write_bytes(data or file.read_bytes().replace(b'"x"', b'"z"'))
        with pytest.raises(DamagedError, match="ncrawl verify"):
            _pushed(snapshot)
    assert not server.of("PUT", "manifest.json")
    assert _latest(server) is None


def test_another_snapshot_of_that_name_stays(server: ObjectServer, tmp_path: Path) -> None:
    """What has the name of another snapshot is refused, and what is there is as it was."""
    _pushed(_made(tmp_path))
    before = dict(server.files)
    other = make_snapshot(tmp_path / "other" / NEW, {PLACE: [image("other")]})
    with pytest.raises(UsageError, match="another snapshot"):
        _pushed(other)
    assert server.files == before


def test_a_storage_that_heeds_no_conditions_is_told_and_served(server: ObjectServer, tmp_path: Path) -> None:
    """It is found out, and all is pushed; names are still not used twice, nor is `latest.json` moved back."""
    server.ignores_conditions = frozenset({"if-match", "if-none-match"})
    assert not _pushed(_made(tmp_path)).is_safe
    _pushed(_made(tmp_path, OLD))
    assert _latest(server) == NEW
    other = make_snapshot(tmp_path / "other" / NEW, {PLACE: [image("other")]})
    with pytest.raises(UsageError, match="another snapshot"):
        _pushed(other)


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        *((wrong, "images.ndjson") for wrong in (403, 503, 507, "cut", "hang")),
        *((wrong, where) for wrong in (507, "cut") for where in ("manifest.json", "latest.json")),
    ],
)
def test_whatever_goes_wrong_latest_names_what_is_whole(
    server: ObjectServer, tmp_path: Path, wrong: Misdeed, where: str
) -> None:
    """Wherever a storage denies, is full, overloaded, breaks off or hangs: one sentence, exit 74, and no half snapshot.

    The earlier one stays as it is, and is still the one that `latest.json` names.
    """
    _pushed(_made(tmp_path, OLD))
    before = dict(server.files)

    def does(request: Request) -> Misdeed | None:
        is_meant = request.method == "PUT" and request.name.endswith(where) and OLD not in request.name
        return wrong if is_meant else None

    server.misdeed = does
    with pytest.raises(OutputError) as caught:
        _pushed(_made(tmp_path))
    server.let_go.set()
    assert caught.value.exit_code == 74
    assert str(caught.value).startswith(f"cannot write {URL}/team/{NEW}: ")
    assert "NEVERTOLD" not in str(caught.value)
    assert before.items() <= server.files.items()
    assert _latest(server) == OLD
    server.misdeed = lambda _: None
    _pushed(tmp_path / NEW)
    assert _latest(server) == NEW


def test_a_connection_that_breaks_in_mid_upload(server: ObjectServer, tmp_path: Path) -> None:
    """Of a large file, which goes in parts, nothing is there before all is; the next push sends it."""
    snapshot = make_snapshot(tmp_path / NEW, {PLACE: [image("x", description="y" * 12_000_000)]})
    server.misdeed = lambda request: "cut" if request.query.get("partNumber") == "2" else None
    with pytest.raises(OutputError):
        _pushed(snapshot)
    assert f"some/prefix/team/{NEW}/images.ndjson" not in server.files
    assert _latest(server) is None
    server.misdeed = lambda _: None
    assert _pushed(snapshot).sent == 2
    stored = server.files[f"some/prefix/team/{NEW}/images.ndjson"]
    assert stored.data == (snapshot / "images.ndjson").read_bytes()
    assert _pushed(snapshot).sent == 0


def test_of_many_that_push_at_once_the_newest_is_the_latest(server: ObjectServer, tmp_path: Path) -> None:
    """Whoever comes first and whoever last: in the end `latest.json` names the newest."""
    names = [f"20261123T02000{number}Z" for number in range(6)]
    for name in names:
        _made(tmp_path, name)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: _pushed(tmp_path / name), reversed(names)))
    assert _latest(server) == names[-1]
    assert sorted({name.split("/")[3] for name in server.files if name.endswith("manifest.json")}) == names


def test_a_bucket_that_is_missing(server: ObjectServer, tmp_path: Path) -> None:
    """It is said in words."""
    with pytest.raises(OutputError, match="there is no such bucket"):
        _pushed(_made(tmp_path), "s3://elsewhere")
    assert not server.files


def test_an_endpoint_that_nobody_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said in words."""
    with ObjectServer() as gone:
        environ = gone.environ
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(OutputError, match="cannot be reached"):
        _pushed(_made(tmp_path))


def test_a_folder_is_pushed_to_as_well(tmp_path: Path) -> None:
    """What is pushed to a path, or to its URL, has the same layout."""
    snapshot = _made(tmp_path)
    _pushed(snapshot, str(tmp_path / "one"))
    _pushed(snapshot, f"file://{tmp_path}/other")
    for folder in ("one", "other"):
        pushed = tmp_path / folder / "team" / NEW
        assert {path.name for path in pushed.iterdir()} == {path.name for path in snapshot.iterdir()}
        assert json.loads((pushed.parent / "latest.json").read_bytes())["snapshot"] == NEW


@pytest.mark.parametrize("leads_out", ["file", "id"])
def test_a_manifest_that_is_made_up(server: ObjectServer, tmp_path: Path, leads_out: str) -> None:
    """Whose name, or whose file's, is a path: exit 3, a sentence, and nothing of it is looked for or sent."""
    snapshot = _made(tmp_path, "copy")
    (tmp_path / "secret").write_bytes((snapshot / "images.ndjson").read_bytes())

    def elsewhere(made: Manifest) -> Manifest:
        if leads_out == "id":
            return msgspec.structs.replace(made, run=msgspec.structs.replace(made.run, id="../x"))
        return msgspec.structs.replace(made, files=(msgspec.structs.replace(made.files[0], name="../secret"),))

    with pytest.raises(ManifestError, match="could lead anywhere") as caught:
        _pushed(reseal(snapshot, elsewhere))
    assert (caught.value.exit_code, server.files, server.of("PUT")) == (3, {}, [])


def test_what_is_pushed_is_a_local_snapshot(server: ObjectServer, tmp_path: Path) -> None:
    """A URL is not pushed from, nor a snapshot of several accounts."""
    _pushed(_made(tmp_path))
    with pytest.raises(UsageError, match="no local snapshot"):
        outgoing(place_at(f"{URL}/team/{NEW}"))
    both = make_snapshot(tmp_path / "both", {PLACE: [image("x")], ("other", "kr", "b"): [image("y")]})
    with pytest.raises(UsageError, match="of 2 accounts"):
        outgoing(both)
    assert server.files
