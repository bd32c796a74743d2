"""Credentials: the provider's chain, exact keys or a clear error, renewal in time, and never a key in a text."""

from __future__ import annotations

import asyncio
import os
import pickle
import stat
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.core.errors import CredentialsError, GatewayError, NetworkError
from crawler.core.secret import KeyPair, Secret
from crawler.settings.credentials import (
    ROLE_PATH,
    Credentials,
    Fetch,
    FoundKeys,
    find_keys,
)
from crawler.settings.key_check import parse_expiration
from crawler.settings.key_file import file_warnings, parse_configure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NOW_S = 1_795_000_000.0
HUSH = "SENTINEL"
PAIR = "ncloud_access_key_id = AK{0}\nncloud_secret_access_key = SENTINEL{0}\n"


async def refuse(url: str) -> bytes:
    """Stand for a machine that is no server of the provider's."""
    raise NetworkError(f"connection refused: {url}")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with an empty ~/.ncloud; its key file is written by the tests."""
    (tmp_path / ".ncloud").mkdir()
    return tmp_path


def write(home: Path, content: str | bytes, mode: int = 0o600) -> Path:
    """Write the key file."""
    path = home / ".ncloud" / "configure"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


async def find(
    home: Path | str,
    environ: dict[str, str] | None = None,
    *,
    profile: str | None = None,
    zone: str = "public",
    fetch: Fetch = refuse,
) -> FoundKeys:
    """Search in this home; the metadata endpoint is a closed port of loopback, should anybody really ask."""
    variables = {"HOME": str(home), "NCLOUD_METADATA_ENDPOINT": "http://127.0.0.1:9"}
    return await find_keys(variables | (environ or {}), profile=profile, zone=zone, fetch=fetch, now_s=NOW_S)


async def refusal(
    home: Path | str,
    environ: dict[str, str] | None = None,
    *,
    profile: str | None = None,
    fetch: Fetch = refuse,
) -> str:
    """Search where nothing usable is; return the message, which shows no key."""
    with pytest.raises(CredentialsError) as caught:
        await find(home, environ, profile=profile, fetch=fetch)
    assert HUSH not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


def in_use(found: FoundKeys) -> KeyPair:
    """Return the keys that a request would be signed with now."""
    keys = found.credentials.peek(NOW_S)
    assert keys
    return keys


def shown(found: FoundKeys) -> tuple[str, str]:
    """Return access key and secret key in clear."""
    keys = in_use(found)
    return keys.access_key.reveal(), keys.secret_key.reveal()


# ── The chain ──


@pytest.mark.parametrize("access", ["NCLOUD_ACCESS_KEY_ID", "NCLOUD_ACCESS_KEY"])
@pytest.mark.parametrize("secret", ["NCLOUD_SECRET_ACCESS_KEY", "NCLOUD_SECRET_KEY"])
async def test_environment_comes_first(home: Path, access: str, secret: str) -> None:
    """Either name of each half will do; the file is not even read."""
    write(home, b"\xff\xff")
    found = await find(home, {access: "AK", secret: "a=%#;b"})
    assert shown(found) == ("AK", "a=%#;b")
    assert (found.account, found.warnings) == ("default", ())


async def test_the_documented_name_wins_and_empty_is_not_set(home: Path) -> None:
    """Of two names the first counts, unless it is empty."""
    environ = {"NCLOUD_ACCESS_KEY_ID": "A1", "NCLOUD_ACCESS_KEY": "A2", "NCLOUD_SECRET_KEY": "s"}
    assert shown(await find(home, environ))[0] == "A1"
    assert shown(await find(home, environ | {"NCLOUD_ACCESS_KEY_ID": ""}))[0] == "A2"


async def test_half_a_pair_in_the_environment(home: Path) -> None:
    """K4: half a pair is an error that says which half is missing; the file does not fill it up."""
    write(home, PAIR.format(1))
    text = await refusal(home, {"NCLOUD_ACCESS_KEY": HUSH})
    assert text == (
        "NCLOUD_ACCESS_KEY is set, but its other half is not: set NCLOUD_SECRET_ACCESS_KEY or NCLOUD_SECRET_KEY as well"
    )
    assert "set NCLOUD_ACCESS_KEY_ID or NCLOUD_ACCESS_KEY" in await refusal(home, {"NCLOUD_SECRET_KEY": HUSH})


@pytest.mark.parametrize(("access", "secret"), [("A K", "s"), ("AK\r", "s"), ("한", "s"), ("AK", "s\n"), ("AK", " ")])
async def test_keys_that_cannot_be_keys(home: Path, access: str, secret: str) -> None:
    """What does not fit into a header, and secrets with a line end copied along, are refused unseen."""
    text = await refusal(home, {"NCLOUD_ACCESS_KEY": access, "NCLOUD_SECRET_KEY": HUSH + secret})
    assert text.startswith("environment (NCLOUD_ACCESS_KEY, NCLOUD_SECRET_KEY): the ")
    assert "(not shown)" in text


@pytest.mark.parametrize("header", ["", "[DEFAULT]\n", "[default]\n", "# mine\n\n [DEFAULT] \n"])
async def test_default_section(home: Path, header: str) -> None:
    """Without a profile the default section counts, with or without its header."""
    write(home, header + PAIR.format(1) + "ncloud_api_url = https://ncloud.apigw.ntruss.com\n[b]\n" + PAIR.format(2))
    found = await find(home)
    assert shown(found) == ("AK1", "SENTINEL1")
    assert (found.account, found.api_url, found.warnings) == ("default", "https://ncloud.apigw.ntruss.com", ())
    assert "[DEFAULT]" in in_use(found).source


async def test_profile_outranks_the_environment(home: Path) -> None:
    """What was asked for by name comes before what happens to be set; the account is the profile's name."""
    write(home, PAIR.format(1) + "[team b]\n" + PAIR.format(2))
    environ = {"NCLOUD_ACCESS_KEY": "AK3", "NCLOUD_SECRET_KEY": "s"}
    found = await find(home, environ, profile="team b")
    assert (shown(found)[0], found.account) == ("AK2", "team b")
    assert (await find(home, environ, profile="default")).account == "default"


