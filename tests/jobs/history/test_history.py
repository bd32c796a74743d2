"""`ncrawl history`: what became of one thing, and never an absence that nobody can vouch for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.night import a_night_here
from support.snapshot_maker import as_registries_alone, image, make_snapshot

import crawler
from crawler.cli import run
from crawler.core.errors import UsageError
from crawler.core.model import Verdict
from crawler.emulation import EmulatorOptions
from crawler.jobs.history import changes, parts
from crawler.jobs.history.wanted import Wanted, parse

if TYPE_CHECKING:
    from pathlib import Path

    from support.snapshot_maker import Contents

A = ("default", "kr", "team-a")
B = ("default", "kr", "team-b")
SUFFIXES = ["", ".gz", ".zst"]


class Nights:
    """A folder of snapshots, a night after the other."""

    def __init__(self, folder: Path, suffix: str = "") -> None:
        self.folder = folder
        self.suffix = suffix
        self.newest = folder
        self._number = 0

    def add(self, contents: Contents, **options: Any) -> Path:
        """Take the next night's snapshot."""
        self._number += 1
        self.newest = make_snapshot(
            self.folder / f"202611{self._number:02}T020000Z", contents, suffix=self.suffix, **options
        )
        return self.newest

    def told(self, what: str, tag: str | None = None, *ignored: str) -> list[tuple[Any, ...]]:
        """Return night, change and fields of each change."""
        return self.told_of(parse(what, tag), *ignored)

    def told_of(self, wanted: Wanted, *ignored: str) -> list[tuple[Any, ...]]:
        """Likewise."""
        told = changes.history(self.folder, wanted, ignored=frozenset(ignored), watch=lambda *_: None)
        return [(int(one.snapshot[6:8]), one.change, *one.fields) for one in told]


@pytest.fixture(params=SUFFIXES)
def nights(tmp_path: Path, request: pytest.FixtureRequest) -> Nights:
    """Snapshots, packed in each way."""
    return Nights(tmp_path / "nights", request.param)


def test_a_life(nights: Nights) -> None:
    """First seen, changed, gone, back, each in its night; nights without a change say nothing."""
    others = [image("a"), image("z")]
    for mine in (
        [],
        [image("m", pull_count=1)],
        [image("m", pull_count=1)],
        [image("m", pull_count=2, description="d")],
        [],
        [],
        [image("m", pull_count=2)],
    ):
        nights.add({A: [others[0], *mine, others[1]], B: others})
    assert nights.told("kr/team-a/m") == [
        (2, "first"),
        (4, "changed", "description", "pull_count"),
        (5, "gone"),
        (7, "back", "description"),
    ]
    assert nights.told("kr/team-a/m", None, "pull_count", "description") == [(2, "first"), (5, "gone"), (7, "back")]
    assert nights.told("kr/team-a/a") == [(1, "first")]


def test_spelling_is_no_change(nights: Nights) -> None:
    """Values are compared by what they mean, as `diff` does."""
    nights.add({A: [b'{"name":"m","n":1.0,"t":"\\u00e9"}']})
    nights.add({A: ['{"t":"é","n":1e0,"name":"m"}'.encode()]})
    assert nights.told("kr/team-a/m") == [(1, "first")]


def test_a_registry(nights: Nights) -> None:
    """A registry itself: there as long as its region's list says so, whatever became of its images."""
    nights.add({B: []})
    nights.add({A: [], B: []})
    nights.add({B: []}, excluded={A: "kr/team-a"})
    nights.add({B: []})
    nights.add({B: []}, regions={"kr": Verdict.FAILED})
    nights.add({A: []}, verdicts={A: Verdict.DENIED})
    assert nights.told("kr/team-a") == [(2, "first"), (4, "gone"), (5, "unknown"), (6, "back")]


