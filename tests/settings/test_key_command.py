"""Keys by command: run as it is written, bounded, renewed, and as silent as a secret has to be."""

from __future__ import annotations

import asyncio
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.core.errors import CredentialsError, NetworkError
from crawler.settings.account_entry import KeyCommand, KeyVariables
from crawler.settings.accounts import Unpicked
from crawler.settings.key_command import MOST_BYTES, _is_harmless, run_key_command
from crawler.settings.key_places import find_keys_for
from crawler.settings.table import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.core.secret import KeyPair
    from crawler.settings.accounts import KeyPlace
    from crawler.settings.credentials import FoundKeys

NOW_S = 1_795_000_000.0
ENVIRON = {"PATH": os.environ["PATH"]}
GIVEN = {"access_key": "AKIDEXAMPLE", "secret_key": "SENTINEL=/+x"}
OLD_KEY = "aB3dE6gH9jK2mN5pQ8sT"


async def run(script: str, *words: str, limit_s: float = 30.0) -> KeyPair:
    """Run a script of the shell as a command of account acme."""
    command = KeyCommand("acme", ("sh", "-c", script, "sh", *words))
    return await run_key_command(command, ENVIRON, now_s=NOW_S, limit_s=limit_s)


async def refusal(script: str, *words: str, limit_s: float = 30.0) -> str:
    """Run a script that gives no keys; return the sentence, which says whose it is and shows no secret."""
    with pytest.raises(CredentialsError) as caught:
        await run(script, *words, limit_s=limit_s)
    told = str(caught.value)
    assert told.startswith("account acme: command sh: ")
    assert "SENTINEL" not in told
    assert OLD_KEY not in told
    return told.removeprefix("account acme: command sh: ")


def printing(answer: object) -> str:
    """Return a script that prints an answer."""
    return f"printf %s '{json.dumps(answer)}'"


async def test_what_it_prints() -> None:
    """Both keys as they are; without `expires`, or with null, they stay; other fields are passed over."""
    for more in ({}, {"expires": None}, {"Version": 1}):
        keys = await run(printing(GIVEN | more))
        assert (keys.access_key.reveal(), keys.secret_key.reveal()) == ("AKIDEXAMPLE", "SENTINEL=/+x")
        assert (keys.expires_at_s, keys.source) == (None, "account acme: command sh")


@pytest.mark.parametrize("text", ["2026-12-01T00:00:00Z", "2026-12-01T09:00:00+09:00", "2026-12-01T00:00:00.000Z"])
async def test_when_they_expire(text: str) -> None:
    """A time of RFC 3339, whatever its zone."""
    keys = await run(printing(GIVEN | {"expires": text}))
    assert keys.expires_at_s == datetime(2026, 12, 1, tzinfo=UTC).timestamp()


async def test_words_are_passed_on_as_they_are(tmp_path: Path) -> None:
    """No shell takes them apart, nothing is expanded; standard input is empty."""
    script = f'cat >{tmp_path}/in; printf "%s\\n" "$@" >{tmp_path}/words; {printing(GIVEN)}'
    await run(script, "a b", "$HOME", "~", ";echo x", "*", "")
    assert (tmp_path / "words").read_text() == "a b\n$HOME\n~\n;echo x\n*\n\n"
    assert (tmp_path / "in").read_bytes() == b""


@pytest.mark.parametrize(
    "answer",
    [
        *("", 5, [], "text", None, {}),
        *({"access_key": "SENTINEL"}, {"secret_key": "SENTINEL"}),
        *(GIVEN | {"expires": "soon"}, GIVEN | {"expires": "2026-12-01T00:00:00"}, GIVEN | {"expires": 5}),
        *(GIVEN | {"expires": True}, GIVEN | {"expires": []}, GIVEN | {"expires": {"a": 1}}),
    ],
)
async def test_what_is_no_answer(answer: object) -> None:
    """It says what is wanted, and shows nothing of what came."""
    told = await refusal(printing(answer))
    assert told.startswith('what it printed (not shown) is not {"access_key": …, "secret_key": …, "expires": RFC 3339')


async def test_what_is_no_json() -> None:
    """Text, half an object, bytes that are no UTF-8, endless brackets: likewise."""
    for script in ("echo SENTINEL", 'printf \'{"access_key": "SENTINEL\'', "printf '\\377'", "yes '[' | head -9999"):
        assert (await refusal(script)).startswith("what it printed (not shown) is not ")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (GIVEN | {"access_key": 5}, "access_key and secret_key (not shown) have to be texts"),
        (GIVEN | {"secret_key": ["SENTINEL"]}, "access_key and secret_key (not shown) have to be texts"),
    ],
)
async def test_keys_that_are_no_texts(answer: object, told: str) -> None:
    """They are named, and not shown."""
    assert await refusal(printing(answer)) == told


