"""Run the command that prints an account's keys: without a shell, bounded in time and output, in silence.

Its answer is one JSON object, ``{"access_key": …, "secret_key": …, "expires": RFC 3339 or absent}``. Of what it prints
otherwise nothing is shown but a line of standard error that can hold no key.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread

from crawler.api.nesting import nests_deeper
from crawler.core.errors import CredentialsError
from crawler.core.text import visible
from crawler.settings.key_check import pair
from crawler.settings.options import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from crawler.core.secret import KeyPair
    from crawler.settings.account_entry import KeyCommand

LONGEST_S: Final = 30.0
"""How long a command may take."""
MOST_BYTES: Final = 65_536
"""How much it may print, to standard output; of standard error the first so many bytes count."""
_LONGEST_LINE = 200
_LONGEST_END_S = 2.0
_KILL = 9
_WORD = re.compile(r"[^\s\"',:{}]{4,}")
_RUN = re.compile(r"[A-Za-z0-9+/=_]{16,}")
_WORDY = re.compile(r"[a-z/_]+|[A-Z/_]+")
_GIVES_AWAY = re.compile(r"(?:secret|passw|token|access.?key)[\w\"' -]*[:=]|ncp_iam_", re.IGNORECASE)


async def run_key_command(command: KeyCommand, environ: Mapping[str, str], *, now_s: float, limit_s: float) -> KeyPair:
    """Run a command and return the keys that it prints.

    Args:
        command: whose, and its words.
        environ: its environment.
        now_s: seconds since 1970, UTC.
        limit_s: how long it may take; then it and what it started are killed.

    Raises:
        CredentialsError: it gave none; shows nothing of what it printed but a harmless line.
    """
    source = f"account {command.account}: command {plain(command.words[0])}"
    program = shutil.which(command.words[0], path=environ.get("PATH", os.defpath))
    if program is None or not program.startswith("/"):  # an empty entry of PATH is the current directory
        told = "there is no such program, or it may not be run"
        raise CredentialsError(f"{source}: {told}: name it in full, or mend PATH")
    try:
        with anyio.fail_after(limit_s):
            ended = await _run([program, *command.words[1:]], environ)
    except TimeoutError:
        raise CredentialsError(f"{source}: not done after {limit_s:.0f} s: does it wait for somebody?") from None
    except OSError as error:
        raise CredentialsError(f"{source}: cannot be run: {error.strerror}") from None
    if len(ended.output) > MOST_BYTES:
        raise CredentialsError(f"{source}: printed more than {MOST_BYTES:,} bytes: the keys alone are asked for")
    if ended.code:
        raise CredentialsError(f"{source}: {_told(ended)}")
    return _keys(ended.output, source, now_s)


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a command ended: its exit code, negative for a signal; and what it printed, as much of it as counts."""

    code: int
    output: bytes
    errors: bytes


async def _run(words: list[str], environ: Mapping[str, str]) -> _Ended:
    """Run it to its end, or until it has printed too much."""
    process = _started(words, environ)
    output, errors = bytearray(), bytearray()
    is_over = False
    try:
        async with anyio.create_task_group() as both:
            both.start_soon(_take_in, process.stderr, errors)
            both.start_soon(_take_in, process.stdout, output, both.cancel_scope.cancel)
        is_over = len(output) <= MOST_BYTES and await _end_of(process) is not None
    finally:
        await _put_away(process, is_over=is_over)
    return _Ended(process.returncode or 0, bytes(output), bytes(errors))


def _started(words: list[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start it, in a session of its own, to be killed as a whole. No event loop has to watch over children so."""
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(  # noqa: S603 - its words are the user's own, from a file that nobody else can write
        words, bufsize=0, env=dict(environ), start_new_session=True, **pipes
    )


async def _take_in(pipe: IO[bytes] | None, into: bytearray, too_much: Callable[[], None] = lambda: None) -> None:
    """Read to the end; what is more than enough is told, and otherwise let go."""
    assert pipe is not None
    os.set_blocking(pipe.fileno(), False)
    while True:
        await anyio.wait_readable(pipe.fileno())
        piece = os.read(pipe.fileno(), MOST_BYTES)
        if not piece:
            return
        into += piece[: MOST_BYTES + 1 - len(into)]
        if len(into) > MOST_BYTES:
            too_much()


async def _end_of(process: subprocess.Popen[bytes]) -> int:
    return await anyio.to_thread.run_sync(process.wait, abandon_on_cancel=True)


async def _put_away(process: subprocess.Popen[bytes], *, is_over: bool) -> None:
    """Let go of a command; one that is not over is killed with all that it started."""
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    if not is_over:
        with suppress(ProcessLookupError, PermissionError):  # the second is how macOS says it
            os.killpg(process.pid, _KILL)
        with anyio.move_on_after(_LONGEST_END_S, shield=True):
            await _end_of(process)


def _told(ended: _Ended) -> str:
    """Return how a command failed, with the first line of standard error that can hold no key."""
    how = f"exit code {ended.code}" if ended.code > 0 else f"ended by signal {-ended.code}"
    printed = set(_WORD.findall(ended.output.decode(errors="replace")))
    lines = map(str.strip, ended.errors.decode(errors="replace").splitlines())
    line = next((line for line in lines if line and _is_harmless(line, printed)), "")
    return f"{how}: {visible(line, _LONGEST_LINE)}" if line else f"{how}; what it printed is not shown"


def _is_harmless(line: str, printed: Collection[str]) -> bool:
    """Whether a line can hold no key: nothing called like one or of its shape, nor a word of standard output."""
    if _GIVES_AWAY.search(line) or any(word in line for word in printed):
        return False
    return all(_WORDY.fullmatch(run) for run in _RUN.findall(line))


def _keys(output: bytes, source: str, now_s: float) -> KeyPair:
    """Return the keys of an answer."""
    try:
        answer: Any = {} if nests_deeper(output) else json.loads(output)
        access, secret = answer["access_key"], answer["secret_key"]
        expires = answer.get("expires")
        expires_at_s = None if expires is None else _moment(expires)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        wanted = '{"access_key": …, "secret_key": …, "expires": RFC 3339 or absent}'
        raise CredentialsError(f"{source}: what it printed (not shown) is not {wanted}") from None
    if not isinstance(access, str) or not isinstance(secret, str):
        raise CredentialsError(f"{source}: access_key and secret_key (not shown) have to be texts")
    if expires_at_s is not None and expires_at_s <= now_s:
        raise CredentialsError(f"{source}: gave keys that have expired: is this machine's clock right?")
    return pair(access, secret, source, expires_at_s=expires_at_s)


def _moment(text: str) -> float:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without a time zone is none")
    return moment.timestamp()
