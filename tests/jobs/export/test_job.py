"""`ncrawl export`: engines read it and agree with the snapshot in every value; all of a snapshot, or nothing."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from support.night import tree_of
from support.odd_records import HALVES, HUGE, NUMBERS, OTHERS, TEXTS, assert_told
from support.snapshot_maker import add_file, image, make_snapshot, reseal, unpack

from crawler.cli import run
from crawler.core.model import Verdict
from crawler.jobs.export.tables import tables
from crawler.snapshot.folder.lock import locked
from crawler.snapshot.manifest import ExpectedGap, Manifest

if TYPE_CHECKING:
    from collections.abc import Callable

A = ("default", "kr", "team-a")
B = ("default", "sgn", "team-b")
ID = "20261123T020000Z"
DUCKDB = Path(sys.executable).with_name("duckdb")
PLATFORM: dict[str, Any] = dict.fromkeys(tables()["tags"].columns["images"].fields)
TAG: dict[str, Any] = {
    "creator": None,
    "digest": "sha256:0",
    "full_size": 2**40,
    "id": 1,
    "image_id": 2,
    "images": [PLATFORM],
    "last_updated": 1,
    "last_updater": None,
    "name": "v1",
    "repository": 3,
    "v2": True,
}

parquet = pytest.mark.skipif(sys.version_info >= (3, 15), reason="not run: pyarrow is not here")


def odd_images() -> list[bytes]:
    """Every odd value in a column of each kind, and a field that nobody documented."""
    values = (*NUMBERS, *HUGE, *TEXTS, *HALVES, *OTHERS)
    fields = ("can_edit", "description", "pull_count", "unknown")
    return [
        b'{"name":"%04d","%b":%b}' % (number, field.encode(), value.encode())
        for number, (field, value) in enumerate((field, value) for field in fields for value in values)
    ]


def odd_snapshot(folder: Path, suffix: str = "") -> Path:
    """Registries, images and tags: as documented, and not."""
    plain = [image(f"z{number}", description=None if number % 2 else "d") for number in range(20)]
    snapshot = make_snapshot(folder, {A: odd_images(), B: plain}, suffix=suffix)
    begin = {"account": "default", "region": "kr", "registry": "team-a", "image": "app/web"}
    odd: list[dict[str, Any]] = [{}, {"images": None}, {"images": [{"size": 1.5, "new": 2}]}, {"id": "x"}]
    tags = [*(begin | TAG | one | {"name": f"v{number}"} for number, one in enumerate(odd)), begin | {"name": "bare"}]
    return add_file(snapshot, f"tags.ndjson{suffix}", map(msgspec.json.encode, tags))


def records(snapshot: Path, table: str) -> dict[str, bytes]:
    """Return the lines of a snapshot's table by their names."""
    (path,) = snapshot.glob(f"{table}.ndjson*")
    lines = unpack(path.read_bytes(), path.suffix.removesuffix(".ndjson")).splitlines()
    return {json.loads(line)["name"]: line for line in lines}