async def test_unknown_profile(home: Path) -> None:
    """K4: an unknown profile lists those there are; without a file it says so."""
    assert "profile 'x': there is no" in await refusal(home, profile="x")
    write(home, PAIR.format(1) + "[b]\n" + PAIR.format(2))
    assert (await refusal(home, profile="\x1bx")).startswith("profile '\\x1bx' is not in ")
    assert (await refusal(home, profile="x")).endswith("profiles there: DEFAULT, b")
    write(home, "")
    assert (await refusal(home, profile="x")).endswith("profiles there: none")


@pytest.mark.parametrize("half", ["ncloud_access_key_id", "ncloud_secret_access_key"])
async def test_nothing_is_inherited(home: Path, half: str) -> None:
    """K4: a section with half a pair does not take the other half from the default section."""
    write(home, f"{PAIR.format(1)}[b]\n{half} = {HUSH}\n")
    text = await refusal(home, profile="b")
    other = {"ncloud_access_key_id", "ncloud_secret_access_key"} - {half}
    assert f"[b]: missing {other.pop()}: a section needs both halves" in text
    write(home, f"{half} = {HUSH}\n")
    assert "[DEFAULT]: missing" in await refusal(home)


async def test_gov_keys_for_a_public_crawl(home: Path) -> None:
    """A key file of the gov zone draws a hint when the public zone is crawled, and only then."""
    write(home, PAIR.format(1) + "ncloud_api_url = https://ncloud.apigw.gov-ntruss.com\n")
    assert "--zone gov?" in (await find(home)).warnings[0]
    assert (await find(home, zone="gov")).warnings == ()


@pytest.mark.parametrize(
    ("url", "zone", "hint"),
    [
        ("https://ncloud.apigw.ntruss.com", "public", None),
        (
            "https://ncloud.apigw.ntruss.com/",
            "gov",
            "is of the public zone, but the crawl is of the gov one",
        ),
        (
            "https://ncloud.apigw.gov-ntruss.com/v1",
            "public",
            "is of the gov zone, but the crawl is of the public one: --zone gov?",
        ),
        ("ncloud.apigw.gov-ntruss.com:443", "public", "is of the gov zone"),
        (
            "https://fin-ncloud.apigw.fin-ntruss.com",
            "public",
            "is of the fin zone, but the crawl is of the public one: --",
        ),
        ("https://hush@relay.example", "public", None),
        ("https://gov-ntruss.com.example", "public", None),
        ("https://[hush", "public", None),
    ],
)
async def test_the_general_gateway_of_another_zone(home: Path, url: str, zone: str, hint: str | None) -> None:
    """What other tools read tells the zone by its ending: a hint where the crawl is of another, without the value."""
    environ = {"NCLOUD_ACCESS_KEY": "AK", "NCLOUD_SECRET_KEY": "s", "NCLOUD_API_GW": url}
    warnings = (await find(home, environ, zone=zone)).warnings
    assert [warning.removeprefix("NCLOUD_API_GW ")[: len(hint or "")] for warning in warnings] == [hint] * bool(hint)
    assert not any(url in warning for warning in warnings)