def test_a_registry_in_snapshots_of_registries_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It is found though no manifest speaks of it, and its account is known also when it is gone."""
    for night, names in (("20261121T020000Z", "ab"), ("20261122T020000Z", "b"), ("20261123T020000Z", "ab")):
        contents = {("default", "kr", name): [image("i")] for name in names}
        as_registries_alone(make_snapshot(tmp_path / night, contents))
    assert run(["history", str(tmp_path), "kr/a"]) == 0
    told = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [(one["change"], one["account"], one["registry"]) for one in told] == [
        ("first", "default", "a"),
        ("gone", "default", "a"),
        ("back", "default", "a"),
    ]


def test_what_is_not_whole_is_unknown(nights: Nights) -> None:
    """A list that is not whole, denied or excluded tells of no absence; one that is gone does; told once each time."""
    nights.add({A: [image("m")]})
    for verdict in (Verdict.INCOMPLETE, Verdict.DENIED, Verdict.FAILED, Verdict.UNVERIFIED):
        nights.add({A: [image("a")]}, verdicts={A: verdict})
    nights.add({A: [image("a"), image("m")]}, verdicts={A: Verdict.INCOMPLETE})
    nights.add({B: []}, excluded={A: "kr/*"})
    nights.add({B: []}, verdicts={A: Verdict.GONE})
    nights.add({B: []}, regions={"kr": Verdict.INCOMPLETE})
    nights.add({B: []})
    assert nights.told("kr/team-a/m") == [
        (1, "first"),
        (2, "unknown"),
        (6, "back"),
        (7, "unknown"),
        (8, "gone"),
        (9, "unknown"),
        (10, "gone"),
    ]


@pytest.mark.parametrize("compress", ["none", "zstd"])
def test_a_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compress: str) -> None:
    """Read in its registry's frame alone, by --tag or behind the image's name; a night without tags knows nothing."""
    with a_night_here(tmp_path, monkeypatch, EmulatorOptions(registries=3, images=60)) as night:
        for level in ("tags", "tags", "images"):
            assert night.snapshot("--level", level, "--compress", compress) == 0
        first, _, last = night.names()
        tags = list(crawler.Snapshot(night.folder / first).tags())
    one = tags[len(tags) // 2]
    for wanted in (
        parse(f"{one.region}/{one.registry}/{one.image}", one.name),
        parse(f"{one.region}/{one.registry}/{one.image}/{one.name}"),
    ):
        told = list(changes.history(night.folder, wanted, watch=lambda *_: None))
        assert [(each.snapshot, each.change) for each in told] == [(first, "first"), (last, "unknown")]
        assert told[0].wanted == Wanted(one.region, one.registry, one.image, one.name)


def test_a_name_that_is_no_tag_either(nights: Nights) -> None:
    """Behind the last slash may be a tag; where there is none, the name is told as it was given."""
    nights.add({A: [image("app/web")]})
    with pytest.raises(UsageError, match="kr/team-a/app/wep is in none of the 1 snapshots"):
        nights.told("kr/team-a/app/wep")


DAMAGES = {
    "a byte": lambda path: path.write_bytes(path.read_bytes()[:-9] + b"x" + path.read_bytes()[-8:]),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "lost": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["images.ndjson", "manifest.json"])
def test_a_damaged_night_is_unknown(nights: Nights, damage: str, name: str) -> None:
    """Neither there nor gone: unknown, and the night after tells what it always told."""
    nights.add({A: [image("a"), image("m")]})
    damaged = nights.add({A: [image("a", pull_count=1), image("m")]})
    nights.add({A: [image("a"), image("m")]})
    (path,) = damaged.glob(f"{name}*")
    DAMAGES[damage](path)
    expected = [(1, "first"), (2, "unknown"), (3, "back")]
    if (damage, name) == ("lost", "manifest.json"):  # then it is no snapshot
        expected = [(1, "first")]
    assert nights.told("kr/team-a/m") == expected


@settings(deadline=None, max_examples=40)
@given(
    names=st.sets(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6), min_size=1), data=st.data()
)
def test_any_image_is_found(tmp_path_factory: pytest.TempPathFactory, names: set[str], data: st.DataObject) -> None:
    """Whatever names there are, by reading and by bisecting: one that is there is found, one that is not is not."""
    folder = tmp_path_factory.mktemp("nights")
    nights = Nights(folder)
    records = [image(name, description="x" * data.draw(st.sampled_from([0, 9, 900]))) for name in sorted(names)]
    nights.add({A: records, B: [image("n")]})
    nights.add({B: [image("n")]})
    observed = data.draw(st.sampled_from([*sorted(names), "n", "\x7f"]))
    for large, narrow in ((2**30, 2**30), (0, 1), (0, 500)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(parts, "KEPT_BYTES", large)
            patch.setattr(parts, "_NARROW_BYTES", narrow)
            try:
                told = nights.told_of(Wanted("kr", "team-a", observed))
            except UsageError:
                told = []
        assert told == ([(1, "first"), (2, "gone")] if observed in names else [])


def test_what_is_bisected_is_proved_before_it_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large part is not read through for what is there; an absence is told only of lines that are the manifest's."""
    monkeypatch.setattr(parts, "KEPT_BYTES", 0)
    nights = Nights(tmp_path / "nights")
    nights.add({A: [image("a"), image("m")]})
    path = nights.add({A: [image("a", pull_count=1), image("m")]}) / "images.ndjson"
    path.write_bytes(path.read_bytes().replace(b'"name":"m"', b'"name":"n"'))
    nights.add({A: [image("a")]})
    assert nights.told("kr/team-a/m") == [(1, "first"), (2, "unknown"), (3, "gone")]
    path = nights.add({A: [image("m", pull_count=2)]}) / "images.ndjson"
    path.write_bytes(b"x" + path.read_bytes()[1:])
    assert nights.told("kr/team-a/m")[-1] == (4, "unknown")


