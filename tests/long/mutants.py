"""Change the modules that decide in every small way that mutmut knows, and count the changes that no test notices.

`make mutants`. What is changed and which tests run stands in pyproject.toml. Only a failed test kills: a mutant that
runs out of time, that no test reaches, or that ends its process counts against the share.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections import Counter, defaultdict
from os.path import relpath
from pathlib import Path

LEAST_SHARE = 0.94
MUTMUT = Path(sys.executable).with_name("mutmut")
REMEMBERED = Path("mutants")
COLUMNS = ("killed", "survived", "timeout", "no tests", "other")


def say(*cells: object) -> None:
    """Print a row of the table at once."""
    print(f"{cells[0]:10}", *(f"{cell:>9}" for cell in cells[1:]), flush=True)  # noqa: T201 - a script


def mutate() -> None:
    """Test every mutant anew; what an earlier run remembers may be about other tests.

    Raises:
        SystemExit: the tests fail without any mutant, or mutmut does; what it said is shown.
    """
    shutil.rmtree(REMEMBERED, ignore_errors=True)
    shown = None if sys.stdout.isatty() else subprocess.PIPE
    done = subprocess.run([MUTMUT, "run"], check=False, stdout=shown, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(done.stdout or 1)


def count() -> dict[str, Counter[str]]:
    """Return how many mutants of each module ended in each way."""
    listed = subprocess.run([MUTMUT, "results", "--all", "true"], check=True, capture_output=True, text=True).stdout
    modules: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in listed.splitlines():
        mutant, _, end = line.strip().partition(": ")
        modules[".".join(mutant.split(".")[1:3])][end if end in COLUMNS else "other"] += 1
    return modules


def share(ends: Counter[str]) -> float:
    """Return the share of the mutants that were killed."""
    return ends["killed"] / ends.total()


def main() -> None:
    """Print a row for each module and one for all; exit with 1 if too few mutants were killed."""
    began_s = time.monotonic()
    mutate()
    modules = count()
    everything = sum(modules.values(), Counter[str]())
    say("", "mutants", *COLUMNS, "share")
    for module, ends in [*modules.items(), ("all", everything)]:
        say(module, ends.total(), *(ends[column] for column in COLUMNS), f"{share(ends):.1%}")
    print(f"{time.monotonic() - began_s:.0f} s; see {relpath(MUTMUT)} results; {relpath(MUTMUT)} show MUTANT")  # noqa: T201
    sys.exit(share(everything) < LEAST_SHARE)


if __name__ == "__main__":
    main()
