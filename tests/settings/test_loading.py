"""Settings: four layers, one precedence, and every problem in one message that can be acted upon."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from crawler.api.zones import ZONES
from crawler.cli.options import crawl_options, settings_from
from crawler.core.errors import ConfigurationError
from crawler.core.model import VerifyMode
from crawler.settings import options as keys
from crawler.settings.loading import load_settings
from crawler.settings.registry_file import read_registry_file
from crawler.settings.sources import config_home
from crawler.settings.table import OPTIONS, Settings

DOCUMENTED = Path(__file__).parents[2] / "config" / "ncrawl.toml"
PUBLIC, GOV = ZONES["public"], ZONES["gov"]
REGIONS = ", ".join(region.code for region in PUBLIC.regions)
FLAGS = sorted(OPTIONS.keys() - {"registry"})
PRINTABLE = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]*")


Flags = dict[str, object]
Environ = dict[str, str]
Layers = Callable[..., Settings]  # (flags, environ, toml), each optional
Problems = Callable[..., list[str]]  # likewise
Run = Callable[..., Result]  # (*arguments, **environ)


def places(folder: Path) -> dict[str, Any]:
    """Return where settings are looked for if the whole world is in one folder."""
    return {"cwd": folder, "config_home": folder / "home", "system_config": folder / "etc" / "ncrawl.toml"}


@pytest.fixture
def load(tmp_path: Path) -> Layers:
    """Load settings in an empty world; ``toml`` is written to the user's file there."""
    (tmp_path / "home" / "ncrawl").mkdir(parents=True)

    def run(flags: Flags | None = None, environ: Environ | None = None, toml: str | None = None) -> Settings:
        if toml is not None:
            (tmp_path / "home" / "ncrawl" / "ncrawl.toml").write_text(toml, encoding="utf-8")
        return load_settings(flags or {}, environ or {}, **places(tmp_path))

    return run


@pytest.fixture
def problems(load: Layers) -> Problems:
    """Load settings that must not load; return the sentences."""

    def run(flags: Flags | None = None, environ: Environ | None = None, toml: str | None = None) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            load(flags, environ, toml)
        assert str(caught.value) == "\n".join(caught.value.problems)
        assert PRINTABLE.fullmatch(str(caught.value))
        return caught.value.problems

    return run


# ── Layers ──


def test_nothing_given_gives_the_defaults(load: Layers) -> None:
    """Without flags, environment and file, the settings are the class's own defaults: the whole public zone."""
    assert load() == Settings()
    assert (load().gateway, load().region, load().deadline) == ((PUBLIC.gateway,), PUBLIC.regions, 3600.0)


def test_defaults_in_words_are_the_defaults() -> None:
    """What ``--help`` calls the default of a value is what the parser makes of that text."""
    defaults = Settings()
    described = {"account", "zone", "gateway", "region", "registry"}  # these follow from one another, or from the keys
    for name, key in OPTIONS.items():
        if name not in described:
            nothing = () if key.is_list else None
            assert getattr(defaults, name) == (key.parse(key.default) if key.default else nothing), name


@pytest.mark.parametrize(
    ("flags", "environ", "toml", "rate"),
    [
        ({"rate": "1"}, {"NCRAWL_RATE": "2"}, "rate = 3", 1.0),
        ({"rate": None}, {"NCRAWL_RATE": "2"}, "rate = 3", 2.0),
        ({}, {"NCRAWL_RATE": ""}, "rate = 3", 3.0),
        ({}, {}, "", 50.0),
        ({"rate": "1"}, {"NCRAWL_RATE": "rubbish"}, "rate = false", 1.0),
    ],
)
def test_precedence(load: Layers, flags: Flags, environ: Environ, toml: str, rate: float) -> None:
    """Flag before environment before file before default; empty variables and overridden rubbish do not count."""
    assert load(flags, environ, toml).rate == rate


