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
    """A file is named by its path in the project or in the program, or by a name that the program has."""
    named = set(re.findall(r"`([\w./-]+\.py)`", TEXT))
    assert named
    known = {path.name for path in PACKAGE.rglob("*.py")}
    missing = {one for one in named if not any((top / one).is_file() for top in (ROOT, PACKAGE)) and one not in known}
    assert missing == set(), "ARCHITECTURE.md names files that there are not"