@pytest.mark.parametrize("quote", ["'", '"'])
async def test_keys_in_quotes(home: Path, quote: str) -> None:
    """An env file's quotes: no access key has any; a secret is used as it is, with a hint that hides it (K3)."""
    environ = {"NCLOUD_ACCESS_KEY": f"{quote}{HUSH}{quote}", "NCLOUD_SECRET_KEY": "s"}
    assert "the access key (not shown) has quotes in it: env files and" in await refusal(home, environ)
    found = await find(home, {"NCLOUD_ACCESS_KEY": "AK", "NCLOUD_SECRET_KEY": f"{quote}{HUSH}{quote}"})
    assert shown(found) == ("AK", f"{quote}{HUSH}{quote}")
    (warning,) = found.warnings
    assert "the secret key (not shown) stands in quotes, which are taken as part of it" in warning
    assert HUSH not in warning
    write(home, f"ncloud_access_key_id = AK\nncloud_secret_access_key = {quote}{HUSH}{quote}\n")
    assert len((await find(home)).warnings) == 1
    assert (await find(home, {"NCLOUD_ACCESS_KEY": "AK", "NCLOUD_SECRET_KEY": f"a{quote}b{quote}"})).warnings == ()


@pytest.mark.parametrize("end", ["\n", "\r\n", " "])
async def test_keys_with_a_line_end(home: Path, end: str) -> None:
    """A file of a Kubernetes secret, made by echo without -n: the sentence asks for it."""
    for environ in (
        {"NCLOUD_ACCESS_KEY": HUSH + end, "NCLOUD_SECRET_KEY": "s"},
        {"NCLOUD_ACCESS_KEY": "AK", "NCLOUD_SECRET_KEY": HUSH + end},
    ):
        assert "was a line end copied along?" in await refusal(home, environ)


async def test_no_keys_anywhere(home: Path) -> None:
    """One message: every place that was looked at, how to set keys, and what works without."""
    text = await refusal(home)
    for part in (
        "environment (NCLOUD_ACCESS_KEY_ID, NCLOUD_SECRET_ACCESS_KEY)",
        f"{home}/.ncloud/configure (no such file)",
        "server (http://127.0.0.1:9: no server role: connection refused",
        "export NCLOUD_ACCESS_KEY_ID=... NCLOUD_SECRET_ACCESS_KEY=...",
        "ncrawl demo",
    ):
        assert part in text
    write(home, "ncloud_api_url = x\n[b]\n")
    assert "no keys in [DEFAULT]; profiles for --profile: DEFAULT, b" in await refusal(home)


# ── The key file ──


@pytest.mark.parametrize(("mode", "warnings"), [(0o600, 0), (0o400, 0), (0o644, 1), (0o640, 1)])
async def test_open_key_file_draws_a_warning(home: Path, mode: int, warnings: int) -> None:
    """K2: a key file that others can read is used, with a sentence that says how to mend it."""
    path = write(home, PAIR.format(1), mode)
    sentence = f"{path} holds keys and is open to others (mode {mode:04o}): chmod 600 it"
    assert (await find(home)).warnings == (sentence,) * warnings


def test_key_file_of_another_user_draws_a_warning(tmp_path: Path) -> None:
    """K2: somebody else's file is suspicious; root's is not."""

    def status(uid: int) -> os.stat_result:
        return os.stat_result((stat.S_IFREG | 0o600, 0, 0, 0, uid, 0, 0, 0, 0, 0))

    assert file_warnings(tmp_path, status(1000), 1000) == file_warnings(tmp_path, status(0), 1000) == []
    assert "belongs to another user (uid 1001)" in file_warnings(tmp_path, status(1001), 1000)[0]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\xff\xfeN\x00", "is not UTF-8 text"),
        (f"[a]\nx =\n{HUSH}\n".encode(), "configure:3: neither [section] nor key = value (line not shown)"),
        (f"a = 1\n{HUSH}=1\n{HUSH}=2\n".encode(), "configure:3: the same key again (line not shown)"),
        (PAIR.format("\x00").encode(), "[DEFAULT]: the access key (not shown)"),
        (PAIR.format(1).replace("SENTINEL", "SENTINEL\x07").encode(), "[DEFAULT]: the secret key (not shown)"),
    ],
)
async def test_broken_key_files(home: Path, content: bytes, sentence: str) -> None:
    """K3: what cannot be read exactly is an error with file and line, and shows nothing of the line."""
    write(home, content)
    assert sentence in await refusal(home)