EVERY_KEY: dict[str, tuple[Any, Any]] = {
    "profile": ("p", "p"),
    "account": ("a.b_c-1", "a.b_c-1"),
    "zone": ("gov", "gov"),
    "api": ("v2", "v2"),
    "gateway": ("https://[::1]:8443/", ("https://[::1]:8443",)),
    "allow_gateway": (True, True),
    "trust_env": (True, True),
    "region": (("krs", "kr", "krs"), (GOV.regions[1], GOV.regions[0])),
    "registry": (("a", "kr/b"), ("a", "kr/b")),
    "registry_file": ("-", "-"),
    "exclude": (("kr/old-*", "tmp"), ("kr/old-*", "tmp")),
    "expect_gap": (("*/broken",), ("*/broken",)),
    "output": ("o.gz", "o.gz"),
    "rate": ("0.5", 0.5),
    "region_rate": ("7", 7.0),
    "concurrency": ("1", 1),
    "page_size": ("97", 97),
    "verify": ("always", VerifyMode.ALWAYS),
    "deadline": ("1h30m", 5400.0),
    "summary": ("s.json", "s.json"),
    "metrics_file": ("m.prom", "m.prom"),
    "ping": ("https://hc.example/x?y=1", "https://hc.example/x?y=1"),
    "log_format": ("json", "json"),
    "heartbeat": ("30s", 30.0),
    "verbose": (2, 2),
    "quiet": (False, False),
    "level": ("tags", "tags"),
    "compress": ("zstd", "zstd"),
    "accept": ("2.5%", "2.5%"),
    "resume": (True, True),
    "resume_within": ("2h", 7200.0),
    "retry_failed": ("latest", "latest"),
    "reuse": ("earlier", "earlier"),
    "refresh": ("2/7", "2/7"),
    "keep": ("30", 30),
    "keep_days": ("90", 90),
    "push": ("s3://bucket/prefix", "s3://bucket/prefix"),
}
"""As it is written, and what comes of it."""


def test_every_layer_can_set_every_key(load: Layers) -> None:
    """A key means the same in all three layers, whatever its type."""
    flags: Flags = {name: written for name, (written, _) in EVERY_KEY.items()}
    environ = {
        keys.variable_of(name): ",".join(value) if isinstance(value, tuple) else str(value).lower()
        for name, value in flags.items()
    }
    toml = "".join(f"{name} = {json.dumps(value)}\n" for name, value in flags.items())
    for name in ("concurrency", "page_size", "rate", "keep", "keep_days"):
        toml = toml.replace(f'{name} = "{flags[name]}"', f"{name} = {flags[name]}")
    assert flags.keys() == OPTIONS.keys() - {"accounts"}  # which is read at once: test_accounts.py
    assert load(flags) == load({}, environ) == load({}, {}, toml)
    assert load(flags) == Settings(**{name: value for name, (_, value) in EVERY_KEY.items()})


def test_settings_know_what_somebody_set(load: Layers) -> None:
    """In whichever layer, even to the default; what follows from another key, or has its default, was set by nobody."""
    assert load().given == frozenset()
    found = load({"gateway": "http://127.0.0.1:1", "verify": None}, {"NCRAWL_RATE": "50"}, 'compress = "zstd"')
    assert found.given == {"gateway", "rate", "compress"}


def test_settings_are_frozen() -> None:
    """Nobody changes the settings of a run underway."""
    with pytest.raises(FrozenInstanceError):
        Settings().rate = 1.0  # type: ignore[misc]


def test_config_file_places(load: Layers, tmp_path: Path) -> None:
    """--config, NCRAWL_CONFIG, the user's directory, the system's: the first of them alone is read."""
    for number, path in enumerate(("etc/ncrawl.toml", "home/ncrawl/ncrawl.toml", "environment.toml", "flag.toml"), 1):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"\xef\xbb\xbf" + f"page_size = {number}\r\n".encode())
    environ = {"NCRAWL_CONFIG": str(tmp_path / "environment.toml")}
    assert load({"config": "flag.toml"}, environ).page_size == 4
    assert load({"config": None}, environ).page_size == 3
    assert load({}, {"NCRAWL_CONFIG": ""}).page_size == 2
    (tmp_path / "home" / "ncrawl" / "ncrawl.toml").unlink()
    assert load().page_size == 1


def test_the_current_directory_says_nothing(tmp_path: Path) -> None:
    """Settings that lie there, hostile or broken, count only if they are named; that they do not is told once."""
    (tmp_path / "ncrawl.toml").write_text('gateway = "https://evil.example"\nallow_gateway = true\noutput = "x"\n')
    warnings: list[str] = []
    assert load_settings({}, {}, **places(tmp_path), warnings=warnings) == Settings()
    (told,) = warnings
    assert told.startswith("./ncrawl.toml is not read")
    assert told.endswith(f"name it with --config ncrawl.toml, or move it to {tmp_path}/home/ncrawl/ncrawl.toml")
    warnings.clear()
    assert load_settings({"config": "ncrawl.toml"}, {}, **places(tmp_path), warnings=warnings).output == "x"
    at_home = places(tmp_path) | {"cwd": tmp_path / "home" / "ncrawl"}
    at_home["cwd"].mkdir(parents=True)
    (tmp_path / "ncrawl.toml").rename(at_home["cwd"] / "ncrawl.toml")
    assert load_settings({}, {}, **at_home, warnings=warnings).output == "x"
    assert warnings == []


