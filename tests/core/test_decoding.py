"""Types that several threads decode for the first time at once: msgspec by itself ends the process then."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from support.snapshot_maker import image, make_snapshot

if TYPE_CHECKING:
    from pathlib import Path

READERS = """
import sys, threading
import crawler

sys.setswitchinterval(1e-6)
start = threading.Barrier(16)
crawler.Snapshot

def read():
    start.wait()
    assert len(list(crawler.Snapshot(sys.argv[1]).images())) == 600

threads = [threading.Thread(target=read) for _ in range(16)]
for one in threads: one.start()
for one in threads: one.join()
"""


def test_many_threads_read_a_snapshot(tmp_path: Path) -> None:
    """In processes of their own, for what is made out once is never in danger again."""
    contents = {("default", "kr", f"team-{number:03}"): [image("a"), image("b")] for number in range(300)}
    snapshot = make_snapshot(tmp_path / "20261123T020000Z", contents)
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", READERS, snapshot], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
