"""`ncrawl diff` of damaged and hostile files: no difference is invented, and little goes in that takes much."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from support.snapshot_maker import IMAGES, image, image_line, make_snapshot, pack, reseal

from crawler.cli import run
from crawler.core.errors import NcrawlError
from crawler.core.model import Verdict
from crawler.snapshot.comparing import extents
from crawler.snapshot.comparing.diff import Difference, diff
from crawler.snapshot.comparing.opening import open_side
from crawler.snapshot.reading import unpacking
from crawler.snapshot.reading.chunks import DamagedError, UnreadableError
from crawler.snapshot.reading.unpacking import PIECE_BYTES, unpacked
from crawler.snapshot.reading.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.snapshot_maker import Place

    from crawler.snapshot.manifest import Manifest

A: Place = ("default", "kr", "team-a")
B: Place = ("default", "kr", "team-b")
SUFFIXES = ["", ".gz", ".zst"]
REGIONS = {"kr": Verdict.COMPLETE}
OLD = {A: [image("1"), image("2"), image("3", n=1)], B: [image("b"), image("c")]}
NEW = {A: [image("2"), image("3", n=2), image("4")], B: [image("b"), image("d")]}


def compare(old: Path, new: Path) -> tuple[list[Difference], list[str]]:
    """Return what differs, and what is said of damage."""
    said: list[str] = []
    return list(diff(open_side(old), open_side(new), Witness(say=said.append))), said


# ── the law ──

names = st.text('ab/é"\\\u2028', min_size=1, max_size=2)
numbers = st.integers(-(10**20), 10**20) | st.decimals(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers
values = st.recursive(
    scalars | names, lambda some: st.lists(some, max_size=3) | st.dictionaries(names, some, max_size=3), max_leaves=6
)
accounts = st.dictionaries(
    st.sampled_from([A, B]), st.dictionaries(names, st.dictionaries(names, values, max_size=3), max_size=3)
)
chances = st.randoms(use_true_random=False)


def spell(value: object, chance: random.Random) -> str:
    """Write a value as JSON in one of the ways that there are."""
    blank = chance.choice(["", " ", "\t"])
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=chance.random() < 0.5)
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, list):
        return f"[{blank}{f',{blank}'.join(spell(one, chance) for one in value)}]"
    if isinstance(value, dict):
        fields = [f"{spell(key, chance)}:{blank}{spell(one, chance)}" for key, one in value.items()]
        chance.shuffle(fields)
        twice = [key for key in value if key != "name" and chance.random() < 0.2]
        hidden = [f"{spell(key, chance)}:{chance.randrange(9)}" for key in twice]
        return "{" + blank + f"{blank},".join(hidden + fields) + "}"
    number = Decimal(value).as_tuple()  # type: ignore[arg-type]
    digits, power = "".join(map(str, number.digits)).lstrip("0") or "0", int(number.exponent)
    forms = [f"{digits}e{power}", f"{digits}0E{power - 1}", f"{digits}.00e{power:+04}"]
    return "-" * number.sign + chance.choice([*forms, digits] if power == 0 else forms)


def meant(value: object) -> object:
    """Return what tells values apart: true is not 1, and 1 is 1.0."""
    if isinstance(value, dict):
        return "object", frozenset((key, meant(one)) for key, one in value.items())
    if isinstance(value, list):
        return "list", tuple(map(meant, value))
    if isinstance(value, bool | str) or value is None:
        return type(value).__name__, value
    return "number", Decimal(value)  # type: ignore[arg-type]


Account = dict["Place", dict[str, dict[str, object]]]


def spelled(folder: Path, account: Account, chance: random.Random, suffix: str = "") -> Path:
    """Write a snapshot of an account, each of its values in some spelling."""
    contents = {
        place: [spell({"name": name} | fields, chance).encode() for name, fields in sorted(images.items())]
        for place, images in account.items()
    }
    lines = {place: [b"{" + record[1:].lstrip() for record in records] for place, records in contents.items()}
    return make_snapshot(folder, lines, regions=REGIONS, suffix=suffix)


def expected(old: Account, new: Account) -> set[tuple[object, ...]]:
    """Return change, place, name and names of fields of what differs in meaning: registries themselves, and images."""
    found = set[tuple[object, ...]]()
    for change, places in (("added", new.keys() - old.keys()), ("removed", old.keys() - new.keys())):
        found |= {(change, (account, region, None), name, frozenset[str]()) for account, region, name in places}
    for place in old.keys() | new.keys():
        before, after = old.get(place, {}), new.get(place, {})
        found |= {("added", place, name, frozenset[str]()) for name in after.keys() - before.keys()}
        found |= {("removed", place, name, frozenset[str]()) for name in before.keys() - after.keys()}
        for name in before.keys() & after.keys():
            one, other = before[name], after[name]
            fields = {
                key
                for key in one.keys() | other.keys()
                if not (key in one and key in other and meant(one[key]) == meant(other[key]))
            }
            if fields:
                found.add(("changed", place, name, frozenset(fields)))
    return found


def found_in(differences: list[Difference]) -> set[tuple[object, ...]]:
    """Return what is certain of differences, as `expected` does."""
    certain = [one for one in differences if one.change != "unknown"]
    return {(one.change, one[1:4], one.name, frozenset(one.fields)) for one in certain}


@pytest.mark.long
@given(accounts, accounts, chances)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_only_what_differs_in_meaning_differs(old: Account, new: Account, chance: random.Random) -> None:
    """Whatever the spelling: an account written twice is the same, and two have the differences of their values."""
    with tempfile.TemporaryDirectory() as folder:
        first, again = (spelled(Path(folder, name), old, chance) for name in ("first", "again"))
        assert compare(first, again) == ([], [])
        differences, said = compare(first, spelled(Path(folder, "new"), new, chance))
    assert found_in(differences) == expected(old, new)
    assert len(differences) == len(expected(old, new))
    assert said == []


@pytest.mark.long
@pytest.mark.parametrize("kept_bytes", [extents.KEPT_BYTES, 0])
@pytest.mark.parametrize("suffix", SUFFIXES)
@given(accounts, accounts, chances)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_no_flipped_byte_invents_a_difference(
    suffix: str, kept_bytes: int, old: Account, new: Account, chance: random.Random
) -> None:
    """Every flip is told; what is still certain is true, and what is not told of is unknown."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(extents, "KEPT_BYTES", kept_bytes)  # so that a registry is read twice
        sides = [spelled(Path(folder, name), one, chance, suffix) for name, one in (("o", old), ("n", new))]
        is_damaged = flip(chance.choice(sides) / (IMAGES + suffix), chance)
        differences, said = compare(*sides)
    assert bool(said) is is_damaged
    unknown = {one[1:4] for one in differences if one.change == "unknown"}
    assert found_in(differences) <= expected(old, new)
    assert {one for one in expected(old, new) if one[1] not in unknown} <= found_in(differences)