async def test_keys_that_cannot_be_keys() -> None:
    """What any place of keys is held to."""
    with pytest.raises(CredentialsError, match=r"the access key \(not shown\) has blanks"):
        await run(printing(GIVEN | {"access_key": "A B"}))


async def test_keys_that_have_expired() -> None:
    """They would be refused one by one: better said once."""
    told = await refusal(printing(GIVEN | {"expires": "2020-01-01T00:00:00Z"}))
    assert told == "gave keys that have expired: is this machine's clock right?"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("exit 3", "exit code 3; what it printed is not shown"),
        ("echo nobody is logged in >&2; echo more >&2; exit 1", "exit code 1: nobody is logged in"),
        ("printf '\\n  \\ncannot reach vault\\n' >&2; exit 1", "exit code 1: cannot reach vault"),
        ("printf 'a\\033[31mb\\n' >&2; exit 1", "exit code 1: a\\x1b[31mb"),
        ("kill -9 $$", "ended by signal 9; what it printed is not shown"),
        ("echo SENTINEL; exit 1", "exit code 1; what it printed is not shown"),
        ("echo SENTINEL; echo have SENTINEL >&2; echo denied >&2; exit 1", "exit code 1: denied"),
        (f"echo have {OLD_KEY} >&2; echo denied >&2; exit 1", "exit code 1: denied"),
        ("echo ncp_iam_SENTINEL >&2; echo denied >&2; exit 1", "exit code 1: denied"),
        ("echo 'secret_key = SENTINEL' >&2; echo denied >&2; exit 1", "exit code 1: denied"),
        ('echo \'"SecretAccessKey": "SENTINEL"\' >&2; exit 1', "exit code 1; what it printed is not shown"),
    ],
)
async def test_a_command_that_fails(script: str, told: str) -> None:
    """Its exit code, and the first line of standard error that can hold no key, made safe to show."""
    assert await refusal(script) == told


async def test_a_long_line() -> None:
    """It is cut."""
    told = await refusal("i=0; while [ $i -lt 500 ]; do printf 'no no ' >&2; i=$((i+1)); done; exit 1")
    assert len(told) < 250


@given(st.from_regex(r"[A-Za-z0-9+/]{20}([A-Za-z0-9+/]{20})?", fullmatch=True), st.text("ab :/'", max_size=9))
def test_no_line_with_a_key_is_harmless(key: str, around: str) -> None:
    """A key has letters of both cases, or digits: 20 characters or 40 in a row are not taken for words."""
    if any(map(str.isdigit, key)) or (key.upper() != key != key.lower()):
        assert not _is_harmless(f"{around}{key}{around}", set())
    assert not _is_harmless(f"{around}{key}{around}", {key})


def test_a_harmless_line_is() -> None:
    """What shells and tools say is told."""
    for line in ("sh: 1: /usr/local/bin/vault: not found", "Error: token expired", "NCLOUD_ACCESS_KEY is not set"):
        assert _is_harmless(line, {"other"})


async def test_a_command_that_prints_without_end() -> None:
    """It is killed at once: nobody's keys are that long. Standard error may be long: it is read away."""
    assert await refusal("yes SENTINEL") == f"printed more than {MOST_BYTES:,} bytes: the keys alone are asked for"
    keys = await run(f"yes SENTINEL | head -100000 >&2; {printing(GIVEN)}")
    assert keys.access_key.reveal() == "AKIDEXAMPLE"


async def test_a_command_that_does_not_end(tmp_path: Path) -> None:
    """It is killed with what it started, also where it has itself ended and its child holds the pipe."""
    for number, script in enumerate(("sleep 600 & echo $! > {0}; wait", "sleep 600 & echo $! > {0}")):
        path = tmp_path / str(number)
        told = await refusal(script.format(path), limit_s=2.0)
        assert told == "not done after 2 s: does it wait for somebody?"
        pid = int(path.read_text())
        await becomes(lambda pid=pid: not is_alive(pid))  # type: ignore[misc]


async def becomes(is_so: Callable[[], bool]) -> None:
    """Wait until something is so that no event tells of."""
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110 - processes of nobody's children
            await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs still."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


