"""A fleet of emulated accounts: a file of them, a folder for their snapshots, and `ncrawl fleet` run against it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from msgspec.structs import replace
from support.night import Account, served
from support.snapshot_maker import image, make_snapshot, reseal

from crawler.emulation import Emulator, EmulatorOptions
from crawler.snapshot.folder.retention import snapshot_names
from crawler.snapshot.manifest import Manifest, read

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = "2026-11-26"
_CONFIG = Path(__file__).parents[2] / "config/ncrawl-dask.yaml"


@dataclass(frozen=True, slots=True)
class Fleet:
    """Accounts, and where everything is."""

    home: Path
    emulator: Account
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the snapshots are."""
        return self.home / "snapshots"

    @property
    def file(self) -> Path:
        """The file of accounts."""
        return self.home / "accounts.toml"

    @property
    def names(self) -> list[str]:
        """What the accounts are called."""
        return self.emulator.accounts.names

    @property
    def environment(self) -> dict[str, str]:
        """Nothing that leads to any keys, and what there is besides."""
        kept = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("COV")}
        return kept | {"HOME": str(self.home), "NCLOUD_METADATA_ENDPOINT": "http://127.0.0.1:9"} | self.variables

    def start(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        """Start `ncrawl fleet …`; what it says comes through one pipe."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        command = [sys.executable, "-m", "crawler", "fleet", *arguments]
        return subprocess.Popen(command, cwd=self.home, env=self.environment, text=True, **pipes | more)

    def __call__(self, *arguments: str, timeout_s: float = 60) -> tuple[int, str]:
        """Run it to its end; return the exit code, and what it said."""
        with self.start(*arguments) as process:
            said, _ = process.communicate(timeout=timeout_s)
        return process.returncode, said

    def task(self, account: str, *more: str, run_id: str = RUN) -> tuple[str, ...]:
        """Return the arguments of a task."""
        words = ("task", account, str(self.folder), "--accounts", str(self.file), "--run-id", run_id)
        return (*words, "--rate", "unlimited", *more)

    def run(self, *more: str, run_id: str = RUN) -> tuple[str, ...]:
        """Return the arguments of a whole run."""
        return ("run", str(self.file), str(self.folder), "--run-id", run_id, "--rate", "unlimited", *more)

    def snapshots(self, account: str) -> list[Manifest]:
        """Return the manifests of an account's snapshots, oldest first."""
        folder = self.folder / account
        return [read(folder / name) for name in sorted(snapshot_names(folder))] if folder.exists() else []


@contextmanager
def a_fleet(home: Path, **options: Any) -> Iterator[Fleet]:
    """Serve accounts, in a thread, and write a file of them."""
    chosen: dict[str, Any] = {"accounts": 3, "registries": 2, "images": 30, **options}
    emulator = Account(EmulatorOptions(**chosen))
    with served(emulator):
        fleet = Fleet(home, emulator)
        fleet.folder.mkdir()
        fleet.file.write_text(emulator.accounts.file(emulator.url))
        yield fleet
        assert emulator.accounts.crawls.at_once == {}


def images_of(emulator: Emulator, number: int) -> int:
    """Return how many images an account has, numbered from 1."""
    return emulator.accounts.gateway(number).world.image_total()


def make_account(folder: Path, account: str, *images: str, suffix: str = "", run_id: str = RUN, **more: Any) -> Path:
    """Write a snapshot of an account with a registry of these images, and an empty one, as a task leaves it."""
    contents = {(account, "kr", "team"): list(map(image, images)), (account, "sgn", "void"): []}
    snapshot = make_snapshot(folder / account / "20261123T020000Z", contents, suffix=suffix, **more)

    def change(made: Manifest) -> Manifest:
        totals = replace(made.totals, bytes=sum(file.bytes for file in made.files))
        return replace(made, run=replace(made.run, run_id=run_id), totals=totals)

    return reseal(snapshot, change)


class Cluster:
    """A scheduler of Dask and two workers, as processes of their own, each with so many tasks at a time."""

    def __init__(self, fleet: Fleet, *, threads: int = 2) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        self.url = f"{'tls' if fleet.variables else 'tcp'}://127.0.0.1:{port}"
        self.log = fleet.home / "dask.log"
        self._fleet = fleet
        self._port = port
        self._threads = str(threads)
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start all three."""
        where = ("--protocol", self.url.partition(":")[0], "--host", "127.0.0.1", "--port", str(self._port))
        self._run("scheduler", *where, "--no-dashboard", "--no-show")
        for _ in range(2):
            self.start_worker()

    def start_worker(self) -> None:
        """Start another worker."""
        self._run(
            "worker", self.url, "--nthreads", self._threads, "--no-nanny", "--no-dashboard", "--death-timeout", "60"
        )

    def _run(self, *words: str) -> None:
        with self.log.open("ab") as log:
            self.processes.append(
                subprocess.Popen(
                    [str(Path(sys.executable).with_name("dask")), *words],
                    env=self._fleet.environment | {"TMPDIR": str(self._fleet.home), "DASK_CONFIG": str(_CONFIG)},
                    cwd=self._fleet.home,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Kill them, and wait."""
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes = []
