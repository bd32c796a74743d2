"""An unfinished run's folder: what survives the process, and what is refused rather than guessed."""

from __future__ import annotations

import errno
import os
import shutil
import zlib
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.lists import place_of, result_of
from support.night import Night, a_night_here, data_of, tree_of

from crawler.core.errors import OutputError
from crawler.core.model import Verdict
from crawler.emulation import EmulatorOptions
from crawler.snapshot.folder.remains import remove_remains
from crawler.snapshot.unfinished.files import SYNC_EVERY_S
from crawler.snapshot.unfinished.journal import Header, UnusableRunError
from crawler.snapshot.unfinished.run import UnfinishedRun
from crawler.snapshot.unfinished.runs import remove_superseded, set_aside, unfinished_runs
from crawler.snapshot.unfinished.spool import Spool
from crawler.snapshot.verifying.verify import verify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LATER = "2026-11-23T03:00:00.000Z"


def header(**changes: object) -> Header:
    one = Header(
        id="20261123T020000Z",
        started_ms=0,
        account="default",
        identity="somebody",
        options={"compress": "none", "page_size": 100},
    )
    return msgspec.structs.replace(one, **changes)


def commit(run: UnfinishedRun, registry: str | None, names: str, verdict: Verdict = Verdict.COMPLETE) -> None:
    """Commit a listing whose images have these letters for names."""
    spool = Spool(run.path, b"{")
    spool.add(list(names), [b'"name":"%b"}' % name.encode() for name in names])
    anyio.run(run.commit, spool, result_of(registry, len(names), verdict=verdict))


def lines_of(run: UnfinishedRun) -> dict[str | None, bytes]:
    """Return the plain lines of every finished part."""
    return {part.result.registry: b"".join(run.read_part(part)) for part in run.parts.values()}


LINES = {"one": b'{"name":"a"}\n{"name":"b"}\n', "none": b"", "two": b'{"name":"c"}\n'}


@pytest.fixture(params=["none", "gzip", "zstd"])
def stopped(tmp_path: Path, request: pytest.FixtureRequest) -> UnfinishedRun:
    """A run that was stopped with three registries finished."""
    run = UnfinishedRun.begin(tmp_path, header(options={"compress": request.param}))
    for registry, names in (("one", "ba"), ("none", ""), ("two", "c")):
        commit(run, registry, names)
    run.close()
    return run


def resume(stopped: UnfinishedRun) -> tuple[Header, dict[str | None, bytes]]:
    """Take a run up; return its header and the lines of what it has finished."""
    with closing(UnfinishedRun.resume(stopped.path, now=LATER)) as run:
        return run.header, lines_of(run)


# ── what survives ──


def test_finished_registries_survive(stopped: UnfinishedRun) -> None:
    """With their lines, however they are packed; the run keeps its name and notes when it was taken up."""
    assert unfinished_runs(stopped.path.parent) == [stopped.path]
    assert resume(stopped)[1] == LINES
    again, lines = resume(stopped)
    assert lines == LINES
    assert again.resumed == (LATER, LATER)
    assert again.id == stopped.header.id


def test_a_listing_without_lines_takes_no_bytes(stopped: UnfinishedRun) -> None:
    """No member or frame with nothing in it, which a manifest would call a contradiction."""
    assert stopped.parts[place_of("kr", "none")].length == 0


@pytest.mark.parametrize("verdict", list(Verdict))
def test_only_what_trying_again_would_not_change_is_finished(tmp_path: Path, verdict: Verdict) -> None:
    """Complete and denied stay; incomplete and failed are fetched anew, and what was gone may have come back."""
    run = UnfinishedRun.begin(tmp_path, header())
    commit(run, "r", "ab", verdict)
    run.close()
    assert bool(resume(run)[1]) is verdict.is_settled


def test_a_registry_listed_again_counts_as_it_was_last(tmp_path: Path) -> None:
    """Two lines in the journal, one truth: the later."""
    run = UnfinishedRun.begin(tmp_path, header())
    commit(run, "r", "a", Verdict.INCOMPLETE)
    commit(run, "r", "ab")
    run.close()
    assert resume(run)[1] == {"r": LINES["one"]}


