"""An emulated account, and `ncrawl snapshot` run against it: in this process, or in one of its own to be killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote, unquote

from anyio.from_thread import start_blocking_portal

import crawler
from crawler.cli import run
from crawler.emulation import Emulator, EmulatorOptions
from crawler.emulation.faults import REFUSALS
from crawler.emulation.options import REGIONS
from crawler.emulation.wire import Answer
from crawler.snapshot.comparing.diff import diff
from crawler.snapshot.comparing.opening import open_side
from crawler.snapshot.folder.retention import snapshot_names
from crawler.snapshot.manifest import Manifest, read
from crawler.snapshot.unfinished.journal import Part, read_part
from crawler.snapshot.verifying.verify import foreign_entries, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from crawler.emulation.wire import Connection, Request

ROOT = Path(__file__).parents[2]
TOO_LARGE = Answer(413, REFUSALS[100].body)
"""A permanent refusal of one page: its listing is incomplete, or failed if it is the first."""
SILENCE = Answer(200, b"", delay_s=3600.0)

_BASES = {region.code: f"{region.base_path}/repositories" for region in REGIONS}
CODES = tuple(_BASES)
"""Every region that an account is in."""
_OURS = ("NCRAWL_", "NCLOUD_", "XDG_")

Key: TypeAlias = "tuple[str | None, ...]"
"""A list: (region, None) of registries, (region, registry) of images, (region, registry, image) of tags."""


class Account(Emulator):
    """An emulator whose answers a test can replace, and which tells of each request before it is answered.

    Attributes:
        replaced: (path, page) to the answer that is given there.
        silent: how targets begin that are never answered.
        on_request: called with the number of requests so far, in the emulator's thread.
    """

    def __init__(self, options: EmulatorOptions) -> None:
        super().__init__(options)
        self.replaced: dict[tuple[str, int], Answer] = {}
        self.silent: tuple[str, ...] = ()
        self.on_request: Callable[[int], None] | None = None
        self._is_alone = threading.Event()
        self._is_alone.set()

    def opened(self, connection: Connection) -> None:
        """Keep a connection."""
        self._is_alone.clear()
        super().opened(connection)

    def lost(self, connection: Connection) -> None:
        """Forget a connection."""
        super().lost(connection)
        if not self._connections:
            self._is_alone.set()

    def arrived(self, request: Request) -> None:
        """Note a request."""
        super().arrived(request)
        if self.on_request is not None:
            self.on_request(self.statistics.requests)

    def answer(self, request: Request) -> Answer:
        """Answer as a test has it, or as an emulator does."""
        if request.target.startswith(self.silent):
            return SILENCE
        path, _, query = request.target.partition("?")
        page = next((int(part[5:]) for part in query.split("&") if part.startswith("page=")), 1)
        return self.replaced.get((path, page)) or super().answer(request)

    def registries(self) -> list[tuple[str, str]]:
        """Return region and name of every registry there is, those with most images first."""
        everything = [contents.registry for region in self.world.regions for contents in self.world.listed(region)]
        return [(one.region, one.name) for one in sorted(everything, key=lambda one: -one.images)]

    def forget(self) -> None:
        """Count requests anew, once the last of a run that was cut off has arrived."""
        assert self._is_alone.wait(60)
        self.statistics.targets.clear()
        self.statistics.arrivals_s.clear()


def path_of(region: str, registry: str | None = None) -> str:
    """Return the path of a registry, or of a region's list of registries."""
    return _BASES[region] if registry is None else f"{_BASES[region]}/{registry}"


def path_of_tags(region: str, registry: str, image: str) -> str:
    """Return the path of an image's tags."""
    return f"{path_of(region, registry)}/{quote(image, safe='')}/tags"