def by_duckdb(out: Path, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table, each as DuckDB writes it as JSON."""
    sql = f"SELECT to_json(t) FROM read_parquet('{out}/{table}/*/*/*.parquet', hive_partitioning = true) t"
    done = subprocess.run([DUCKDB, "-noheader", "-list", "-c", sql], capture_output=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def by_polars(out: Path, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table as polars has them."""
    polars = pytest.importorskip("polars")
    rows: list[dict[str, Any]] = polars.read_parquet(
        f"{out}/{table}/*/*/*.parquet", hive_partitioning=True, try_parse_hive_dates=False
    ).to_dicts()
    return rows


@parquet
@pytest.mark.parametrize("engine", [by_duckdb, by_polars])
@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_engines_agree_with_the_snapshot(
    tmp_path: Path, engine: Callable[[Path, str], list[dict[str, Any]]], suffix: str
) -> None:
    """Every record of every table is there once, with every value, to the last digit and of its kind."""
    snapshot, out = odd_snapshot(tmp_path / "s", suffix), tmp_path / "out"
    assert run(["export", str(snapshot), "-o", str(out)]) == 0
    for table in ("registries", "images", "tags"):
        lines = records(snapshot, table)
        rows = {row["name"]: row for row in engine(out, table)}
        assert rows.keys() == lines.keys()
        for name, row in rows.items():
            assert row.pop("snapshot") == ID
            assert row.keys() == tables()[table].all_columns.keys()
            assert_told(lines[name], {column: row[column] for column in tables()[table].all_columns})


@parquet
def test_every_night_has_one_schema(tmp_path: Path) -> None:
    """Whatever a night's records are like, and whatever a snapshot lacks, columns keep their places and types."""
    from pyarrow import parquet as files  # noqa: PLC0415 - it may be missing

    schemas = set()
    for number, contents in enumerate(
        ({A: odd_images()}, {A: [image("a", pull_count="many")]}, {A: [b'{"name":"a"}']})
    ):
        snapshot = make_snapshot(tmp_path / f"s{number}", contents)
        assert run(["export", str(snapshot), "-o", str(tmp_path / f"out{number}")]) == 0
        schemas |= {str(files.read_schema(path)) for path in (tmp_path / f"out{number}/images").rglob("*.parquet")}
    assert len(schemas) == 1


@parquet
def test_what_columns_are_written_with(tmp_path: Path) -> None:
    """Texts that rows share are kept once, those within lists as well; names have no dictionary, only keys bounds."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - not there in every Python

    snapshot, out = odd_snapshot(tmp_path / "s"), tmp_path / "out"
    assert run(["export", str(snapshot), "-o", str(out)]) == 0
    (file,) = (out / "tags").rglob("*.parquet")
    group = pq.ParquetFile(file).metadata.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    kept = {one.path_in_schema for one in columns if one.has_dictionary_page}
    assert {"registry", "image", "digest", "images.list.element.os"} <= kept
    assert not {"name", "full_size", "images.list.element.size"} & kept
    bounded = {one.path_in_schema for one in columns if one.is_stats_set}
    assert bounded == {"account", "registry", "image", "name"}


@parquet
def test_missing_can_be_told_from_unknown(tmp_path: Path) -> None:
    """The verdicts: a row a registry, one a list of registries, one for what was left out, expected gaps marked."""
    denied, gap, left_out = (("default", "kr", name) for name in ("denied", "gap", "left-out"))
    snapshot = make_snapshot(
        tmp_path / "s",
        {A: [image("a")]},
        verdicts={denied: Verdict.DENIED, gap: Verdict.FAILED},
        regions={"sgn": Verdict.FAILED},
        excluded={left_out: "kr/left-*"},
    )
    expected = ExpectedGap(account="default", region="kr", registry="gap", verdict=Verdict.FAILED, reason=None)
    reseal(snapshot, lambda old: msgspec.structs.replace(old, expected_gaps=(expected,)))
    out = tmp_path / "out"
    assert run(["export", str(snapshot), "-o", str(out)]) == 0
    columns = ("region", "registry", "verdict", "whole", "expected", "images", "reason")
    assert {tuple(row[name] for name in columns) for row in by_duckdb(out, "verdicts")} == {
        ("kr", None, "complete", True, None, None, None),
        ("sgn", None, "failed", False, None, None, None),
        ("kr", "team-a", "complete", True, False, 1, None),
        ("kr", "denied", "denied", False, False, 0, None),
        ("kr", "gap", "failed", False, True, 0, None),
        ("kr", "left-out", "excluded", False, True, None, "--exclude kr/left-*"),
    }


def sheet(out: Path, table: str, region: str) -> list[dict[str, str]]:
    """Read a CSV file."""
    (path,) = (out / table / f"snapshot={ID}" / f"region={region}").iterdir()
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_spreadsheets(tmp_path: Path) -> None:
    """One file a region; no text is a formula, a line break stays within its cell, and what is odd is in `extra`."""
    texts = [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "\uff1d1",
        "a=1",
        'say "hi", twice\nthen',
        "",
        "한국어",
    ]
    images = [image(f"i{number:02}", description=text, pull_count=-number) for number, text in enumerate(texts)]
    snapshot = make_snapshot(tmp_path / "s", {A: images, B: [image("b", star_count=1.5, user=None)]})
    tag = TAG | {"account": "default", "region": "kr", "registry": "team-a", "image": "=app"}
    add_file(snapshot, "tags.ndjson", [msgspec.json.encode(tag)])
    assert run(["export", str(snapshot), "--format", "csv", "-o", str(tmp_path / "out")]) == 0
    rows = sheet(tmp_path / "out", "images", "kr")
    assert [row["description"] for row in rows] == [f"'{text}" for text in texts[:8]] + texts[8:]
    assert [row["pull_count"] for row in rows] == [f"{-number}" for number in range(len(texts))]
    (row,) = sheet(tmp_path / "out", "images", "sgn")
    assert (row["region"], row["can_edit"], row["star_count"], row["extra"]) == (
        "sgn",
        "true",
        "",
        '{"star_count":1.5}',
    )
    assert json.loads(row["absent"])[0] == "is_automated"
    (row,) = sheet(tmp_path / "out", "tags", "kr")
    assert (row["image"], json.loads(row["images"])) == ("'=app", [PLATFORM])
    assert [row["verdict"] for row in sheet(tmp_path / "out", "verdicts", "sgn")] == ["complete", "complete"]


# ── all of it, or nothing ──


@pytest.fixture(params=[pytest.param("parquet", marks=parquet), "csv"])
def file_format(request: pytest.FixtureRequest) -> str:
    """Each format."""
    name: str = request.param
    return name


def export(snapshot: Path, out: Path, file_format: str, *options: str) -> int:
    return run(["export", str(snapshot), "-o", str(out), "--format", file_format, *options])


def other_of(folder: Path, **changes: object) -> Path:
    """Make another snapshot, of other images, with something else in its manifest's run."""
    snapshot = make_snapshot(folder, {A: [image("other")]})

    def change(old: Manifest) -> Manifest:
        return msgspec.structs.replace(old, run=msgspec.structs.replace(old.run, **changes))

    return reseal(snapshot, change)


def test_again(tmp_path: Path, file_format: str, capfd: pytest.CaptureFixture[str]) -> None:
    """What is there stays as it is, to the byte; another night goes beside it."""
    snapshot, out = make_snapshot(tmp_path / "s", {A: [image("a")]}), tmp_path / "new/out"
    assert export(snapshot, out, file_format) == 0
    before = tree_of(out)
    assert export(snapshot, out, file_format) == 0
    assert f"{ID} is in {out} already" in capfd.readouterr().err
    assert export(other_of(tmp_path / "t", id="20261124T020000Z"), out, file_format) == 0
    after = tree_of(out)
    assert {name: after[name] for name in before if ".lock" not in name} == {
        name: data for name, data in before.items() if ".lock" not in name
    }
    assert sum("20261124T020000Z" in name for name in after) == 3
    assert not [name for name in os.listdir(out) if name.startswith(".ncrawl-")]  # noqa: PTH208


def test_what_is_in_the_way(tmp_path: Path, file_format: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Another account's snapshot of the same second, or one in another format, is neither replaced nor joined."""
    snapshot, out = make_snapshot(tmp_path / "s", {A: [image("a")]}), tmp_path / "out"
    assert export(snapshot, out, file_format) == 0
    before = tree_of(out)
    assert export(other_of(tmp_path / "t", identity="other"), out, file_format) == 2
    assert "export to a folder of its own" in capfd.readouterr().err
    if file_format == "parquet":
        assert export(snapshot, out, "csv") == 2
    assert set(tree_of(out)) == set(before)


def test_what_a_crash_left(tmp_path: Path, file_format: str) -> None:
    """Half an export is done anew: its stage is swept up, and parts without their verdicts are replaced."""
    snapshot, out = make_snapshot(tmp_path / "s", {A: [image("a")]}), tmp_path / "out"
    assert export(snapshot, out, file_format) == 0
    whole = tree_of(out)
    shutil.rmtree(out / "verdicts")
    (out / ".ncrawl-export/new/images").mkdir(parents=True)
    assert export(snapshot, out, file_format) == 0
    assert tree_of(out).keys() == whole.keys()


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "images.ndjson").write_bytes((folder / "images.ndjson").read_bytes()[:-1]),
        lambda folder: (folder / "images.ndjson").unlink(),
        lambda folder: (folder / "manifest.json").write_bytes((folder / "manifest.json").read_bytes()[:-9]),
        lambda folder: add_file(folder, "images.ndjson", [b"null"]),
    ],
    ids=["cut short", "lost", "manifest", "no records"],
)
def test_damage(
    tmp_path: Path, file_format: str, damage: Callable[[Path], object], capfd: pytest.CaptureFixture[str]
) -> None:
    """A damaged snapshot ends with one sentence and exit code 3, and leaves nothing."""
    snapshot, out = make_snapshot(tmp_path / "s", {A: [image("a")]}), tmp_path / "out"
    damage(snapshot)
    assert export(snapshot, out, file_format) == 3
    assert capfd.readouterr().err.count("\n") == 1
    assert not out.exists() or not [name for name in tree_of(out) if ".lock" not in name]