async def test_unreadable_key_file(home: Path) -> None:
    """A directory in the file's place is a sentence; a file in the directory's place means that there is none."""
    (home / ".ncloud" / "configure").mkdir()
    assert await refusal(home) == f"cannot read {home}/.ncloud/configure: Is a directory"
    assert "no such file" in await refusal("/dev/null")


async def test_home_from_the_system(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without HOME in the environment the system says where the file is."""
    monkeypatch.setenv("HOME", str(home))
    write(home, PAIR.format(1))
    assert shown(await find(home, {"HOME": ""}))[0] == "AK1"


BLANKLESS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1).filter(
    lambda text: text == text.strip()
)


@given(BLANKLESS, st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", " ", "\t "]), st.sampled_from(["", "\ufeff"]))
def test_secrets_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, secret: str, newline: str, blank: str, bom: str
) -> None:
    """K3: =, %, #, ;, quotes and Korean are part of a secret; BOM, CRLF and blanks around it are not."""
    home = tmp_path_factory.mktemp("home")
    (home / ".ncloud").mkdir()
    lines = [
        f"{bom}[a]",
        f"{blank}NCLOUD_ACCESS_KEY_ID=AK{blank}",
        f"ncloud_secret_access_key{blank}={blank}{secret}{blank}",
    ]
    write(home, newline.join(lines).encode())
    assert shown(asyncio.run(find(home, profile="a"))) == ("AK", secret)


@given(st.text())
def test_any_file_parses_or_is_refused(text: str) -> None:
    """Whatever a key file holds: sections, or CredentialsError."""
    try:
        sections = parse_configure(text, "file")
    except CredentialsError as error:
        assert "(line not shown)" in str(error)  # noqa: PT017 - both outcomes are right
    else:
        assert all(value for section in sections.values() for value in section.values())


# ── Nothing shows a key ──


async def test_found_keys_show_nothing(home: Path) -> None:
    """K1: repr, str, format and pickle of what was found hold no key."""
    write(home, PAIR.format(1))
    found = await find(home)
    keys = in_use(found)
    for thing in (found, found.credentials, keys):
        for text in (repr(thing), str(thing), f"{thing}"):
            assert HUSH not in text
            assert "AK1" not in text
        with pytest.raises(TypeError):
            pickle.dumps(thing)


# ── Server role ──


def role_answer(number: int, expires_at_s: float) -> bytes:
    moment = datetime.fromtimestamp(expires_at_s, UTC).isoformat()
    return f'{{"AccessKeyId":"AK{number}","SecretAccessKey":"{HUSH}{number}","Expiration":"{moment}"}}'.encode()


@asynccontextmanager
async def metadata_service(answers: dict[str, bytes]) -> AsyncIterator[tuple[str, list[str]]]:
    """Serve the answers by path on loopback, 404 for the rest; yield its origin and the paths that were asked for."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        asked.append(path)
        body = answers.get(path)
        status = b"404 Not Found" if body is None else b"200 OK"
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body or b""), body or b""))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def http_get(url: str) -> bytes:
    """Do over a real socket what the transport does: the body of a 200, or a RequestError."""
    origin, _, path = url.removeprefix("http://").partition("/")
    host, port = origin.split(":")
    try:
        reader, writer = await asyncio.open_connection(host, int(port))
    except OSError as error:
        raise NetworkError(str(error)) from None
    writer.write(f"GET /{path} HTTP/1.1\r\nHost: {origin}\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    if b" 200 " not in head.splitlines()[0]:
        raise GatewayError(404)
    return body


async def test_server_role_over_loopback(home: Path) -> None:
    """Without other keys the server's role gives them: its name first, then its keys; renewed from the same place."""
    answers = {ROLE_PATH: b"crawl-role\n", ROLE_PATH + "crawl-role": role_answer(1, NOW_S + 3600)}
    async with metadata_service(answers) as (origin, asked):
        found = await find(home, {"NCLOUD_METADATA_ENDPOINT": origin}, fetch=http_get)
        assert shown(found) == ("AK1", "SENTINEL1")
        assert (found.account, in_use(found).source) == ("default", "server role crawl-role")
        answers[ROLE_PATH + "crawl-role"] = role_answer(2, NOW_S + 7200)
        renewed = await found.credentials.current(NOW_S + 3301)
        assert renewed.secret_key.reveal() == "SENTINEL2"
        assert asked == [ROLE_PATH, ROLE_PATH + "crawl-role"] * 2
        del answers[ROLE_PATH]
        assert f"{origin}: no server role: 404" in await refusal(
            home, {"NCLOUD_METADATA_ENDPOINT": origin}, fetch=http_get
        )


async def test_default_endpoint_is_asked_when_none_is_named(home: Path) -> None:
    """The default endpoint is the link-local one, over http; a fake stands for it, so nothing is sent."""
    asked = []

    async def fetch(url: str) -> bytes:
        asked.append(url)
        return await refuse(url)

    await refusal(home, {"NCLOUD_METADATA_ENDPOINT": ""}, fetch=fetch)
    assert asked == ["http://169.254.169.254" + ROLE_PATH]


@pytest.mark.parametrize(
    "endpoint", ["nonsense", "http://metadata.example", "http://127.0.0.1/x", "https://u:SENTINEL@h"]
)
async def test_unsafe_endpoints_are_refused(home: Path, endpoint: str) -> None:
    """Keys do not come over a network in clear, and a misspelt endpoint is named."""
    assert (await refusal(home, {"NCLOUD_METADATA_ENDPOINT": endpoint})).startswith("NCLOUD_METADATA_ENDPOINT: ")


@pytest.mark.parametrize(
    "name", [b"", b"..", b"a/b", b"a b", b"a\r\nb", b"\xff", b"a?b", b"%2e", b"<html>", b"x" * 129]
)
async def test_role_names_are_checked(home: Path, name: bytes) -> None:
    """What is no name of a role never becomes part of a URL."""
    asked = []

    async def fetch(url: str) -> bytes:
        asked.append(url)
        return name

    assert "is no name of a role" in await refusal(home, fetch=fetch)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "lacks a proper"),
        (b"[]", "lacks a proper"),
        (b"[" * 100_000, "lacks a proper"),
        (
            b'{"AccessKeyId":"A","SecretAccessKey":"SENTINEL","Expiration":1e14,"x":' + b"[" * 251 + b"]" * 251 + b"}",
            "lacks",
        ),
        (b'{"AccessKeyId":"A","SecretAccessKey":"SENTINEL"}', "lacks a proper"),
        (b'{"AccessKeyId":"A","SecretAccessKey":null,"Expiration":1}', "lacks a proper"),
        (b'{"AccessKeyId":"A","SecretAccessKey":"SENTINEL","Expiration":"soon"}', "lacks a proper"),
        (b'{"AccessKeyId":"A","SecretAccessKey":"SENTINEL","Expiration":true}', "lacks a proper"),
        (b'{"AccessKeyId":"A","SecretAccessKey":"SENTINEL","Expiration":NaN}', "lacks a proper"),
        (b'{"AccessKeyId":"A","SecretAccessKey":"SENTINEL","Expiration":1}', "is this machine's clock right?"),
        (b'{"AccessKeyId":"A\\n","SecretAccessKey":"SENTINEL","Expiration":1e14}', "the access key (not shown)"),
        (b'{"AccessKeyId":"A","SecretAccessKey":"","Expiration":1e14}', "the secret key (not shown)"),
    ],
)
async def test_bad_role_answers(home: Path, body: bytes, sentence: str) -> None:
    """Whatever the service answers: keys that can be used, or a sentence that shows nothing of it."""

    async def fetch(url: str) -> bytes:
        return b"role" if url.endswith("/") else body

    text = await refusal(home, fetch=fetch)
    assert "server role role: " in text
    assert sentence in text


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda moment: moment.replace(microsecond=0)),  # noqa: DTZ001
    st.integers(-12, 14),
)
def test_expirations_in_every_spelling(moment: datetime, offset: int) -> None:
    """ISO 8601 with any zone or none (UTC), seconds and milliseconds all mean the same moment."""
    aware = moment.replace(tzinfo=UTC)
    seconds = aware.timestamp()
    elsewhere = aware.astimezone(timezone(timedelta(hours=offset)))
    spellings = [
        aware.isoformat(),
        moment.isoformat(),
        moment.isoformat() + "Z",
        elsewhere.isoformat(),
        elsewhere.strftime("%Y-%m-%dT%H:%M:%S%z"),
        int(seconds),
        str(int(seconds)),
        int(seconds) * 1000,
        str(int(seconds) * 1000),
    ]
    assert {parse_expiration(each) for each in spellings} == {seconds}


