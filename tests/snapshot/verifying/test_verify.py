"""`ncrawl verify`: what is whole passes, and whatever is wrong is found and named."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import random
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.snapshot_maker import (
    IMAGES,
    REGISTRIES,
    ImageKey,
    as_format_1,
    image,
    image_line,
    make_snapshot,
    pack,
    reseal,
    unpack,
)

from crawler.cli import run
from crawler.core.errors import UsageError
from crawler.core.model import Verdict
from crawler.snapshot.manifest import (
    FORMAT,
    MANIFEST,
    ExcludedRegistry,
    ExpectedGap,
    Manifest,
    ManifestError,
    Reused,
    dump,
    load,
    read,
    salvage,
)
from crawler.snapshot.reading.chunks import CHUNK_BYTES, MAX_LINE_BYTES, whole_lines
from crawler.snapshot.reading.records import BadLineError, parse_keys
from crawler.snapshot.totals import RegionTotals, VerdictCounts
from crawler.snapshot.verifying.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.snapshot_maker import Place

SUFFIXES = ["", ".gz", ".zst"]
A: Place = ("default", "kr", "team-a")
B: Place = ("default", "kr", "team-b")
C: Place = ("default", "sgn", "team-c")
EMPTY: Place = ("default", "jpn", "empty")
CONTENTS = {
    EMPTY: [],
    A: [image(name, pull_count=number) for number, name in enumerate("bdfhj")],
    B: [image(name, description="설명 \N{LINE SEPARATOR}") for name in ("x/1", "x/2", "가")],
    C: [image(name) for name in "mno"],
}


def images_of(snapshot: Path) -> Path:
    return next(snapshot.glob(IMAGES + "*"))


def damage_lines(snapshot: Path, damage: Callable[[list[bytes]], object]) -> None:
    """Change the list of lines of images.ndjson, newlines included, in place."""
    path = images_of(snapshot)
    lines = path.read_bytes().splitlines(keepends=True)
    damage(lines)
    path.write_bytes(b"".join(lines))


# ── what is whole ──


def test_a_path_does_not_steer_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Controls in a snapshot's path are shown as escapes, whether it is whole or damaged (V1)."""
    snapshot = make_snapshot(tmp_path / "x\u202ey", {("default", "kr", "team-a"): [image("one")]})
    assert run(["verify", str(snapshot)]) == 0
    assert "x\\u202ey is whole" in capfd.readouterr().err
    (snapshot / "stray").touch()
    (snapshot / IMAGES).unlink()
    assert run(["verify", str(snapshot)]) == 3
    error = capfd.readouterr().err
    assert "x\\u202ey/stray does not belong to the snapshot\n" in error
    assert error.endswith("x\\u202ey is damaged: 1 finding\n")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_whole_snapshot_has_no_findings(tmp_path: Path, suffix: str) -> None:
    """Plain and compressed, with an empty registry, Korean names and a denied registry."""
    verdicts = {("default", "sgn", "secret"): Verdict.DENIED}
    snapshot = make_snapshot(tmp_path / "s", CONTENTS, suffix=suffix, verdicts=verdicts)
    assert list(verify(snapshot)) == []


def test_latest_can_be_verified(tmp_path: Path) -> None:
    """A symbolic link to a snapshot stands for the snapshot."""
    make_snapshot(tmp_path / "20261123T020000Z", CONTENTS)
    (tmp_path / "latest").symlink_to("20261123T020000Z")
    assert list(verify(tmp_path / "latest")) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_registry_may_be_larger_than_a_chunk(tmp_path: Path, suffix: str) -> None:
    """Order is proved across the chunks that a large registry is read in; so is the last line, which is altered."""
    contents = {A: [image(f"{number:05}", description="x" * 200) for number in range(5000)], B: [image("z")]}
    snapshot = make_snapshot(tmp_path / "s", contents, suffix=suffix)
    assert list(verify(snapshot)) == []
    path = images_of(snapshot)
    lines = unpack(path.read_bytes(), suffix).splitlines(keepends=True)
    lines[4999] = lines[4999].replace(b'"04999"', b'"04998"')
    path.write_bytes(pack(b"".join(lines), suffix))
    (finding,) = [finding for finding in verify(snapshot) if finding.line]
    assert (finding.registry, finding.line, finding.problem) == ("kr/team-a", 5000, "repeats line 4999")


def test_lone_surrogates_are_all_right(tmp_path: Path) -> None:
    """JSON allows what UTF-8 has no bytes for; such names sort by code point and are proved like any other."""
    names = [rb"\ud7ff", rb"\ud800", rb"\udfff", rb"\ue000", rb"\ud83d\ude00"]
    contents = {A: [b'{"name":"%b","big":%b}' % (name, b"1" * 5000) for name in names]}
    assert list(verify(make_snapshot(tmp_path / "s", contents))) == []
    swapped = {A: [contents[A][0], contents[A][2], contents[A][1], *contents[A][3:]]}
    (finding,) = verify(make_snapshot(tmp_path / "t", swapped))
    assert (finding.registry, finding.line) == ("kr/team-a", 2)


