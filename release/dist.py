"""Build what is released into dist/, and check it: the same bytes twice, complete, installed from itself alone.

Usage: python release/dist.py [--folder DIR] [--python VERSION]…

The source distribution is unpacked and both are built from it once more: the same bytes show that builds can be
repeated, and that it lacks nothing that a build needs. Then a lock with the wheel's own hash, and each of the two
installed into an empty environment of every Python that is on this machine. Exit code 1 if a check fails.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
DOCS = ROOT / "build/docs"
EPOCH = "1580601600"  # hatchling's own: 2020-02-02, whatever else is set here
LEFT_OUT = {".gitignore"}
MADE = ("*.whl", "*.tar.gz", "*.lock", "*-docs.tar.xz", "*[0-9].sbom.json", "SHA256SUMS")
OFFLINE = ("--no-python-downloads", "--quiet")


class FailedError(Exception):
    """A check failed; says which, and what it found."""


def say(text: str) -> None:
    """Write a line to standard output, at once."""
    print(text, flush=True)


def run(*command: str | Path, cwd: Path = ROOT, **environ: str) -> str:
    """Run a command and return what it wrote to standard output.

    Raises:
        FailedError: it failed; with what it said.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=kept | environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FailedError(f"{' '.join(words)}:\n{done.stdout}{done.stderr}")
    return done.stdout


def build(tree: Path, folder: Path) -> tuple[Path, Path]:
    """Build the source distribution and the wheel of a tree into a folder, and return them."""
    run(BIN / "python", "-m", "hatchling", "build", "--directory", folder, cwd=tree, SOURCE_DATE_EPOCH=EPOCH)
    (source,), (wheel,) = folder.glob("ncrawl-*.tar.gz"), folder.glob("ncrawl-*.whl")
    return source, wheel


def check_repeatable(source: Path, wheel: Path) -> None:
    """Build both from the source distribution, and hold them to what the tree gave.

    Raises:
        FailedError: they differ.
    """
    with tempfile.TemporaryDirectory() as scratch:
        with tarfile.open(source) as packed:
            packed.extractall(scratch, filter="data")
        (tree,) = Path(scratch).iterdir()
        again = build(tree, Path(scratch, "again"))
        for first, second in zip((source, wheel), again, strict=True):
            if first.read_bytes() != second.read_bytes():
                raise FailedError(f"{first.name} comes out different when it is built from {source.name}")


def check_contents(source: Path, wheel: Path) -> None:
    """Hold the source distribution to what git knows, and the wheel to the package.

    Raises:
        FailedError: a file is missing, or is there and should not be.
    """
    known = set(run("git", "ls-files", "--cached", "--others", "--exclude-standard").split("\n")) - LEFT_OUT - {""}
    known = {name for name in known if (ROOT / name).is_file()}
    with tarfile.open(source) as packed:
        packaged = {name.partition("/")[2] for name in packed.getnames()} - LEFT_OUT - {"PKG-INFO"}
    with zipfile.ZipFile(wheel) as zipped:
        installed = {name for name in zipped.namelist() if ".dist-info/" not in name}
    wanted = {name for name in known if name.startswith("crawler/")}
    if differences := sorted(known ^ packaged) + sorted(wanted ^ installed):
        raise FailedError(f"missing from a distribution, or not git's: {', '.join(differences)}")
    if "crawler/py.typed" not in installed:
        raise FailedError(f"{wheel.name} has no py.typed")


def write_lock(wheel: Path, version: str) -> Path:
    """Write the runtime lock with the wheel itself in it: all that an installation takes, each with its hash."""
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock = wheel.parent / f"ncrawl-{version}.lock"
    own = f"ncrawl=={version} \\\n    --hash=sha256:{digest}\n"
    lock.write_text((ROOT / "requirements/runtime.lock").read_text() + own)
    return lock


def pythons() -> list[str]:
    """Return the releases of Python that pyproject.toml names, such as 3.11."""
    return re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text())


def interpreter(python: str) -> str | None:
    """Return the path of a Python on this machine, if there is one; pyenv hides those that nobody chose."""
    command = [str(BIN / "uv"), "python", "find", *OFFLINE, "--no-project", "--system", python]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    hidden = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{python}.*/bin/python{python}")
    return found.stdout.strip() if found.returncode == 0 else next(map(str, hidden), None)


