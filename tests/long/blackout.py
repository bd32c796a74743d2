"""Power loss: what a disk holds at the moment is all that is left, and a file system comes up from it.

The disk is an image of ext4, mounted by loop. A run is killed at a system call; what it wrote and did not sync is in
the kernel's memory by then, not on the disk. A copy of the image, taken while the disk does nothing, is what a power
loss leaves; mounting it replays the file system's journal. As a kernel may write anything back at any moment, copies
are also taken after it was made to write some things and not others. A drive that reorders what it was not told to
flush is beyond this.

Usage: python tests/long/blackout.py [--level images|tags] [--registries N] [--images N]
test_crash.py runs it on a small account.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from long.torture import KILL, LOST, RUN, Laboratory, NotRunError, a_home, print_figures
from support.night import a_night, tree_of
from support.undone import undone

from crawler.emulation import EmulatorOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from long.torture import Outcome
    from support.night import Key, Night

IMAGE_BYTES = 16 * 1024 * 1024
_NOTHING_UNDER_WAY = "0"
_DATA = (".ndjson", "parts")
_NUMBERS = re.compile(rb"[0-9a-f]{8,}|[0-9]+")


class Disk:
    """An ext4 file system in an image, mounted at ``place``.

    Raises:
        NotRunError: it cannot be made or mounted here; says why.
    """

    def __init__(self, image: Path, place: Path) -> None:
        self.place = place
        self._image = image
        if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
            raise NotRunError("an image cannot be mounted here (it takes root and mkfs.ext4: Debian package e2fsprogs)")
        image.write_bytes(bytes(IMAGE_BYTES))
        _do("mkfs.ext4", "-q", "-b", "1024", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))
        self._mount()

    def content(self) -> bytes:
        """Return what is on the disk: at one moment, for nothing is written meanwhile."""
        while True:
            before = self._written()
            content = self._image.read_bytes()
            if before is not None and before == self._written():
                return content

    def replace(self, content: bytes) -> None:
        """Take the disk out and put in one with this content."""
        _do("umount", str(self.place))
        self._image.write_bytes(content)
        self._mount()

    def _mount(self) -> None:
        try:
            _do("mount", "-t", "ext4", "-o", "loop", str(self._image), str(self.place))
        except subprocess.CalledProcessError as error:
            raise NotRunError(f"an image cannot be mounted here: {error.stderr.strip()}") from None
        device = self.place.stat().st_dev
        self._statistics = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")

    def _written(self) -> str | None:
        """Return how many writes the disk has done; None while one is under way."""
        fields = self._statistics.read_text().split()
        return fields[4] if fields[8] == _NOTHING_UNDER_WAY else None


class Blackouts(Laboratory):
    """Lets the power fail at a run's k-th call, and judges what each power loss leaves.

    Mutable state: what was resumed already. Most moments leave what an earlier one has left, but for numbers.
    """

    def __init__(self, disk: Disk, night: Night, *options: str) -> None:
        self._disk = disk
        self._resumed: set[tuple[tuple[str, bytes], ...]] = set()
        super().__init__(night, *options)

    def reset(self, start: Path) -> None:
        """Let the folder be as it was in the beginning, on the disk too."""
        super().reset(start)
        _do("sync", "--file-system", str(self._disk.place))

    def judge(self, outcome: Outcome, what: str) -> None:
        """Look at what every power loss at this moment leaves, resume it, and look again."""
        if not outcome.was_hit:
            super().judge(outcome, what)
            return
        self.figures.kills += outcome.code < 0
        for how, content in list(self._contents()):
            self.figures.losses += 1
            self._disk.replace(content)
            self._judge_snapshots(f"{what}, power lost {how}")
            if (state := self._state()) not in self._resumed:
                self._resumed.add(state)
                self._judge_resumed(f"{what}, power lost {how}")

    def judge_lasting(self, what: str) -> None:
        """Lose power after a run that ended well: what it has published stays."""
        published, latest = self.night.names(), (self.night.folder / "latest").readlink()
        self.figures.losses += 1
        self._disk.replace(self._disk.content())
        if (self.night.names(), (self.night.folder / "latest").readlink()) != (published, latest):
            self.figures.note(LOST, f"{what}: {published}, then {self.night.names()}")
        self._judge_snapshots(what)

    def finished(self) -> set[Key]:
        """Return what the newest unfinished run has finished, as far as the disk has kept it."""
        return {key for key in super().finished() if self._is_kept(key)}

    def _state(self) -> tuple[tuple[str, bytes], ...]:
        """Return all that the folder holds, without names of runs, times, counts and checksums; data as they are."""
        return tuple(
            (_NUMBERS.sub(b"#", path.encode()).decode(), data if path.endswith(_DATA) else _NUMBERS.sub(b"#", data))
            for path, data in tree_of(self.night.folder).items()
        )

    def _contents(self) -> Iterator[tuple[str, bytes]]:
        """Yield what can be on the disk by now, each content once."""
        found = {}
        for how in self._write_back():
            content = self._disk.content()
            found[sha256(content).digest()] = how, content
        yield from found.values()

    def _write_back(self) -> Iterator[str]:
        """Have the kernel write more and more: nothing, every name and size, one file's data after the other's, all."""
        yield "at once"
        unrelated = self._disk.place / "unrelated"
        unrelated.write_text("")
        _sync(unrelated)
        yield "after names"
        for path in sorted(self.night.folder.glob(".ncrawl-*/**/*")):
            if path.is_file():
                _sync(path)
                yield f"after {path.name}"
        _do("sync", "--file-system", str(self._disk.place))
        yield "after all"

    def _is_kept(self, key: Key) -> bool:
        part = self.night.parts()[key]
        parts = max(self.night.folder.glob(f"{RUN.format(id='2*')}")) / "parts"
        lines = parts.read_bytes()[part.offset : part.offset + part.length] if parts.exists() else b""
        return sha256(lines).hexdigest() == part.sha256


@contextmanager
def blackouts(options: EmulatorOptions, *arguments: str) -> Iterator[Blackouts]:
    """Set up an account, and a disk with a folder for it.

    Raises:
        NotRunError: there is no strace, or no image can be mounted.
    """
    with a_home() as home:
        (place := home / "disk").mkdir()
        with undone("umount", "--lazy", place):
            disk = Disk(home / "image", place)
            with a_night(place, options) as night:
                yield Blackouts(disk, night, *arguments)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _do(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True)


def main() -> None:
    """Let the power fail at every call, print the figures, and exit with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--level", choices=("images", "tags"), default="images")
    parser.add_argument("--registries", type=int, default=8, help="in the region")
    parser.add_argument("--images", type=int, help="in all three regions together: 2000, or 120 with their tags")
    chosen = parser.parse_args()
    began_s = time.monotonic()
    images = chosen.images or (120 if chosen.level == "tags" else 2000)
    world = EmulatorOptions(registries=chosen.registries, images=images)
    with blackouts(world, "--region", "kr", "--page-size", "50", "--level", chosen.level) as one:
        for situation in one.situations():
            for call in situation.calls:
                one.spoil(situation, call, KILL)
            one.reset(situation.start)
            assert one.run(*situation.options).code == 0
            one.judge_lasting(f"{situation.name}, power lost after its end")
        print_figures(one.figures, f"power loss: {time.monotonic() - began_s:.0f} s")
        sys.exit(1 if one.figures.wrong else 0)


if __name__ == "__main__":
    try:
        main()
    except NotRunError as error:
        sys.exit(f"not run: {error}")