# ── the law ──


def corruption(chance: random.Random, path: Path, suffix: str) -> bytes:
    """Return a file's bytes with one thing wrong: a flipped bit, a cut, or a line swapped or added."""
    data = path.read_bytes()
    kind = chance.choice(["flip", "flip", "cut", "truncate", "swap", "add"])
    at = chance.randrange(len(data))
    if kind == "flip":
        return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
    if kind == "cut":
        return data[:at] + data[at + chance.randint(1, len(data) // 4) :]
    if kind == "truncate":
        return data[:at]
    suffix = "" if path.name == MANIFEST else suffix
    lines = unpack(data, suffix).splitlines(keepends=True)
    while True:
        changed = list(lines)
        one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        if kind == "swap":
            changed[one], changed[other] = changed[other], changed[one]
        else:
            changed.insert(one, chance.choice([changed[other], changed[other].replace(b":", b": ", 1), b"{}\n", b"\n"]))
        if changed != lines:
            return pack(b"".join(changed), suffix)


@pytest.mark.no_cover  # many runs of what is traced elsewhere
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_corruption_is_found(tmp_path: Path, suffix: str) -> None:
    """1,000 random corruptions, seeded: each is found in the file, and of images in the registry, that has it."""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS, suffix=suffix)
    chance = random.Random(f"corruption{suffix}")
    for number in range(334):
        path = snapshot / chance.choice([MANIFEST, IMAGES + suffix, IMAGES + suffix, REGISTRIES + suffix])
        whole = path.read_bytes()
        path.write_bytes(corruption(chance, path, suffix))
        findings = [finding for finding in verify(snapshot) if finding.file == path.name]
        assert findings, f"corruption {number} of {path.name}"
        if path.name == IMAGES:
            assert any(finding.registry for finding in findings), f"corruption {number} of {path.name}"
        path.write_bytes(whole)
    assert list(verify(snapshot)) == []


def test_every_bit_of_a_manifest_counts(tmp_path: Path) -> None:
    """No flipped bit of a manifest is read as a manifest, another's or none: it is always damage."""
    whole = (make_snapshot(tmp_path / "s", {A: [image("a")]}) / MANIFEST).read_bytes()
    for bit in range(0, len(whole) * 8, 3):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ManifestError):
            load(bytes(data))


# ── names for what is wrong with lines ──


def swap(one: int, other: int) -> Callable[[list[bytes]], None]:
    def damage(lines: list[bytes]) -> None:
        lines[one], lines[other] = lines[other], lines[one]

    return damage


def replace(index: int, old: bytes, new: bytes) -> Callable[[list[bytes]], None]:
    def damage(lines: list[bytes]) -> None:
        assert old in lines[index]
        lines[index] = lines[index].replace(old, new, 1)

    return damage


DAMAGES = {
    "not JSON": (replace(6, b'"name":', b'"name";'), ("kr/team-b", 7, "is no record: ")),
    "JSON of another kind": (replace(6, b'"name":', b'"mane":'), ("kr/team-b", 7, "is no record: ")),
    "name is a number": (replace(6, b'"x/2"', b"1"), ("kr/team-b", 7, "is no record: ")),
    "not UTF-8": (replace(5, b"\xec", b"\xff"), ("kr/team-b", 6, "is no record: ")),
    "NaN": (replace(6, b":true", rb':["\ud800",NaN]'), ("kr/team-b", 7, "is no record: ")),
    "nested 251 deep": (replace(6, b":true", b":" + b"[" * 250 + b"]" * 250), ("kr/team-b", 7, "is no record: nested")),
    "nested too deep": (replace(6, b":true", b":" + b"[" * 9999 + b"]" * 9999), ("kr/team-b", 7, "is no record: ")),
    "too deep, and a lone surrogate": (
        replace(6, b":true", rb':["\ud800",' + b"[" * 9999 + b"]" * 9999 + b"]"),
        ("kr/team-b", 7, "is no record: "),
    ),
    "leading field missing": (replace(6, b'"region":"kr",', b""), ("kr/team-b", 7, "is no record: ")),
    "leading field twice": (replace(6, b"}\n", b',"region":"kr"}\n'), None),
    "leading field overridden": (replace(6, b"}\n", b',"region":"sgn"}\n'), ("kr/team-b", 7, "does not begin with ")),
    "leading field with a lone surrogate": (
        replace(6, b"team-b", rb"\ud800"),
        (r"kr/\ud800", 7, "is not in order: line 8 should"),
    ),
    "leading fields elsewhere": (replace(6, b'{"account"', b'{"x":1,"account"'), ("kr/team-b", 7, "does not begin ")),
    "blank line": (lambda lines: lines.insert(3, b"\n"), ("kr/team-a", 4, "is no record: ")),
    "two records on a line": (replace(2, b"}\n", b"}{}\n"), ("kr/team-a", 3, "is no record: ")),
    "no newline at the end": (replace(-1, b"\n", b""), ("sgn/team-c", 11, "is cut: ")),
    "cut in a line": (replace(3, b'l,"name":"h","pull_count":3}\n', b""), ("kr/team-a", 4, "is no record: ")),
    "neighbours swapped": (swap(2, 3), ("kr/team-a", 3, "is not in order: line 4 should come before it")),
    "first two swapped": (swap(0, 1), ("kr/team-a", 1, "is not in order: line 2 should come before it")),
    "swapped far apart": (swap(1, 9), ("sgn/team-c", 2, "is not in order: line 3 should come before it")),
    "line moved back": (lambda lines: lines.insert(4, lines[0]), ("kr/team-a", 5, "is not in order: line 4 should")),
    "line twice": (lambda lines: lines.insert(4, lines[3]), ("kr/team-a", 5, "repeats line 4")),
    "line added": (lambda lines: lines.insert(4, image_line(A, image("i"))), ("kr/team-a", 1, "6 good lines, wh")),
    "line lost": (lambda lines: lines.pop(6), ("kr/team-b", 6, "2 good lines, where 3 should be")),
    "registry lost": (lambda lines: lines.__delitem__(slice(8, 11)), ("sgn/team-c", None, "0 good lines, where 3 ")),
    "unknown registry": (
        lambda lines: lines.append(image_line(("default", "sgn", "z\x1b"), image("i"))),
        ("sgn/z\x1b", 12, "is of a registry that manifest.json does not list"),
    ),
    "one digit altered": (replace(3, b'count":3', b'count":4'), ("kr/team-a", 1, "the 5 lines from here on")),
}