def test_a_torn_end_is_cut_off_and_written_over(stopped: UnfinishedRun) -> None:
    """A journal line or a part that a kill cut short is as good as never begun; what follows is whole again."""
    with (stopped.path / "journal").open("ab") as journal, (stopped.path / "parts").open("ab") as parts:
        journal.write(b'0badc0de {"result":{"region":"kr"')
        parts.write(b'{"name":"torn')
    run = UnfinishedRun.resume(stopped.path, now=LATER)
    commit(run, "three", "d")
    run.close()
    assert resume(stopped)[1] == LINES | {"three": b'{"name":"d"}\n'}


def test_a_part_that_a_power_loss_took_is_fetched_anew(stopped: UnfinishedRun) -> None:
    """The journal may have reached the disk before the lines did."""
    os.truncate(stopped.path / "parts", 3)
    assert resume(stopped)[1] == {"none": b""}


def test_parts_that_are_gone_are_fetched_anew(stopped: UnfinishedRun) -> None:
    """Only what has no lines needs none."""
    (stopped.path / "parts").unlink()
    assert resume(stopped)[1] == {"none": b""}


def test_the_newest_run_is_the_last_of_those_that_can_be_taken_up(tmp_path: Path) -> None:
    """By their names, in whatever order the folder gives them; one without a header cannot be."""
    for hour in (3, 1, 4, 0, 5, 2):
        UnfinishedRun.begin(tmp_path, header(id=f"20261123T0{hour}0000Z")).close()
    (tmp_path / ".ncrawl-20261123T050000Z" / "run.json").unlink()
    assert [path.name for path in unfinished_runs(tmp_path)] == [f".ncrawl-20261123T0{hour}0000Z" for hour in range(5)]


def test_an_empty_run_can_be_taken_up(tmp_path: Path) -> None:
    """Killed before anything was finished."""
    run = UnfinishedRun.begin(tmp_path, header())
    run.close()
    (run.path / "journal").unlink()
    assert resume(run)[1] == {}


# ── what is refused ──


def test_a_damaged_journal_is_refused_and_left_as_it_is(stopped: UnfinishedRun) -> None:
    """The line is named; the header does not say that the run was taken up."""
    journal = stopped.path / "journal"
    journal.write_bytes(journal.read_bytes().replace(b'"none"', b'"nine"'))
    before = tree_of(stopped.path)
    with pytest.raises(UnusableRunError, match="line 2 of its journal does not match its checksum"):
        resume(stopped)
    assert tree_of(stopped.path) == before


def test_a_journal_of_something_else_is_refused(stopped: UnfinishedRun) -> None:
    """A line that matches its checksum and is no listing's is a sentence, never a traceback."""
    with (stopped.path / "journal").open("ab") as journal:
        journal.write(b'%08x {"of":"another version"}\n' % zlib.crc32(b'{"of":"another version"}'))
    with pytest.raises(UnusableRunError, match="line 4 of its journal is damaged"):
        resume(stopped)


@pytest.mark.parametrize("name", ["run.json", "journal", "parts"])
@pytest.mark.parametrize("what", ["folder", "link"])
def test_what_is_no_file_is_refused(stopped: UnfinishedRun, name: str, what: str) -> None:
    """It is the run that is unusable then, not the disk: nothing of it is changed."""
    path = stopped.path / name
    path.unlink()
    if what == "folder":
        path.mkdir()
    else:
        path.symlink_to(path)
    before = tree_of(stopped.path)
    with pytest.raises(UnusableRunError, match=f"{name} (is no file|cannot be read: .*)$"):
        resume(stopped)
    assert tree_of(stopped.path) == before


@pytest.mark.parametrize("name", ["run.json", "journal", "parts"])
@pytest.mark.parametrize("what", ["pipe", "device"])
def test_what_has_no_end_is_not_waited_for(stopped: UnfinishedRun, name: str, what: str) -> None:
    """A pipe without a writer, or a link to a device, would hold up the night, and its deadline, for ever."""
    path = stopped.path / name
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(UnusableRunError, match=f"{name} is no file$"):
        resume(stopped)


@pytest.mark.parametrize("name", ["journal", "parts"])
def test_what_another_name_leads_to_is_not_written_on(stopped: UnfinishedRun, tmp_path: Path, name: str) -> None:
    """A hard link may have been planted, or be of a copy by hard links: what it leads to stays as it is."""
    (tmp_path / "another name").hardlink_to(stopped.path / name)
    before = tree_of(stopped.path)
    with pytest.raises(UnusableRunError, match=f"{name} has another name as well$"):
        resume(stopped)
    assert tree_of(stopped.path) == before


