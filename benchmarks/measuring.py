"""Run a whole process on one core against the server on the other, and tell what it cost."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HERE = Path(__file__).parent
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
SERVER_CORE, CLIENT_CORE = (CORES[0], CORES[-1]) if CORES else (None, None)
CONTENTS = ("ascii", "hangul", "nested", "pretty")
KEYS = {
    "NCLOUD_ACCESS_KEY_ID": "BENCHMARK-ACCESS-KEY",
    "NCLOUD_SECRET_KEY": "benchmark-secret-key-of-no-account",
    "NCLOUD_METADATA_ENDPOINT": "http://127.0.0.1:9",
}


def name_number(number: int) -> int:
    """Return the number in the name of an image, so that names come in no order, and none twice in a million."""
    return number * 7919 % 1_000_003  # a prime


def how_many_tags(number: int, most: int) -> int:
    """Return how many tags the image with this number in its name has: 1 to ``most``, and most images have few."""
    return 1 + int(most * (number % 1000 / 1000) ** 4)


class Cost(NamedTuple):
    """What a process took, from its start to its end."""

    cpu_s: float
    wall_s: float
    peak_mb: float


class Arrivals(NamedTuple):
    """What the server saw."""

    requests: int
    unsigned: int
    most_in_a_second: int


class Spread(NamedTuple):
    """A median, and how far it can be trusted."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        if self.least == self.most:
            return f"{self.median:.2f}"
        return f"{self.median:.2f} ({self.least:.2f}-{self.most:.2f})"


def spread(values: Iterable[float]) -> Spread:
    """Return median, minimum and maximum."""
    known = list(values)
    return Spread(statistics.median(known), min(known), max(known))


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """Return the spread of the ratios within each round: what drifts from round to round falls out."""
    return spread(one / other for one, other in zip(above, below, strict=True))


def run(command: Sequence[str | Path], *, environment: dict[str, str] | None = None, stdout: int | None = None) -> Cost:
    """Run a command on the client's core to its end.

    Its peak memory is its own only while this process is smaller: a child's begins with its parent's.

    Raises:
        RuntimeError: it ended with another exit code than 0.
    """
    started_s = time.perf_counter()
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            list(map(str, command)),
            env=os.environ | KEYS | (environment or {}),
            stdout=subprocess.DEVNULL if stdout is None else stdout,
            stderr=stderr,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started_s
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            stderr.seek(0)
            told = stderr.read().decode(errors="replace")
            raise RuntimeError(f"exit code {process.returncode}: {' '.join(map(str, command))}\n{told}")
    return Cost(usage.ru_utime + usage.ru_stime, wall_s, usage.ru_maxrss / 1024)


def pin(core: int | None, process: int = 0) -> None:
    """Keep a process, this one if none is said, and those that it will start on one core, where the system can."""
    if core is not None:
        os.sched_setaffinity(process, {core})


@dataclass(frozen=True, slots=True)
class World:
    """What a server holds, and how it answers.

    ``pages`` are those of images, in all registries together, each of ``page_size``; larger ones than ``cap``, or than
    ``page_size`` where there is none, are not given. Each image has 1 to ``most_tags`` tags.
    """

    registries: int = 300
    pages: int = 6130
    page_size: int = 100
    content: str = "ascii"
    latency_ms: float = 0
    night: int = 0
    tls: Path | None = None
    cap: int | None = None
    most_tags: int = 1

    @property
    def images(self) -> int:
        """How many lines a whole crawl has."""
        return self.pages * self.page_size

    @property
    def lengths(self) -> list[int]:
        """How many images each registry has."""
        few, longer = divmod(self.pages, self.registries)
        return [(few + (number < longer)) * self.page_size for number in range(self.registries)]

    @property
    def tags(self) -> int:
        """How many lines a whole crawl of tags has."""
        of_one = {
            length: sum(how_many_tags(name_number(one), self.most_tags) for one in range(length))
            for length in set(self.lengths)
        }
        return sum(of_one[length] for length in self.lengths)

    @property
    def options(self) -> list[str]:
        """The server's command line."""
        given = {name.replace("_", "-"): getattr(self, name) for name in self.__slots__}
        return [text for name, value in given.items() if value is not None for text in (f"--{name}", str(value))]


class Server:
    """The server as a process of its own, on its own core."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen: dict[str, int] = {}  # a digest of what each contestant left

    @property
    def trust(self) -> dict[str, str]:
        """Return the environment in which its certificate is trusted."""
        return {"SSL_CERT_FILE": str(self.world.tls)} if self.world.tls else {}

    def __enter__(self) -> Self:
        command = [sys.executable, str(HERE / "server.py"), *self.world.options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | KEYS)
        pin(SERVER_CORE, self._process.pid)
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()

    @property
    def origin(self) -> str:
        """Where it listens."""
        return f"{'https' if self.world.tls else 'http'}://127.0.0.1:{self.port}"

    def arrivals(self) -> Arrivals:
        """Return what arrived since this was last asked."""
        if self.world.tls:
            context = ssl.create_default_context(cafile=str(self.world.tls))
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, context=context
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", "/statistics")
        told = json.loads(connection.getresponse().read())
        connection.close()
        return Arrivals(**told)