@pytest.mark.parametrize(("damage", "named"), DAMAGES.values(), ids=DAMAGES)
def test_damage_is_named(
    tmp_path: Path, damage: Callable[[list[bytes]], None], named: tuple[str, int | None, str] | None
) -> None:
    """File, registry and line are named; a line whose own fields cannot be read is named after where it stands."""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS)
    damage_lines(snapshot, damage)
    findings = [finding for finding in verify(snapshot) if finding.registry]
    assert {finding.file for finding in findings} == {IMAGES}
    if named:
        found = [(finding.registry, finding.line, finding.problem[: len(named[2])]) for finding in findings]
        assert named in found


FORGERIES = {
    "leading fields elsewhere": replace(2, b'{"account"', b'{"x":1,"account"'),
    "leading field overridden": replace(4, b"}\n", b',"registry":"team-b"}\n'),
    "another registry": replace(4, b'"team-a"', b'"team-b"'),
    "neighbours swapped": swap(2, 3),
    "no newline at the end": replace(-1, b"\n", b""),
}


@pytest.mark.parametrize("at_a_time", [1, CHUNK_BYTES])
@pytest.mark.parametrize("damage", FORGERIES.values(), ids=FORGERIES)
def test_lines_are_proved_although_every_checksum_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[list[bytes]], None], at_a_time: int
) -> None:
    """As after a bug in whatever wrote them: in one chunk, and across the border of two."""
    monkeypatch.setattr("crawler.snapshot.reading.chunks.CHUNK_BYTES", at_a_time)
    snapshot = make_snapshot(tmp_path / "s", {A: CONTENTS[A]})
    damage_lines(snapshot, damage)
    data = images_of(snapshot).read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    reseal(snapshot, change_registry(0, sha256=sha256, length=len(data)))
    reseal(snapshot, change_file(0, sha256=sha256, bytes=len(data)))
    assert [finding.file for finding in verify(snapshot)] != []


def test_one_wrong_line_is_one_finding(tmp_path: Path) -> None:
    """Besides the file's own checksum: what follows from a line that is named is not reported again."""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS)
    damage_lines(snapshot, swap(2, 3))
    assert [finding.line for finding in verify(snapshot)] == [None, 3]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_damaged_frame_does_not_hide_the_others(tmp_path: Path, suffix: str) -> None:
    """Each registry is unpacked by itself: only the one whose frame has a flipped bit is named."""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS, suffix=suffix)
    path, middle = images_of(snapshot), read(snapshot).registries[2]
    data = bytearray(path.read_bytes())
    data[(middle.offset or 0) + (middle.length or 0) // 2] ^= 0xFF
    path.write_bytes(data)
    assert {finding.registry for finding in verify(snapshot)} == {None, "kr/team-b"}


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_cut_packed_file_is_named_from_there_on(tmp_path: Path, suffix: str) -> None:
    """What cannot be unpacked any more is missing registry by registry; what came before is good."""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS, suffix=suffix)
    path, middle = images_of(snapshot), read(snapshot).registries[2]
    path.write_bytes(path.read_bytes()[: (middle.offset or 0) + 20])
    findings = list(verify(snapshot))
    assert {finding.registry for finding in findings} == {None, "kr/team-b", "sgn/team-c"}
    assert any("it is cut short" in finding.problem for finding in findings)