def test_without_a_home_nothing_is_looked_for_below_the_current_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whom passwd does not know, as in a container, or a relative HOME: the system's file alone counts."""
    monkeypatch.setenv("HOME", ".")
    assert config_home({}) is None
    assert load_settings({}, {}, cwd=Path("/nonexistent"), config_home=None) == Settings()


def test_config_home_follows_the_xdg_standard() -> None:
    """XDG_CONFIG_HOME counts when absolute; else it is ~/.config."""
    assert config_home({"XDG_CONFIG_HOME": "/x"}) == Path("/x")
    for named in ({}, {"XDG_CONFIG_HOME": ""}, {"XDG_CONFIG_HOME": "relative"}):
        assert config_home(named) == Path(os.path.expanduser("~/.config"))  # noqa: PTH111 - as the code


# ── Problems ──


def test_all_problems_come_at_once(problems: Problems) -> None:
    """Three layers, a typo each and a bad value each: one error with a sentence for each, naming the place."""
    found = problems(
        {"rate": "0", "deadline": "90"},
        {"NCRAWL_PAGE_SIZE": "many", "NCRAWL_RAET": "1"},
        'concurrency = true\npage-size = 3\nsecret_key = "hush"\n',
    )
    text = "\n".join(found)
    assert len(found) == 7
    for expected in (
        "ncrawl.toml: page-size: no such key: did you mean page_size?",
        "ncrawl.toml: secret_key: no such key: keys belong into NCLOUD_ACCESS_KEY_ID and",
        "NCRAWL_RAET: no such key: did you mean NCRAWL_RATE?",
        "--rate: '0' is not a rate",
        "--deadline: '90' is not a duration",
        "NCRAWL_PAGE_SIZE: 'many' is not a whole number from 1 to 10000",
        "ncrawl.toml: concurrency: true or false will not do: give a whole number",
    ):
        assert expected in text
    assert "hush" not in text


def test_all_keys_are_named_once(problems: Problems) -> None:
    """What all variables share makes no two alike; however many are like no key, wherever, the keys are listed once."""
    found = problems({}, {"NCRAWL_FOO": "1", "NCRAWL_XYZZY": "1", "NCRAWL_RAET": "1"}, "quux = 1\n")
    assert len(found) == 2
    assert found[0] == "NCRAWL_RAET: no such key: did you mean NCRAWL_RATE?"
    assert (
        "ncrawl.toml: quux, NCRAWL_FOO, NCRAWL_XYZZY: no such key: there are profile, account, accounts, " in found[1]
    )
    many = problems({}, {f"NCRAWL_{'X' * number}": "1" for number in range(3, 60)}, "")
    assert ["and 37 more: no such key" in one for one in many] == [True]


