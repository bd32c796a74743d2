"""`ncrawl diff`: whether two sides can be compared at all, and what a file's summary says of what it lacks."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import pytest
from support.snapshot_maker import IMAGES, image, image_line, make_snapshot, pack, reseal, unpack

from crawler.cli import run
from crawler.core.model import Verdict
from crawler.snapshot.manifest import Manifest, StoredFile, dump, read

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from support.snapshot_maker import Contents, Place

A: Place = ("default", "kr", "team-a")
B: Place = ("default", "kr", "team-b")
OLD = {A: [image("1"), image("2"), image("3", n=1)], B: [image("b")]}
NEW = {A: [image("2"), image("3", n=2), image("4")], B: [image("b")]}
NEW_WITHOUT_B = {A: NEW[A]}


def make_file(
    folder: Path,
    contents: Contents,
    suffix: str = "",
    *,
    verdicts: Mapping[Place, Verdict] | None = None,
    regions: Mapping[str, Verdict] | None = None,
) -> tuple[str, str]:
    """Write a plain file and its summary as `ncrawl images -o FILE --summary FILE` does; return both paths."""
    snapshot = make_snapshot(folder / "snapshot", contents, verdicts=verdicts, regions=regions)
    plain = (snapshot / IMAGES).read_bytes()
    path = folder / f"images.ndjson{suffix}"
    path.write_bytes(pack(b"".join(reversed(plain.splitlines(keepends=True))), suffix))
    made = read(snapshot)
    data = path.read_bytes()
    stored = StoredFile(
        name=str(path), bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), lines=plain.count(b"\n")
    )
    records = [msgspec.structs.replace(one, offset=None, length=None, sha256=None) for one in made.registries]
    summary = folder / "summary.json"
    summary.write_bytes(dump(msgspec.structs.replace(made, files=(stored,), registries=tuple(records))))
    return str(path), str(summary)


def changes(lines: str) -> list[tuple[str, str | None, str | None]]:
    found = [json.loads(line) for line in lines.splitlines()]
    return [(line["change"], line["registry"], line["name"]) for line in found]


# ── files and their summaries ──


def test_a_file_without_a_summary_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit 2, nothing on standard output, and how to go on; a missing file is called so first."""
    (old, summary), (new, _) = make_file(tmp_path / "old", OLD), make_file(tmp_path / "new", NEW)
    for arguments, option in (([], "--old-summary"), (["--old-summary", summary], "--new-summary")):
        assert run(["diff", old, new, *arguments]) == 2
        output = capfd.readouterr()
        assert f"give {option} FILE" in output.err
        assert "--assume-complete" in output.err
        assert output.out == ""
    assert run(["diff", old, new, "--assume-complete"]) == 0
    assert run(["diff", str(tmp_path / "none"), new]) == 2
    assert "No such file" in capfd.readouterr().err


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("verdict", [*Verdict, None])
def test_a_summary_tells_removed_from_unknown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str, verdict: Verdict | None
) -> None:
    """Of a registry that the file lacks: whole or gone, it had none; with any other verdict nobody knows."""
    old = make_file(tmp_path / "old", OLD, suffix)
    verdicts = {} if verdict is None else {B: verdict}
    new = make_file(tmp_path / "new", NEW_WITHOUT_B, suffix, verdicts=verdicts)
    is_known = verdict is None or verdict.is_whole or verdict is Verdict.GONE
    code = run(["diff", old[0], new[0], "--old-summary", old[1], "--new-summary", new[1]])
    found = changes(capfd.readouterr().out)
    assert code == (0 if is_known else 3)
    assert (("removed" if is_known else "unknown"), "team-b", "b") in found
    assert (("unknown", "team-b", None) in found) is not is_known
    assert found[:3] == [("removed", "team-a", "1"), ("changed", "team-a", "3"), ("added", "team-a", "4")]


