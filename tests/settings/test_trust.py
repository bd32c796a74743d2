"""Whose words count: a settings file that others can write or replace is refused, one that they cannot is read."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.log_lines import unstamped

from crawler.core.errors import ConfigurationError
from crawler.settings.loading import load_settings
from crawler.settings.table import Settings
from crawler.settings.trust import foreign_hand, who_else_writes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOTS_EYES = "-dac_override,-dac_read_search"


def problem_of(path: Path) -> str | None:
    """Open a file and say who else can write it."""
    with path.open("rb") as file:
        return who_else_writes(path, os.fstat(file.fileno()))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A settings file in a folder of its own that nobody else can write."""
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o755)
    path = folder / "ncrawl.toml"
    path.write_text("page_size = 7\n")
    path.chmod(0o644)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o400])
def test_what_nobody_else_can_write_is_trusted(file: Path, mode: int) -> None:
    """A file that others may read at most, in folders of this user or root; however it is spelt."""
    file.chmod(mode)
    assert problem_of(file) is None
    assert problem_of(file.parent / ".." / "etc" / "." / file.name) is None


def test_files_that_others_can_write(file: Path) -> None:
    """A file that is open to everybody is refused, with what mends it."""
    file.chmod(0o646)
    assert problem_of(file) == "it can be written by everybody (mode 0646): chmod go-w it"


def test_folders_that_others_can_write(file: Path) -> None:
    """Whoever can write a folder can put another file in place of the one that lies in it, or in a folder below."""
    file.parent.parent.chmod(0o777)
    assert problem_of(file) == f"{file.parent.parent} can be written by everybody (mode 0777): chmod go-w it"
    file.parent.parent.chmod(0o1777)
    assert problem_of(file) is None, "in a sticky folder, such as /tmp, nobody removes what is another's"


def test_links_are_followed_step_by_step(file: Path, tmp_path: Path) -> None:
    """Links as Kubernetes makes them for a ConfigMap are no harm; one in a folder that others can write is."""
    data = tmp_path / "mount" / "..2026"
    data.mkdir(parents=True)
    file.rename(data / "ncrawl.toml")
    (tmp_path / "mount" / "..data").symlink_to("..2026")
    (tmp_path / "mount" / "ncrawl.toml").symlink_to("..data/ncrawl.toml")
    assert problem_of(tmp_path / "mount" / "ncrawl.toml") is None
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    (open_to_all / "through").symlink_to(tmp_path / "mount")
    (tmp_path / "indirect.toml").symlink_to(open_to_all / "through" / "ncrawl.toml")
    assert (
        problem_of(tmp_path / "indirect.toml")
        == f"{open_to_all} can be written by everybody (mode 0777): chmod go-w it"
    )


def test_pipes_have_no_folder(tmp_path: Path) -> None:
    """What a shell gives by `--config <(…)` is read; /dev/null is a way to say that there are no settings."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb"):
        os.write(writing, b"page_size = 9\n")
        os.close(writing)
        settings = load_settings({"config": f"/dev/fd/{reading}"}, {}, cwd=tmp_path, config_home=None)
    assert settings.page_size == 9
    assert load_settings({"config": "/dev/null"}, {}, cwd=tmp_path, config_home=None) == Settings()


def status_of(kind: int, mode: int, uid: int, gid: int = 0) -> os.stat_result:
    """Make what stat() would return."""
    return os.stat_result((kind | mode, 1, 1, 1, uid, gid, 0, 0, 0, 0))


def test_owners() -> None:
    """Root and the user are trusted; a folder, file or link of anybody else is not, whatever its mode."""
    for kind in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
        assert foreign_hand(status_of(kind, 0o755, 0), 10001) is None
        assert foreign_hand(status_of(kind, 0o755, 10001), 10001) is None
        found = foreign_hand(status_of(kind, 0o1700, 10002), 10001)
        assert found == "belongs to another user (uid 10002): take a copy of your own"


def test_groups() -> None:
    """A group of one user alone and root's are trusted, as umask 002 and images for any uid have it; others are not."""
    assert foreign_hand(status_of(stat.S_IFREG, 0o664, 10001, 10001), 10001) is None
    assert foreign_hand(status_of(stat.S_IFDIR, 0o775, 10001, 0), 10001) is None
    found = foreign_hand(status_of(stat.S_IFREG, 0o664, 10001, 10002), 10001)
    assert found == "can be written by its group (mode 0664, gid 10002): chmod g-w it"


def test_a_folder_that_is_mounted_read_only() -> None:
    """A ConfigMap's own folder has mode 0777 on a mount that nobody can write: its mode does not count."""
    assert foreign_hand(status_of(stat.S_IFDIR, 0o777, 0), 10001) is not None
    assert foreign_hand(status_of(stat.S_IFDIR, 0o777, 0), 10001, writes_count=False) is None
    assert foreign_hand(status_of(stat.S_IFDIR, 0o777, 10002), 10001, writes_count=False) is not None


