"""What CONTRIBUTING.md asks of the program's size: functions that are read at a glance, modules that fit a head."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SOURCES = {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / "crawler").rglob("*.py"))}
MOST_LINES = 300
MOST_LINES_OF_A_FUNCTION = 25
"""Its docstring aside."""
MOST_POSITIONAL = 3


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield each function, and the name of its module."""
    for name, source in SOURCES.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield name, node


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines a function has without its docstring."""
    first, last = function.body[0], function.end_lineno
    assert last is not None
    assert first.end_lineno is not None
    told = first.end_lineno - first.lineno + 1 if ast.get_docstring(function) else 0
    return last - function.lineno + 1 - told


def test_modules() -> None:
    """None is longer than is good for it."""
    assert [name for name, source in SOURCES.items() if source.count("\n") > MOST_LINES] == []


def test_functions() -> None:
    """None is longer than is read at a glance; to be split where two things are done, not where fields are listed."""
    long = [
        f"{name}: {function.name} has {lines} lines"
        for name, function in functions()
        if (lines := lines_of(function)) > MOST_LINES_OF_A_FUNCTION
    ]
    assert long == []


def test_parameters() -> None:
    """What comes after the third is named where it is called, so that a call can be read without the definition."""
    crowded = [
        f"{name}: {function.name} takes {len(positional)}"
        for name, function in functions()
        if len(positional := [one for one in function.args.args if one.arg not in ("self", "cls")]) > MOST_POSITIONAL
    ]
    assert crowded == []