def check_installed(environment: Path, version: str) -> None:
    """Run the program that was installed: its version, its types, and a crawl.

    Raises:
        FailedError: it does not work.
    """
    program = environment / "bin/ncrawl"
    if (said := run(program, "--version")) != f"ncrawl {version}\n":
        raise FailedError(f"{program} says {said!r}")
    question = "import pathlib, crawler; print(pathlib.Path(crawler.__file__).with_name('py.typed').exists())"
    if run(environment / "bin/python", "-c", question, cwd=environment) != "True\n":
        raise FailedError(f"{environment} has no py.typed")
    run(program, "demo", "--output", environment / "demo.ndjson", cwd=environment)


def check_installations(source: Path, lock: Path, version: str, *, python: str) -> None:
    """Install the wheel by the lock, with hashes, and the source distribution; each into an empty environment.

    Raises:
        FailedError: one cannot be installed, or does not work.
    """
    wheels = ("--no-deps", "--require-hashes", "--find-links", lock.parent, "--requirement", lock)
    sources = ("--constraint", ROOT / "requirements/runtime.lock", "--build-constraint")
    with tempfile.TemporaryDirectory() as scratch:
        for name, what in (
            ("wheel", wheels),
            ("source", (*sources, ROOT / "requirements/build.lock", source)),
        ):
            environment = Path(scratch, name)
            run(BIN / "uv", "venv", *OFFLINE, "--no-project", "--python", python, environment)
            run(BIN / "uv", "pip", "install", "--quiet", "--python", environment / "bin/python", *what)
            check_installed(environment, version)


def try_python(python: str, source: Path, lock: Path, *, version: str) -> None:
    """Install under one Python, if it is on this machine, and say so.

    Raises:
        FailedError: it cannot be installed, or does not work.
    """
    if (path := interpreter(python)) is None:
        say(f"not run: installing under Python {python}, which is not on this machine")
    else:
        check_installations(source, lock, version, python=path)
        say(f"installed under Python {python}: by the lock with hashes, and from source")


def pack_docs(folder: Path, version: str) -> None:
    """Pack the site and the man pages of `make docs`, in an order and with times that are always the same."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.mtime, entry.mode = int(EPOCH), 0o755 if entry.isdir() else 0o644
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return entry

    with tarfile.open(folder / f"ncrawl-{version}-docs.tar.xz", "w:xz") as packed:
        for part in ("html", "man"):
            packed.add(DOCS / part, arcname=f"ncrawl-{version}-docs/{part}", filter=plain)


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS, as sha256sum does, over all that is there."""
    files = sorted(path for path in folder.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def make(folder: Path, asked: list[str]) -> None:
    """Build and check everything.

    Raises:
        FailedError: a check fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in [path for pattern in MADE for path in folder.glob(pattern)]:
        old.unlink()
    source, wheel = build(ROOT, folder)
    version = wheel.name.split("-")[1]
    check_repeatable(source, wheel)
    check_contents(source, wheel)
    run(BIN / "twine", "check", "--strict", source, wheel)
    say(f"{source.name}, {wheel.name}: built twice with the same bytes, complete, accepted by twine")
    lock = write_lock(wheel, version)
    for python in asked or pythons():
        try_python(python, source, lock, version=version)
    if (sbom := ROOT / "sbom.json").exists():
        shutil.copy(sbom, folder / f"ncrawl-{version}.sbom.json")
    if DOCS.exists():
        pack_docs(folder, version)
    if "urls" not in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]:
        say("note: pyproject.toml names no [project.urls], since the project has no public place yet")
    write_sums(folder)


def main() -> int:
    """Make it, and say what there is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "dist", help="where to; what was built there is replaced")
    parser.add_argument("--python", action="append", default=[], help="install under this one only; repeatable")
    chosen = parser.parse_args()
    try:
        make(chosen.folder.absolute(), chosen.python)
    except FailedError as error:
        say(f"failed: {error}")
        return 1
    for line in (chosen.folder / "SHA256SUMS").read_text().splitlines():
        say(f"{chosen.folder.name}/{line.partition('  ')[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