async def test_cancelled(tmp_path: Path) -> None:
    """Whoever does not wait any longer leaves no process behind."""
    task = asyncio.create_task(run(f"echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; sleep 600"))
    await becomes((tmp_path / "pid").exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    pid = int((tmp_path / "pid").read_text())
    await becomes(lambda: not is_alive(pid))


@pytest.mark.parametrize("word", ["no-such-program", "/no/such/program", "/etc/passwd"])
async def test_no_such_program(word: str) -> None:
    """It is named, with the mend."""
    with pytest.raises(CredentialsError, match="there is no such program, or it may not be run: name it in full"):
        await run_key_command(KeyCommand("acme", (word,)), ENVIRON, now_s=NOW_S, limit_s=9)


async def test_the_current_directory_is_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where PATH has it: whoever can write there would choose what is run."""
    program = tmp_path / "keys"
    program.write_text(f"#!/bin/sh\n{printing(GIVEN)}\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    command = KeyCommand("acme", ("keys",))
    for path in ("", ".", f"{os.pathsep}/nowhere"):
        with pytest.raises(CredentialsError, match="there is no such program"):
            await run_key_command(command, {"PATH": path}, now_s=NOW_S, limit_s=9)
    found = await run_key_command(command, {"PATH": f"{tmp_path}{os.pathsep}/usr/bin"}, now_s=NOW_S, limit_s=9)
    assert found.access_key.reveal() == "AKIDEXAMPLE"


async def test_what_cannot_be_started(tmp_path: Path) -> None:
    """A program that is none gets the system's reason."""
    program = tmp_path / "keys"
    program.write_bytes(b"\x7fELF but not really")
    program.chmod(0o755)
    with pytest.raises(CredentialsError, match="cannot be run: "):
        await run_key_command(KeyCommand("acme", (str(program),)), ENVIRON, now_s=NOW_S, limit_s=9)


# ── Where an account has its keys ──


async def refuse(url: str) -> bytes:
    """Stand for a machine that is no server of the provider's."""
    raise NetworkError(f"connection refused: {url}")


async def find(place: KeyPlace | None, environ: dict[str, str], *, now_s: float = NOW_S) -> FoundKeys:
    """Find the keys of a run whose account has them there."""
    return await find_keys_for(Settings(key_place=place), environ, fetch=refuse, now_s=now_s)


async def test_keys_in_variables() -> None:
    """Those that are named, and no others: not the provider's own."""
    environ = {"A_K": "AK", "A_S": "'SK'", "NCLOUD_ACCESS_KEY_ID": "other", "NCLOUD_SECRET_KEY": "other"}
    found = await find(KeyVariables("acme", "A_K", "A_S"), environ)
    assert (found.credentials.secrets, found.account) == (("AK", "'SK'"), "acme")
    assert found.credentials.source == "account acme (variables A_K, A_S)"
    assert "stands in quotes" in found.warnings[0]
    for missing in ("A_K", "A_S"):
        with pytest.raises(CredentialsError, match=f"account acme: {missing}: not set: export"):
            await find(KeyVariables("acme", "A_K", "A_S"), environ | {missing: ""})


async def test_none_is_picked() -> None:
    """What needs keys says which accounts there are; of very many the first."""
    with pytest.raises(CredentialsError, match="NCRAWL_ACCOUNTS: no account is picked: add --account NAME: a, b"):
        await find(Unpicked("NCRAWL_ACCOUNTS", ("a", "b")), {})
    with pytest.raises(CredentialsError, match=r": 1, .*, 20 and 180 more$"):
        await find(Unpicked("--accounts", tuple(map(str, range(1, 201)))), {})


async def test_keys_that_expire_are_asked_for_anew(tmp_path: Path) -> None:
    """With a fifth of their life left, not before; a command that fails then leaves the old ones in use."""
    now_s = time.time()
    until = datetime.fromtimestamp(now_s + 100, UTC).isoformat()
    later = datetime.fromtimestamp(now_s + 1000, UTC).isoformat()
    script = f"n=$(cat {tmp_path}/n 2>/dev/null || echo 0); n=$((n+1)); echo $n >{tmp_path}/n; [ $n = 2 ] && exit 1; "
    script += f'[ $n = 1 ] && e={until} || e={later}; echo "{{\\"access_key\\":\\"AK$n\\",\\"secret_key\\":\\"S\\",'
    script += '\\"expires\\":\\"$e\\"}"'
    found = await find(KeyCommand("acme", ("sh", "-c", script)), ENVIRON, now_s=now_s)
    keys = found.credentials

    async def given_at(after_s: float) -> str:
        return (await keys.current(now_s + after_s)).access_key.reveal()

    assert [await given_at(0), await given_at(79)] == ["AK1", "AK1"]
    assert [await given_at(81), await given_at(90)] == [
        "AK1",
        "AK1",
    ]  # the second call failed, and is let be for a while
    assert await given_at(92) == "AK3"
    assert (tmp_path / "n").read_text() == "3\n"
    assert keys.source == "account acme: command sh"
