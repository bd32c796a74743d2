"""The SQLite method: fail or kill `ncrawl snapshot` at its k-th system call, for every k, and look at what is left.

`make torture` runs all of it and prints a table of figures; test_crash.py runs the part that takes less than a minute.
Every victim is forked from a process that has ncrawl loaded already, so that a run costs milliseconds, and strace
injects the fault into its calls on our own paths. strace counts the calls of each thread by themselves, so the
situations keep apart what the program does in its main thread (begin, fetch, take up) and beside it (publish, tidy up).

Usage: python tests/long/torture.py [--level images|tags] [--kills N] [--registries N] [--images N]
"""
# ruff: noqa: T201 - a script that prints

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from support.night import Night, a_night, data_of, tree_of

from crawler.cli import run
from crawler.emulation import EmulatorOptions
from crawler.snapshot.folder.names import ID_FORMAT
from crawler.snapshot.verifying.verify import foreign_entries, verify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

    from support.night import Key

NAME = re.compile(r"\d{8}T\d{6}Z")
WATCHED_S = 10
"""A run is named after the second in which it starts: so many are watched."""
LONGEST_RUN_S = 120

RUN = ".ncrawl-{id}"
RUN_FILES = ("", "run.json.partial", "run.json", "parts", "journal")
SNAPSHOT_FILES = (
    "",
    "images.ndjson",
    "images.ndjson.zst",
    "registries.ndjson",
    "registries.ndjson.zst",
    "tags.ndjson",
    "tags.ndjson.zst",
    "manifest.json",
)
CALLS = {
    "write": "write",
    "fsync": "fsync",
    "truncate": "ftruncate",
    "rename": "?rename,?renameat,?renameat2",
    "mkdir": "?mkdir,?mkdirat",
    "open": "?open,?openat",
    "symlink": "?symlink,?symlinkat",
    "unlink": "?unlink",
    "unlinkat": "?unlinkat",
    "rmdir": "?rmdir",
}
"""What is spoilt, in strace's words; a question mark is for what not every processor's Linux has."""

KILL = "signal=KILL"
TERM = "signal=TERM"
EIO = "error=EIO"
ENOSPC = "error=ENOSPC"

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["crawler.cli.nightly", "crawler.cli.commands.snapshot", "uvloop", "support.night"])