def test_a_registry_that_was_not_asked_for_is_unknown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A run of named registries knows no list of the region: what it does not name may be there."""
    old, new = make_file(tmp_path / "old", OLD), make_file(tmp_path / "new", NEW_WITHOUT_B)
    summary = tmp_path / "new" / "summary.json"
    named = msgspec.json.decode(summary.read_bytes(), type=Manifest)
    summary.write_bytes(dump(msgspec.structs.replace(named, regions=())))
    assert run(["diff", old[0], new[0], "--old-summary", old[1], "--new-summary", new[1]]) == 3
    assert changes(capfd.readouterr().out) == [
        ("unknown", None, None),
        ("removed", "team-a", "1"),
        ("changed", "team-a", "3"),
        ("added", "team-a", "4"),
        ("unknown", "team-b", None),
        ("unknown", "team-b", "b"),
    ]


def test_a_region_that_was_not_looked_through_is_unknown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its list of registries was looked at once only: one that is not in it may be there."""
    old = make_file(tmp_path / "old", OLD)
    new = make_file(tmp_path / "new", NEW_WITHOUT_B, regions={"kr": Verdict.UNVERIFIED})
    assert run(["diff", old[0], new[0], "--old-summary", old[1], "--new-summary", new[1]]) == 3
    assert ("unknown", "team-b", "b") in changes(capfd.readouterr().out)


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_a_damaged_file_is_not_compared(tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str) -> None:
    """Exit 3 with a sentence and no line, though every line of it is a record: its summary tells."""
    old, new = make_file(tmp_path / "old", OLD), make_file(tmp_path / "new", NEW, suffix)
    path = tmp_path / "new" / f"images.ndjson{suffix}"
    path.write_bytes(pack(unpack(path.read_bytes(), suffix).replace(b'"name":"2"', b'"name":"9"'), suffix))
    assert run(["diff", old[0], new[0], "--old-summary", old[1], "--new-summary", new[1]]) == 3
    output = capfd.readouterr()
    assert output.err.startswith(f"ncrawl: {path}: does not have the SHA-256 of its summary")
    assert output.out == ""


def test_summaries_of_other_runs_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Two that were mixed up are a mistake, exit 2; so are a manifest beside a snapshot, and what is no summary."""
    old, new = make_file(tmp_path / "old", OLD), make_file(tmp_path / "new", NEW_WITHOUT_B, ".zst")
    assert run(["diff", old[0], new[0], "--old-summary", new[1], "--new-summary", old[1]]) == 2
    assert "its summary describes another file, " in capfd.readouterr().err
    snapshot = str(tmp_path / "old" / "snapshot")
    assert run(["diff", snapshot, new[0], "--old-summary", old[1], "--new-summary", new[1]]) == 2
    assert "leave the option out" in capfd.readouterr().err
    for data, sentence, code in ((None, "cannot be read: ", 2), (b"{}", "no format", 2), (b"x", "is damaged", 3)):
        (tmp_path / "old" / "summary.json").unlink(missing_ok=True)
        if data is not None:
            (tmp_path / "old" / "summary.json").write_bytes(data)
        assert run(["diff", old[0], new[0], "--old-summary", old[1], "--new-summary", new[1]]) == code
        error = capfd.readouterr().err
        assert sentence in error
        assert error.startswith(f"ncrawl: {old[1]}")


def test_a_file_that_was_packed_afterwards_has_its_summary(tmp_path: Path) -> None:
    """`ncrawl images --summary FILE | zstd`: what it unpacks to is what the summary describes."""
    old, new = make_file(tmp_path / "old", OLD), make_file(tmp_path / "new", NEW)
    for suffix in (".gz", ".zst"):
        packed = tmp_path / f"packed{suffix}"
        packed.write_bytes(pack((tmp_path / "new" / "images.ndjson").read_bytes(), suffix))
        assert run(["diff", old[0], str(packed), "--old-summary", old[1], "--new-summary", new[1]]) == 0


@pytest.mark.parametrize(("change", "code"), [(b"", 0), (b"\n", 2), (image_line(A, image("9")), 3)])
def test_a_pipe_is_held_to_its_summary(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], change: bytes, code: int
) -> None:
    """While it is read, and before the first line comes out."""
    old, new = make_file(tmp_path / "old", OLD), make_file(tmp_path / "new", NEW)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = (tmp_path / "new" / "images.ndjson").read_bytes() + change
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    assert run(["diff", old[0], str(pipe), "--old-summary", old[1], "--new-summary", new[1]]) == code
    writer.join()
    assert bool(capfd.readouterr().out) is (code == 0)


# ── accounts ──


def of_run(manifest: Manifest, *, identity: str | None = None, zone: str = "public") -> Manifest:
    changed = msgspec.structs.replace(manifest.run, identity=identity, options={"zone": zone})
    return msgspec.structs.replace(manifest, run=changed)


def renamed(contents: Contents, account: str) -> Contents:
    return {(account, region, registry): images for (_, region, registry), images in contents.items()}


def test_other_keys_are_noted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """They may have been changed, so the snapshots are compared all the same; equal or unknown ones are no news."""
    old, new = make_snapshot(tmp_path / "old", OLD), make_snapshot(tmp_path / "new", NEW)
    reseal(old, partial(of_run, identity="1"))
    for identity, is_noted in (("1", False), (None, False), ("2", True)):
        reseal(new, partial(of_run, identity=identity))
        assert run(["diff", str(old), str(new)]) == 0
        output = capfd.readouterr()
        assert len(output.out.splitlines()) == 3
        assert ("note: " in output.err and "were taken with different keys" in output.err) is is_noted


def test_another_zone_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Regions of two zones share their codes, and nothing else."""
    old, new = make_snapshot(tmp_path / "old", OLD), make_snapshot(tmp_path / "new", NEW)
    reseal(old, of_run)
    reseal(new, partial(of_run, zone="gov"))
    assert run(["diff", str(old), str(new)]) == 2
    output = capfd.readouterr()
    assert f"{old} is of zone public, {new} of zone gov" in output.err
    assert output.out == ""


