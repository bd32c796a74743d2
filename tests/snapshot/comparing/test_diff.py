"""`ncrawl diff`: exactly what changed, and never a removal that nobody can vouch for."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.snapshot_maker import IMAGES, ImageKey, as_format_1, image, image_line, make_snapshot, pack

from crawler.api import collections
from crawler.cli import run
from crawler.core.errors import OutputError
from crawler.core.model import Verdict
from crawler.snapshot.comparing.diff import Difference, diff
from crawler.snapshot.comparing.opening import open_side
from crawler.snapshot.manifest import MANIFEST
from crawler.snapshot.reading import records, sorting
from crawler.snapshot.reading.chunks import DamagedError, UnreadableError
from crawler.snapshot.reading.records import encode_text, parse_key
from crawler.snapshot.reading.sorting import sorted_records
from crawler.snapshot.reading.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from support.snapshot_maker import Contents, Place

A: Place = ("default", "kr", "team-a")
B: Place = ("default", "kr", "team-b")
C: Place = ("default", "sgn", "team-c")
SUFFIXES = ["", ".gz", ".zst"]


def compare(old: Path, new: Path, ignored: Iterable[str] = ()) -> list[Difference]:
    sides = open_side(old, assume_complete=True), open_side(new, assume_complete=True)
    return list(diff(*sides, Witness(ignored)))


def compare_records(tmp_path: Path, before: bytes, after: bytes, ignored: Iterable[str] = ()) -> list[Difference]:
    """Compare two plain files of one record each."""
    for name, record in (("old", before), ("new", after)):
        (tmp_path / name).write_bytes(image_line(A, record))
    return compare(tmp_path / "old", tmp_path / "new", ignored)


def kinds(differences: Sequence[Difference]) -> list[tuple[str, str | None, str | None]]:
    return [(one.change, one.registry, one.name) for one in differences]


# ── the format ──


def test_a_difference_is_a_line(tmp_path: Path) -> None:
    """Keys in the order of the contract; both records as they stand, every digit of their numbers."""
    old = make_snapshot(tmp_path / "old", {A: [b'{"name":"a","big":10000000000000000000001, "n":1}'], B: []})
    new = make_snapshot(tmp_path / "new", {A: [b'{"name":"a","big":1.10e400, "n":1}'], B: [b'{"name":"b"}']})
    lines = [one.line() for one in compare(old, new)]
    assert b"".join(lines) == (
        b'{"change":"changed","level":"image","account":"default","region":"kr","registry":"team-a","image":null,"name":"a",'
        b'"before":{"account":"default","region":"kr","registry":"team-a",'
        b'"name":"a","big":10000000000000000000001, "n":1},'
        b'"after":{"account":"default","region":"kr","registry":"team-a","name":"a","big":1.10e400, "n":1},'
        b'"fields":["big"]}\n'
        b'{"change":"added","level":"image","account":"default","region":"kr","registry":"team-b","image":null,"name":"b",'
        b'"before":null,"after":{"account":"default","region":"kr","registry":"team-b","name":"b"},"fields":[]}\n'
    )


CHANGES = {
    "same": (b'{"name":"a","n":1}', b'{"name":"a","n":1}', None),
    "number written otherwise": (b'{"name":"a","n":1.1}', b'{"name":"a","n":1.10}', None),
    "number with an exponent": (b'{"name":"a","n":[1e2,-0.0,1e1000000]}', b'{"name":"a","n":[100,0,10e999999]}', None),
    "exponents of 5,000 digits": (
        b'{"name":"a","n":10e%b8,"o":1e%b9}' % (b"9" * 5000, b"9" * 5000),
        b'{"name":"a","n":1e%b9,"o":1e%b8}' % (b"9" * 5000, b"9" * 5000),
        ("o",),
    ),
    "number with 20 digits": (
        b'{"name":"a","n":10000000000000000000}',
        b'{"name":"a","n":10000000000000000001}',
        ("n",),
    ),
    "text written otherwise": (rb'{"name":"a","n":"\u00e9\ud83d\ude00\/"}', '{"name":"a","n":"é😀/"}'.encode(), None),
    "field written otherwise": (rb'{"name":"a","\u00e9":1}', '{"name":"a","é":1}'.encode(), None),
    "name written otherwise": (rb'{"name":"\u0061","n":1}', b'{"name":"a","n":2}', ("n",)),
    "text of a letter and a mark": (b'{"name":"a","n":"\xc3\xa9"}', b'{"name":"a","n":"e\xcc\x81"}', ("n",)),
    "order of fields below": (b'{"name":"a","n":[{"x":1,"y":[2]}]}', b'{"name":"a","n":[{"y":[2.0],"x":1}]}', None),
    "order of a list": (b'{"name":"a","n":[1,2]}', b'{"name":"a","n":[2,1]}', ("n",)),
    "a list in a list": (b'{"name":"a","n":[[1],2]}', b'{"name":"a","n":[[1,2]]}', ("n",)),
    "a key twice below": (b'{"name":"a","n":{"x":1,"x":2}}', b'{"name":"a","n":{"x":2}}', None),
    "number and true": (b'{"name":"a","n":[1,0]}', b'{"name":"a","n":[true,false]}', ("n",)),
    "null and missing below": (b'{"name":"a","n":{"x":null}}', b'{"name":"a","n":{}}', ("n",)),
    "nested deep": (
        b'{"name":"a","n":%b}' % (b"[" * 240 + b"1" + b"]" * 240),
        b'{"name":"a","n":%b}' % (b"[" * 240 + b"1.0" + b"]" * 240),
        None,
    ),
    "number and text": (b'{"name":"a","n":1}', b'{"name":"a","n":"1"}', ("n",)),
    "null and missing": (b'{"name":"a","n":null}', b'{"name":"a"}', ("n",)),
    "missing and null": (b'{"name":"a"}', b'{"name":"a","n":null}', ("n",)),
    "new order first, lost last": (b'{"name":"a","x":1,"y":1,"z":1}', b'{"name":"a","z":2,"x":2}', ("z", "x", "y")),
    "order of fields": (b'{"name":"a","x":1,"y":2}', b'{"name":"a","y":2,"x":1}', None),
    "blanks": (b'{"name":"a","n":[1, {"x": "\\" "}]}', b'{"name" : "a","n": [1,{"x":"\\" "}] }', None),
    "blanks in texts": (b'{"name":"a","n":["a b"]}', b'{"name":"a","n":["ab"]}', ("n",)),
    "text": (b'{"name":"a","n":"x y"}', b'{"name":"a","n":"x  y"}', ("n",)),
    "list and nothing": (b'{"name":"a"}', b'{"name":"a","n":[ ]}', ("n",)),
    "lone surrogates": (
        rb'{"name":"a", "n":"\ud800" ,"m" : {},"o":1}',
        rb'{"name":"a","n":"\udc00","m":{}}',
        ("n", "o"),
    ),
    "name is a lone surrogate": (rb'{"name":"\ud800","n":1}', rb'{"name":"\ud800","n":2}', ("n",)),
    "field is a lone surrogate": (rb'{"name":"a","\ud800":1}', rb'{"name":"a","\ud800":2}', ("\ud800",)),
    "a key twice": (b'{"name":"a","n":1,"n":2}', b'{"name":"a","n":3,"n":2}', None),
}


@pytest.mark.parametrize(("before", "after", "fields"), CHANGES.values(), ids=CHANGES)
def test_what_counts_as_a_change(tmp_path: Path, before: bytes, after: bytes, fields: tuple[str, ...] | None) -> None:
    """What a value means does; how it is spelled does not. Lines stay valid JSON, and show records as they are."""
    differences = compare_records(tmp_path, before, after)
    assert [one.fields for one in differences] == ([] if fields is None else [fields])
    for one in differences:
        line = json.loads(one.line())
        assert line["fields"] == list(fields or ())
        assert line["before"] == json.loads(image_line(A, before))
        assert image_line(A, before).strip() in one.line()


def test_ignored_fields_do_not_change(tmp_path: Path) -> None:
    """Neither what changed, nor what was lost or gained; the records are shown with them all the same."""
    before, after = b'{"name":"a","x":1,"y":1,"z":1}', b'{"name":"a","x":2,"y":2,"new":1}'
    assert compare_records(tmp_path, before, after, {"x", "y", "z", "new"}) == []
    (difference,) = compare_records(tmp_path, before, after, {"x", "z", "new"})
    assert difference.fields == ("y",)
    assert b'"x":2' in (difference.after or b"")


# ── what a side excluded ──


def test_what_one_side_excluded_is_unknown(tmp_path: Path) -> None:
    """Its images are neither removed nor added, whether the other side has any or not; another registry's are."""
    whole = make_snapshot(tmp_path / "whole", {A: [image("a")], B: [image("b")]})
    without = make_snapshot(tmp_path / "without", {B: []}, excluded={A: "team-a"})
    expected = [("unknown", "team-a", None), ("unknown", "team-a", "a")]
    assert kinds(compare(whole, without)) == [*expected, ("removed", "team-b", "b")]
    assert kinds(compare(without, whole)) == [*expected, ("added", "team-b", "b")]
    assert run(["diff", str(whole), str(without)]) == 3
    deleted = make_snapshot(tmp_path / "deleted", {B: []})
    assert kinds(compare(without, deleted)) == [("unknown", "team-a", None)]