# ── Renewal ──


class Role:
    """A role whose keys live ``life_s``; fails while ``error`` is set; waits while ``gate`` is closed."""

    def __init__(self, life_s: float = 3600.0) -> None:
        self.life_s = life_s
        self.calls = 0
        self.error: CredentialsError | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def renew(self, now_s: float) -> KeyPair:
        """Give other keys each time."""
        self.calls += 1
        await self.gate.wait()
        if self.error:
            raise self.error
        return KeyPair(Secret(f"AK{self.calls}"), Secret("s"), "server role r", now_s + self.life_s)

    async def credentials(self) -> Credentials:
        """Return credentials that got their first keys at second 0."""
        return Credentials(await self.renew(0.0), 0.0, self.renew)


async def test_static_keys_never_wait() -> None:
    """Keys that stay come straight back, whatever the time."""
    keys = KeyPair(Secret("A"), Secret("s"), "here")
    credentials = Credentials(keys)
    assert credentials.peek(1e12) is keys
    assert await credentials.current(1e12) is keys


@pytest.mark.parametrize(("life_s", "due_s"), [(3600.0, 3300.0), (1500.0, 1200.0), (600.0, 480.0), (10.0, 8.0)])
async def test_renewal_before_expiry(life_s: float, due_s: float) -> None:
    """Keys are renewed with five minutes left, or with a fifth of a short life."""
    role = Role(life_s)
    credentials = await role.credentials()
    assert await credentials.current(due_s - 0.1) is credentials.peek(due_s - 0.1)
    assert credentials.peek(due_s) is None
    assert (await credentials.current(due_s)).access_key.reveal() == "AK2"
    assert credentials.peek(due_s) is not None
    assert role.calls == 2