@pytest.mark.parametrize(
    "name", ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_80_TCP", "PORT_80_TCP_ADDR"]
)
def test_variables_of_kubernetes_services_are_ignored(load: Layers, problems: Problems, name: str) -> None:
    """A service called ncrawl, or ncrawl-api, in the namespace is no setting; what only looks like it is an error."""
    environ = {"NCRAWL_" + name: "tcp://10.0.0.1:80", "NCRAWL_API_V2_" + name: "10.0.0.1"}
    assert load({}, environ) == Settings()
    for wrong in ("NCRAWL_SERVICE", "NCRAWL_REPORT", "NCRAWL_PORTAL", "NCRAWL_SERVICE_HOSTS"):
        (found,) = problems({}, environ | {wrong: "1"})
        assert found.startswith(f"{wrong}: no such key")


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"rate": "nan"}, "--rate: 'nan' is not a rate"),
        ({"rate": "inf"}, "--rate: 'inf'"),
        ({"rate": "-1"}, "--rate: '-1'"),
        ({"rate": "1e3"}, "--rate: '1e3'"),
        ({"rate": "9999999"}, "--rate: '9999999'"),
        ({"rate": "\u0665"}, "--rate: '\u0665'"),
        ({"rate": True}, "--rate: 'true'"),
        ({"region_rate": ""}, "--region-rate: ''"),
        ({"page_size": "0"}, "from 1 to 10000"),
        ({"page_size": "10001"}, "from 1 to 10000"),
        ({"page_size": "9" * 5000}, "…' is not a whole number"),
        ({"page_size": "1.5"}, "'1.5' is not a whole number"),
        ({"concurrency": "1025"}, "from 1 to 1024"),
        ({"verbose": 3}, "--verbose: '3' is not a whole number from 0 to 2"),
        ({"deadline": "0s"}, "above zero"),
        ({"deadline": "31d"}, "30d at most"),
        ({"deadline": "1m1h"}, "'1m1h' is not a duration"),
        ({"deadline": "1.5h"}, "'1.5h' is not a duration"),
        ({"deadline": ""}, "'' is not a duration"),
        ({"verify": "sometimes"}, "give auto or always or never"),
        ({"log_format": "xml"}, "give text or json"),
        ({"zone": "privat"}, "give public or gov"),
        ({"profile": "a\x1b[31mb"}, "'a\\x1b[31mb' is empty or holds a control character"),
        ({"account": "a/b"}, "--account: 'a/b' is no account's name: give letters, digits, '.', '_' and '-'"),
        ({"account": ".."}, "--account: '..' is no account's name"),
        ({"account": "한국"}, "is no account's name"),
        ({"exclude": ("kr/a/b",)}, "--exclude: 'kr/a/b' is no pattern: give name or region/name"),
        ({"exclude": ("kr/",)}, "--exclude: 'kr/' is no pattern"),
        ({"exclude": ("a?",)}, "--exclude: 'a?' is no pattern"),
        ({"exclude": ("mars/a", "krs/a", "k*/a")}, "--exclude: 'mars/a' is of no region that there is: kr, sgn, jpn"),
        ({"expect_gap": ("x*/a",)}, "--expect-gap: 'x*/a' is of no region"),
        ({"expect_gap": ("",)}, "--expect-gap: '' is no pattern"),
        ({"output": ""}, "--output: '' is empty"),
        ({"output": "x.csv"}, "--output: 'x.csv' will not do: .csv is another format, and what is written is NDJSON"),
        ({"output": "a/x.Parquet"}, ".Parquet is another format"),
        ({"output": "x.ndjson.bz2"}, "let it end in .ndjson, .ndjson.gz or .ndjson.zst"),
        ({"output": "x.csv.gz"}, "'x.csv.gz' will not do: .csv is another format"),
        ({"output": "x.ndjson.GZ"}, "'x.ndjson.GZ' is compressed only if it ends in .gz: write it in small letters"),
        ({"summary": "-"}, "standard output is for data"),
        ({"metrics_file": "-"}, "--metrics-file: '-' will not do: standard output is for data"),
        ({"ping": "hc.example/TOKEN"}, "--ping: the value (not shown) is not a URL such as https://host/path; http is"),
        ({"ping": "http://hc.example/TOKEN"}, "http is for loopback only"),
        ({"ping": "https://u:TOKEN@hc.example/"}, "there is no user or password in it"),
        ({"ping": "https://hc.example:0/TOKEN"}, "is not a URL"),
        ({"ping": "https://hc.example:x/TOKEN"}, "is not a URL"),
        ({"ping": "ftp://127.0.0.1/TOKEN"}, "is not a URL"),
        ({"ping": "https://hc.example/TOKEN#x"}, "has a fragment (#)"),
        ({"ping": "https://hc.example/TOKEN x"}, "percent-encoded"),
        ({"ping": "https://hc.example/TOKEN\r\nHost: x"}, "percent-encoded"),
        ({"ping": "https://hc.example/TOKEN/한국"}, "percent-encoded"),
        ({"ping": "https://"}, "is not a URL"),
        ({"region": ("kr", "mars")}, "--region: 'mars' is no region of zone public: give kr, sgn, jpn"),
        ({"region": ("krs",), "zone": "public"}, "'krs' is no region of zone public"),
        ({"registry": ("../x",)}, "REGISTRY: '../x': '..' cannot be a registry's name"),
        ({"registry": ("a/b/c",)}, f"'a/b/c' is not in a region to be crawled: {REGIONS}; an image is named"),
        ({"registry": ("kr/../c",)}, "'..' cannot be"),
        ({"registry": ("kr/b/",)}, "'kr/b/' names no image behind the slash after b"),
        ({"registry": ("kr/",)}, "'' cannot be"),
        ({"registry": ("krs/a",)}, "'krs/a' is not in a region to be crawled: kr, sgn, jpn"),
        ({"registry": ("kr/a",), "region": ("sgn",)}, "'kr/a' is not in a region to be crawled: sgn"),
        ({"verbose": 1, "quiet": True}, "--quiet and --verbose contradict each other"),
        ({"output": "a.json", "summary": "./a.json"}, "--output and --summary name the same file"),
        ({"output": "a.json", "summary": "b/../a.json"}, "--output and --summary name the same file"),
        ({"metrics_file": "a", "summary": "a"}, "--summary and --metrics-file name the same file"),
        ({"config": "absent.toml"}, "--config: cannot read"),
    ],
)
def test_bad_values_get_one_sentence(problems: Problems, flags: Flags, sentence: str) -> None:
    """Each value that cannot be meant is refused once, with key, value and what would be right."""
    found = problems(flags)
    assert len(found) == 1
    assert sentence in found[0]
    assert len(found[0]) < 300
    assert "TOKEN" not in found[0]