def test_what_both_sides_excluded_is_not_compared(tmp_path: Path) -> None:
    """By whatever patterns: no difference, exit 0."""
    old = make_snapshot(tmp_path / "old", {B: [image("b")]}, excluded={A: "team-a"})
    new = make_snapshot(tmp_path / "new", {B: [image("b")]}, excluded={A: "kr/*a"})
    assert compare(old, new) == []
    assert run(["diff", str(old), str(new)]) == 0


def test_a_snapshot_of_format_1(tmp_path: Path) -> None:
    """It can be compared with today's."""
    old = as_format_1(make_snapshot(tmp_path / "old", {A: [image("a")]}))
    new = make_snapshot(tmp_path / "new", {A: [image("b")]})
    assert kinds(compare(old, new)) == [("removed", "team-a", "a"), ("added", "team-a", "b")]


# ── laws ──

names = st.text(st.characters(codec="utf-8") | st.sampled_from("\ud800\udfff/"), min_size=1, max_size=3)
accounts = st.dictionaries(
    st.sampled_from([A, B, C]), st.dictionaries(names, st.sampled_from(["0", "1", "1.0", '"x"', "[ ]"]))
)


def contents_of(account: dict[Place, dict[str, str]]) -> Contents:
    return {
        place: [b'{"name":%b,"n":%b}' % (encode_text(name), value.encode()) for name, value in sorted(images.items())]
        for place, images in account.items()
    }