def test_a_file_packed_anew_is_found(tmp_path: Path) -> None:
    """The same lines in one frame are not what the manifest describes: registries could not be read by themselves."""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS, suffix=".gz")
    path = images_of(snapshot)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())))
    assert {finding.file for finding in verify(snapshot)} == {path.name}


def test_an_endless_line_is_not_held_in_memory(tmp_path: Path) -> None:
    """A file of zeros, as file systems leave them after a power loss, has no lines."""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS)
    with images_of(snapshot).open("wb") as file:
        file.truncate(MAX_LINE_BYTES + 1)
    assert any("longer than" in finding.problem for finding in verify(snapshot))


# ── files, and the other file ──


def test_missing_files_are_named(tmp_path: Path) -> None:
    """Both, and nothing but them."""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS)
    (snapshot / IMAGES).rename(snapshot / "images.bak")
    (snapshot / REGISTRIES).unlink()
    assert [finding.file for finding in verify(snapshot)] == [IMAGES, REGISTRIES]


def test_foreign_entries_are_told_and_no_damage(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """File servers put folders of their own everywhere: exit 0, a note each, and a count where they are many."""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS)
    (snapshot / "@eaDir").mkdir()
    (snapshot / "\udcff").touch()
    assert run(["verify", str(snapshot)]) == 0
    output = capfd.readouterr()
    assert output.out == ""
    assert output.err.splitlines()[:2] == [
        f"ncrawl: note: {snapshot}/@eaDir does not belong to the snapshot",
        f"ncrawl: note: {snapshot}/\\udcff does not belong to the snapshot",
    ]
    for number in range(30):
        (snapshot / f"{number}").touch()
    assert run(["verify", str(snapshot)]) == 0
    assert "note: nor do 12 other entries\n" in capfd.readouterr().err
    damage_lines(snapshot, swap(2, 3))
    assert run(["verify", str(snapshot)]) == 3
    assert "/0 does not belong" in capfd.readouterr().err


@pytest.mark.parametrize("name", [MANIFEST, IMAGES, REGISTRIES, f"{IMAGES}.zst"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    """Nobody writes into it: a finding where it takes a data file's place, and no snapshot where the manifest's."""
    suffix = name.removeprefix(IMAGES) if name.startswith(IMAGES) else ""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS, suffix=suffix)
    (snapshot / name).unlink()
    os.mkfifo(snapshot / name)
    code = 2 if name == MANIFEST else 3
    assert run(["verify", str(snapshot)]) == code
    output = capfd.readouterr()
    assert "is a pipe, not a file" in (output.err if name == MANIFEST else output.out)
    assert run(["diff", str(snapshot), str(snapshot)]) == code


def test_a_device_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    """Nothing is read from it, and a socket cannot be opened."""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS)
    for name in (IMAGES, REGISTRIES):
        (snapshot / name).unlink()
    (snapshot / IMAGES).symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(snapshot / REGISTRIES))
        problems = [finding.problem for finding in verify(snapshot)]
    assert problems == ["is a device, not a file", f"cannot be read: {os.strerror(errno.ENXIO)}"]


def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    """What cannot be read is a finding, not an error."""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS)
    (snapshot / IMAGES).unlink()
    (snapshot / IMAGES).mkdir()
    assert [(finding.file, finding.problem) for finding in verify(snapshot)] == [
        (IMAGES, "cannot be read: Is a directory")
    ]


def test_registries_are_proved_too(tmp_path: Path) -> None:
    """Lines of registries.ndjson are in order, known to the manifest, and as many as it says for each region."""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS)
    path = snapshot / REGISTRIES
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:1], lines[2], lines[1], lines[3].replace(b"team-c", b"team-d"), b"[]\n"]))
    findings = [(finding.registry, finding.line, finding.problem[:15]) for finding in verify(snapshot)]
    assert ("kr/team-b", 2, "is not in order") in findings
    assert ("sgn/team-d", 4, "is of a registr") in findings
    assert (None, 5, "is no record: E") in findings
    assert (None, None, "1 good lines of") in findings
    assert (None, None, "3 good lines, w") in findings


def made_up(manifest: Manifest, *, verdict: Verdict = Verdict.COMPLETE) -> Manifest:
    """Add the record of a registry without images, so that everything adds up."""
    last = manifest.registries[-1]
    empty = hashlib.sha256().hexdigest()
    more = msgspec.structs.replace(
        last, registry="zoo", images=0, offset=(last.offset or 0) + (last.length or 0), length=0, sha256=empty,
        verdict=verdict, pages=0, requests=0,
    )  # fmt: skip
    counts = msgspec.structs.replace(
        manifest.totals.registries, **{verdict.value: getattr(manifest.totals.registries, verdict.value) + 1}
    )
    totals = msgspec.structs.replace(manifest.totals, registries=counts)
    return msgspec.structs.replace(manifest, registries=(*manifest.registries, more), totals=totals)