@pytest.mark.parametrize("url", ["https://hc.example", "http://127.0.0.1:80/a%2Fb?c=d&e", "https://[::1]:8/x"])
def test_pings_go_where_nothing_is_read_on_its_way(load: Layers, url: str) -> None:
    """By https, or http on loopback; path and query are left as they are."""
    assert load({"ping": url}).ping == url


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ('page_size = "most"', "'most' is not a whole number from 1 to 10000, nor auto"),
        ("page_size = 1.5", "a number with a point will not do: give a whole number"),
        ("page_size = -1", "'-1' is not a whole number"),
        ("rate = nan", "'nan' is not a rate"),
        ("rate = inf", "'inf' is not a rate"),
        ("rate = false", "true or false will not do"),
        (f"rate = 0x{'f' * 9000}", "is not a rate"),
        ("deadline = 90", "a whole number will not do: give a text in quotes"),
        ("deadline = 2026-11-23", "a date will not do"),
        ("output = [1]", "a list of texts will not do"),
        ("output = {}", "a table will not do"),
        ('region = "kr"', "'kr', a text, will not do: give a list of texts"),
        ("region = [1]", "region: a whole number will not do"),
        ('quiet = "yes"', "'yes', a text, will not do: give true or false"),
        ("verbose = true", "true or false will not do: give a whole number"),
        ('"a\\u001bb" = 1', "'a\\x1bb': no such key: there are profile"),
        ("[ncrawl]\nrate = 1", "ncrawl: no such key"),
        ("rate = 1\nrate =", "not valid TOML: Invalid value (at end of document)"),
        ("rate = 1\nzone = x\n", "not valid TOML: Invalid value (at line 2, column 8)"),
        ("rate = " + "[" * 5000, "not valid TOML"),
        ("rate = " + "1" * 5000, "not valid TOML"),
    ],
)
def test_bad_toml_gets_one_sentence(problems: Problems, tmp_path: Path, toml: str, sentence: str) -> None:
    """A wrong type, an unknown key and broken TOML name the file, and never end in a traceback."""
    found = problems({}, {}, toml)
    assert len(found) == 1
    assert str(tmp_path / "home" / "ncrawl" / "ncrawl.toml") in found[0]
    assert sentence in found[0]


def test_broken_files_do_not_hide_other_problems(problems: Problems, tmp_path: Path) -> None:
    """A file that is a directory, or not UTF-8, is one sentence beside the others; the next place is not tried."""
    (tmp_path / "home" / "ncrawl" / "ncrawl.toml").mkdir()
    assert problems()[0].endswith("ncrawl.toml: Is a directory")
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    found = problems({"rate": "0"}, {"NCRAWL_CONFIG": "x.toml"})
    assert found[0].endswith("x.toml: not valid TOML: it is not UTF-8 text")
    assert found[1].startswith("--rate")
    assert problems({}, {"NCRAWL_CONFIG": "absent.toml"})[0].startswith("NCRAWL_CONFIG: cannot read")


