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
LISTS_OF_FIELDS = {"_taken"}
"""Functions that are a call with many names."""


def functions(source: str) -> Iterator[tuple[str, int]]:
    """Yield the name of each function, and how many lines it has without its docstring."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first, last = node.body[0], node.end_lineno
            assert last is not None
            assert first.end_lineno is not None
            told = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) else 0
            yield node.name, last - node.lineno + 1 - told


def test_modules() -> None:
    """None is longer than is good for it."""
    assert [name for name, source in SOURCES.items() if source.count("\n") > MOST_LINES] == []


def test_functions() -> None:
    """None is longer than is read at a glance; to be split where two things are done, not where fields are listed."""
    long = [
        f"{name}: {function} has {lines} lines"
        for name, source in SOURCES.items()
        for function, lines in functions(source)
        if lines > MOST_LINES_OF_A_FUNCTION and function not in LISTS_OF_FIELDS
    ]
    assert long == []
