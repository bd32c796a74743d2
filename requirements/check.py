"""Hold requirements/*.lock to what pyproject.toml asks for; with --upgrade, resolve them anew.

A lock is current when resolving with its own pins as preferences changes no pin. Hashes are left out of the
comparison: a release may gain a file for a new platform without any harm to the lock. What a user or `make test`
installs, and what CI does, must be whole, with hashes, for every Python that pyproject.toml names. That a package
says of a Python that it is too new, uv does not heed: that shows when pip installs it, in `make test-next`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = {
    "runtime": ("pyproject.toml",),
    "build": ("--group", "build"),
    "dev": ("pyproject.toml", "--group", "dev"),
    "tools": ("pyproject.toml", "--group", "tools"),
    "docs": ("pyproject.toml", "--group", "docs"),
    "release": ("pyproject.toml", "--group", "release"),
    "bench": ("pyproject.toml", "--group", "bench"),
}
FOR_EVERY_PYTHON = ("runtime", "build", "dev", "docs", "release")
UV = str(Path(sys.executable).with_name("uv"))
PIN = re.compile(r"^[A-Za-z0-9_.-]+==[^\\]+", re.MULTILINE)


def resolve(lock: Path, source: tuple[str, ...], *, upgrade: bool) -> None:
    """Write ``lock`` from the given sources; the pins that it holds already are kept unless ``upgrade``."""
    command = [UV, "pip", "compile", *source, "--output-file", str(lock)]
    command += ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--quiet"]
    subprocess.run(command + (["--upgrade"] if upgrade else []), cwd=HERE.parent, check=True)


def pins(lock: Path) -> set[str]:
    """Return the ``name==version ; marker`` lines of a lock."""
    return {pin.strip() for pin in PIN.findall(lock.read_text())}


def pythons() -> list[str]:
    """Return the releases of Python that pyproject.toml names, such as 3.11."""
    return re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (HERE.parent / "pyproject.toml").read_text())


def lack(lock: Path, python: str) -> str:
    """Return why a lock cannot be installed with a release of Python; nothing if all of it is there, with hashes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [UV, "pip", "install", "--dry-run", "--quiet", "--target", folder]
        command += ["--python-version", python, "--require-hashes", "--requirement", str(lock)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


def main() -> int:
    """Check every lock, or upgrade every lock; 1 if one is stale or not whole."""
    if "--upgrade" in sys.argv[1:]:
        for name, source in SOURCES.items():
            resolve(HERE / f"{name}.lock", source, upgrade=True)
        return 0
    stale = 0
    for name, source in SOURCES.items():
        with tempfile.TemporaryDirectory() as folder:
            fresh = Path(shutil.copy(HERE / f"{name}.lock", folder))
            resolve(fresh, source, upgrade=False)
            differences = sorted(pins(fresh) ^ pins(HERE / f"{name}.lock"))
        print(f"requirements/{name}.lock: {'stale: ' + ', '.join(differences) if differences else 'current'}")
        stale |= bool(differences)
    for name, python in product(FOR_EVERY_PYTHON, pythons()):
        if problem := lack(HERE / f"{name}.lock", python):
            print(f"requirements/{name}.lock: not for Python {python}: {problem}")
            stale = 1
    if stale:
        print("Run `make lock`, look at the changes, and commit them.")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