def test_every_snapshot(tmp_path: Path, file_format: str, capfd: pytest.CaptureFixture[str]) -> None:
    """`--all` exports each that is not there yet; one that is damaged does not keep the others, and exits with 3."""
    nights = tmp_path / "nights"
    for day in (21, 22, 23):
        name = f"202611{day}T020000Z"
        other_of(nights / name, id=name)
    assert export(nights, tmp_path / "out", file_format, "--all") == 0
    assert len(os.listdir(tmp_path / "out/images")) == 3  # noqa: PTH208
    (nights / "20261122T020000Z/images.ndjson").unlink()
    assert export(nights, tmp_path / "again", file_format, "--all") == 3
    assert sorted(os.listdir(tmp_path / "again/images")) == [  # noqa: PTH208
        "snapshot=20261121T020000Z",
        "snapshot=20261123T020000Z",
    ]
    capfd.readouterr()
    assert export(nights, tmp_path / "none", file_format) == 2
    assert "has no latest: name one of its 3 snapshots" in capfd.readouterr().err
    (nights / "latest").write_text("20261121T020000Z\n")
    assert export(nights, tmp_path / "latest", file_format) == 0
    assert os.listdir(tmp_path / "latest/images") == ["snapshot=20261121T020000Z"]  # noqa: PTH208