def test_accounts(tmp_path: Path) -> None:
    """An account that was renamed is no change; a snapshot of two accounts that have the same registry is refused."""
    nights = Nights(tmp_path / "nights")
    for account in ("old", "new"):
        nights.add({(account, "kr", "team-a"): [image("m")]})
    assert nights.told("kr/team-a/m") == [(1, "first")]
    nights.add({(account, "kr", "team-a"): [image("m")] for account in ("one", "two")})
    with pytest.raises(UsageError, match="of several accounts, and 2 of them have kr/team-a/m"):
        nights.told("kr/team-a/m")


# ── the command ──


def test_lines(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Keys in the order of the contract, records as they stand; why something is unknown goes to standard error."""
    nights = Nights(tmp_path / "nights")
    nights.add({A: [b'{"name":"app/web","n":1.10}']})
    nights.add({A: []}, verdicts={A: Verdict.DENIED})
    assert run(["history", str(nights.folder), "kr/team-a/app/web"]) == 3
    out, err = capfd.readouterr()
    record = '{"account":"default","region":"kr","registry":"team-a","name":"app/web","n":1.10}'
    place = '"level":"image","account":"default","region":"kr","registry":"team-a","image":null,"name":"app/web"'
    assert out.splitlines() == [
        f'{{"snapshot":"20261101T020000Z","change":"first",{place},"before":null,"after":{record},"fields":[]}}',
        f'{{"snapshot":"20261102T020000Z","change":"unknown",{place},"before":{record},"after":null,"fields":[]}}',
    ]
    assert err == "ncrawl: kr/team-a/app/web is unknown in 20261102T020000Z: denied: no reason given\n"
    assert run(["history", str(nights.folder), "kr/team-a/app/web", "--tag", "v1"]) == 3
    line = json.loads(capfd.readouterr().out.splitlines()[0])
    assert [line[name] for name in ("level", "image", "name")] == ["tag", "app/web", "v1"]
    assert run(["history", str(nights.folder), "kr/team-a"]) == 0
    line = json.loads(capfd.readouterr().out)
    assert [line[name] for name in ("level", "registry", "image", "name")] == ["registry", "team-a", None, None]


def test_text(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """For people: a line a change, with what changed from what to what; nothing in it can steer a terminal."""
    nights = Nights(tmp_path / "nights")
    nights.add({A: [b'{"name":"m","n":1,"gone":null}']})
    nights.add({A: ['{"name":"m","n":"\u202e\x9b","new\x9b":[]}'.encode()]})
    nights.add({A: []}, verdicts={A: Verdict.INCOMPLETE})
    assert run(["history", str(nights.folder), "kr/team-a/m", "--format", "text"]) == 3
    out, err = capfd.readouterr()
    assert out.splitlines() == [
        "20261101T020000Z  first",
        '20261102T020000Z  changed  n: 1 → "\\u202e\\x9b", new\\x9b: absent → [], gone: null → absent',
        "20261103T020000Z  unknown  incomplete: no reason given",
    ]
    assert err == ""


MISTAKES = {
    ("kr",): "name REGION/REGISTRY",
    ("kr/",): "name REGION/REGISTRY",
    ("/team-a",): "name REGION/REGISTRY",
    ("kr/team-a/",): "name REGION/REGISTRY",
    ("kr/team-a", "--tag", "v1"): "--tag goes with an image",
    ("kr/team-a/m", "--tag", ""): "--tag goes with an image",
    ("jp/team-a/m",): "is of region jp: kr",
    ("kr/team-c",): "kr/team-c is in none of the 1 snapshots",
    ("kr/team-a/n",): "kr/team-a/n is in none of the 1 snapshots",
}


@pytest.mark.parametrize("arguments", MISTAKES)
def test_mistakes(tmp_path: Path, arguments: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    """One sentence, exit code 2."""
    nights = Nights(tmp_path / "nights")
    nights.add({A: [image("m")]})
    assert run(["history", str(nights.folder), *arguments]) == 2
    out, err = capfd.readouterr()
    assert MISTAKES[arguments] in err
    assert (out, err.count("\n")) == ("", 1)


def test_no_snapshots(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A folder without any is a mistake; one that cannot be read is none of ours."""
    assert run(["history", str(tmp_path), "kr/team-a"]) == 2
    assert f"{tmp_path} holds no snapshot" in capfd.readouterr().err
    assert run(["history", str(tmp_path / "nowhere"), "kr/team-a"]) != 0
    assert capfd.readouterr().err.count("\n") == 1


def test_the_same_lines_are_not_read_again(tmp_path: Path) -> None:
    """Where the manifest says that a registry's lines are those of the night before, they need not even be there."""
    nights = Nights(tmp_path / "nights")
    for _ in range(2):
        snapshot = nights.add({A: [image("m")]})
    (snapshot / "images.ndjson").unlink()
    assert nights.told("kr/team-a/m") == [(1, "first")]