def test_a_run_set_aside_is_left_alone(stopped: UnfinishedRun) -> None:
    """Neither taken up nor removed with remains, as it was; of several the latest alone stays."""
    folder, before = stopped.path.parent, tree_of(stopped.path)
    for hour in (3, 4):
        UnfinishedRun.begin(folder, header(id=f"20261123T0{hour}0000Z")).close()
        set_aside(folder / f".ncrawl-20261123T0{hour}0000Z")
    aside = set_aside(stopped.path)
    assert unfinished_runs(folder) == []
    remove_superseded(folder)
    remove_remains(folder)
    assert list(folder.iterdir()) == [aside]
    assert tree_of(aside) == before


def test_the_newest_run_may_be_named(tmp_path: Path) -> None:
    """After a clock that went back, the newest run's name is not the last."""
    for hour in (1, 2, 3):
        UnfinishedRun.begin(tmp_path, header(id=f"20261123T0{hour}0000Z")).close()
    remove_superseded(tmp_path, newest=tmp_path / ".ncrawl-20261123T020000Z")
    assert [path.name for path in unfinished_runs(tmp_path)] == [".ncrawl-20261123T020000Z"]


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"\xff", b"{", b"[" * 100_000, b'{"format":2}', b'{"format":2,"id":"\xff"}', b"{}"]
)
def test_a_damaged_header_is_refused(stopped: UnfinishedRun, data: bytes) -> None:
    """Whatever stands in it: one sentence, never a traceback."""
    (stopped.path / "run.json").write_bytes(data)
    with pytest.raises(UnusableRunError, match=r"is damaged|has format None"):
        resume(stopped)


def test_a_header_that_reads_well_but_was_changed_is_refused(stopped: UnfinishedRun) -> None:
    """A flipped digit in the run's name would publish it under another one."""
    file = stopped.path / "run.json"
    file.write_bytes(file.read_bytes().replace(b"20261123T020000Z", b"20261123T020001Z"))
    with pytest.raises(UnusableRunError, match=r"run\.json is damaged"):
        resume(stopped)


# ── the disk ──


def test_what_is_finished_is_synced_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts and journal, not for each of 10,000 registries, and not at all where nothing is new."""
    now_s = 1000.0
    monkeypatch.setattr("crawler.snapshot.unfinished.files.time", SimpleNamespace(monotonic=lambda: now_s))
    run = UnfinishedRun.begin(tmp_path, header())
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    commit(run, "r", "ab")
    anyio.run(run.files.sync)
    assert synced == []
    now_s += SYNC_EVERY_S
    anyio.run(run.files.sync)
    assert synced == run.files._fds
    commit(run, "s", "c")
    anyio.run(run.files.sync)
    assert synced == run.files._fds
    now_s += SYNC_EVERY_S
    anyio.run(run.files.sync)
    anyio.run(run.files.sync)
    assert synced == 2 * run.files._fds
    now_s += SYNC_EVERY_S
    anyio.run(run.files.sync)
    assert synced == 2 * run.files._fds
    run.close()


def test_a_run_that_cannot_begin_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk does not fill further, night after night, with folders that nobody could take up."""

    def refuse(path: Path, _data: bytes) -> None:
        raise OutputError(str(path), OSError(errno.ENOSPC, ""))

    monkeypatch.setattr("crawler.snapshot.unfinished.run.replace_file", refuse)
    with pytest.raises(OutputError, match=r"run\.json"):
        UnfinishedRun.begin(tmp_path, header())
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_is_an_output_error(tmp_path: Path) -> None:
    """Beginning and removing name the run's folder."""
    run = UnfinishedRun.begin(tmp_path, header())
    run.close()
    with pytest.raises(OutputError, match=r"20261123T020000Z: File exists"):
        UnfinishedRun.begin(tmp_path, header())
    shutil.rmtree(run.path)
    with pytest.raises(OutputError, match="No such file"):
        run.remove()


