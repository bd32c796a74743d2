"""What was measured, as Markdown: printed while it is found, and kept for RESULTS.md."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from contestants import NCRAWL
from measuring import HERE, Spread

if TYPE_CHECKING:
    from collections.abc import Sequence

OWN = ("aiohttp", "anyio", "msgspec", "orjson", "uvloop", "zstandard")
PEERS = ("aiohttp", "orjson", "uvloop", "pycurl", "httpx", "requests", "scrapy", "dlt", "singer-sdk")
LOAD = os.getloadavg()  # before anything was started
ABOUT = """\
Written by `make bench`: medians (min-max) of interleaved runs. Each run is a whole process, from its start to its end,
on one core; the server, with prebaked pages, has another. It checks every signature; every peer's output is
counted, and compared with ncrawl's record by record where it is laid out alike. CPU is user and system time together.

Beside its peers ncrawl does as they do: one pass in pages of the same size, which proves nothing (`--verify never`,
`--page-size N`). So it does in all other tables, but where *proved* or *default* stands: by default it takes the
largest pages that it gets, and looks twice at what has more than one.

A ratio is a peer's cost over ncrawl's in the same round, so above 1 ncrawl is better. Two kinds are never mixed.
*Same outcome*: each peer turns JSON into lines its own natural way; what a user gains by switching. *Like for like*:
the peer uses ncrawl's functions for that; what is left is HTTP, and ncrawl's verdicts, uniqueness, retries and limits,
which no peer has. Start-up counts for everybody, but for nobody beside the slow peers: those can be asked for few
pages only, so there a page's cost is the difference between many pages and few; their start-up would flatter us."""


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
    changed = " with uncommitted changes" if _told("git", "status", "--porcelain") else ""
    load = " ".join(f"{one:.1f}" for one in LOAD)
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {_told('git', 'rev-parse', '--short', 'HEAD')}{changed}; "
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}; "
        f"load average before the run {load}.\n\n"
        f"- ncrawl: {_versions(NCRAWL.with_name('python'), OWN)}\n- peers: {_versions(sys.executable, PEERS)}, {_wrk()}"
    )


def _processor() -> str:
    try:
        return str(re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[0])
    except (OSError, IndexError):
        return platform.machine()


def _versions(python: str | Path, packages: Sequence[str]) -> str:
    """Return the versions of an environment."""
    code = "import sys, platform as p, importlib.metadata as m; print('Python', p.python_version(), end='')"
    code += "; [print(',', name, m.version(name), end='') for name in sys.argv[1:]]"
    return _told(python, "-c", code, *packages)


def _wrk() -> str:
    try:
        return " ".join(_told("wrk", "-v").split()[:2])
    except FileNotFoundError:
        return "wrk not run: it is not installed"


def _told(*command: str | Path) -> str:
    done = subprocess.run(command, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout.strip()