def test_one_account_under_two_names_is_one(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The keys are the same: it is said, lines bear the new name, and records are shown as they are."""
    old, new = make_snapshot(tmp_path / "old", renamed(OLD, "zoo")), make_snapshot(tmp_path / "new", NEW)
    for snapshot in (old, new):
        reseal(snapshot, partial(of_run, identity="1"))
    assert run(["diff", str(old), str(new)]) == 0
    output = capfd.readouterr()
    assert "they are compared as one account, default" in output.err
    lines = [json.loads(line) for line in output.out.splitlines()]
    assert [(line["change"], line["account"], line["name"], line["fields"]) for line in lines] == [
        ("removed", "default", "1", []),
        ("changed", "default", "3", ["n"]),
        ("added", "default", "4", []),
    ]
    assert [line["before"] and line["before"]["account"] for line in lines] == ["zoo", "zoo", None]
    assert run(["diff", str(new), str(old)]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 3


def test_two_accounts_are_noted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Other names and other keys: nothing of the one is compared with the other, and that is said."""
    old, new = make_snapshot(tmp_path / "old", renamed(OLD, "zoo")), make_snapshot(tmp_path / "new", NEW)
    assert run(["diff", "--summary", str(old), str(new)]) == 0
    output = capfd.readouterr()
    assert "nothing of the one is compared with the other" in output.err
    assert json.loads(output.out) == {"added": 4 + 2, "removed": 4 + 2, "changed": 0, "unknown": 0}


# ── --ignore ──


@pytest.mark.parametrize("suffix", ["", ".zst"])
def test_a_field_that_never_occurs_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str) -> None:
    """A misspelled --ignore would ignore nothing; one that any record has is none, nor one where there are none."""
    contents = {A: [image("1"), image("2", é=1)]}
    snapshot = str(make_snapshot(tmp_path / "s", contents, suffix=suffix))
    empty = str(make_snapshot(tmp_path / "empty", {}, suffix=suffix))
    given = ["--ignore", "pul_count", "--ignore", "pull_count", "--ignore", "é"]
    assert run(["diff", *given, snapshot, snapshot]) == 0
    assert capfd.readouterr().err == "ncrawl: warning: --ignore pul_count: no record has such a field\n"
    assert run(["diff", *given, empty, empty]) == 0
    assert capfd.readouterr().err == ""