def test_a_made_up_registry_is_found(tmp_path: Path) -> None:
    """Though the manifest is sealed and adds up: the list of its region, which is whole, does not have it."""
    snapshot = reseal(make_snapshot(tmp_path / "s", CONTENTS), made_up)
    (finding,) = verify(snapshot)
    assert (finding.file, finding.registry) == (REGISTRIES, "sgn/zoo")
    assert finding.problem.startswith("has no line, though manifest.json lists it")


def test_a_registry_may_have_no_line_for_a_reason(tmp_path: Path) -> None:
    """It is gone, or its region's list is not whole, so that it may have been found otherwise."""
    gone = reseal(make_snapshot(tmp_path / "gone", CONTENTS), partial(made_up, verdict=Verdict.GONE))
    assert list(verify(gone)) == []
    regions = {"sgn": Verdict.INCOMPLETE}
    assert list(verify(reseal(make_snapshot(tmp_path / "cut", CONTENTS, regions=regions), made_up))) == []


# ── manifests ──


def change_registry(index: int, **changes: object) -> Callable[[Manifest], Manifest]:
    def change(manifest: Manifest) -> Manifest:
        registries = list(manifest.registries)
        registries[index] = msgspec.structs.replace(registries[index], **changes)
        return msgspec.structs.replace(manifest, registries=tuple(registries))

    return change


def change_file(index: int, **changes: object) -> Callable[[Manifest], Manifest]:
    def change(manifest: Manifest) -> Manifest:
        files = list(manifest.files)
        files[index] = msgspec.structs.replace(files[index], **changes)
        return msgspec.structs.replace(manifest, files=tuple(files))

    return change


def change_totals(**changes: object) -> Callable[[Manifest], Manifest]:
    return lambda manifest: msgspec.structs.replace(
        manifest, totals=msgspec.structs.replace(manifest.totals, **changes)
    )


def region_totals() -> RegionTotals:
    return RegionTotals(
        registries=VerdictCounts(denied=2),
        images=8,
        pages=2,
        requests=2,
        retries=0,
        throttled=0,
        bytes=None,
        seconds=1.0,
    )


def gap(place: Place, verdict: Verdict) -> ExpectedGap:
    account, region, registry = place
    return ExpectedGap(account=account, region=region, registry=registry, verdict=verdict, reason=None)


CONTRADICTIONS = {
    "images": (change_registry(1, images=6), "totals.images"),
    "verdict of a registry": (change_registry(1, verdict=Verdict.FAILED), "totals.registries"),
    "offset": (change_registry(1, offset=1), "its offset is 1, where 0 is next"),
    "length": (change_registry(3, length=7), "its registries end at byte"),
    "no length": (change_registry(1, length=None), "has no offset, length or sha256"),
    "empty with a length": (change_registry(0, length=1), "0 images cannot take 1 bytes"),
    "sha256": (change_registry(1, sha256="0" * 64), "do not have their SHA-256"),
    "sha256 of nothing": (change_registry(0, sha256="0" * 64), "1 from here on have no offset, length or sha256"),
    "order": (change_registry(1, registry="team-c"), "is listed after kr/team-c"),
    "total images": (change_totals(images=12), "totals.images"),
    "total pages": (change_totals(pages=1), "totals.pages"),
    "total requests": (change_totals(requests=1), "totals.requests"),
    "verdict": (change_registry(1, verdict=Verdict.DENIED), "its verdict is complete, but kr has what is denied"),
    "totals of regions": (change_totals(regions={"kr": region_totals()}), "totals.regions does not add up"),
    "excluded and listed": (
        partial(
            msgspec.structs.replace,
            excluded=(ExcludedRegistry(account="default", region="kr", registry="team-a", pattern="*"),),
        ),
        "is excluded, and listed all the same",
    ),
    "a gap that is whole": (
        partial(msgspec.structs.replace, expected_gaps=(gap(A, Verdict.COMPLETE),)),
        "is an expected gap, complete, and not listed as one",
    ),
    "a gap that is not listed": (
        partial(msgspec.structs.replace, expected_gaps=(gap(("default", "kr", "team-x"), Verdict.DENIED),)),
        "is an expected gap, denied, and not listed as one",
    ),
    "files": (lambda manifest: msgspec.structs.replace(manifest, files=manifest.files[:1]), "lists other files"),
    "no files": (lambda manifest: msgspec.structs.replace(manifest, files=()), "lists other files"),
    "regions": (
        lambda manifest: msgspec.structs.replace(manifest, regions=manifest.regions[:1] * 2),
        "lists region jpn twice",
    ),
}