def test_places(tmp_path: Path, file_format: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A place without snapshots, a file as the place to export to, and one that another run holds."""
    snapshot, out = make_snapshot(tmp_path / "s", {A: [image("a")]}), tmp_path / "out"
    assert export(tmp_path, out, file_format) == 2
    assert export(tmp_path / "nowhere", out, file_format) == 2
    (tmp_path / "file").touch()
    assert export(snapshot, tmp_path / "file", file_format) == 74
    out.mkdir()
    with locked(out, started=datetime.now(UTC).isoformat()):
        assert export(snapshot, out, file_format) == 75
    assert all(line.startswith("ncrawl: ") for line in capfd.readouterr().err.splitlines())


def test_a_region_cannot_lead_elsewhere(tmp_path: Path, file_format: str) -> None:
    """Whatever a line calls its region, its file is below its table."""
    snapshot, out = make_snapshot(tmp_path / "s", {("d", "../../x", "r"): [image("a")]}), tmp_path / "out"
    assert export(snapshot, out, file_format) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"s", "out"}
    assert {path.name for path in (out / "images" / f"snapshot={ID}").iterdir()} == {"region=..%2F..%2Fx"}


@parquet
def test_a_full_disk(tmp_path: Path) -> None:
    """Where no more can be written, the exit code says so, in a sentence, and nothing is left."""
    snapshot, out = odd_snapshot(tmp_path / "s"), tmp_path / "out"
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        "from crawler.cli import run; sys.exit(run(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "export", str(snapshot), "-o", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (74, 1), done.stderr
    assert os.strerror(errno.EFBIG) in done.stderr
    assert [name for name in tree_of(out) if ".lock" not in name] == []


def test_without_pyarrow(tmp_path: Path) -> None:
    """Parquet says what to install; CSV does without."""
    snapshot = make_snapshot(tmp_path / "s", {A: [image("a")]})
    script = "import sys; sys.modules['pyarrow'] = None; from crawler.cli import run; sys.exit(run(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "export", str(snapshot), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'ncrawl[parquet]'" in done.stderr
    assert not (tmp_path / "out").exists()
    assert subprocess.run([*command, "--format", "csv"], capture_output=True, check=False).returncode == 0
