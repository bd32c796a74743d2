"""What a monitor is told of a run: where, what, never a secret, and never for long."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.core.errors import NetworkError
from crawler.jobs.ping import START_S, WHOLE_S, Ping, address, body_of

URL = "https://hc.example/TOKEN"
KEY = "ncp_iam_BPAMKR0123456789"
SECRET = "k8Zq0Sentinel1Secret2Value3"


class Monitor:
    """Takes pings as a monitor of a test would, and keeps them; fails, or is silent, if it is told to."""

    def __init__(self, *, fails: bool = False, is_silent: bool = False) -> None:
        self.told: list[tuple[str, bytes | None]] = []
        self.patience_s: list[float] = []
        self._fails = fails
        self._is_silent = is_silent

    async def __call__(self, url: str, body: bytes | None, *, timeout_s: float) -> None:
        """Take one."""
        self.told.append((url, body))
        self.patience_s.append(timeout_s)
        if self._is_silent:
            await asyncio.Event().wait()
        if self._fails:
            raise NetworkError("cannot connect: Connection refused")


@pytest.mark.parametrize(("exit_code", "end"), [(0, URL), (3, f"{URL}/fail"), (143, f"{URL}/fail")])
async def test_start_and_end(exit_code: int, end: str) -> None:
    """GET of /start, then POST of the URL itself for success and of /fail for all else, with the exit code first."""
    monitor = Monitor()
    ping = Ping(URL, monitor)
    assert await ping.start() is None
    assert await ping.end(exit_code, ["warning: one", "error: two"]) is None
    body = f"exit code {exit_code}\nwarning: one\nerror: two\n".encode()
    assert monitor.told == [(f"{URL}/start", None), (end, body)]
    assert monitor.patience_s[0] == START_S
    assert START_S < monitor.patience_s[1] <= WHOLE_S


@pytest.mark.parametrize(
    ("url", "start", "success"),
    [
        ("https://h/x?create=1&a=/b", "https://h/x/start?create=1&a=/b", "https://h/x?create=1&a=/b"),
        ("https://h/x/", "https://h/x/start", "https://h/x/"),
        ("https://h", "https://h/start", "https://h"),
        ("https://h/a%2Fb", "https://h/a%2Fb/start", "https://h/a%2Fb"),
    ],
)
def test_addresses(url: str, start: str, success: str) -> None:
    """What is added stands at the end of the path; the rest is sent as it was given."""
    assert (address(url, "/start"), address(url, "")) == (start, success)


async def test_failures_are_sentences_without_the_url() -> None:
    """What went wrong is returned, with the monitor's host and nothing else of the URL, which may be a secret."""
    ping = Ping(URL, Monitor(fails=True))
    told = "--ping: https://hc.example was not told of the {}: cannot connect: Connection refused"
    assert await ping.start() == told.format("start")
    assert await ping.end(0, []) == told.format("end")


async def test_a_silent_monitor_holds_nobody_up() -> None:
    """Both together take no longer than they may, also where what sends it knows no end."""
    monitor = Monitor(is_silent=True)
    ping = Ping(URL, monitor, whole_s=0.2)
    async with asyncio.timeout(WHOLE_S):
        assert (await ping.start() or "").endswith("was not told of the start: no answer in time")
        assert (await ping.end(0, []) or "").endswith("was not told of the end: no answer in time")
    assert monitor.patience_s[0] == 0.2
    assert monitor.patience_s[1] < 0.01


def test_no_key_leaves() -> None:
    """Neither a text of a key's shape, nor a piece of one that is known, whatever its case."""
    body = body_of(4, [f"error: {KEY} is refused", f"x{SECRET[3:15].upper()}y"], [SECRET]).decode()
    assert KEY not in body
    assert SECRET[3:15].upper() not in body
    assert body.count("…") == 2


@settings(deadline=None)
@given(st.lists(st.text(max_size=2_000), max_size=40), st.integers(0, 255))
def test_any_log_is_a_short_text(lines: list[str], exit_code: int) -> None:
    """Always UTF-8, 10,000 bytes at most, whole lines, the exit code first and the last line last."""
    body = body_of(exit_code, lines)
    assert len(body) <= 10_000
    first, *rest = body.decode().split("\n")
    assert first == f"exit code {exit_code}"
    assert rest.pop() == ""
    assert len(rest) <= max(1, len(lines))


def test_the_last_lines_are_kept_of_a_long_log() -> None:
    """What does not go into 10,000 bytes is cut at the front, between two lines."""
    lines = [f"{number:03} {'한' * 300}" for number in range(30)]
    told = body_of(3, lines).decode().split("\n")
    assert told[0] == "exit code 3"
    assert told[1:-1] == lines[-len(told[1:-1]) :]
    assert len(told) > 10