def flip(path: Path, chance: random.Random) -> bool:
    """Flip some bits of one byte; tell whether there was any to flip."""
    data = bytearray(path.read_bytes())
    if data:
        data[chance.randrange(len(data))] ^= chance.randrange(1, 256)
        path.write_bytes(data)
    return bool(data)


# ── damaged snapshots ──


def test_a_flipped_byte_in_a_name_is_no_difference(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit 3; registry and file are named; its images are unknown, and other registries are compared."""
    old, new = make_snapshot(tmp_path / "old", OLD), make_snapshot(tmp_path / "new", NEW)
    path = new / IMAGES
    path.write_bytes(path.read_bytes().replace(b'"name":"2"', b'"name":"9"'))
    assert run(["diff", str(old), str(new)]) == 3
    output = capfd.readouterr()
    assert output.err == f"ncrawl: {path}: kr/team-a does not have its SHA-256: its images are unknown\n"
    lines = [json.loads(line) for line in output.out.splitlines()]
    assert [(line["change"], line["registry"], line["name"]) for line in lines] == [
        ("unknown", "team-a", None),
        ("unknown", "team-a", "1"),
        ("unknown", "team-a", "2"),
        ("unknown", "team-a", "3"),
        ("removed", "team-b", "c"),
        ("added", "team-b", "d"),
    ]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_cut_file_is_known_up_to_there(tmp_path: Path, suffix: str) -> None:
    """What comes before the cut is compared; the file is named, and the registry that is cut."""
    old, new = make_snapshot(tmp_path / "old", OLD, suffix=suffix), make_snapshot(tmp_path / "new", NEW, suffix=suffix)
    path = new / (IMAGES + suffix)
    path.write_bytes(path.read_bytes()[:-1])
    differences, said = compare(old, new)
    assert [(one.change, one.name) for one in differences] == [
        ("removed", "1"),
        ("changed", "3"),
        ("added", "4"),
        ("unknown", None),
        ("unknown", "b"),
        ("unknown", "c"),
    ]
    assert "bytes long, not" in said[0]
    assert "kr/team-b" in said[1]


def test_a_missing_file_is_told_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Not once a registry; everything in it is unknown."""
    old, new = make_snapshot(tmp_path / "old", OLD), make_snapshot(tmp_path / "new", NEW)
    (new / IMAGES).unlink()
    assert run(["diff", "--summary", str(old), str(new)]) == 3
    output = capfd.readouterr()
    assert output.out == '{"added":0,"removed":0,"changed":0,"unknown":7}\n'
    assert output.err.count("\n") == 1
    assert f"{new / IMAGES} cannot be read: No such file" in output.err


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_registry_with_more_lines_than_it_should_have_is_damaged(tmp_path: Path, suffix: str) -> None:
    """Though the file has its checksum: it is read no further than its count, for it could be a bomb."""
    old, new = make_snapshot(tmp_path / "old", OLD), make_snapshot(tmp_path / "new", {A: NEW[A]}, suffix=suffix)
    packed = pack(b"".join(image_line(A, image(f"{number:07}")) for number in range(100_000)), suffix)
    path = new / (IMAGES + suffix)
    path.write_bytes(packed)

    def refit(manifest: Manifest) -> Manifest:
        record = msgspec.structs.replace(manifest.registries[0], length=len(packed))
        sha256 = hashlib.sha256(packed).hexdigest()
        stored = msgspec.structs.replace(manifest.files[0], bytes=len(packed), sha256=sha256)
        return msgspec.structs.replace(manifest, registries=(record,), files=(stored, *manifest.files[1:]))

    differences, said = compare(old, reseal(new, refit))
    assert said == [f"{path}: kr/team-a has more than 3 lines, where 3 should be: its images are unknown"]
    gone, *below = [(one.change, one.name) for one in differences]
    assert gone == ("removed", "team-b")
    assert below[:4] == [("unknown", name) for name in (None, "1", "2", "3")]


def test_many_damages_are_counted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """20 sentences and a count."""
    contents = {("default", "kr", f"team-{number:02}"): [image("1")] for number in range(50)}
    old, new = make_snapshot(tmp_path / "old", contents), make_snapshot(tmp_path / "new", contents)
    (new / IMAGES).write_bytes((new / IMAGES).read_bytes().replace(b'"1"', b'"2"'))
    assert run(["diff", str(old), str(new)]) == 3
    lines = capfd.readouterr().err.splitlines()
    assert (len(lines), lines[-1]) == (21, "ncrawl: … and 30 more are damaged")


def test_a_registry_that_changes_while_it_is_read_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the proof and the use of it: no line of it is believed."""
    monkeypatch.setattr(extents, "KEPT_BYTES", 0)
    monkeypatch.setattr("crawler.snapshot.reading.chunks.CHUNK_BYTES", 100)
    old, new = make_snapshot(tmp_path / "old", OLD), make_snapshot(tmp_path / "new", NEW)
    differences = diff(open_side(old), open_side(new))
    assert next(differences).name == "1"
    path = new / IMAGES
    path.write_bytes(path.read_bytes().replace(b'"name":"4"', b'"name":"5"'))
    with pytest.raises(DamagedError, match="kr/team-a changed while it was read"):
        list(differences)


# ── what is packed ──


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_packed_file_cut_anywhere_is_refused(tmp_path: Path, suffix: str) -> None:
    """Also an empty one, which was an empty inventory; whole, it is read however its bytes come in."""
    plain = b"".join(image_line(A, image(f"{number:03}")) for number in range(20))
    packed = pack(plain, suffix)
    path = tmp_path / f"x{suffix}"
    for length in range(len(packed)):
        path.write_bytes(packed[:length])
        with pytest.raises(UnreadableError, match="cut short"):
            compare_plain(path, path)
    path.write_bytes(packed)
    assert compare_plain(path, path) == []
    singly = (packed[at : at + 1] for at in range(len(packed)))
    assert b"".join(unpacked(singly, path)) == plain


def compare_plain(old: Path, new: Path) -> list[Difference]:
    return list(diff(open_side(old, assume_complete=True), open_side(new, assume_complete=True)))


def skippable(data: bytes) -> bytes:
    return b"\x53\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "with size and checksum": zstandard.ZstdCompressor(write_checksum=True).compress,
    "without size": zstandard.ZstdCompressor(write_content_size=False).compress,
    "as well as it can with 8 MiB": zstandard.ZstdCompressor(level=19).compress,
    "a stream": lambda data: (stream := zstandard.ZstdCompressor().compressobj()).compress(data) + stream.flush(),
    "many frames": lambda data: b"".join(
        zstandard.ZstdCompressor().compress(data[at : at + 9999]) for at in range(0, len(data), 9999)
    ),
    "empty frames between": lambda data: 100 * pack(b"", ".zst") + pack(data, ".zst") + 100 * pack(b"", ".zst"),
    "skippable frames": lambda data: skippable(b"") + pack(data, ".zst") + skippable(b"x" * 999),
    "a frame in a skippable one": lambda data: skippable(pack(b"no", ".zst")) + pack(data, ".zst"),
    "what cannot be packed": lambda data: zstandard.ZstdCompressor(level=1).compress(data),
}


@pytest.mark.parametrize("at_a_time", [1000, 1 << 20])
@pytest.mark.parametrize("packer", PACKERS.values(), ids=PACKERS)
def test_frames_of_every_kind_are_unpacked(packer: Callable[[bytes], bytes], at_a_time: int) -> None:
    """Byte for byte, with text that packs well, noise, and one byte a million times."""
    plain = b"".join(image_line(A, image(f"{number:06}")) for number in range(3000))
    plain += random.Random(1).randbytes(300_000) + b"\n" * 1_000_000
    packed = packer(plain)
    chunks = (packed[at : at + at_a_time] for at in range(0, len(packed), at_a_time))
    assert b"".join(unpacked(chunks, Path("x.zst"))) == plain


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_bomb_comes_out_in_pieces(suffix: str) -> None:
    """A gibibyte of newlines in a few kilobytes: never more than a piece of it is in memory."""
    stream = (
        zstandard.ZstdCompressor().compressobj()
        if suffix == ".zst"
        else gzip.zlib.compressobj(9, gzip.zlib.DEFLATED, 31)  # type: ignore[attr-defined]
    )
    packed = b"".join(stream.compress(b"\n" * 2**20) for _ in range(64)) + stream.flush()
    assert len(packed) < 70_000
    sizes = list(map(len, unpacked([packed], Path(f"x{suffix}"))))
    assert max(sizes) <= PIECE_BYTES
    assert sum(sizes) == 2**26


@pytest.mark.parametrize("line", [b"\n", b"x", image_line(A, image("x"))], ids=["blank lines", "one line", "one image"])
def test_a_bomb_takes_little_memory(tmp_path: Path, line: bytes) -> None:
    """Exit 2 with a sentence, in 250 MB, of which the interpreter takes 30 and a run to be sorted 150."""
    stream = zstandard.ZstdCompressor().compressobj()
    path = tmp_path / "bomb.zst"
    chunk = line * (2**20 // len(line))
    path.write_bytes(b"".join(stream.compress(chunk) for _ in range(256)) + stream.flush())
    script = "import sys; from crawler.cli import run; code = run(sys.argv[1:]); "
    script += "print(code, *[line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')])"
    command = [sys.executable, "-c", script, "diff", "--assume-complete", str(path), str(path)]
    process = subprocess.run(command, capture_output=True, check=True, text=True)
    code, peak_kb = map(int, process.stdout.split())
    assert code == 2
    assert process.stderr.count("\n") == 1
    assert peak_kb < 250_000


@given(st.binary(max_size=60), st.integers(0, 3))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_noise_is_refused_or_unpacked(noise: bytes, kind: int) -> None:
    """Whatever follows a magic number: an error of ours, or what zstd itself makes of it; never a bug."""
    start = [b"", b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfd\x20\x03", b"\x50\x2a\x4d\x18"][kind]
    try:
        plain = b"".join(unpacked([start + noise], Path("x.zst")))
    except NcrawlError:
        return
    with zstandard.ZstdDecompressor().stream_reader(start + noise, read_across_frames=True) as reader:
        assert plain == reader.read()


def test_a_wide_window_is_refused() -> None:
    """A frame may ask for gigabytes to be unpacked in: refused before they are taken, with what to do instead."""
    for windows in (0x88, 0xA8):
        with pytest.raises(UnreadableError, match="MiB of memory to unpack: do so with `zstd --decompress` first"):
            list(unpacked([b"\x28\xb5\x2f\xfd\x00" + bytes([windows]) + b"\x01\x00\x00"], Path("x.zst")))
    assert unpacking.MAX_WINDOW_BYTES == 8 * 2**20