@dataclass(frozen=True, slots=True)
class Night:
    """A folder for snapshots, and the account that they are of."""

    home: Path
    account: Account

    @property
    def folder(self) -> Path:
        """Where the snapshots are."""
        return self.home / "snapshots"

    @property
    def keys(self) -> crawler.Keys:
        """The account's keys, as a Python caller brings them along."""
        return crawler.Keys(self.account.access_key, self.account.secret_key)

    @property
    def environment(self) -> dict[str, str]:
        """What leads ncrawl to the account, and nowhere else."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        return kept | {
            "HOME": str(self.home),
            "NCLOUD_METADATA_ENDPOINT": "http://127.0.0.1:9",
            "NCLOUD_ACCESS_KEY_ID": self.account.access_key,
            "NCLOUD_SECRET_KEY": self.account.secret_key,
            "NCRAWL_GATEWAY": self.account.url,
            "NCRAWL_RATE": "unlimited",
            **({"NCRAWL_API": self.account.options.api} if self.account.options.api != "v2" else {}),
        }

    def snapshot(self, *options: str) -> int:
        """Run the job in this process, whose environment has to be the night's; return the exit code."""
        self.account.forget()
        return run(["snapshot", str(self.folder), *options])

    def start(
        self, *options: str, program: tuple[str, ...] = (), environment: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start the job in a process of its own.

        Args:
            options: of the job.
            program: one to take ncrawl's place, and its first arguments.
            environment: another one than the night's.
        """
        python = ("-c", *program) if program else ("-m", "crawler")
        return subprocess.Popen(
            [sys.executable, *python, "snapshot", str(self.folder), *options],
            cwd=ROOT,
            env=environment or self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def names(self) -> list[str]:
        """Return the names of the snapshots, oldest first."""
        return sorted(snapshot_names(self.folder))

    def newest(self) -> Path:
        """Return the newest snapshot."""
        return self.folder / self.names()[-1]

    def parts(self) -> dict[Key, Part]:
        """Return what the newest run that is not published has put down; lists that share a part have it each."""
        runs = [path.parent for path in sorted(self.folder.glob(".ncrawl-2*/run.json"))]
        journals = [path / "journal" for path in runs if path.name.removeprefix(".ncrawl-") not in self.names()]
        lines = journals[-1].read_bytes().split(b"\n")[:-1] if journals and journals[-1].exists() else []
        return {key: part for part in (read_part(line[9:]) for line in lines) for key in _keys_of(part)}

    def finished(self) -> set[Key]:
        """Return what the newest unfinished run has finished by its journal."""
        return {key for key, part in self.parts().items() if part.result.verdict.is_settled}

    def fetched(self) -> set[Key]:
        """Return what was asked for since the last `forget`."""
        asked = self.account.statistics.requests_by_path
        places = [*self.account.registries(), *((region, None) for region in _BASES)]
        return {(region, registry) for region, registry in places if asked[path_of(region, registry)]} | self._tags()

    def _tags(self) -> set[Key]:
        """Return whose tags were asked for."""
        asked = self.account.statistics.requests_by_path
        return {
            (region, registry, unquote(image))
            for region, base in _BASES.items()
            for path in asked
            if path.startswith(f"{base}/") and path.endswith("/tags")
            for registry, image, _ in [path.removeprefix(f"{base}/").split("/")]
        }

    def remains(self) -> set[str]:
        """Return what is in the folder beside snapshots, `latest` and the lock."""
        return {path.name for path in self.folder.iterdir()} - {*self.names(), "latest", ".ncrawl.lock"}


def _keys_of(part: Part) -> list[Key]:
    """Return the lists that a part holds."""
    one = part.result
    if one.is_sum:
        return [(one.region, *one.within, *below.within) for below in part.lists]
    return [(one.region, *one.within) if one.within else (one.region, None)]


@contextmanager
def served(account: Account) -> Iterator[None]:
    """Serve an account in a thread of its own, which is not traced: what serves is traced by the emulator's tests."""
    tracer = threading.gettrace()
    threading.settrace(None)
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        threading.settrace(tracer)
        stack.enter_context(portal.wrap_async_context_manager(account))
        yield


@contextmanager
def a_night(home: Path, options: EmulatorOptions) -> Iterator[Night]:
    """Serve an account, in a thread, and make an empty folder for snapshots."""
    account = Account(options)
    with served(account):
        night = Night(home, account)
        night.folder.mkdir()
        yield night


@contextmanager
def a_night_here(home: Path, monkeypatch: pytest.MonkeyPatch, options: EmulatorOptions) -> Iterator[Night]:
    """Serve an account and let this process's environment lead to it."""
    with a_night(home, options) as night:
        for name in [name for name in os.environ if name.startswith(_OURS)]:
            monkeypatch.delenv(name)
        for name, value in night.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(home)
        yield night


def data_of(snapshot: Path) -> dict[str, bytes]:
    """Return the bytes of a snapshot's data files by name."""
    return {file.name: (snapshot / file.name).read_bytes() for file in read(snapshot).files}


def checked(snapshot: Path) -> Manifest:
    """Have `verify` prove a snapshot whole and `diff` find it equal to itself; return its manifest."""
    assert list(verify(snapshot)) == []
    assert foreign_entries(snapshot) == []
    manifest = read(snapshot)
    differences = list(diff(open_side(snapshot), open_side(snapshot)))
    assert all(one.change == "unknown" for one in differences)
    assert manifest.verdict == "incomplete" or manifest.expected_gaps or not differences
    return manifest


def tree_of(folder: Path) -> dict[str, bytes]:
    """Return everything below a folder: files with their bytes, links with their targets."""
    return {
        str(path.relative_to(folder)): str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }
