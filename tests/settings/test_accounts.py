"""The accounts file: what it may say, every problem at once, no key in clear, and where it stands in precedence."""

from __future__ import annotations

import os
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.core.errors import ConfigurationError
from crawler.settings.account_entry import KeyCommand, KeyVariables, clear_keys
from crawler.settings.accounts import Account, Unpicked, read_accounts
from crawler.settings.calling import given_settings
from crawler.settings.loading import load_settings
from crawler.settings.sources import Notes
from crawler.settings.table import OPTIONS, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    Load = Callable[..., Settings]

EXAMPLE = Path(__file__).parents[2] / "config" / "ncrawl-accounts.toml"
ACME = '[[account]]\nname = "acme"\n'
GLOBEX = """
[[account]]
name = "globex"
access_key_env = "GLOBEX_ACCESS_KEY"
secret_key_env = "GLOBEX_SECRET_KEY"
zone = "gov"
regions = ["krs"]
rate = 7
"""
WITH_PROFILE = f'{ACME}profile = "p"\n'


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load settings in an empty world with accounts.toml, and the user's file, as they are given."""
    (tmp_path / "home" / "ncrawl").mkdir(parents=True)

    def run(accounts: str, flags: dict[str, object], environ: dict[str, str] | None = None, toml: str = "") -> Settings:
        (tmp_path / "accounts.toml").write_text(accounts)
        (tmp_path / "home" / "ncrawl" / "ncrawl.toml").write_text(toml)
        return load_settings(
            flags, environ or {}, cwd=tmp_path, config_home=tmp_path / "home", system_config=tmp_path / "none"
        )

    return run


def read(path: Path) -> tuple[dict[str, Account], list[str]]:
    """Read a file; return its accounts, and what is wrong."""
    notes = Notes()
    return read_accounts(path, OPTIONS, until_s=inf, notes=notes), notes.problems


def problems(path: Path, text: str) -> list[str]:
    """Return what is wrong with a text, without the file's name in front; nothing is taken from such a file."""
    path.write_text(text)
    accounts, found = read(path)
    assert (not accounts) == bool(found)
    return [one.removeprefix(f"{path}: ") for one in found]


def test_the_example() -> None:
    """config/ncrawl-accounts.toml loads: an account for each of the three ways to keys, and every field in one."""
    accounts, found = read(EXAMPLE)
    assert found == []
    acme, globex, initech = accounts.values()
    assert (acme.name, acme.key_place, acme.settings["profile"].items) == ("acme", None, ("acme",))
    assert acme.labels == {"customer": "Acme", "tier": "gold"}
    assert globex.key_place == KeyVariables("globex", "GLOBEX_ACCESS_KEY", "GLOBEX_SECRET_KEY")
    assert globex.settings.keys() == {"zone", "region", "rate", "region_rate", "exclude", "expect_gap"}
    assert initech.key_place == KeyCommand("initech", ("/usr/local/bin/ncloud-keys", "initech"))