def test_unknown_variables_are_errors_and_secrets_are_not_shown(problems: Problems) -> None:
    """A misspelt variable is not ignored; one that holds a key is told where keys belong, without its value."""
    found = problems({}, {"NCRAWL_SECRET_KEY": "hush", "NCRAWL_X": "1", "NCRAWL_OLD": "", "OTHER": "1"})
    assert len(found) == 2
    assert found[0].startswith("NCRAWL_SECRET_KEY: no such key: keys belong into NCLOUD_ACCESS_KEY_ID")
    assert "hush" not in found[0]


# ── Gateway, zone, regions ──


@pytest.mark.parametrize(
    "gateway",
    ["https://127.0.0.1", "http://127.8.9.1:80", "http://localhost:1", "http://[::1]:8080/", "https://LOCALHOST"],
)
def test_loopback_gateways_need_no_leave(load: Layers, gateway: str) -> None:
    """Loopback is always allowed, with and without TLS; the zone stays public."""
    assert load({"gateway": gateway}).zone == "public"
    assert not load({"gateway": gateway}).gateway[0].endswith("/")


@pytest.mark.parametrize(
    "gateway",
    [
        "http://ncr.apigw.ntruss.com",
        "http://169.254.169.254",
        "http://127.0.0.1.example",
        "http://[::ffff:127.0.0.1]",
        "http://127.1",
        "http://10.0.0.1",
        "http://localhost.",
    ],
)
def test_http_is_refused_off_loopback(problems: Problems, gateway: str) -> None:
    """T5: a signed request never goes in clear over a network, whatever else is allowed."""
    (found,) = problems({"gateway": gateway, "allow_gateway": True})
    assert found.startswith("--gateway: ")


@pytest.mark.parametrize(
    "gateway",
    [
        "",
        "ncr.apigw.ntruss.com",
        "ftp://127.0.0.1",
        "https://",
        "https://127.0.0.1:0",
        "https://127.0.0.1:99999",
        "https://127.0.0.1:x",
        "https://user:hush@127.0.0.1",
        "https://@127.0.0.1",
        "https://127.0.0.1/ncr",
        "https://127.0.0.1//",
        "https://127.0.0.1?token=hush",
        "https://127.0.0.1?",
        "https://127.0.0.1#hush",
        "https://127.0.0.1\\@evil.example",
        "https://a b",
        "https://127.0.0.1\n.example",
        "https://한국.example",
        "https://[::1",
        "https://%31",
    ],
)
def test_gateway_is_an_origin(problems: Problems, gateway: str) -> None:
    """User, path, query, fragment, strange hosts and ports are refused, and what may be a password is not shown."""
    (found,) = problems({"gateway": gateway, "allow_gateway": True})
    assert "is not an origin such as https://host:port" in found
    assert "hush" not in found


def test_foreign_gateway_needs_leave(load: Layers, problems: Problems) -> None:
    """K5: a host that is not the provider's is refused without --allow-gateway, look-alikes included."""
    for host in ("evil.example", "ncr.apigw.ntruss.com.evil.example", "x.apigw.ntruss.com", "ntruss.com"):
        (found,) = problems({"gateway": f"https://{host}"})
        assert found == (
            f"--gateway: https://{host} is not the provider's: check it, or add --allow-gateway to trust it"
        )
    other = "https://evil.example:8443"
    assert load({"gateway": other, "allow_gateway": True}).gateway == (other,)
    assert load({"gateway": "https://NCR.apigw.ntruss.com:443/"}).gateway == (PUBLIC.gateway,)


def test_zone_and_gateway_follow_from_each_other(load: Layers, problems: Problems) -> None:
    """A known gateway says the zone, a zone says the gateway; the regions come from the zone; no contradiction."""
    assert load({"gateway": GOV.gateway}) == load({"zone": "gov"})
    assert load({"zone": "gov"}).region == GOV.regions
    assert load({"zone": "gov", "gateway": "http://127.0.0.1:1"}).region == GOV.regions
    assert load({"zone": "gov", "region": ("krs",)}).region == GOV.regions[1:]
    (found,) = problems({"zone": "public", "gateway": GOV.gateway})
    assert found == f"--gateway: {GOV.gateway} is of zone gov, but --zone says public"


def test_bad_zone_makes_no_follow_up_problems(problems: Problems) -> None:
    """Where the zone is unknown, regions are not judged by another one."""
    assert len(problems({"zone": "gvo", "region": ("krs",)})) == 1


