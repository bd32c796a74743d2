"""What was measured, as Markdown: printed while it is found, and kept for RESULTS.md."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

from measuring import HERE, Spread

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGES = (
    *("aiohttp", "anyio", "msgspec", "orjson", "uvloop", "zstandard"),
    *("pycurl", "httpx", "requests", "scrapy", "dlt", "singer-sdk"),
)
LOAD = os.getloadavg()  # before anything was started
ABOUT = (
    "Written by `make bench`. Medians of interleaved runs, each a whole process on a core of its own; ratios are "
    "paired by rounds: somebody's cost over ncrawl's of the same round. Above 1, ncrawl is the better one."
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure beside what it shall be; a bound of None means that the figure is only reported."""

    name: str
    value: Spread
    at_least: float | None = None
    aim: float | None = None
    better: Literal["more", "less"] = "more"
    unit: str = ""
    note: str = ""

    def verdict(self) -> str:
        """Return whether the bounds are kept, by the median as it was measured, not as it is rounded."""
        if self._keeps(self.aim):
            return "aim reached"
        if self.at_least is None:
            return "aim not reached" if self.aim is not None else "reported"
        return "reached" if self._keeps(self.at_least) else "**NOT REACHED**"

    def _keeps(self, bound: float | None) -> bool:
        if bound is None:
            return False
        return self.value.median >= bound if self.better == "more" else self.value.median <= bound

    def row(self) -> list[str]:
        """Return the figure's row in the table."""
        sign = "" if self.better == "more" else "≤ "
        bounds = [f"{sign}{bound:g}{self.unit}" if bound is not None else "-" for bound in (self.at_least, self.aim)]
        return [self.name, f"{self.value}{self.unit}", bounds[0] + self.note, bounds[1], self.verdict()]


@dataclass(slots=True)
class Report:
    """Sections in the order in which they were measured, and the figures among them."""

    sections: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)

    def table(self, title: str, note: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a section and keep it."""
        section = f"## {title}\n\n{note}\n\n{markdown(head, rows)}"
        self.sections.append(section)
        print(f"\n{section}", flush=True)

    def figure(self, figure: Figure) -> None:
        """Keep a figure."""
        self.figures.append(figure)

    def summary(self) -> str:
        """Return the table of figures."""
        return markdown(["figure", "median (min-max)", "at least", "aim", ""], [one.row() for one in self.figures])

    def write(self) -> None:
        """Write RESULTS.md."""
        parts = ["# Benchmark results", ABOUT, surroundings(), "## Figures", self.summary(), *self.sections]
        (HERE / "RESULTS.md").write_text("\n\n".join(parts) + "\n")


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table that lines up in plain text too; columns of numbers, but for the first, to the right."""
    columns = list(zip(head, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    are_numbers = [
        number > 0 and all(re.match(r"≤|-|\d|$", cell) for cell in column[1:]) for number, column in enumerate(columns)
    ]

    def line(cells: Sequence[str]) -> str:
        how = zip(cells, widths, are_numbers, strict=True)
        return f"| {' | '.join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in how)} |"

    rule = ["-" * (width - 1) + (":" if right else "-") for width, right in zip(widths, are_numbers, strict=True)]
    return "\n".join([line(head), line(rule), *map(line, rows)])


def surroundings() -> str:
    """Say when, of what and on what this was measured."""
    changed = " with uncommitted changes" if _git("status", "--porcelain") else ""
    packages = " · ".join(f"{name} {version(name)}" for name in PACKAGES)
    load = " ".join(f"{one:.1f}" for one in LOAD)
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {_git('rev-parse', '--short', 'HEAD')}{changed}, "
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}, {os.cpu_count()} cores; "
        f"load average before the run {load}.\n{packages} · wrk {wrk_version()}."
    )


def wrk_version() -> str:
    """Return wrk's version; Debian's says nothing else that could be asked."""
    try:
        told = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "not run: it is not installed"
    return (told.stdout + told.stderr).split()[1]


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True, check=False).stdout.strip()
