"""What is released: `make dist` and `make docs` do what they say, and their checks see what is wrong."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("dist")]  # built once

ROOT = Path(__file__).parents[2]
RELEASE = ROOT / ".venv-release/bin/python"
DOCS = ROOT / ".venv-docs/bin/python"


def needs(python: Path) -> None:
    """Skip the test where an environment was not set up."""
    if not python.exists():
        pytest.skip(f"not run: {python.parents[1].name} is not here; `make test-long` sets it up")


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make dist` builds, tried with this Python only."""
    needs(RELEASE)
    folder = tmp_path_factory.mktemp("dist")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [str(RELEASE), "release/dist.py", "--folder", str(folder), "--python", version]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"installed under Python {version}: by the lock with hashes, and from source" in done.stdout
    return folder


def test_sums(dist: Path) -> None:
    """SHA256SUMS names everything that was built, with its hash."""
    sums = dict(line.split("  ")[::-1] for line in (dist / "SHA256SUMS").read_text().splitlines())
    files = {path.name: path.read_bytes() for path in dist.iterdir() if path.name != "SHA256SUMS"}
    assert sums == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    assert len([name for name in files if name.endswith((".whl", ".tar.gz", ".lock"))]) == 3


def test_the_source_distribution_builds_without_git(dist: Path, tmp_path: Path) -> None:
    """Unpacked, it has what `make`, the tests and CI need, and the tests of what is pure pass there."""
    (source,) = dist.glob("*.tar.gz")
    with tarfile.open(source) as packed:
        packed.extractall(tmp_path, filter="data")
    (tree,) = tmp_path.iterdir()
    needed = (
        "Makefile",
        ".ci/run",
        "requirements/runtime.lock",
        "Containerfile",
        "docs/conf.py",
        ".github/workflows/ci.yml",
    )
    assert [name for name in needed if not (tree / name).is_file()] == []
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/api/test_signing.py"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(tree)})
    assert done.returncode == 0, done.stdout


def test_what_is_missing_is_seen(dist: Path, tmp_path: Path) -> None:
    """A source distribution that lacks a file of git's, or builds to other bytes, is refused."""
    (source,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    lacking = tmp_path / source.name
    with tarfile.open(source) as old, gzip.open(lacking, "wb") as file, tarfile.open(fileobj=file, mode="w") as new:
        for entry in old:
            data = (old.extractfile(entry) or io.BytesIO()).read()
            if not entry.name.endswith(("core/text.py", ".dockerignore")):
                new.addfile(entry, io.BytesIO(data))
    code = f"""
import sys; sys.path.insert(0, {str(ROOT / "release")!r})
import dist; from pathlib import Path
for check in (dist.check_contents, dist.check_repeatable):
    try:
        check(Path({str(lacking)!r}), Path({str(wheel)!r}))
    except dist.FailedError as error:
        print(error)
"""
    done = subprocess.run([RELEASE, "-c", code], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first == "missing from a distribution, or not git's: .dockerignore, crawler/core/text.py"
    assert second == f"{source.name} comes out different when it is built from {source.name}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation, as `make docs` builds it: any warning is an error."""
    needs(DOCS)
    folder = tmp_path_factory.mktemp("docs")
    for kind in ("html", "man"):
        options = ["-q", "-W", "--keep-going", "-d", str(folder / "trees"), "-b", kind]
        command = [str(DOCS), "-m", "sphinx", *options, str(ROOT / "docs"), str(folder / kind)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return folder


def links(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the links of a site."""
    command = [str(DOCS), "docs/check_links.py", str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_links(site: Path, tmp_path: Path) -> None:
    """Every link within the site leads somewhere, nothing is loaded from elsewhere; and the check would see it."""
    assert (links(site / "html").returncode, links(site / "html").stdout) == (0, "")
    broken = shutil.copytree(site / "html", tmp_path / "html")
    with (broken / "index.html").open("a") as page:
        page.write('<a href="nowhere.html">x</a><a href="tutorial.html#nowhere">x</a>')
        page.write('<script src="https://example.org/x.js"></script>')
    found = links(broken)
    assert found.returncode == 1
    assert found.stdout.splitlines() == [
        "index.html loads https://example.org/x.js",
        "index.html: nowhere.html leads nowhere",
        "index.html: tutorial.html#nowhere leads nowhere",
    ]
    assert links(tmp_path / "empty").returncode == 1


def test_man_pages(site: Path) -> None:
    """One for each command, with its options; none prints an address that is empty."""
    pages = {path.name: path.read_text() for path in (site / "man").iterdir()}
    assert {"ncrawl.1", "ncrawl-snapshot.1", "ncrawl.toml.5", "ncrawl-formats.5", "ncrawl-exit-codes.7"} <= set(pages)
    assert r"\-\-resume\-within" in pages["ncrawl-snapshot.1"]
    assert r"\-\-resume\-within" not in pages["ncrawl-images.1"]
    assert [name for name, text in pages.items() if "<>" in text] == []