class NotRunError(Exception):
    """Faults cannot be injected here; says why."""


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault at the ``when``-th of some calls on some paths; in a path ``{id}`` stands for the run's."""

    call: str
    effect: str
    when: int | str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a victim ended: exit code, or minus the signal; what it said; whether a fault hit it, and was SIGTERM."""

    code: int
    said: str
    was_hit: bool
    was_told: bool


@dataclass(frozen=True, slots=True)
class Situation:
    """Where runs begin: with a copy of the folder ``start``, these options, and calls on these paths to spoil."""

    name: str
    start: Path
    options: tuple[str, ...]
    paths: tuple[str, ...]
    calls: tuple[str, ...]


@dataclass(slots=True)
class Figures:
    """What was done, and what went wrong: kind to number, and a sentence each."""

    runs: int = 0
    errors: int = 0
    signals: int = 0
    kills: int = 0
    losses: int = 0
    resumes: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def note(self, kind: str, example: str, how_many: int = 1) -> None:
        """Count something wrong."""
        self.wrong[kind] += how_many
        self.examples.append(f"{kind}: {example}")


REFETCHED = "finished listings fetched again"
DAMAGED = "damaged earlier snapshots"
HALF = "half snapshots under a final name"
DIFFERING = "resumed runs with differing bytes"
MISLED = "wrong exit codes or words"
LEFT_OVER = "remains after a resumed run"
LOST = "published snapshots lost with the power"
WORDS = {
    0: "",
    74: r"^(\S+Z \S+ )?ncrawl: cannot write /.*: .*$",
    143: r"^(\S+Z \S+ )?ncrawl: warning: (stopping: )?stopped by SIGTERM",
}
KINDS = (REFETCHED, DAMAGED, HALF, DIFFERING, MISLED, LEFT_OVER, LOST)


def _victim(arguments: list[str], environment: dict[str, str], said: str, told: Connection) -> None:
    """Run ncrawl in this process as soon as whoever watches it is there."""
    os.environ.clear()
    os.environ.update(environment)
    fd = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    told.recv()
    sys.exit(run(arguments))


class Laboratory:
    """Lets runs fail in copies of a folder, and judges what they leave.

    Attributes:
        night: the account, and the folder that is spoilt again and again.
        figures: what came of it.
        begun: a copy of the folder with two snapshots, from before anything was spoilt.
    """

    def __init__(self, night: Night, *options: str) -> None:
        self.night = night
        self.figures = Figures()
        self._options = options
        for _ in range(2):
            outcome = self.run()
            assert outcome.code == 0, outcome.said
        self._earlier = {name: tree_of(night.folder / name) for name in night.names()}
        self._undisturbed = data_of(night.newest())
        self.begun = self._keep("begun")

    # ── running ──

    def run(self, *options: str, inject: Injection | None = None, kill_after_s: float | None = None) -> Outcome:
        """Run the job once, in a process of its own."""
        self.figures.runs += 1
        self.night.account.forget()
        said, calls = self.night.home / "said", self.night.home / "calls"
        told, tell = _FORKS.Pipe(duplex=False)
        arguments = ["snapshot", str(self.night.folder), *self._options, *options]
        victim = _FORKS.Process(target=_victim, args=(arguments, self.night.environment, str(said), told))
        victim.start()
        assert victim.pid is not None
        with told, tell:
            try:
                with _watched(victim.pid, calls, self._strace(inject)):
                    tell.send("go")
                    victim.join(LONGEST_RUN_S if kill_after_s is None else kill_after_s)
                    victim.kill()
                    victim.join()
            finally:
                victim.kill()
        assert victim.exitcode is not None
        log = calls.read_text() if inject is not None else ""
        was_told = "--- SIGTERM" in log
        was_hit = victim.exitcode == -9 or was_told or "(INJECTED)" in log
        return Outcome(victim.exitcode, said.read_text(), was_hit, was_told)

    def _strace(self, inject: Injection | None) -> list[str]:
        if inject is None:
            return []
        now = datetime.now(UTC)
        ids = [f"{now + timedelta(seconds=number):{ID_FORMAT}}" for number in range(WATCHED_S)]
        paths = {str(self.night.folder / path.format(id=name)) for path in inject.paths for name in ids}
        calls = CALLS[inject.call]
        words = [f"--trace-path={path}" for path in paths]
        return [*words, f"--trace={calls}", f"--inject={calls}:{inject.effect}:when={inject.when}"]

    def reset(self, start: Path) -> None:
        """Let the folder be as it was in the beginning."""
        shutil.rmtree(self.night.folder)
        shutil.copytree(start, self.night.folder, symlinks=True)

    def _keep(self, name: str) -> Path:
        return Path(shutil.copytree(self.night.folder, self.night.home / name, symlinks=True))

    # ── situations ──

    def situations(self) -> Iterator[Situation]:
        """Yield a run that begins, one that is taken up half done, one that has only to publish and tidy up."""
        fetching = ("write", "fsync", "truncate", "rename", "mkdir", "open")
        files = ("", ".ncrawl.lock", *(f"{RUN}/{file}" for file in RUN_FILES))
        yield Situation("begin and fetch", self.begun, (), files, fetching)
        half, run = self._interrupted("half", Injection("write", KILL, self._lines_of_half(), (f"{RUN}/journal",)))
        files = (".ncrawl.lock", *(f"{run}/{file}" for file in RUN_FILES))
        yield Situation("take up", half, ("--resume",), files, tuple(call for call in fetching if call != "mkdir"))
        done, run = self._interrupted("done", Injection("mkdir", KILL, 1, (f"{RUN}/snapshot",)))
        oldest, name = min(self._earlier), run.removeprefix(".ncrawl-")
        names = ("", name, f"{name}/manifest.json", "latest", ".ncrawl-latest", oldest, f".ncrawl-removed-{oldest}")
        files = (*names, *(f"{run}/snapshot/{file}" for file in SNAPSHOT_FILES))
        publishing = ("write", "fsync", "rename", "mkdir", "open", "symlink", "unlink")
        yield Situation("publish", done, ("--resume",), files, publishing)
        yield Situation("tidy up", done, ("--resume",), (run, f".ncrawl-removed-{oldest}"), ("unlinkat", "rmdir"))

    def _lines_of_half(self) -> int:
        """Return the line of the journal at which a run is half done: some lists are finished, with tags one batch."""
        return self.night.account.options.registries + 3 if "tags" in self._options else 3

    def _interrupted(self, name: str, inject: Injection) -> tuple[Path, str]:
        """Kill a run there; return a copy of the folder, and the name of the run's."""
        self.reset(self.begun)
        outcome = self.run("--concurrency", "1", inject=inject)
        if outcome.code != -9:
            raise NotRunError(f"strace does not see the calls of a process here: {outcome.said}")
        (unfinished,) = self.night.remains()
        return self._keep(name), unfinished

    # ── judging ──

    def spoil(self, situation: Situation, call: str, effect: str) -> int:
        """Spoil the first, second, third… call until a run passes clean; return how many there were."""
        when = 0
        while True:
            when += 1
            self.reset(situation.start)
            outcome = self.run(*situation.options, "--keep", "2", inject=Injection(call, effect, when, situation.paths))
            self.judge(outcome, f"{situation.name}: {effect} at {call} {when}")
            if not outcome.was_hit:
                return when - 1

    def judge(self, outcome: Outcome, what: str) -> None:
        """Look at what a run left, resume it, and look again."""
        self.figures.kills += outcome.code == -9
        self.figures.signals += outcome.was_told
        self.figures.errors += outcome.was_hit and not outcome.was_told and outcome.code != -9
        self._judge_words(outcome, what)
        self._judge_snapshots(what)
        if outcome.was_hit:
            self._judge_resumed(what)

    def resume(self, what: str, *, kill_after_s: float | None = None) -> Outcome:
        """Take up what is left, and look whether anything that was finished is fetched again."""
        self.figures.resumes += 1
        done = self.finished()
        outcome = self.run("--resume", kill_after_s=kill_after_s)
        if again := self.night.fetched() & done:
            self.figures.note(REFETCHED, f"{what}: {again}", len(again))
        return outcome

    def finished(self) -> set[Key]:
        """Return what must not be fetched again."""
        return self.night.finished()

    def _judge_words(self, outcome: Outcome, what: str) -> None:
        """A fault is an exit code and a sentence, unless the result is safe; SIGTERM may come when all is done."""
        if outcome.code == -9:
            return
        is_safe = bool(set(self.night.names()) - self._earlier.keys())
        codes = (143, 0) if outcome.was_told else (74, *([0] if is_safe else [])) if outcome.was_hit else (0,)
        is_good = outcome.code in codes and "Traceback" not in outcome.said
        if not (is_good and re.search(WORDS[outcome.code], outcome.said, re.MULTILINE)):
            self.figures.note(MISLED, f"{what}: exit {outcome.code}\n{outcome.said}")

    def _judge_snapshots(self, what: str) -> None:
        """Earlier snapshots are as they were, but for the oldest once there is a newer one; all are whole."""
        here = {path.name for path in self.night.folder.iterdir() if NAME.fullmatch(path.name)}
        for name, tree in self._earlier.items():
            was_replaced = name == min(self._earlier) and here > self._earlier.keys() - {name}
            if tree_of(self.night.folder / name) != tree and (name in here or not was_replaced):
                self.figures.note(DAMAGED, f"{what}: {name}")
        for name in here:
            path = self.night.folder / name
            if not (path / "manifest.json").exists() or list(verify(path)) or foreign_entries(path):
                self.figures.note(HALF, f"{what}: {name}")
        if not (self.night.folder / "latest" / "manifest.json").exists():
            self.figures.note(DAMAGED, f"{what}: latest points nowhere")

    def _judge_resumed(self, what: str) -> None:
        outcome = self.resume(what)
        self._judge_words(outcome, f"{what}, resumed")
        if outcome.code or data_of(self.night.newest()) != self._undisturbed:
            self.figures.note(DIFFERING, f"{what}: exit {outcome.code}, {outcome.said}")
        newest = (self.night.folder / "latest").readlink().name == self.night.newest().name
        if not newest or self.night.remains() or len(self.night.names()) < 3:
            self.figures.note(LEFT_OVER, f"{what}: {sorted(path.name for path in self.night.folder.iterdir())}")
        self._judge_snapshots(f"{what}, resumed")