def test_empty_list_means_the_default(load: Layers) -> None:
    """``region = []`` and ``registry = []`` leave nothing out."""
    assert load({}, {}, "region = []\nregistry = []") == Settings()


def test_list_variables_are_split_at_commas(load: Layers, problems: Problems) -> None:
    """Blanks around commas do not matter; an empty item is no item."""
    assert load({}, {"NCRAWL_REGION": "sgn, kr"}).region == (PUBLIC.regions[1], PUBLIC.regions[0])
    assert problems({}, {"NCRAWL_REGION": "kr,"})[0].startswith("NCRAWL_REGION: '' is empty")


def test_list_options_are_split_at_commas_too(load: Layers, problems: Problems) -> None:
    """``--region kr,sgn`` is ``--region kr --region sgn``, and likewise for patterns."""
    assert load({"region": ("sgn, kr", "jpn")}).region == tuple(PUBLIC.regions[number] for number in (1, 0, 2))
    assert load({"exclude": ("kr/a*,b",)}).exclude == ("kr/a*", "b")
    assert problems({"region": ("kr,",)})[0].startswith("--region: '' is empty")


# ── Parsers ──


@given(st.integers(0, 20), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_durations_round_trip(days: int, hours: int, minutes: int, seconds: int) -> None:
    """Whatever is composed of units means their sum; zero is refused."""
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    text = "".join(f"{number}{unit}" for number, unit in parts if number)
    total_s = days * 86_400 + hours * 3_600 + minutes * 60 + seconds
    if total_s:
        assert keys.parse_duration(text) == total_s
    else:
        with pytest.raises(ValueError, match="is not a duration"):
            keys.parse_duration(text)


@given(st.floats(keys.MIN_RATE_PER_S, keys.MAX_RATE_PER_S).map(lambda rate: round(rate, 6)))
def test_rates_round_trip(rate: float) -> None:
    """Every decimal in range is taken for what it is; ``unlimited`` is the only infinity."""
    assert keys.parse_rate(f"{rate:f}") == rate
    assert keys.parse_rate("unlimited") == math.inf


@given(st.sampled_from(sorted(OPTIONS)), st.text())
def test_parsers_return_or_say_why(name: str, text: str) -> None:
    """Any text is a value or a ValueError with a short sentence that is safe for a terminal; nothing else."""
    try:
        OPTIONS[name].parse(text)
    except ValueError as error:
        assert len(str(error)) < 400  # noqa: PT017 - both outcomes are right
        assert PRINTABLE.fullmatch(str(error))  # noqa: PT017 - likewise


@given(st.dictionaries(st.sampled_from(FLAGS), st.text(max_size=20)), st.text(max_size=60))
def test_any_input_loads_or_is_refused(environ: Environ, toml: str) -> None:
    """Nothing that can be typed ends in anything but Settings or ConfigurationError."""
    flags = {"registry": (toml,)}
    variables = {keys.variable_of(name): text for name, text in environ.items()}
    with contextlib.suppress(ConfigurationError):
        assert load_settings(flags, variables, cwd=Path("/nonexistent"), config_home=Path("/nonexistent"))


# ── Registry file ──


def test_registry_file_is_read_tolerantly(tmp_path: Path) -> None:
    """BOM, CRLF, blanks, comments and repetition do not matter; order does."""
    path = tmp_path / "list"
    path.write_bytes(b"\xef\xbb\xbf# team\r\n\r\n team-b \r\nkr/team-a # main\nteam-b")
    assert read_registry_file(str(path), PUBLIC.regions) == ("team-b", "kr/team-a")


def test_registry_file_from_standard_input() -> None:
    """``-`` reads standard input; a closed one is an error, not a traceback."""
    code = (
        "from crawler.api.zones import ZONES\n"
        "from crawler.settings.registry_file import *\n"
        "try: print(read_registry_file('-', ZONES['gov'].regions))\n"
        "except ConfigurationError as error: print(error)"
    )
    answer = subprocess.run([sys.executable, "-c", code], input=b"krs/a\n", capture_output=True, check=True)
    assert answer.stdout == b"('krs/a',)\n"
    closed = ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-c", code]
    answer = subprocess.run(closed, capture_output=True, check=True)
    assert answer.stdout == b"--registry-file: cannot read standard input: Bad file descriptor\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a\n../x\n", ":2: '../x': '..' cannot be a registry's name"),
        (b"a\n\xff\n", ":2: '\\\\xff' cannot be"),
        (b"kr/a\nkrs/a\n", ":2: 'krs/a' is not in a region to be crawled: kr, sgn, jpn"),
        (b"# nothing\n", ": names no registry: leave --registry-file out"),
    ],
)
def test_registry_file_problems_name_the_line(tmp_path: Path, content: bytes, sentence: str) -> None:
    """A bad line is told by file and line; a file without names does not turn into "all registries"."""
    path = tmp_path / "list"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read_registry_file(str(path), PUBLIC.regions)
    assert len(caught.value.problems) == 1
    assert f"{path}{sentence}" in str(caught.value)


