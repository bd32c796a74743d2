"""`latest` as a link and as a file: moved as a whole, read the same by every command, nobody else's touched."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from crawler.core.errors import OutputError, UsageError
from crawler.snapshot.folder.abilities import check_folder
from crawler.snapshot.folder.latest import followed, point_latest, target_of

NAME, OTHER = "20261123T020000Z", "20261124T020000Z"


@pytest.fixture
def linkless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Play a file system without symbolic links."""
    refuse_links(monkeypatch, errno.EPERM)


def refuse_links(monkeypatch: pytest.MonkeyPatch, problem: int) -> None:
    def refuse(path: Path, _target: str) -> None:
        raise OSError(problem, os.strerror(problem), str(path))

    monkeypatch.setattr(Path, "symlink_to", refuse)


@pytest.mark.usefixtures("linkless")
def test_a_file_takes_the_links_place(tmp_path: Path) -> None:
    """It holds the name and a newline; what was there before, link or file, is replaced as a whole."""
    os.symlink(OTHER, tmp_path / "latest")  # noqa: PTH211 - the other way to make one is refused here
    for name in (NAME, OTHER):
        point_latest(tmp_path / name)
        assert (tmp_path / "latest").is_symlink() is False
        assert (tmp_path / "latest").read_text() == f"{name}\n"
        assert target_of(tmp_path) == name
    assert [path.name for path in tmp_path.iterdir()] == ["latest"]


def test_a_link_takes_the_files_place(tmp_path: Path) -> None:
    """Where links have become possible."""
    (tmp_path / "latest").write_text(f"{NAME}\n")
    point_latest(tmp_path / OTHER)
    assert (tmp_path / "latest").readlink() == Path(OTHER)
    assert target_of(tmp_path) == OTHER


@pytest.mark.parametrize("problem", [errno.ENOSPC, errno.EIO])
def test_a_failed_disk_is_no_file_system_without_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: int
) -> None:
    """A link stays a link: its form does not change because a disk is full."""
    point_latest(tmp_path / NAME)
    refuse_links(monkeypatch, problem)
    with pytest.raises(OutputError, match="latest"):
        point_latest(tmp_path / OTHER)
    assert (tmp_path / "latest").readlink() == Path(NAME)


@pytest.mark.parametrize("text", [f"{NAME}\n", NAME, f"{NAME}\r\n"])
def test_a_path_to_the_file_is_one_to_the_snapshot(tmp_path: Path, text: str) -> None:
    """Directly, and through a user's own link; a link is a path already, and so is everything else."""
    (tmp_path / "latest").write_bytes(text.encode())
    (tmp_path / "current").symlink_to("latest")
    for name in ("latest", "current"):
        assert followed(tmp_path / name) == tmp_path / NAME
    for path in (tmp_path, tmp_path / "missing", tmp_path / "latest" / "below", Path("latest")):
        assert followed(path) == path


@pytest.mark.parametrize("content", [b"", b"\0" * 17, b"\n"])
def test_a_file_that_lost_its_name_with_the_power_is_ours(tmp_path: Path, content: bytes) -> None:
    """It means no snapshot, refuses no night, and is replaced by the next one."""
    (tmp_path / "latest").write_bytes(content)
    check_folder(tmp_path)
    assert target_of(tmp_path) == ""
    assert followed(tmp_path / "latest") == tmp_path / "latest"
    point_latest(tmp_path / NAME)
    assert target_of(tmp_path) == NAME


@pytest.mark.parametrize("content", [b"notes", NAME.encode() + b" and more", b"\0" * 65, b"20269999T999999Z", b"\xff"])
def test_a_users_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """Before the first request, and it stays as it is."""
    (tmp_path / "latest").write_bytes(content)
    with pytest.raises(UsageError, match="so not ncrawl's: move it away"):
        check_folder(tmp_path)
    assert followed(tmp_path / "latest") == tmp_path / "latest"
    assert (tmp_path / "latest").read_bytes() == content


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """Nobody would ever write into it."""
    os.mkfifo(tmp_path / "latest")
    with pytest.raises(UsageError, match="so not ncrawl's"):
        check_folder(tmp_path)
    assert target_of(tmp_path) == ""
    assert followed(tmp_path / "latest") == tmp_path / "latest"