def test_a_config_map(tmp_path: Path) -> None:
    """A folder of mode 0777 counts while it can be written, and not where it is mounted read-only, as in a pod."""
    code = f"import sys, pathlib, os; sys.path.insert(0, {os.getcwd()!r}); "  # noqa: PTH109 - where the package is
    code += (
        "from crawler.settings.trust import *; print(who_else_writes(pathlib.Path(sys.argv[1]), os.stat(sys.argv[1])))"
    )
    script = f"""
        mount -t tmpfs -o mode=0777 tmpfs {tmp_path} && mkdir {tmp_path}/..1 && cd / || exit 9
        touch {tmp_path}/..1/ncrawl.toml && ln -s ..1 {tmp_path}/..data || exit 9
        ln -s ..data/ncrawl.toml {tmp_path}/ncrawl.toml || exit 9
        "$0" -c "$1" {tmp_path}/ncrawl.toml && mount -o remount,ro {tmp_path} && "$0" -c "$1" {tmp_path}/ncrawl.toml
    """
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, sys.executable, code]
    if shutil.which("unshare") is None or subprocess.run([*command[:3], "true"], check=False).returncode:
        pytest.skip("not run: no mount namespaces here")
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.stdout.splitlines() == [f"{tmp_path} can be written by everybody (mode 0777): chmod go-w it", "None"]


def test_a_file_that_others_can_write_ends_the_run(file: Path) -> None:
    """Named or found, it is one sentence that says which file, why, and what mends it; its settings do not count."""
    file.write_text('gateway = "https://evil.example"\n')
    file.chmod(0o666)
    danger = "is not safe, for whoever can write it chooses where signed requests go: it can be written by everybody"
    for flags, place in (({"config": str(file)}, "--config"), ({}, "settings")):
        with pytest.raises(ConfigurationError) as caught:
            load_settings(flags, {}, cwd=file.parent, config_home=None, system_config=file)
        assert caught.value.problems == [f"{place}: {file} {danger} (mode 0666): chmod go-w it"]


@pytest.fixture
def foreign_home(tmp_path: Path) -> Iterator[Path]:
    """A home that this user may not look into."""
    home = tmp_path / "closed"
    (home / ".config" / "ncrawl").mkdir(parents=True)
    (home / ".ncloud").mkdir()
    (home / ".config" / "ncrawl" / "ncrawl.toml").write_text("")
    home.chmod(0)
    yield home
    home.chmod(0o700)


def run_in(home: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a user who may not look into ``home``, which is its home."""
    code = "import sys; from crawler.cli import run; sys.exit(run(sys.argv[1:]))"
    return as_anybody(["-c", code, *arguments], cwd=home.parent, HOME=str(home), **environ)


def as_anybody(arguments: list[str], *, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run Python as a user to whom modes of files mean something; root has to be told."""
    command = [sys.executable, *arguments]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("not run: root may read everything, and setpriv is not here")
        command = ["setpriv", f"--bounding-set={ROOTS_EYES}", f"--inh-caps={ROOTS_EYES}", *command]
    variables = {"PATH": os.environ["PATH"], "NCLOUD_METADATA_ENDPOINT": "http://127.0.0.1:1"} | environ
    answer = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, cwd=cwd)
    answer.stderr = unstamped(answer.stderr)
    return answer


def test_what_may_not_be_read_and_need_not_be_there(foreign_home: Path) -> None:
    """In a home of another user, settings and key file are each told in a warning, and the run goes on."""
    answer = run_in(foreign_home, "images", "--gateway", "http://127.0.0.1:1")
    (warning,) = [line for line in answer.stderr.splitlines() if ": warning: " in line]
    path = f"{foreign_home}/.config/ncrawl/ncrawl.toml"
    assert warning == f"ncrawl: warning: cannot read {path}: Permission denied; going on without its settings"
    assert f"in {foreign_home}/.ncloud/configure (it may not be read: Permission denied)" in answer.stderr
    assert answer.returncode == 2


def test_a_current_folder_of_another_user(foreign_home: Path) -> None:
    """It holds nothing that a run needs: no word of it."""
    code = "import os, sys; os.chmod('.', 0); from crawler.cli import run; sys.exit(run(['images']))"
    there = foreign_home.parent / "there"
    there.mkdir()
    try:
        answer = as_anybody(["-c", code], cwd=there, HOME="/nonexistent", NCRAWL_GATEWAY="http://127.0.0.1:1")
    finally:
        there.chmod(0o700)
    assert "in /nonexistent/.ncloud/configure (no such file)" in answer.stderr
    assert all(line.startswith("ncrawl: ") for line in answer.stderr.splitlines())
    assert "warning" not in answer.stderr
    assert answer.returncode == 2


def test_what_was_named_has_to_be_readable(foreign_home: Path) -> None:
    """A settings file or a profile that was asked for and may not be read is an error."""
    config = f"{foreign_home}/.config/ncrawl/ncrawl.toml"
    answer = run_in(foreign_home, "images", "--config", config)
    assert (answer.returncode, answer.stderr) == (2, f"ncrawl: --config: cannot read {config}: Permission denied\n")
    answer = run_in(foreign_home, "images", "--profile", "p", XDG_CONFIG_HOME="/nonexistent")
    path = f"{foreign_home}/.ncloud/configure"
    assert (answer.returncode, answer.stderr) == (2, f"ncrawl: cannot read {path}: Permission denied\n")
