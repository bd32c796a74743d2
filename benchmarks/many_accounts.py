"""Write the snapshots of many accounts of a run, as tasks leave them: compressed, and so many megabytes in all.

All have the same data files, for writing others takes longer than what is measured; a merge does not look into them.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
from pathlib import Path

from msgspec.structs import replace

from crawler.snapshot.manifest import MANIFEST, dump, read

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.fleet import make_account

_EACH_BYTES = 50_000
"""Of an image: its name has as many random bytes in hexadecimal digits, which compress to as many."""


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("accounts", type=int)
    parser.add_argument("megabytes", type=float)
    given = parser.parse_args()
    rng = random.Random(0)
    images = max(1, round(given.megabytes * 1e6 / given.accounts / _EACH_BYTES))
    names = [f"{number:03}-{rng.randbytes(_EACH_BYTES).hex()}" for number in range(images)]
    first = make_account(given.folder, f"account-{0:05}", *names, suffix=".zst")
    made = read(first)
    for number in range(1, given.accounts):
        account = f"account-{number:05}"
        place = given.folder / account / first.name
        shutil.copytree(first, place)
        registries = tuple(replace(one, account=account) for one in made.registries)
        (place / MANIFEST).write_bytes(dump(replace(made, registries=registries)))


if __name__ == "__main__":
    main()