@pytest.mark.parametrize("name", ["acme", "globex", "initech"])
def test_every_account_of_the_example_makes_settings(load: Load, name: str) -> None:
    """They go together: zone, regions, patterns."""
    assert load(EXAMPLE.read_text(), {"accounts": "accounts.toml", "account": name}).account == name


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "names no account: begin each with [[account]]"),
        ("[account]\nname = 'x'\n", "account is no list of tables: begin each account with [[account]]"),
        ("name = 'x'\n" + WITH_PROFILE, "name: no such key: accounts stand under [[account]]"),
        ("[[account]]\nprofile = 'p'\n", '[[account]] 1: has no name: add name = "…"'),
        ("[[account]]\nname = 'a b'\nprofile = 'p'\n", "[[account]] 1: name: 'a b' is no account's name: give letters"),
        ("[[account]]\nname = 5\nprofile = 'p'\n", "[[account]] 1: name: a whole number will not do"),
        (WITH_PROFILE * 2, "[[account]] 2: name: acme is taken by an account above"),
        (ACME, "[[account]] 1 (acme): says nothing of its keys: add profile, access_key_env with secret_key_env, or"),
        (f"{WITH_PROFILE}command = ['x']\n", "[[account]] 1 (acme): has profile and command: its keys are"),
        (f"{WITH_PROFILE}secret_key_env = 'A_B'\n", "[[account]] 1 (acme): has profile and access_key_env: its keys"),
        (f"{ACME}access_key_env = 'A_B'\n", "[[account]] 1 (acme): has no secret_key_env: a key has two halves"),
        (f"{ACME}secret_key_env = 'A_B'\n", "[[account]] 1 (acme): has no access_key_env: a key has two halves"),
        (f"{ACME}profile = ''\n", "[[account]] 1 (acme): profile: '' is empty"),
        (f"{ACME}command = 'a b'\n", "[[account]] 1 (acme): command: give a list of words"),
        (f"{ACME}command = []\n", "[[account]] 1 (acme): command: give a list of words"),
        (f"{ACME}command = ['a', 1]\n", "[[account]] 1 (acme): command: give a list of words"),
        (f"{ACME}command = ['']\n", "[[account]] 1 (acme): command: a word has a zero byte in it, or the first one is"),
        (f"{ACME}command = ['a', \"\\u0000\"]\n", "[[account]] 1 (acme): command: a word has a zero byte in it"),
        (f"{ACME}command = ['./keys']\n", "[[account]] 1 (acme): command: './keys' depends on the current directory"),
        (f"{WITH_PROFILE}zone = 'mars'\n", "[[account]] 1 (acme): zone: 'mars' is not known: give public"),
        (f"{WITH_PROFILE}rate = 0\n", "[[account]] 1 (acme): rate: '0' is not a rate"),
        (f"{WITH_PROFILE}regions = 'kr'\n", "[[account]] 1 (acme): regions: 'kr', a text, will not do: give a list"),
        (f"{WITH_PROFILE}regions = ['mars']\n", "[[account]] 1 (acme): regions: 'mars' is no region of any zone: give"),
        (f"{WITH_PROFILE}zone = 'gov'\nregions = ['sgn']\n", "[[account]] 1 (acme): regions: 'sgn' is no region of"),
        (f"{WITH_PROFILE}gateway = 'http://x.example'\n", "[[account]] 1 (acme): gateway: 'http://x.example' is not"),
        (f"{WITH_PROFILE}region = ['kr']\n", "[[account]] 1 (acme): region: no such key: did you mean regions?"),
        (f"{WITH_PROFILE}rat = 5\n", "[[account]] 1 (acme): rat: no such key: did you mean rate?"),
        (f"{WITH_PROFILE}xyzzy = 5\n", "[[account]] 1 (acme): xyzzy: no such key: there are name, profile,"),
        (f"{WITH_PROFILE}labels = 'x'\n", "[[account]] 1 (acme): labels: give a table"),
        (f"{WITH_PROFILE}labels = {{a = 1}}\n", "[[account]] 1 (acme): labels: a: give a text in quotes"),
        (f"{WITH_PROFILE}labels = {{'a b' = 'x'}}\n", "[[account]] 1 (acme): labels: 'a b' is no label's name"),
        (f'{WITH_PROFILE}labels = {{a = "\\u001b"}}\n', "[[account]] 1 (acme): labels: a: '\\x1b' holds a control"),
        ("[[account]\n", "not valid TOML: "),
    ],
)  # fmt: skip
def test_what_cannot_be(tmp_path: Path, text: str, told: str) -> None:
    """One sentence: which account, what, and what would be right."""
    (found,) = problems(tmp_path / "a.toml", text)
    assert found.startswith(told)


def test_every_problem_at_once(tmp_path: Path) -> None:
    """Of all accounts, in their order; of very many the first, and how many more."""
    found = problems(tmp_path / "a.toml", f"{WITH_PROFILE}rate = 0\nzone = 'x'\n{GLOBEX}labels = 5\n[[account]]\n")
    assert [one.partition(":")[0] for one in found] == [
        *["[[account]] 1 (acme)"] * 2, "[[account]] 2 (globex)", *["[[account]] 3"] * 2
    ]  # fmt: skip
    many = problems(tmp_path / "a.toml", "[[account]]\nname = 'a'\n" * 50)
    assert len(many) == 21
    assert many[-1] == "and 79 more"


NEW_KEY, OLD_KEY = "ncp_iam_BPAMKR0Example5Keys", "aB3dE6gH9jK2mN5pQ8sT"
CLEAR = [
    f"access_key = '{OLD_KEY}'",
    "secret_key = 's3ntinel'",
    "ncloud_secret_access_key = 's3ntinel'",
    "SECRET = 's3ntinel'",
    "token = 's3ntinel'",
    "password = ['s3ntinel']",
    f"access_key_env = '{NEW_KEY}'\nsecret_key_env = 'A_B'",
    f"access_key_env = 'A_B'\nsecret_key_env = '{OLD_KEY * 2}'",
    "access_key_env = 'A_B'\nsecret_key_env = 's3ntinel/'",
    "access_key_env = 'A_B'\nsecret_key_env = 'S3NTINELS3NTINEL'",
    f"profile = '{NEW_KEY}'",
    f"profile = 'p'\nzone = '{OLD_KEY}'",
    f"profile = 'p'\nlabels = {{x = '{NEW_KEY}'}}",
    "profile = 'p'\nlabels = {secret = 's3ntinel'}",
    f"profile = 'p'\n{NEW_KEY} = 1",
    f"profile = 'p'\nexclude = ['{NEW_KEY}']",
    f"command = ['vault', 'x={NEW_KEY}']",
    f"profile = 'p'\nregions = [[['{OLD_KEY}']]]",
    f"profile = 'p'\nx = {{y = {{{NEW_KEY} = 1}}}}",
]