@pytest.mark.parametrize(("change", "problem"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_manifest_that_contradicts_itself_is_found(
    tmp_path: Path, change: Callable[[Manifest], Manifest], problem: str
) -> None:
    """Also under a right checksum: numbers add up, offsets join, files are as described."""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS)
    reseal(snapshot, change)
    assert any(problem in finding.problem for finding in verify(snapshot))


REUSE = Reused(snapshot="20261122T020000Z", reused=0, refreshed=0, refreshed_and_different=0)
START = "2026-11-23T02:00:00Z"
CONTRADICTIONS_OF_REUSE = {
    "no mark": ({"reuse": msgspec.structs.replace(REUSE, reused=1), "tags_listed_since": (START,) * 7}, "add up to 0"),
    "more different": (
        {"reuse": msgspec.structs.replace(REUSE, refreshed_and_different=1), "tags_listed_since": (START,) * 7},
        "more that is different than was refreshed",
    ),
    "no ages": ({"reuse": REUSE}, "does not say since when"),
    "six times": ({"tags_listed_since": (START,) * 6}, "is not 7 times up to its start"),
    "no times": ({"tags_listed_since": ("yesterday",) * 7}, "is not 7 times up to its start"),
    "of no zone": ({"tags_listed_since": ("2026-11-23T02:00:00",) * 7}, "is not 7 times up to its start"),
    "later": ({"tags_listed_since": (*[START] * 6, "2026-11-24T02:00:00Z")}, "is not 7 times up to its start"),
}


@pytest.mark.parametrize(("said", "problem"), CONTRADICTIONS_OF_REUSE.values(), ids=CONTRADICTIONS_OF_REUSE)
def test_what_is_said_of_reuse_is_checked(tmp_path: Path, said: dict[str, Any], problem: str) -> None:
    """Counts add up, and ages are times up to the start of the run."""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS)
    run_of = msgspec.structs.replace
    reseal(snapshot, lambda made: run_of(made, run=run_of(made.run, reuse=REUSE, tags_listed_since=(START,) * 7)))
    assert list(verify(snapshot)) == []
    bare = {"reuse": msgspec.UNSET, "tags_listed_since": msgspec.UNSET}
    reseal(snapshot, lambda made: run_of(made, run=run_of(made.run, **bare | said)))
    assert [problem in finding.problem for finding in verify(snapshot)] == [True]


@pytest.mark.parametrize(
    ("marked", "problem"), [(1, "does not add up to 1"), (9, "reuses tags of 9 images, and has 5")]
)
def test_marks_of_registries_are_checked(tmp_path: Path, marked: int, problem: str) -> None:
    """They add up to what the run says, and none reuses more than it has."""
    snapshot = make_snapshot(tmp_path / "s", {A: CONTENTS[A]})
    reseal(snapshot, lambda made: mark(made, marked))
    assert any(problem in finding.problem for finding in verify(snapshot))


def mark(made: Manifest, reused: int) -> Manifest:
    registries = tuple(msgspec.structs.replace(one, reused=reused) for one in made.registries)
    return msgspec.structs.replace(made, registries=registries)


