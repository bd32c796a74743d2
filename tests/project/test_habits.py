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
    """Yield each function, and what it is called where."""
    for name, source in SOURCES.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{name}: {node.name}", node


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines a function has without its docstring."""
    first, last = function.body[0], function.end_lineno
    assert last is not None
    assert first.end_lineno is not None
    told = first.end_lineno - first.lineno + 1 if ast.get_docstring(function) else 0
    return last - function.lineno + 1 - told


def positional(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many parameters of a function can be given without their names."""
    parameters = [*function.args.posonlyargs, *function.args.args]
    return sum(one.arg not in ("self", "cls") for one in parameters)


def test_modules() -> None:
    """None is longer than is good for it."""
    assert [name for name, source in SOURCES.items() if source.count("\n") > MOST_LINES] == []


def test_functions() -> None:
    """None is longer than is read at a glance, to be split where two things are done, nor has more to be remembered."""
    long, crowded = [], []
    for name, function in functions():
        if (lines := lines_of(function)) > MOST_LINES_OF_A_FUNCTION:
            long.append(f"{name} has {lines} lines")
        if (parameters := positional(function)) > MOST_POSITIONAL:
            crowded.append(f"{name} takes {parameters} without a name")
    assert long == []
    assert crowded == []