def test_registry_file_problems_are_cut(tmp_path: Path) -> None:
    """A file of another kind does not flood the terminal; one that is absent is one sentence."""
    path = tmp_path / "list"
    path.write_bytes(b"?\n" * 1000)
    with pytest.raises(ConfigurationError) as caught:
        read_registry_file(str(path), PUBLIC.regions)
    assert len(caught.value.problems) == 21
    assert str(caught.value).endswith("list: and 980 more")
    with pytest.raises(ConfigurationError, match=r"--registry-file: cannot read .*: No such file"):
        read_registry_file(str(tmp_path / "absent"), PUBLIC.regions)


# ── The documented file ──


def _uncommented() -> str:
    return re.sub(r"^#(?=[a-z_]+ = )", "", DOCUMENTED.read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_documented_file_changes_nothing(load: Layers) -> None:
    """config/ncrawl.toml as it is shipped loads, and sets nothing."""
    assert load({}, {}, DOCUMENTED.read_text(encoding="utf-8")) == Settings()


def test_documented_file_names_every_key_with_its_default(load: Layers, tmp_path: Path) -> None:
    """With every key uncommented it still loads; all keys are there; values are the defaults where there is one."""
    accounts = tmp_path / "accounts.toml"
    accounts.write_text('[[account]]\nname = "team-a"\nprofile = "team-a"\n')
    settings = load({}, {}, _uncommented().replace("/etc/ncrawl/accounts.toml", str(accounts)))
    assert sorted(re.findall(r"^([a-z_]+) = ", _uncommented(), re.MULTILINE)) == sorted(OPTIONS)
    for each in fields(Settings):
        if each.name in OPTIONS and each.default is not None:
            assert getattr(settings, each.name) == each.default, each.name


# ── The command line ──


@click.command()
@crawl_options()
def _every_option(**flags: object) -> None:
    click.echo(repr(settings_from(flags)))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run in an empty directory, with no settings but those given."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(keys.PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    return lambda *arguments, **environ: CliRunner().invoke(_every_option, arguments, env=environ)


def test_options_arrive_as_written(run: Run) -> None:
    """Every option reaches the settings; what is not given leaves the other layers alone."""
    assert run().output == f"{Settings()!r}\n"
    answer = run("-o", "x", "-vv", "--region", "kr", "--region", "jpn", "--no-quiet", "a", "b", NCRAWL_QUIET="1")
    expected = Settings(
        region=(PUBLIC.regions[0], PUBLIC.regions[2]), registry=("a", "b"), output="x", verbose=2, quiet=False
    )
    assert answer.output == f"{expected!r}\n"
    assert isinstance(run("-q", "-v").exception, ConfigurationError)


@pytest.mark.parametrize("name", FLAGS)
def test_help_shows_every_option_with_its_variable(run: Run, name: str) -> None:
    """--help names option, environment variable and default of each key."""
    text = " ".join(run("--help").output.split())
    assert re.search(rf"{keys.option_of(name)}\b", text)
    assert f"[{keys.variable_of(name)}" in text
    if OPTIONS[name].default:
        assert f"[{keys.variable_of(name)}; default: {OPTIONS[name].default}]" in text


def test_only_named_options_are_added() -> None:
    """A command takes the options it names, and --config; a name that is no key is a mistake found on import."""

    @click.command()
    @crawl_options("rate", "output")
    def command(**flags: object) -> None: ...

    assert [parameter.name for parameter in command.params] == ["rate", "output", "config"]
    with pytest.raises(KeyError):
        crawl_options("raet")


def test_options_are_cheap_to_import() -> None:
    """--help does not pay for what only a crawl needs."""
    code = "import sys, crawler.cli.options; print(*sorted(sys.modules.keys() & {'pydantic', 'aiohttp', 'asyncio'}))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert answer.stdout == b"\n"