def test_what_a_verdict_leaves_aside(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A complete snapshot may have expected gaps and excluded registries: they are counted, not found fault with."""
    denied = ("default", "sgn", "secret")
    excluded = {("default", "kr", "scratch"): "kr/s*"}
    snapshot = make_snapshot(tmp_path / "s", CONTENTS, verdicts={denied: Verdict.DENIED}, excluded=excluded)
    reseal(snapshot, partial(msgspec.structs.replace, verdict="complete"))
    assert [finding.problem for finding in verify(snapshot)] == ["its verdict is complete, but sgn has what is denied"]
    reseal(snapshot, partial(msgspec.structs.replace, expected_gaps=(gap(denied, Verdict.DENIED),)))
    assert run(["verify", str(snapshot)]) == 0
    assert "its verdict is complete, 1 expected gap and 1 excluded registry aside" in capfd.readouterr().err


def test_one_verdict_may_be_either(tmp_path: Path) -> None:
    """A registry that is gone makes a snapshot incomplete or not: it depends on whether it was asked for by name."""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS, verdicts={("default", "sgn", "x"): Verdict.GONE})
    for verdict in ("complete", "incomplete"):
        reseal(snapshot, partial(msgspec.structs.replace, verdict=verdict))
        assert list(verify(snapshot)) == []


def test_manifest_round_trip(tmp_path: Path) -> None:
    """What is dumped is loaded as it was; keys stand in the order of the contract and the checksum is last."""
    data = (make_snapshot(tmp_path / "s", CONTENTS) / MANIFEST).read_bytes()
    assert dump(load(data)) == data
    assert list(json.loads(data)) == [
        *["format", "tool", "run", "verdict", "totals", "files", "registries", "regions"],
        *["excluded", "expected_gaps", "observed", "checksum"],
    ]


def test_format_1_is_read(tmp_path: Path) -> None:
    """A snapshot of the format before is whole, can be damaged, and says nothing of what was not known then."""
    snapshot = as_format_1(make_snapshot(tmp_path / "s", CONTENTS))
    manifest = read(snapshot)
    assert (manifest.format, manifest.excluded, manifest.expected_gaps) == (1, (), ())
    assert (manifest.totals.seconds, manifest.totals.regions) == (None, {})
    assert manifest.totals.registries == VerdictCounts(complete=len(manifest.registries))
    assert list(verify(snapshot)) == []
    path = snapshot / MANIFEST
    path.write_bytes(path.read_bytes().replace(b'"requests": 1', b'"requests": 2', 1))
    assert "do not match its own checksum" in next(iter(verify(snapshot))).problem


def test_every_verdict_is_counted(tmp_path: Path) -> None:
    """However many verdicts there are: each has its number, by its own name, and none ends as a bug."""
    record = read(make_snapshot(tmp_path / "s", CONTENTS)).registries[0]
    counts = VerdictCounts.of(msgspec.structs.replace(record, verdict=verdict) for verdict in Verdict)
    assert msgspec.to_builtins(counts) == dict.fromkeys(map(str, Verdict), 1)


def test_a_damaged_manifest_does_not_hide_damaged_lines(tmp_path: Path) -> None:
    """As much as can be read of it is used to look at the files all the same."""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS)
    path = snapshot / MANIFEST
    path.write_bytes(path.read_bytes().replace(b'"page_size": 100', b'"page_size": 101', 1))
    damage_lines(snapshot, swap(2, 3))
    assert [(finding.file, finding.line) for finding in verify(snapshot)] == [
        (MANIFEST, None),
        (IMAGES, None),
        (IMAGES, 3),
    ]


FOREIGN = {
    "a web app's": (b'{"name": "app"}', UsageError, "was not written by ncrawl"),
    "a later format": (b'{"format": 3}', UsageError, "has format 3; this ncrawl reads 1 and 2"),
    "without checksum": (b'{"format": 1}', ManifestError, "do not match its own checksum"),
    "without checksum, new": (b'{"format": 2}', ManifestError, "do not match its own checksum"),
    "no object": (b"[]", ManifestError, "not a JSON object"),
    "nothing": (b"", ManifestError, "not a JSON object"),
    "nested": (b"[" * 9999, ManifestError, "not a JSON object"),
}


@pytest.mark.parametrize(("data", "error", "sentence"), FOREIGN.values(), ids=FOREIGN)
def test_other_manifests_are_refused(data: bytes, error: type[Exception], sentence: str) -> None:
    """Somebody else's file is a mistake in the arguments (exit 2); a damaged one of ours is damage (exit 3)."""
    with pytest.raises(error, match=sentence):
        load(data)
    assert salvage(data) is None


def test_a_sealed_manifest_of_wrong_types_is_damaged(tmp_path: Path) -> None:
    """A right checksum does not make a manifest."""
    data = dump(read(make_snapshot(tmp_path / "s", CONTENTS)))
    wrong = load(data)
    wrong = msgspec.structs.replace(wrong, verdict="splendid")
    with pytest.raises(ManifestError, match="splendid"):
        load(dump(wrong))
    with pytest.raises(UsageError, match=f"has format {FORMAT + 1}"):
        load(dump(msgspec.structs.replace(load(data), format=FORMAT + 1)))


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, 10**30])
def test_numbers_that_no_file_reaches_are_damage(tmp_path: Path, number: int) -> None:
    """An offset beyond the end of every file is a finding, however large, and never a bug."""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS, suffix=".zst")
    reseal(snapshot, change_registry(1, offset=number, length=number))
    assert MANIFEST in {finding.file for finding in verify(snapshot)}


# ── the command ──


def test_the_command_says_that_a_snapshot_is_whole(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit 0, nothing on standard output, one sentence on standard error."""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS)
    assert run(["verify", str(snapshot)]) == 0
    output = capfd.readouterr()
    assert output.out == ""
    assert output.err == f"ncrawl: {snapshot} is whole: 11 images in 4 registries; its verdict is complete\n"


def test_the_command_prints_findings(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit 3, one line of JSON a finding."""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS)
    damage_lines(snapshot, swap(2, 3))
    assert run(["verify", str(snapshot)]) == 3
    output = capfd.readouterr()
    assert [json.loads(line) for line in output.out.splitlines()] == [
        {
            "file": IMAGES,
            "registry": None,
            "line": None,
            "problem": "does not have the SHA-256 of the manifest",
        },
        {
            "file": IMAGES,
            "registry": "kr/team-a",
            "line": 3,
            "problem": "is not in order: line 4 should come before it",
        },
    ]
    assert output.err.endswith("is damaged: 2 findings\n")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nothing", "is not a snapshot: nothing is there"),
        ("empty", "is not a snapshot: no manifest.json"),
        ("incomplete", "did you mean {}/20261123T020000Z?"),
        (".", "did you mean"),
        ("file", "can be read: Not a directory"),
        ("later", "has format 3"),
    ],
)
def test_what_is_no_snapshot_is_a_mistake(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, sentence: str
) -> None:
    """Exit 2 and one sentence; the folder above a snapshot gets a hint: `latest`, or else the newest one."""
    (tmp_path / "file").touch()
    for folder in ("empty", "later", "incomplete/20261122T020000Z", "incomplete/20261123T020000Z", "incomplete/other"):
        (tmp_path / folder).mkdir(parents=True)
    for snapshot in (tmp_path / "incomplete").glob("2*"):
        (snapshot / MANIFEST).touch()
    (tmp_path / "later" / MANIFEST).write_text('{"format": 3}')
    (tmp_path / "latest").symlink_to(".")
    assert run(["verify", str(tmp_path / name)]) == 2
    error = capfd.readouterr().err
    assert sentence.format(tmp_path / name) in error
    assert error.count("\n") == 1