def lines_of(snapshot: Path) -> dict[records.Key, bytes]:
    lines = (snapshot / IMAGES).read_bytes().split(b"\n")[:-1]
    return {parse_key(line, ImageKey): line for line in lines}


@given(accounts, accounts)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_diff_applied_to_the_old_gives_the_new(
    one: dict[Place, dict[str, str]], other: dict[Place, dict[str, str]]
) -> None:
    """Nothing is missing from a diff, nothing too much, and all of it is in order; equal snapshots have none."""
    with tempfile.TemporaryDirectory() as folder:
        old = make_snapshot(Path(folder, "old"), contents_of(one), regions={"kr": COMPLETE, "sgn": COMPLETE})
        new = make_snapshot(Path(folder, "new"), contents_of(other), regions={"kr": COMPLETE, "sgn": COMPLETE})
        assert compare(old, old) == []
        patched, wanted = lines_of(old), lines_of(new)
        differences = [one for one in compare(old, new) if one.level == "image"]
    keys = []
    for one_difference in differences:
        key = ImageKey(*one_difference[1:5])  # type: ignore[arg-type]
        assert patched.pop(key, None) == one_difference.before
        if one_difference.after is not None:
            patched[key] = one_difference.after
        keys.append(key)
    assert patched == wanted
    assert keys == sorted(keys)


# ── verdicts ──

COMPLETE, DRIFT, GONE = Verdict.COMPLETE, Verdict.COMPLETE_WITH_DRIFT, Verdict.GONE
NOT_WHOLE = [Verdict.INCOMPLETE, Verdict.DENIED, Verdict.FAILED]
OLD = {A: [image("1"), image("2"), image("3", n=1)], B: [image("b")]}
NEW = {A: [image("2"), image("3", n=2), image("4")], B: [image("b")]}


@pytest.mark.parametrize("verdict", [COMPLETE, DRIFT, GONE])
def test_whole_registries_are_certain(tmp_path: Path, verdict: Verdict) -> None:
    """Also after drift, and if the registry itself is gone."""
    old = make_snapshot(tmp_path / "old", OLD, verdicts={A: verdict})
    new = make_snapshot(tmp_path / "new", NEW, verdicts={A: verdict})
    assert kinds(compare(old, new)) == [
        ("removed", "team-a", "1"),
        ("changed", "team-a", "3"),
        ("added", "team-a", "4"),
    ]


@pytest.mark.parametrize("verdict", NOT_WHOLE)
def test_a_new_side_that_is_not_whole_removes_nothing(tmp_path: Path, verdict: Verdict) -> None:
    """What it does not have is unknown; what it has is certain. The registry itself is unknown, ahead of its images."""
    old = make_snapshot(tmp_path / "old", OLD)
    new = make_snapshot(tmp_path / "new", NEW, verdicts={A: verdict})
    differences = compare(old, new)
    assert kinds(differences) == [
        ("unknown", "team-a", None),
        ("unknown", "team-a", "1"),
        ("changed", "team-a", "3"),
        ("added", "team-a", "4"),
    ]
    assert differences[0].line() == (
        b'{"change":"unknown","level":"registry","account":"default","region":"kr","registry":"team-a","image":null,"name":null,'
        b'"before":null,"after":null,"fields":[]}\n'
    )
    assert differences[1].before == image_line(A, image("1")).strip()


@pytest.mark.parametrize("verdict", NOT_WHOLE)
def test_an_old_side_that_is_not_whole_adds_nothing(tmp_path: Path, verdict: Verdict) -> None:
    """What it did not have may have been there."""
    old = make_snapshot(tmp_path / "old", OLD, verdicts={A: verdict})
    new = make_snapshot(tmp_path / "new", NEW)
    assert kinds(compare(old, new)) == [
        ("unknown", "team-a", None),
        ("removed", "team-a", "1"),
        ("changed", "team-a", "3"),
        ("unknown", "team-a", "4"),
    ]


def test_a_registry_that_failed_twice_is_not_passed_over(tmp_path: Path) -> None:
    """Though neither side has an image of it."""
    old = make_snapshot(tmp_path / "old", {}, verdicts={A: Verdict.DENIED})
    new = make_snapshot(tmp_path / "new", {}, verdicts={A: Verdict.DENIED})
    assert kinds(compare(old, new)) == [("unknown", "team-a", None)]


def test_a_registry_that_is_not_there_is_removed(tmp_path: Path) -> None:
    """If the new side knows all registries of the region."""
    old = make_snapshot(tmp_path / "old", OLD)
    new = make_snapshot(tmp_path / "new", {A: OLD[A]})
    assert kinds(compare(old, new)) == [("removed", None, "team-b"), ("removed", "team-b", "b")]
    assert kinds(compare(new, old)) == [("added", None, "team-b"), ("added", "team-b", "b")]


def test_a_registry_in_a_region_that_failed_is_unknown(tmp_path: Path) -> None:
    """The region comes first, without account and registry, then the registry, then its images."""
    old = make_snapshot(tmp_path / "old", OLD)
    new = make_snapshot(tmp_path / "new", {A: OLD[A]}, regions={"kr": Verdict.FAILED})
    assert kinds(compare(old, new)) == [
        ("unknown", None, None),
        ("unknown", "team-b", None),
        ("unknown", "team-b", "b"),
    ]


def test_a_region_that_was_not_crawled_is_unknown(tmp_path: Path) -> None:
    """Also if a side that looked found no registries there."""
    old = make_snapshot(tmp_path / "old", {A: OLD[A]}, regions={"sgn": COMPLETE})
    new = make_snapshot(tmp_path / "new", {A: OLD[A]})
    (difference,) = compare(old, new)
    assert (difference.change, difference.account, difference.region) == ("unknown", None, "sgn")


# ── files that are no snapshots ──


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_plain_files_are_compared(tmp_path: Path, suffix: str) -> None:
    """As snapshots are; under --assume-complete they are whole, and a snapshot beside one keeps its doubts."""
    old, new = tmp_path / f"old{suffix}", tmp_path / f"new{suffix}"
    for path, contents in ((old, OLD), (new, NEW)):
        lines = [image_line(place, record) for place in contents for record in contents[place]]
        path.write_bytes(pack(b"".join(lines), suffix))
    expected = [("removed", "team-a", "1"), ("changed", "team-a", "3"), ("added", "team-a", "4")]
    assert kinds(compare(old, new)) == expected
    snapshot = make_snapshot(tmp_path / "s", NEW, suffix=suffix, verdicts={A: Verdict.INCOMPLETE})
    assert kinds(compare(old, snapshot))[:2] == [("unknown", "team-a", None), ("unknown", "team-a", "1")]
    assert kinds(compare(new, new)) == []


def unsorted_file(path: Path, images: int) -> Path:
    lines = [image_line(place, image(f"{number * 7919 % images:06}")) for number in range(images) for place in (C, A)]
    path.write_bytes(b"".join(lines).rstrip(b"\n"))  # without a newline at the end
    return path


def test_unsorted_files_are_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ncrawl images` writes in the order of arrival: files are merged from sorted runs, however many."""
    plain = unsorted_file(tmp_path / "plain", 1000)
    snapshot = make_snapshot(tmp_path / "s", {place: [image(f"{n:06}") for n in range(1000)] for place in (A, C)})
    monkeypatch.setattr(sorting, "RUN_BYTES", 20_000)
    monkeypatch.setattr("crawler.snapshot.reading.chunks.CHUNK_BYTES", 5_000)
    assert compare(plain, snapshot) == compare(snapshot, plain) == compare(plain, plain) == []


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """`ncrawl diff <(zcat old.gz) new` works, though a pipe cannot be looked through first."""
    plain = unsorted_file(tmp_path / "plain", 100)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(plain.read_bytes(),))
    writer.start()
    assert compare(pipe, plain) == []
    writer.join()


def test_an_image_twice_is_refused(tmp_path: Path) -> None:
    """Which of the two would be compared?"""
    path = tmp_path / "twice"
    path.write_bytes(2 * image_line(A, image("x")))
    with pytest.raises(UnreadableError, match="image kr/team-a/x is there twice"):
        list(sorted_records([path.read_bytes()], path, collections.IMAGES))


def test_an_unsorted_snapshot_is_damaged(tmp_path: Path) -> None:
    """It is not sorted in silence: a merge out of order would report removals that never were."""
    snapshot = make_snapshot(tmp_path / "s", {A: [image("b"), image("a")]})
    with pytest.raises(DamagedError, match="kr/team-a: its images are not sorted"):
        compare(snapshot, make_snapshot(tmp_path / "new", NEW))


def test_sorting_needs_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A temporary folder that cannot be written to is an error of output: exit 74."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(OutputError, match="missing"):
        list(sorted_records([unsorted_file(tmp_path / "plain", 10).read_bytes()], tmp_path, collections.IMAGES))


# ── the command ──


@pytest.fixture
def nights(tmp_path: Path) -> tuple[str, str]:
    """Folders of two complete snapshots with one addition, one change and one removal."""
    return str(make_snapshot(tmp_path / "old", OLD)), str(make_snapshot(tmp_path / "new", NEW))


def test_exit_codes(tmp_path: Path, nights: tuple[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    """0 with or without differences, 1 with --exit-code as git does, 3 with unknowns whatever else there is."""
    old, new = nights
    doubtful = str(make_snapshot(tmp_path / "doubtful", NEW, verdicts={B: Verdict.INCOMPLETE}))
    assert run(["diff", old, new]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 3
    assert run(["diff", "--exit-code", old, new]) == 1
    assert run(["diff", "--exit-code", old, old]) == 0
    assert run(["diff", old, doubtful]) == run(["diff", "--exit-code", old, doubtful]) == 3
    assert capfd.readouterr().err == ""


def test_summary_counts(nights: tuple[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    """One object, also without differences; ignored fields do not count."""
    assert run(["diff", "--summary", "--ignore", "n", *nights]) == 0
    assert capfd.readouterr().out == '{"added":1,"removed":1,"changed":0,"unknown":0}\n'
    assert run(["diff", "--summary", "--exit-code", nights[0], nights[0]]) == 0
    assert json.loads(capfd.readouterr().out) == {"added": 0, "removed": 0, "changed": 0, "unknown": 0}


BAD_FILES = {
    "missing": (None, "cannot be read: No such file"),
    "text.ndjson": (b"hello\n", "line 1 is no image record: JSON is malformed"),
    "second.ndjson": (image_line(A, image("x")) + b'{"name":"x"}\n', "line 2 is no image record: Object missing"),
    "binary.ndjson": (b"\xff\xfe", "line 1 is no image record"),
    "no.zst": (b"hello", "cannot be unpacked: "),
    "no.gz": (b"hello", "cannot be unpacked: "),
    "cut.zst": (pack(image_line(A, image("x")), ".zst")[:-1], "cannot be unpacked: it is cut short"),
    "cut.gz": (pack(image_line(A, image("x")), ".gz")[:-1], "cannot be unpacked: it is cut short"),
    "empty.zst": (b"", "cannot be unpacked: it is cut short"),
    "empty.gz": (b"", "cannot be unpacked: it is cut short"),
    "no frame.zst": (bytes.fromhex("502a4d18 01000000 00"), "cannot be unpacked: it is cut short"),
    "more.zst": (pack(image_line(A, image("x")), ".zst") + b"\0" * 9, "cannot be unpacked: "),
    "more.gz": (pack(image_line(A, image("x")), ".gz") + b"\0" * 9, "cannot be unpacked: "),
    "window.zst": (bytes.fromhex("28b52ffd 00 88 010000"), "takes 128 MiB of memory "),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_get_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    """Exit 2, the file's name and what is wrong, no traceback, no data."""
    data, sentence = BAD_FILES[name]
    if data is not None:
        (tmp_path / name).write_bytes(data)
    assert run(["diff", "--assume-complete", str(tmp_path / name), str(tmp_path / name)]) == 2
    output = capfd.readouterr()
    assert output.err.startswith(f"ncrawl: {tmp_path / name}: {sentence}")
    assert output.err.count("\n") == 1
    assert output.out == ""


def test_a_damaged_manifest_gets_one_sentence(
    tmp_path: Path, nights: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    """It is damage, exit 3: without it nothing can be told; a folder without one is a mistake, exit 2."""
    old, new = map(Path, nights)
    (new / MANIFEST).write_bytes((new / MANIFEST).read_bytes()[1:])
    assert run(["diff", str(old), str(new)]) == 3
    output = capfd.readouterr()
    assert output.err.startswith(f"ncrawl: {new}: {MANIFEST} is damaged: ")
    assert output.out == ""
    assert run(["diff", str(old), str(tmp_path)]) == 2


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    """`ncrawl diff old new | head -1` ends with 141 and without a word."""
    old = make_snapshot(tmp_path / "old", {A: []})
    new = make_snapshot(tmp_path / "new", {A: [image(f"{n:05}") for n in range(5000)]})
    command = [sys.executable, "-m", "crawler", "diff", str(old), str(new)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline().startswith(b'{"change":"added"')
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_pipe_that_does_not_block_gets_every_line(tmp_path: Path) -> None:
    """Whoever started it may have made standard output so: it waits for the reader all the same."""
    old = make_snapshot(tmp_path / "old", {A: []})
    new = make_snapshot(tmp_path / "new", {A: [image(f"{n:05}") for n in range(5000)]})
    command = [sys.executable, "-m", "crawler", "diff", str(old), str(new)]
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with subprocess.Popen(command, stdout=writing) as process, os.fdopen(reading, "rb") as pipe:
        os.close(writing)
        assert len(pipe.readlines()) == 5000
    assert process.returncode == 0


def test_a_terminal_is_not_steered(tmp_path: Path) -> None:
    """What a name holds of bidi and control characters is escaped on a terminal, and exact in a file (V1)."""
    old, new = tmp_path / "old.ndjson", tmp_path / "new.ndjson"
    old.write_bytes(b"")
    new.write_bytes('{"account":"a","region":"kr","registry":"r","name":"x\u202ey\x9bz"}\n'.encode())
    command = [sys.executable, "-m", "crawler", "diff", "--assume-complete", str(old), str(new)]
    assert "\u202e".encode() in subprocess.run(command, capture_output=True, check=True).stdout
    parent, child = pty.openpty()
    subprocess.run(command, stdout=child, check=True)
    os.close(child)
    shown = os.read(parent, 65536)
    os.close(parent)
    assert shown.isascii()
    assert json.loads(shown)["after"]["name"] == "x\u202ey\x9bz"


def test_a_full_disk_is_an_error(nights: tuple[str, str]) -> None:
    """Exit 74 and one sentence."""
    with Path("/dev/full").open("wb") as full:
        process = subprocess.run(
            [sys.executable, "-m", "crawler", "diff", *nights], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert process.returncode == 74
    assert process.stderr.startswith(b"ncrawl: cannot write standard output: No space left on device")