@contextmanager
def _watched(pid: int, log: Path, words: list[str]) -> Iterator[None]:
    """Have strace watch a process, if it is told for what; go on when it does."""
    if not words:
        yield
        return
    strace = ["strace", "--follow-forks", f"--output={log}", *words, f"--attach={pid}"]
    with subprocess.Popen(strace, stderr=subprocess.PIPE, text=True) as watcher:
        assert watcher.stderr is not None
        said = ""
        for line in watcher.stderr:
            said += line
            if "attached" in line:
                break
        else:
            raise NotRunError(f"strace cannot watch a process here: {said}")
        yield


@contextmanager
def a_home() -> Iterator[Path]:
    """Make a folder in memory where that is to be had: nothing here needs a disk.

    Raises:
        NotRunError: there is no strace.
    """
    if shutil.which("strace") is None:
        raise NotRunError("there is no strace here (Debian package strace)")
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None
    with tempfile.TemporaryDirectory(prefix="ncrawl-torture-", dir=memory) as home:
        yield Path(home)


@contextmanager
def laboratory(options: EmulatorOptions, *arguments: str) -> Iterator[Laboratory]:
    """Set up an account and a folder for it.

    Raises:
        NotRunError: there is no strace.
    """
    with a_home() as home, a_night(home, options) as night:
        yield Laboratory(night, *arguments)