@pytest.mark.parametrize("line", CLEAR)
def test_a_key_in_clear(tmp_path: Path, line: str) -> None:
    """Whatever its field is called and wherever it stands, it is an error that shows nothing of it."""
    (found,) = problems(tmp_path / "a.toml", f"{ACME}{line}\n")
    assert "not shown" in found
    assert found.startswith("[[account]] 1 (acme): ")
    for piece in ("ntinel", "NTINEL", NEW_KEY[8:14], OLD_KEY[:6]):
        assert piece not in found


@pytest.mark.parametrize("text", [f"secret_key = 'x'\n{WITH_PROFILE}", f"{WITH_PROFILE}\n[{NEW_KEY}]\n[{NEW_KEY}]\n",
                                  f"[[account]]\nname = '{NEW_KEY}'\nprofile = 'p'\n"])  # fmt: skip
def test_a_key_in_clear_outside(tmp_path: Path, text: str) -> None:
    """At the top, as an account's name, or in what the parser of TOML says of a broken file, neither."""
    (found,) = problems(tmp_path / "a.toml", text)
    assert NEW_KEY[8:14] not in found
    assert "not shown" in found or "not valid TOML" in found


@given(st.text("abcXYZ019", min_size=20, max_size=34), st.sampled_from(["a", "labels", "profile", "command"]))
def test_no_sentence_shows_a_new_key(key: str, field: str) -> None:
    """Whatever follows ncp_iam_ is found, in any field, and no piece of it is told."""
    found = clear_keys({field: [{"x": f"{field}=ncp_iam_{key}"}]})
    assert found.keys() == {field}
    assert key not in found[field]


@pytest.mark.parametrize("name", ["NCP_IAM_ACCESS_KEY", "ACME_KEY", "acmeKey", "_x"])
def test_names_of_variables(tmp_path: Path, name: str) -> None:
    """What can hardly be a key is a variable's name."""
    text = f"{ACME}access_key_env = '{name}'\nsecret_key_env = '{name}2'\n"
    assert problems(tmp_path / "a.toml", text) == []


def test_a_file_that_others_can_write(tmp_path: Path) -> None:
    """It is refused: whoever can write it chooses where signed requests go, and what is run."""
    path = tmp_path / "a.toml"
    path.write_text(WITH_PROFILE)
    path.chmod(0o666)
    accounts, (told,) = read(path)
    assert accounts == {}
    assert "is not safe" in told
    assert "can be written by everybody (mode 0666): chmod go-w it" in told


def test_a_file_that_is_not_there(load: Load) -> None:
    """It is an error, for it was named; a folder is one as well."""
    for name, why in (("none.toml", "No such file"), (".", "Is a directory")):
        with pytest.raises(ConfigurationError, match=f"--accounts: cannot read .*: {why}"):
            load(WITH_PROFILE, {"accounts": name, "account": "acme"})


def test_a_pipe_without_a_writer(tmp_path: Path) -> None:
    """It is waited for until the time that is given, not for ever."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    notes = Notes()
    assert read_accounts(tmp_path / "pipe", OPTIONS, until_s=0.0, notes=notes) == {}
    assert "its end did not come before the deadline" in notes.problems[0]


# ── One of them is picked ──


def test_an_account_stands_between_environment_and_file(load: Load) -> None:
    """Flag, then variable, then account, then file, then default; and it is known where each was said."""
    toml = "rate = 5\nconcurrency = 3\nzone = 'public'\nregion = ['kr']\nregion_rate = 4\n"
    flags: dict[str, object] = {"accounts": "accounts.toml", "account": "globex"}
    found = load(GLOBEX, flags, {"NCRAWL_REGION_RATE": "9"}, toml)
    assert (found.zone, [one.code for one in found.region], found.rate) == ("gov", ["krs"], 7.0)
    assert (found.region_rate, found.concurrency, found.account) == (9.0, 3, "globex")
    assert found.places["rate"].endswith("accounts.toml: [[account]] 1 (globex): rate")
    assert found.given >= {"rate", "zone", "region", "accounts", "account"}
    assert load(GLOBEX, flags, {"NCRAWL_RATE": "2"}, toml).rate == 2.0
    assert load(GLOBEX, {**flags, "rate": "1"}, {"NCRAWL_RATE": "2"}, toml).rate == 1.0


@pytest.mark.parametrize("where", ["flags", "environ", "toml"])
def test_file_and_name_from_every_layer(load: Load, where: str) -> None:
    """Both are settings like others."""
    flags: dict[str, object] = {"accounts": "accounts.toml", "account": "globex"} if where == "flags" else {}
    environ = {"NCRAWL_ACCOUNTS": "accounts.toml", "NCRAWL_ACCOUNT": "globex"} if where == "environ" else {}
    toml = "accounts = 'accounts.toml'\naccount = 'globex'\n" if where == "toml" else ""
    found = load(GLOBEX, flags, environ, toml)
    assert found.key_place == KeyVariables("globex", "GLOBEX_ACCESS_KEY", "GLOBEX_SECRET_KEY")


def test_without_a_file_of_accounts_an_account_is_a_label(load: Load) -> None:
    """As it ever was."""
    found = load("broken", {"account": "acme"})
    assert (found.account, found.key_place, found.given) == ("acme", None, frozenset({"account"}))


def test_the_profile_of_the_settings_file_is_not_an_accounts(load: Load) -> None:
    """An account whose keys are elsewhere must not get those of a profile, and one with a profile has its own."""
    flags: dict[str, object] = {"accounts": "accounts.toml", "account": "globex"}
    assert load(GLOBEX, flags, toml="profile = 'other'\n").profile is None
    assert load(WITH_PROFILE, flags | {"account": "acme"}, toml="profile = 'other'\n").profile == "p"


def test_a_profile_that_is_asked_for(load: Load) -> None:
    """It contradicts accounts that are asked for as well, and comes before those that a file names."""
    flags: dict[str, object] = {"accounts": "accounts.toml", "account": "globex"}
    for more, environ in (({"profile": "x"}, {}), ({}, {"NCRAWL_PROFILE": "x"})):
        with pytest.raises(ConfigurationError, match="says where each account has its keys: drop one of the two"):
            load(GLOBEX, flags | more, environ)
    found = load(GLOBEX, {"profile": "x", "account": "globex"}, toml="accounts = 'accounts.toml'\n")
    assert (found.profile, found.account, found.key_place, found.zone) == ("x", "globex", None, "public")


def test_a_name_that_is_not_there(load: Load) -> None:
    """The one that may have been meant, or all there are."""
    for name, hint in (("globx", "did you mean globex"), ("x", "there are acme, globex")):
        with pytest.raises(ConfigurationError, match=f"--account: '{name}' is not in accounts.toml: {hint}"):
            load(WITH_PROFILE + GLOBEX, {"accounts": "accounts.toml", "account": name})


def test_none_is_picked(load: Load) -> None:
    """That is for whatever needs keys to say: what needs none, such as `prune`, works all the same."""
    found = load(WITH_PROFILE + GLOBEX, {}, {"NCRAWL_ACCOUNTS": "accounts.toml"})
    assert found.key_place == Unpicked("NCRAWL_ACCOUNTS", ("acme", "globex"))
    assert (found.profile, found.account, found.zone) == (None, None, "public")


def test_an_accounts_gateway_is_held_to_what_any_is(load: Load) -> None:
    """A host that is not the provider's needs the word of whoever runs it, not of the file."""
    text = f"{WITH_PROFILE}gateway = 'https://ncr.example'\n"
    flags: dict[str, Any] = {"accounts": "accounts.toml", "account": "acme"}
    with pytest.raises(ConfigurationError, match=r"\(acme\): gateway: https://ncr.example is not the provider's"):
        load(text, flags)
    assert load(text, flags | {"allow_gateway": True}).gateway == ("https://ncr.example",)
    assert problems_of_allowing(load, text, flags) == [
        "[[account]] 1 (acme): allow_gateway: no such key: did you mean gateway?"
    ]


def problems_of_allowing(load: Load, text: str, flags: dict[str, object]) -> list[str]:
    """Return what is said where an account itself would trust a host."""
    with pytest.raises(ConfigurationError) as caught:
        load(f"{text}allow_gateway = true\n", flags)
    return [one.partition("accounts.toml: ")[2] for one in caught.value.problems]


def test_from_python(tmp_path: Path) -> None:
    """Arguments are the flags: the same file, the same precedence, the same sentences."""
    path = tmp_path / "accounts.toml"
    path.write_text(GLOBEX)
    found = given_settings({"accounts": path, "account": "globex", "rate": 3}, timeout_s=None)
    assert (found.zone, found.rate, found.key_place) == (
        *("gov", 3.0), KeyVariables("globex", "GLOBEX_ACCESS_KEY", "GLOBEX_SECRET_KEY")
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match=r"account: 'acme' is not in .*accounts.toml: there are globex"):
        given_settings({"accounts": str(path), "account": "acme"}, timeout_s=None)
    with pytest.raises(ConfigurationError, match="profile: accounts says where each account has its keys"):
        given_settings({"accounts": path, "account": "globex", "profile": "x"}, timeout_s=None)