async def test_one_renewal_at_a_time() -> None:
    """While one caller renews, the others go on with the old keys; after expiry they wait for the same renewal."""
    role = Role()
    credentials = await role.credentials()
    role.gate.clear()
    first = asyncio.create_task(credentials.current(3400.0))
    await asyncio.sleep(0)
    assert (await credentials.current(3400.0)).access_key.reveal() == "AK1"
    waiting = [asyncio.create_task(credentials.current(3600.0)) for _ in range(50)]
    await asyncio.sleep(0)
    role.gate.set()
    answers = [(await task).access_key.reveal() for task in (first, *waiting)]
    assert answers == ["AK2"] * 51
    assert role.calls == 2


async def test_failed_renewal_keeps_the_old_keys_until_they_expire() -> None:
    """A failing service is asked every ten seconds, not at every request; its reason is told when the keys expire."""
    role = Role()
    credentials = await role.credentials()
    role.error = CredentialsError("the metadata service is away")
    for now_s in (3300.0, 3301.0, 3309.9):
        assert (await credentials.current(now_s)).access_key.reveal() == "AK1"
    assert role.calls == 2
    assert (await credentials.current(3595.0)).access_key.reveal() == "AK1"
    for now_s in (3600.0, 3601.0):
        with pytest.raises(CredentialsError, match=r"server role r: the keys have expired.*service is away"):
            await credentials.current(now_s)
    assert role.calls == 3
    role.error = None
    assert (await credentials.current(3605.0)).access_key.reveal() == "AK4"


async def test_a_crowd_with_expired_keys_asks_once() -> None:
    """When the keys have expired and renewal fails, fifty callers cause one call, and all of them are told."""
    role = Role()
    credentials = await role.credentials()
    role.error = CredentialsError("away")
    answers = await asyncio.gather(*(credentials.current(4000.0) for _ in range(50)), return_exceptions=True)
    assert all(isinstance(answer, CredentialsError) for answer in answers)
    assert role.calls == 2


async def test_a_cancelled_renewal_leaves_the_next_one_free() -> None:
    """Cancelling the caller that renews neither counts as a failure nor blocks the others."""
    role = Role()
    credentials = await role.credentials()
    role.gate.clear()
    first = asyncio.create_task(credentials.current(3700.0))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    role.gate.set()
    assert (await credentials.current(3700.0)).access_key.reveal() == "AK3"


async def test_expiring_keys_without_renewal() -> None:
    """Keys that expire and that nobody can renew are refused after their time, in words."""
    credentials = Credentials(KeyPair(Secret("A"), Secret("s"), "here", 10.0))
    assert await credentials.current(9.0)
    with pytest.raises(CredentialsError, match="here: the keys have expired"):
        await credentials.current(10.0)