@pytest.mark.parametrize("which", [0, 1])
def test_after_a_failed_write_nothing_more_is_written(tmp_path: Path, which: int) -> None:
    """Others may have waited for their turn: a line after a torn one would spoil the journal."""
    run = UnfinishedRun.begin(tmp_path, header())
    commit(run, "one", "ab")
    files = list(run.files._fds)
    run.files._fds[which] = os.open("/dev/full", os.O_RDWR)
    with pytest.raises(OutputError, match="No space left"):
        commit(run, "two", "c")
    os.close(run.files._fds[which])
    run.files._fds = files
    before = tree_of(run.path)
    with pytest.raises(OutputError, match="No space left"):
        commit(run, "three", "d")
    run.close()
    assert tree_of(run.path) == before
    assert resume(run)[1] == {"one": LINES["one"]}


def test_a_commit_cut_off_does_not_disturb_the_next(tmp_path: Path) -> None:
    """Cancelled in the middle of its lines, a large registry leaves bytes that belong to nobody."""
    run = UnfinishedRun.begin(tmp_path, header())

    async def cut_off() -> None:
        spool = Spool(run.path, b"{")
        names = [f"{number:05}" for number in range(8000)]
        spool.add(names, [b'"name":"%b","x":"%b"}' % (name.encode(), b"x" * 300) for name in names])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.commit, spool, result_of("large"))
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        spool.close()

    anyio.run(cut_off)
    assert run.parts == {}
    assert (run.path / "parts").stat().st_size > 1_000_000
    commit(run, "one", "ab")
    assert lines_of(run) == {"one": LINES["one"]}
    run.close()
    assert resume(run)[1] == {"one": LINES["one"]}


def test_small_parts_are_read_together_and_large_ones_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every byte once, in the order that was asked for, and no chunk larger than two."""
    monkeypatch.setattr("crawler.snapshot.unfinished.files.CHUNK_BYTES", 40)
    run = UnfinishedRun.begin(tmp_path, header())
    for registry, names in (("a", "ab"), ("b", ""), ("c", "c"), ("d", "defghijk"), ("e", "l")):
        commit(run, registry, names)
    whole = (run.path / "parts").read_bytes()
    parts = list(run.parts.values())
    assert [len(chunk) for chunk in run.files.stored(parts)] == [79, 40, 37]
    for asked in (parts, parts[::-1], *([part] for part in parts)):
        expected = b"".join(whole[part.offset : part.offset + part.length] for part in asked)
        assert b"".join(run.files.stored(asked)) == expected
    run.close()


# ── any damage, from the command line ──


@pytest.fixture(scope="module")
def damaged_night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Night, Path, dict[str, bytes]]]:
    """An account, a run of it that was stopped, and the data of an undisturbed run."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        home = tmp_path_factory.mktemp("damaged")
        with a_night_here(home, monkeypatch, EmulatorOptions(registries=6, images=40)) as night:
            assert night.snapshot("--region", "kr") == 0
            undisturbed = data_of(night.newest())
            night.account.on_request = lambda requests: os.kill(os.getpid(), 15) if requests == 4 else None  # of 7
            assert night.snapshot("--region", "kr", "--concurrency", "1") == 143
            night.account.on_request = None
            (unfinished,) = night.remains()
            kept = (night.folder / unfinished).rename(home / unfinished)
            yield night, kept, undisturbed


@pytest.mark.long
@given(st.data())
@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_is_set_aside_or_harmless(
    damaged_night: tuple[Night, Path, dict[str, bytes]], capfd: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    """Any byte of any file changed, or any cut: the bytes of an undisturbed run, and what is not taken up is kept."""
    night, kept, undisturbed = damaged_night
    for path in (*night.folder.glob("2*"), *night.folder.glob(".ncrawl-*"), *night.folder.glob(".ncrawl.aside-*")):
        shutil.rmtree(path)
    run = shutil.copytree(kept, night.folder / kept.name)
    file = run / data.draw(st.sampled_from(["run.json", "journal", "parts"]))
    whole = file.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        changed = whole[:at]
    else:
        changed = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    file.write_bytes(changed)
    before = tree_of(run)
    code = night.snapshot("--region", "kr", "--resume")
    error = capfd.readouterr().err
    assert "Traceback" not in error
    assert code == 0
    assert data_of(night.newest()) == undisturbed
    assert list(verify(night.newest())) == []
    aside = night.folder / f".ncrawl.aside-{kept.name.removeprefix('.ncrawl-')}"
    if "cannot be taken up" in error:
        assert f"it is kept as {aside}" in error
        assert tree_of(aside) == before
        assert night.remains() == {aside.name}
    else:
        assert night.newest().name == kept.name.removeprefix(".ncrawl-")
        assert night.remains() == set()