# ── the long version ──


def kill_at_random(laboratory: Laboratory, kills: int, seed: int) -> None:
    """Kill runs, and runs that resume them, at random moments, and judge each."""
    chance = random.Random(seed)
    before = laboratory.figures.kills
    laboratory.reset(laboratory.begun)
    began_s = time.monotonic()
    laboratory.run()
    longest_s = 1.1 * (time.monotonic() - began_s)
    while laboratory.figures.kills - before < kills:
        laboratory.reset(laboratory.begun)
        outcome = laboratory.run("--keep", "2", kill_after_s=chance.uniform(0, longest_s))
        while outcome.code == -9 and chance.random() < 0.5:
            laboratory.figures.kills += 1
            outcome = laboratory.resume("killed at random", kill_after_s=chance.uniform(0, longest_s))
        laboratory.judge(outcome, "killed at random")


def effects_of(call: str) -> tuple[str, ...]:
    """Return what is done to a call: every error that it can have, and a kill."""
    no_space = (ENOSPC,) if call in ("write", "mkdir", "open", "symlink", "rename") else ()
    return (*no_space, EIO, TERM, KILL)


def main() -> None:
    """Torture, print the figures, and exit with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", choices=("images", "tags"), default="images")
    parser.add_argument("--kills", type=int, default=200, help="random kills")
    parser.add_argument("--registries", type=int, default=8, help="in the region")
    parser.add_argument("--images", type=int, help="in all three regions together: 2000, or 120 with their tags")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    images = chosen.images or (120 if chosen.level == "tags" else 2000)
    world = EmulatorOptions(registries=chosen.registries, images=images)
    usual = ("--region", "kr", "--page-size", "50", "--level", chosen.level)
    wrong = 0
    for compress in ("none", "zstd"):
        began_s = time.monotonic()
        with laboratory(world, *usual, "--compress", compress) as one:
            for situation in one.situations():
                for call in situation.calls:
                    hits = [f"{effect} {one.spoil(situation, call, effect)}" for effect in effects_of(call)]
                    print(f"{compress:5} {situation.name:16} {call:9} {', '.join(hits)}", flush=True)
            kill_at_random(one, chosen.kills // 2, chosen.seed)
            print_figures(one.figures, f"--compress {compress}: {time.monotonic() - began_s:.0f} s")
            wrong += sum(one.figures.wrong.values())
    sys.exit(1 if wrong else 0)


def print_figures(figures: Figures, title: str) -> None:
    """Print a table, and a few examples of what was wrong."""
    rows = {"runs": figures.runs, "injected errors": figures.errors, "SIGTERM": figures.signals}
    rows |= {"kills": figures.kills, "power losses": figures.losses, "resumes": figures.resumes}
    rows |= {kind: figures.wrong[kind] for kind in KINDS}
    print(f"\n{title}")
    for name, number in rows.items():
        print(f"  {name:36} {number:6,}")
    print(*figures.examples[:20], sep="\n", flush=True)


if __name__ == "__main__":
    main()
