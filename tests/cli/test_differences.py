"""`ncrawl diff --format text`: counts first, grouped by registry, names aligned, and no more hidden than in NDJSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.snapshot_maker import image, make_snapshot

from crawler.cli import differences, run
from crawler.cli.differences import as_text
from crawler.core.errors import OutputError
from crawler.core.model import Verdict
from crawler.snapshot.comparing.diff import CHANGES, Difference

if TYPE_CHECKING:
    from pathlib import Path

A, B, C = ("default", "kr", "team-a"), ("default", "kr", "team-b"), ("default", "sgn", "team-c")


def text_of(*some: Difference, account: str | None = "default") -> str:
    """Return the text of differences."""
    return b"".join(as_text(some, account)).decode()


def test_what_a_person_reads(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The whole of it, over two snapshots of which one is not whole; the exit code is the same as without."""
    old = {A: [image("api", pull_count=10), image("old"), image("worker-of-nights", pull_count=1)], B: [image("x")]}
    new = {A: [image("api", pull_count=12), image("new"), image("worker-of-nights", pull_count=2, tags=3)]}
    lost: dict[str, Any] = {"verdicts": {B: Verdict.FAILED}, "regions": {"sgn": Verdict.FAILED}}
    sides = make_snapshot(tmp_path / "old", old), make_snapshot(tmp_path / "new", new, **lost)
    assert run(["diff", "--format", "text", *map(str, sides)]) == 3
    assert capfd.readouterr().out == (
        "registries  2 unknown\n"
        "images      1 added, 1 removed, 2 changed, 1 unknown\n"
        "\n"
        "sgn: registries 1 unknown\n"
        "  ? (which registries there are: a side does not know)\n"
        "\n"
        "kr/team-a: images 1 added, 1 removed, 2 changed\n"
        "  ~ api               pull_count 10 → 12\n"
        "  + new\n"
        "  - old\n"
        "  ~ worker-of-nights  pull_count 1 → 2, tags (none) → 3\n"
        "\n"
        "kr/team-b: registries 1 unknown; images 1 unknown\n"
        "  ? (team-b: a side does not have all of it)\n"
        "  ? x\n"
    )


def test_times_are_told_as_such(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Milliseconds are for machines; what is no such number stays as it is, whatever its field is called."""
    old = make_snapshot(tmp_path / "old", {A: [image("x", last_updated=1732101823107, pull_count=1732101823107)]})
    new = make_snapshot(tmp_path / "new", {A: [image("x", last_updated="1732101823107", pull_count=5)]})
    assert run(["diff", "--format", "text", str(old), str(new)]) == 0
    told = capfd.readouterr().out
    assert 'last_updated 2024-11-20T11:23:43.107Z → "1732101823107"' in told
    assert "pull_count 1732101823107 → 5" in told


def test_exit_codes_and_counts(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """0 and a sentence without differences, 1 under --exit-code with some; --summary has the counts alone."""
    old, new = str(make_snapshot(tmp_path / "old", {A: [image("x")]})), str(make_snapshot(tmp_path / "new", {A: []}))
    assert run(["diff", "--format", "text", "--exit-code", old, old]) == 0
    assert capfd.readouterr().out == "no differences\n"
    assert run(["diff", "--format", "text", "--exit-code", old, new]) == 1
    assert run(["diff", "--format", "text", old, new]) == 0
    capfd.readouterr()
    assert run(["diff", "--format", "text", "--summary", old, new]) == 0
    assert capfd.readouterr().out == "images  1 removed\n"
    assert run(["diff", "--format", "xml", old, new]) == 2


def test_other_accounts_are_named() -> None:
    """Where several are compared, each registry says whose it is."""
    text = text_of(Difference("added", *A, "x"), Difference("added", "other", "kr", "team-a", "x"))
    assert "\nkr/team-a: images 1 added\n" in text
    assert "\nkr/team-a of account other: images 1 added\n" in text


def test_many_fields_and_long_values_are_cut_short() -> None:
    """A line stays a line that can be read."""
    before = b'{"name":"x","a":"%b","b":1,"c":1,"d":1,"e":1}' % (b"y" * 1000)
    text = text_of(Difference("changed", *A, "x", before, b'{"name":"x"}', ("a", "b", "c", "d", "e")))
    (line,) = [line for line in text.splitlines() if line.startswith("  ~")]
    assert line.endswith("… → (none), b 1 → (none), c 1 → (none), 2 more fields")
    assert len(line) < 120


HOSTILE = st.text(min_size=1, max_size=300)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(CHANGES), st.sampled_from((A, B, C)), HOSTILE), max_size=20))
def test_a_row_a_difference(some: list[tuple[Any, tuple[str, str, str], str]]) -> None:
    """Whatever names hold: each difference is one line with its mark, printable, below the registry that it is in."""
    ordered = sorted(some, key=lambda one: one[1])
    text = text_of(*(Difference(change, *place, name) for change, place, name in ordered))
    rows = [line for line in text.split("\n") if line.startswith("  ")]
    assert [row[2] for row in rows] == ["+-~?"[CHANGES.index(change)] for change, _, _ in ordered]
    assert not {"\x1b", "\x9b", "\u202e", "\r", "\t"} & set(text)
    assert len([line for line in text.split("\n") if line.startswith(("kr/", "sgn/"))]) == len({one[1] for one in some})


def test_more_than_fits_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows come back from a file as they were."""
    some = [Difference("added", *A, f"image-{number}") for number in range(100)]
    whole = text_of(*some)
    monkeypatch.setattr(differences, "_IN_MEMORY_BYTES", 100)
    assert text_of(*some) == whole
    assert whole.startswith("images  100 added\n\nkr/team-a: images 100 added\n  + image-0\n")


def test_no_room_for_a_temporary_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of our errors, which names the folder."""
    monkeypatch.setattr(differences, "_IN_MEMORY_BYTES", 1)
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    with pytest.raises(OutputError, match="/nowhere"):
        text_of(Difference("added", *A, "x"))