def test_findings_end_after_a_thousand(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The rest is counted."""
    snapshot = make_snapshot(tmp_path / "s", {A: [image(f"{number:05}") for number in range(1500)]})
    damage_lines(snapshot, lambda lines: lines.extend([b"{}\n"] * 1500))
    assert run(["verify", str(snapshot)]) == 3
    output = capfd.readouterr()
    assert output.out.count("\n") == 1000
    assert output.err.endswith("is damaged: 1,000 findings, and 502 more\n")


@pytest.mark.parametrize("line", [b"\n", b"{}\n", image_line(A, image("x"))], ids=["blank", "no record", "record"])
@pytest.mark.parametrize("name", [IMAGES, REGISTRIES])
@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_bomb_has_few_findings(tmp_path: Path, suffix: str, name: str, line: bytes) -> None:
    """Very many lines in a few kilobytes: read no further than a thousand lines beyond those that there should be."""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS, suffix=suffix)
    path = snapshot / f"{name}{suffix}"
    path.write_bytes(pack(line * (2**23 // len(line)), suffix))
    findings = list(verify(snapshot))
    assert 2 <= len(findings) <= 1100
    assert any("not read further" in finding.problem for finding in findings)


def test_a_bomb_that_takes_a_registrys_place_is_found(tmp_path: Path) -> None:
    """Also where the manifest gives its length, so that only its own frame is looked at."""
    snapshot = make_snapshot(tmp_path / "s", {A: [image("a")]}, suffix=".zst")
    bomb = pack(b"\n" * 2**25, ".zst")
    images_of(snapshot).write_bytes(bomb)
    reseal(snapshot, change_registry(0, length=len(bomb)))
    reseal(snapshot, change_file(0, bytes=len(bomb), sha256=hashlib.sha256(bomb).hexdigest()))
    assert 1000 < len(list(verify(snapshot))) < 1100


def test_many_unknown_registries_are_not_held_in_memory(tmp_path: Path) -> None:
    """A thousand of them are named, beyond those that the manifest lists."""
    snapshot = make_snapshot(tmp_path / "s", CONTENTS)
    strangers = [image_line(("default", "sgn", f"z{number:04}"), image("i")) for number in range(3000)]
    damage_lines(snapshot, lambda lines: lines.extend(strangers))
    named = [finding.registry for finding in verify(snapshot) if finding.registry]
    assert len(named) == 1000 + len(CONTENTS) - 3


# ── reading ──


@settings(derandomize=True)
@given(st.lists(st.text("ab\n\r").map(str.encode)))
def test_whole_lines_lose_nothing(tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes]) -> None:
    """However a file is cut into chunks, the same bytes come out, cut at newlines only."""
    cut = list(whole_lines(chunks, tmp_path_factory.getbasetemp()))
    assert b"".join(cut) == b"".join(chunks)
    assert all(chunk.endswith(b"\n") for chunk in cut[:-1])


LINE = b'{"account":"a","region":"r","registry":"g","name":"n"}'


@pytest.mark.parametrize(
    "chunk", [b"%b\n%b%b\n" % (LINE, LINE[:20] + b"\n" + LINE[20:], LINE), LINE + b"\n\n", LINE * 2]
)
def test_a_record_is_a_line(chunk: bytes) -> None:
    """Two records on a line do not make up for one on two lines, as they would for a parser of streams."""
    with pytest.raises(BadLineError):
        parse_keys(chunk, ImageKey)


@pytest.mark.parametrize("chunk", [LINE, b" %b \r\n%b\n" % (LINE, LINE)])
def test_blanks_around_a_record_are_allowed(chunk: bytes) -> None:
    """They are JSON; plain files may come from elsewhere."""
    assert set(parse_keys(chunk, ImageKey)) == {ImageKey("a", "r", "g", "n")}


@pytest.mark.parametrize("beside", [b"", b'"t":"\\ud800",'], ids=["plain", "a lone surrogate"])
@pytest.mark.parametrize(
    "neighbours", [b"", b'{"account":"a","region":"r","registry":"g","name":"n","x":[{}]}\n' * 300]
)
def test_a_line_nests_as_deep_as_a_record(neighbours: bytes, beside: bytes) -> None:
    """250 levels are a record, wherever it stands in a chunk; 251 are none, on every Python."""
    line = b'{"account":"a","region":"r","registry":"g","name":"n",%b"v":%b}\n'
    assert (
        len(parse_keys(neighbours + line % (beside, b"[" * 249 + b"]" * 249), ImageKey)) == neighbours.count(b"\n") + 1
    )
    with pytest.raises(BadLineError, match="nested more than 250 deep") as refused:
        parse_keys(neighbours + line % (beside, b"[" * 250 + b"]" * 250) + neighbours, ImageKey)
    assert refused.value.index == neighbours.count(b"\n")
