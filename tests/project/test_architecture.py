"""What ARCHITECTURE.md says of the tree is so: the map, the walk of a record, and every file that it names."""

from __future__ import annotations

import re
from importlib import import_module
from operator import attrgetter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "crawler"
TEXT = (ROOT / "ARCHITECTURE.md").read_text()
MOST_ENTRIES = 12


def block(heading: str) -> list[str]:
    """Return the lines of the first indented block below a heading, without blanks before them."""
    found = re.search(r"^(?: {4}.*\n)+", TEXT[TEXT.index(f"\n{heading}\n") :], re.MULTILINE)
    assert found is not None
    return [line.strip() for line in found[0].splitlines()]


def test_the_map() -> None:
    """It has every package and module at the top of the program, and no other; they are few."""
    mapped = set(re.findall(r"(\w+(?:/|\.py))(?: |$)", "\n".join(block("## The map")[1:])))
    packages = {f"{one.parent.name}/" for one in PACKAGE.glob("*/__init__.py")}
    assert mapped == packages | {one.name for one in PACKAGE.glob("*.py")}
    assert len(mapped) <= MOST_ENTRIES


def test_the_walk() -> None:
    """Each station is a function of its file."""
    stations = [line.split()[:2] for line in block("### One record on its way")]
    assert len(stations) >= 10
    for file, function in stations:
        module = import_module(".".join(["crawler", *Path(file).with_suffix("").parts]).removesuffix(".__init__"))
        assert callable(attrgetter(function)(module)), f"{file} has no {function}"


def test_files_that_are_named_exist() -> None:
    """A file is named by its path, or by the end of it."""
    named = set(re.findall(r"`([\w./-]+\.py)`", TEXT))
    assert named
    tops = [PACKAGE, *(ROOT / name for name in ("benchmarks", "docs", "release", "requirements", "tests"))]
    known = [f"/{path.relative_to(ROOT)}" for top in tops for path in top.rglob("*.py")]
    missing = {one for one in named if not any(path.endswith(f"/{one}") for path in known)}
    assert missing == set(), "ARCHITECTURE.md names files that there are not"
