"""Broken surroundings, each named by its check, with real sockets; and in less than 15 s, whatever hangs."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from support.night import CODES, TOO_LARGE, Account, path_of
from support.raw_server import RawServer, answer, page
from support.undone import mounted

from crawler.core.errors import ClosedPipeError
from crawler.core.secret import KeyPair, Secret
from crawler.emulation import EmulatorOptions
from crawler.emulation.faults import REFUSALS, REPLACEMENTS
from crawler.emulation.wire import Answer
from crawler.jobs.doctor.checks import FIELDS, Check, as_json
from crawler.jobs.doctor.configuration import of_client
from crawler.jobs.doctor.examination import Examination
from crawler.jobs.doctor.gateway import Gateway
from crawler.settings.credentials import Credentials
from crawler.settings.table import Settings
from crawler.snapshot.folder.lock import locked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from support.raw_server import Request

DAY_S = 86_400
LONGEST_S = 15
NOWHERE = "http://127.0.0.1:1"


@dataclass
class Found:
    """What an examination came to."""

    code: int
    checks: list[Check]

    def __getitem__(self, name: str) -> Check:
        (found,) = [check for check in self.checks if check.name == name]
        return found

    def named(self, status: str) -> list[str]:
        """Return the names of the checks that ended so."""
        return [check.name for check in self.checks if check.status == status]


class Patient:
    """A machine with keys and a home, to be examined."""

    def __init__(self, home: Path, account: Account) -> None:
        self.home = home
        self.account = account
        self.environ = {
            "HOME": str(home),
            "NCLOUD_METADATA_ENDPOINT": NOWHERE,
            "NCLOUD_ACCESS_KEY_ID": account.access_key,
            "NCLOUD_SECRET_KEY": account.secret_key,
            "NCRAWL_GATEWAY": account.url,
            "NCRAWL_RATE": "unlimited",
        }

    async def examined(self, folder: Path | None = None, **flags: object) -> Found:
        """Look into everything, in less than 15 s."""
        told: list[Check] = []
        one = Examination(flags, self.environ, folder, told.append, system_config=self.home / "etc.toml")
        async with asyncio.timeout(LONGEST_S):
            code = await one.look()
        assert told == one.checks
        assert all(check.mend for check in told if check.status in ("failed", "warning"))
        return Found(code, told)


@pytest.fixture
async def patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Patient]:
    """A machine that lacks nothing, beside an emulated account."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy") or name.startswith("SSL_")]:
        monkeypatch.delenv(name)
    async with Account(EmulatorOptions(registries=3, images=60)) as account:
        yield Patient(tmp_path, account)


def behave(patient: Patient, **options: Any) -> None:
    """Let the emulator behave in another way from now on."""
    account = patient.account
    account.options = replace(account.options, **options)
    account.gateway._options = account.options


def serve(request: Request) -> bytes:
    """Answer as a gateway with one registry of one image."""
    return answer(page({"name": "one"}, count=1), "Date: Thu, 26 Nov 2026 02:00:00 GMT") if request else b""


# --- all is well -------------------------------------------------------------------------------------------------


async def test_nothing_is_wrong(patient: Patient, tmp_path: Path) -> None:
    """Every subject has its check, in one account of what a run would do: exit 0. The key's end is shown, no more."""
    found = await patient.examined(tmp_path, region=("kr,sgn",), rate="40")
    assert found.code == 0
    assert [check.name for check in found.checks if check.status != "ok"] == []
    subjects = ["settings", "config", "environment", "folder", "key", "network/127.0.0.1", "transport", "clock"]
    subjects += ["key/accepted", "identity", "region/kr", "region/sgn", "region/kr/images", "region/sgn/images"]
    assert sorted(check.name for check in found.checks) == sorted(subjects)
    assert "region kr,sgn (--region); rate 40 (--rate)" in found["settings"].detail
    assert f"gateway {patient.account.url} (NCRAWL_GATEWAY)" in found["settings"].detail
    assert f"…{patient.account.access_key[-4:]} from environment" in found["key"].detail
    assert "3 registries" in found["region/kr"].detail
    text = as_json(found.checks).decode()
    secret, access = patient.account.secret_key, patient.account.access_key
    assert [piece for piece in (secret[:9], secret[9:18], secret[-9:], access[:9], access[-9:]) if piece in text] == []
    told = json.loads(text)
    assert (list(told), list(told["checks"][0])) == (["checks", "exit_code"], list(FIELDS))
    assert sorted(os.listdir(tmp_path)) == [".ncrawl.lock"]  # noqa: PTH208


async def test_where_settings_come_from(patient: Patient, tmp_path: Path) -> None:
    """Flag, variable, file; the file that is read is named, or where one was looked for."""
    (tmp_path / "etc.toml").write_text('concurrency = 8\ndeadline = "90m"\n')
    patient.environ["NCRAWL_VERIFY"] = "never"
    found = await patient.examined(region_rate="7")
    told = found["settings"].detail
    assert "region_rate 7 (--region-rate)" in told
    assert "verify never (NCRAWL_VERIFY)" in told
    assert f"deadline 1h30m ({tmp_path / 'etc.toml'}: deadline)" in told
    assert found["config"].detail == f"{tmp_path / 'etc.toml'} is read"
    (tmp_path / "etc.toml").unlink()
    assert str(tmp_path / "etc.toml") in (await patient.examined())["config"].detail


async def test_what_a_gateway_does(patient: Patient) -> None:
    """Order, count, trace id, and how large a page is, of registries and of images."""
    traced = answer(page({"name": "b"}, {"name": "a"}, count=7), "x-ncp-trace-id: abc", "Date: now")
    more = answer(page({"name": "a"}, following=2, count=7))
    async with RawServer(choose=lambda request: traced if "/repositories?" in request.target else more) as server:
        patient.environ["NCRAWL_GATEWAY"] = server.url
        found = await patient.examined(region=("kr",))
    told = found["region/kr"].detail
    assert "in no order of names" in told
    assert "count says 7, which is not their number" in told
    assert "trace abc" in told
    assert "pages of 1 where 1,000 were asked for" in found["region/kr/images"].detail
    assert found["clock"].status == "skipped"
    assert found["identity"].status == "ok"  # anything that is JSON is an answer; of a kind that is not known


# --- settings and keys: exit 2 -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "variable", "told"),
    [
        ({"rate": "fast"}, "", "--rate: 'fast' is not a rate"),
        ({}, "NCRAWL_REGOIN", "did you mean NCRAWL_REGION?"),
        ({"gateway": "https://example.com"}, "", "not the provider's"),
        ({"region": ("nowhere",)}, "", "'nowhere' is no region"),
    ],
)
async def test_settings(patient: Patient, flags: dict[str, Any], variable: str, told: str) -> None:
    """What is wrong with them is said as a run says it, and nothing is asked."""
    patient.environ |= {variable: "1"} if variable else {}
    found = await patient.examined(**flags)
    assert (found.code, found.named("failed")) == (2, ["settings"])
    assert told in found["settings"].detail
    assert patient.account.statistics.requests == 0


async def test_a_file_that_is_no_toml(patient: Patient, tmp_path: Path) -> None:
    """Named with its line."""
    (tmp_path / "etc.toml").write_text("rate = fast\n")
    found = await patient.examined()
    assert (found.code, found.named("failed")) == (2, ["settings"])
    assert "etc.toml: not valid TOML" in found["settings"].detail


async def test_a_file_that_others_can_write(patient: Patient, tmp_path: Path) -> None:
    """It is refused, with how to mend it."""
    (tmp_path / "etc.toml").touch(0o666)
    (tmp_path / "etc.toml").chmod(0o666)
    found = await patient.examined()
    assert found.code == 2
    assert "chmod go-w" in found["settings"].detail


async def test_no_keys(patient: Patient) -> None:
    """Where they were looked for, and how to set them; the network is looked into all the same."""
    for name in ("NCLOUD_ACCESS_KEY_ID", "NCLOUD_SECRET_KEY"):
        del patient.environ[name]
    found = await patient.examined()
    assert (found.code, found.named("failed")) == (2, ["key"])
    assert "export NCLOUD_ACCESS_KEY_ID=" in (found["key"].mend or "")
    assert found["network/127.0.0.1"].status == "ok"
    assert {"key/accepted", "clock", "identity", *(f"region/{code}" for code in CODES)} <= set(found.named("skipped"))
    assert patient.account.statistics.requests == 0


async def test_half_a_key(patient: Patient) -> None:
    """Which half is missing, and its variables."""
    del patient.environ["NCLOUD_SECRET_KEY"]
    found = await patient.examined()
    assert (found.code, found.named("failed")) == (2, ["key"])
    assert "set NCLOUD_SECRET_ACCESS_KEY or NCLOUD_SECRET_KEY" in found["key"].detail


async def test_no_such_profile(patient: Patient, tmp_path: Path) -> None:
    """Those that there are stand beside it."""
    (tmp_path / ".ncloud").mkdir()
    (tmp_path / ".ncloud" / "configure").write_text("[night]\nncloud_access_key_id = a\n")
    found = await patient.examined(profile="nihgt")
    assert (found.code, found.named("failed")) == (2, ["key"])
    assert "profiles there: night" in found["key"].detail


async def test_keys_of_a_server_role(patient: Patient) -> None:
    """Where they come from, and how long they last."""
    role = {"AccessKeyId": patient.account.access_key, "SecretAccessKey": patient.account.secret_key}
    keys = json.dumps(role | {"Expiration": int(time.time()) + 3600}).encode()
    del patient.environ["NCLOUD_ACCESS_KEY_ID"], patient.environ["NCLOUD_SECRET_KEY"]
    async with RawServer(answer(b"night"), answer(keys)) as metadata:
        patient.environ["NCLOUD_METADATA_ENDPOINT"] = metadata.url
        found = await patient.examined()
    assert (found.code, found["key"].status) == (0, "ok")
    assert re.search(r"from server role night; account default; expires in 3[56]\d\d s", found["key"].detail)


async def test_keys_that_others_can_read(patient: Patient, tmp_path: Path) -> None:
    """A run would do: a warning, and exit 0."""
    (tmp_path / ".ncloud").mkdir()
    keys = f"ncloud_access_key_id = {patient.account.access_key}\nncloud_secret_access_key = "
    (tmp_path / ".ncloud" / "configure").write_text(f"{keys}{patient.account.secret_key}\n")
    (tmp_path / ".ncloud" / "configure").chmod(0o644)
    del patient.environ["NCLOUD_ACCESS_KEY_ID"], patient.environ["NCLOUD_SECRET_KEY"]
    found = await patient.examined()
    assert (found.code, found.named("warning")) == (0, ["key"])
    assert "chmod 600" in found["key"].detail


async def test_a_key_file_that_never_ends(patient: Patient, tmp_path: Path) -> None:
    """A named pipe that nobody writes is not waited for."""
    (tmp_path / ".ncloud").mkdir()
    os.mkfifo(tmp_path / ".ncloud" / "configure", 0o600)
    del patient.environ["NCLOUD_ACCESS_KEY_ID"], patient.environ["NCLOUD_SECRET_KEY"]
    found = await patient.examined()
    assert (found.code, found.named("failed")) == (2, ["key"])


# --- key, clock, quota: exit 4 -----------------------------------------------------------------------------------


async def test_a_wrong_key(patient: Patient) -> None:
    """The gateway refuses it although the clocks agree: so the key is why, and each region says so."""
    patient.environ["NCLOUD_SECRET_KEY"] = "another-secret-key-than-the-right-one"
    found = await patient.examined()
    assert (found.code, found["clock"].status) == (4, "ok")
    assert found.named("failed") == ["key/accepted", *(f"region/{code}" for code in CODES)]
    assert "the clock is not why" in (found["key/accepted"].mend or "")


@pytest.mark.parametrize("skew_s", [600, -600])
async def test_a_clock_that_is_ten_minutes_off(patient: Patient, skew_s: int) -> None:
    """A run would sign by the gateway's: everything else is well, and the clock is named with how to set it."""
    behave(patient, clock_skew_s=skew_s)
    found = await patient.examined()
    assert (found.code, found.named("failed"), found.named("warning")) == (0, [], ["clock"])
    assert ("behind" if skew_s > 0 else "ahead of") in found["clock"].detail
    assert "timedatectl" in (found["clock"].mend or "")


async def test_a_clock_that_drifts(patient: Patient) -> None:
    """Three minutes are tolerated, and worth a word."""
    behave(patient, clock_skew_s=180)
    found = await patient.examined()
    assert (found.code, found.named("warning")) == (0, ["clock"])


async def test_a_clock_that_is_years_off(patient: Patient) -> None:
    """That is never corrected: the clock is why, and nobody knows of the key."""
    behave(patient, clock_skew_s=-900 * DAY_S)
    found = await patient.examined()
    assert (found.code, found["clock"].status, found["key/accepted"].status) == (4, "failed", "skipped")


async def test_a_clock_or_a_key(patient: Patient) -> None:
    """A gateway that tells no time leaves it open, and that is said."""
    behave(patient, clock_skew_s=600, date_header=False)
    found = await patient.examined()
    assert (found.code, found["clock"].status, found["key/accepted"].status) == (4, "skipped", "failed")
    assert "this machine's clock as well" in (found["key/accepted"].mend or "")


async def test_the_quota_is_used_up(patient: Patient) -> None:
    """Waiting seconds does not help, and the key is not why."""
    behave(patient, quota=0)
    found = await patient.examined()
    assert (found.code, found["key/accepted"].status) == (4, "ok")
    assert found.named("failed") == [f"region/{code}" for code in CODES]
    assert "quota" in (found["region/kr"].mend or "")


# --- permissions and identity ------------------------------------------------------------------------------------


async def test_no_permission_in_one_region(patient: Patient) -> None:
    """That region is named, with the policy; the others are well. Exit 3."""
    patient.account.replaced[path_of("jpn"), 1] = REFUSALS[210]
    found = await patient.examined()
    assert (found.code, found.named("failed")) == (3, ["region/jpn"])
    assert "give emulator the policy NCP_CONTAINER_REGISTRY_VIEWER" in (found["region/jpn"].mend or "")
    assert found["key/accepted"].status == "ok"
    assert found["region/jpn/images"].status == "skipped"


async def test_no_permission_for_a_registry(patient: Patient) -> None:
    """The list is well, and its first registry is not; one that is excluded is not looked into."""
    first = min(patient.account.world.registry_names("kr"))
    patient.account.replaced[path_of("kr", first), 1] = REFUSALS[210]
    found = await patient.examined()
    assert (found.code, found.named("failed")) == (3, ["region/kr/images"])
    assert first in found["region/kr/images"].detail
    assert (await patient.examined(exclude=(f"kr/{first}",))).code == 0


async def test_a_registry_that_is_not_found(patient: Patient) -> None:
    """Listed and 404: that can be a permission."""
    first = min(patient.account.world.registry_names("kr"))
    patient.account.replaced[path_of("kr", first), 1] = REFUSALS[300]
    found = await patient.examined()
    assert (found.code, found.named("failed")) == (3, ["region/kr/images"])
    assert "no permission" in (found["region/kr/images"].mend or "")


async def test_a_main_accounts_key(patient: Patient) -> None:
    """It works, and had better not be used."""
    async with Account(EmulatorOptions(registries=1, images=3, user_type="Customer")) as account:
        found = await Patient(patient.home, account).examined()
    assert (found.code, found.named("warning")) == (0, ["identity"])
    assert "sub account" in (found["identity"].mend or "")


@pytest.mark.parametrize("refusal", [REFUSALS[200], Answer(401, b"")], ids=["with its code", "without a word"])
async def test_a_key_that_is_barred_from_the_gateway(patient: Patient, refusal: Answer) -> None:
    """STS knows it, the gateway does not: it is neither the key nor the clock."""
    for code in CODES:
        patient.account.replaced[path_of(code), 1] = refusal
    found = await patient.examined()
    assert (found.code, found["identity"].status, found["key/accepted"].status) == (4, "ok", "failed")
    assert "barred" in (found["key/accepted"].mend or "")
    asked = patient.account.statistics.requests_by_path
    assert [asked[path_of(code)] for code in CODES] == [1] * len(CODES), "a refusal is not asked for again"


@pytest.mark.long
async def test_some_refused_and_others_silent(patient: Patient) -> None:
    """What says nothing is no witness for the key."""
    for code in CODES[:-1]:
        patient.account.replaced[path_of(code), 1] = REFUSALS[200]
    patient.account.silent = (path_of(CODES[-1]),)
    found = await patient.examined()
    assert (found.code, found["key/accepted"].status) == (4, "failed")


async def test_no_sts(patient: Patient) -> None:
    """A gateway on loopback without it is no fault."""
    patient.account.replaced["/api/v1/caller-identity", 1] = REFUSALS[300]
    found = await patient.examined()
    assert (found.code, found["identity"].status) == (0, "skipped")


# --- what the gateway does: exit 3 -------------------------------------------------------------------------------


@pytest.mark.parametrize("oversize", ["clamp", "refuse"])
async def test_small_pages(patient: Patient, oversize: str) -> None:
    """Pages of 30, refused or cut: a run would do, with many more requests."""
    async with Account(EmulatorOptions(registries=40, max_page_size=30, oversize=oversize)) as account:  # type: ignore[arg-type]
        found = await Patient(patient.home, account).examined(region=("kr",))
    assert (found.code, found.named("warning")) == (0, ["region/kr"])
    assert "pages of 30 where 1,000 were asked for" in found["region/kr"].detail
    assert "34 times" in (found["region/kr"].mend or "")


async def test_a_page_size_that_is_refused(patient: Patient) -> None:
    """One that was asked for on purpose is not made smaller."""
    async with Account(EmulatorOptions(registries=3, max_page_size=30, oversize="refuse")) as account:
        found = await Patient(patient.home, account).examined(page_size="200")
    assert found.code == 3
    assert "--page-size" in (found["region/kr"].mend or "")


@pytest.mark.parametrize("fault", ["html", "empty", "garbage", "502"])
async def test_something_else_answers(patient: Patient, fault: str) -> None:
    """A web page, nothing, no JSON, a proxy's error: it is not the gateway that is asked."""
    for code in CODES:
        patient.account.replaced[path_of(code), 1] = REPLACEMENTS[fault]  # type: ignore[index]
    found = await patient.examined()
    assert (found.code, found.named("failed")) == (3, [f"region/{code}" for code in CODES])
    assert "something else answers" in (found["region/kr"].mend or "")


async def test_the_gateway_is_out_of_order(patient: Patient) -> None:
    """503, twice: each region is asked no oftener than that."""
    patient.account.replaced[path_of("kr"), 1] = REFUSALS[500]
    found = await patient.examined()
    assert (found.code, found.named("failed")) == (3, ["region/kr"])
    assert "503/500" in found["region/kr"].detail
    assert patient.account.statistics.requests_by_path[path_of("kr")] == 2


async def test_once_is_chance(patient: Patient) -> None:
    """A web page, a 503 or a cut connection that does not come again is what a run would not mind."""
    good = answer(page({"name": "one"}, count=1))
    async with RawServer(answer(b"<html>"), good) as server:
        patient.environ["NCRAWL_GATEWAY"] = server.url
        found = await patient.examined(region=("kr",), rate="1")
    assert found["region/kr"].status == "ok"


async def test_a_refusal_that_nobody_knows(patient: Patient) -> None:
    """413 for a first page is none of the provider's usual ones: out of order."""
    patient.account.replaced[path_of("kr"), 1] = TOO_LARGE
    found = await patient.examined()
    assert (found.code, found.named("failed")) == (3, ["region/kr"])


async def test_throttled(patient: Patient) -> None:
    """Something else uses the account up."""
    patient.account.replaced[path_of("kr"), 1] = REFUSALS[410]
    found = await patient.examined()
    assert (found.code, found.named("failed")) == (3, ["region/kr"])
    assert "--rate" in (found["region/kr"].mend or "")


async def test_the_gateway_hangs(patient: Patient) -> None:
    """It takes connections and says nothing: that is named for each region, and not waited for."""
    patient.account.silent = ("/",)
    found = await patient.examined()
    assert (found.code, found["network/127.0.0.1"].status, found["key/accepted"].status) == (3, "ok", "skipped")
    assert found.named("failed") == [f"region/{code}" for code in CODES]
    assert "no answer within" in found["region/kr"].detail


@pytest.mark.long
async def test_a_rate_that_is_too_low_to_look(patient: Patient) -> None:
    """The limits hold for this as well: what has no turn is not looked into, and nothing is called broken."""
    found = await patient.examined(rate="0.001")
    assert patient.account.statistics.requests == 1
    assert (found.code, found["region/kr"].status) == (0, "ok")
    for name in ("region/sgn", "region/jpn", "region/kr/images", "identity"):
        assert (found[name].status, "--rate 0.001" in found[name].detail) == ("skipped", True)


@pytest.mark.long
async def test_one_list_hangs(patient: Patient) -> None:
    """Registries come, images do not: that is named as what it is."""
    first = min(patient.account.world.registry_names("kr"))
    patient.account.silent = (path_of("kr", first),)
    found = await patient.examined()
    assert (found.code, found.named("failed")) == (3, ["region/kr/images"])
    assert "no answer within" in found["region/kr/images"].detail


# --- the network: exit 3 -----------------------------------------------------------------------------------------


async def test_nothing_listens(patient: Patient) -> None:
    """A closed port is the network's fault, and nothing else is looked into."""
    patient.environ["NCRAWL_GATEWAY"] = NOWHERE
    found = await patient.examined()
    assert (found.code, found.named("failed")) == (3, ["network/127.0.0.1"])
    assert "Connection refused" in found["network/127.0.0.1"].detail
    assert {f"region/{code}" for code in CODES} <= set(found.named("skipped"))


async def test_a_name_that_there_is_not(patient: Patient) -> None:
    """It does not resolve: DNS, or a typing error."""
    patient.environ["NCRAWL_GATEWAY"] = "https://gateway.invalid"
    found = await patient.examined(allow_gateway=True)
    assert (found.code, found.named("failed")) == (3, ["network/gateway.invalid"])
    assert "resolve" in found["network/gateway.invalid"].detail or "DNS" in found["network/gateway.invalid"].detail


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """The one authority that this machine trusts."""
    made = trustme.CA(organization_name="The House")
    made.cert_pem.write_to_path(tmp_path / "trusted.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    return made


def secured(authority: trustme.CA, host: str = "127.0.0.1") -> ssl.SSLContext:
    """Return what a server needs whom an authority vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return context


async def test_tls(patient: Patient, authority: trustme.CA, tmp_path: Path) -> None:
    """Who vouches for the gateway, and by which authorities that counts."""
    async with RawServer(choose=serve, ssl=secured(authority)) as server:
        patient.environ["NCRAWL_GATEWAY"] = server.url
        found = await patient.examined()
    told = found["network/127.0.0.1"].detail
    assert "TLSv1.3" in told
    assert "vouched for by The House" in told
    assert f"authorities: {tmp_path / 'trusted.pem'} (SSL_CERT_FILE)" in told
    assert found["region/kr"].status == "ok"


@pytest.mark.usefixtures("authority")
async def test_tls_that_is_intercepted(patient: Patient) -> None:
    """Another authority vouches: nothing signed is sent, and how to trust it is said."""
    async with RawServer(choose=serve, ssl=secured(trustme.CA())) as server:
        patient.environ["NCRAWL_GATEWAY"] = server.url
        found = await patient.examined()
    assert (found.code, found.named("failed")) == (3, ["network/127.0.0.1"])
    assert "certificate" in found["network/127.0.0.1"].detail
    assert "SSL_CERT_FILE" in (found["network/127.0.0.1"].mend or "")
    assert server.requests == []


async def test_a_certificate_of_another_host(patient: Patient, authority: trustme.CA) -> None:
    """As a captive portal has it."""
    async with RawServer(choose=serve, ssl=secured(authority, "portal.example")) as server:
        patient.environ["NCRAWL_GATEWAY"] = server.url
        found = await patient.examined()
    assert (found.code, found.named("failed")) == (3, ["network/127.0.0.1"])


@pytest.mark.long
async def test_no_tls_behind_https(patient: Patient) -> None:
    """What listens there speaks something else."""
    patient.environ["NCRAWL_GATEWAY"] = patient.account.url.replace("http:", "https:")
    found = await patient.examined()
    assert (found.code, found.named("failed")) == (3, ["network/127.0.0.1"])
    assert "TLS" in found["network/127.0.0.1"].detail


@pytest.mark.long
async def test_silence_behind_https(patient: Patient) -> None:
    """A connection is taken, and never secured."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        patient.environ["NCRAWL_GATEWAY"] = f"https://127.0.0.1:{silent.getsockname()[1]}"
        found = await patient.examined()
    assert (found.code, found.named("failed")) == (3, ["network/127.0.0.1"])
    assert "does not answer in TLS" in found["network/127.0.0.1"].detail


async def test_a_proxy_that_wants_a_login(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way is not free: the proxy is named, and where the login goes; regions are not to blame."""
    wanted = b"HTTP/1.1 407 Login\r\nContent-Length: 0\r\n\r\n"
    async with RawServer(wanted) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        patient.environ["NCRAWL_GATEWAY"] = "https://127.0.0.1:2"
        found = await patient.examined(trust_env=True)
    failed = [check for check in found.checks if check.status == "failed"]
    assert (found.code, [check.name for check in failed]) == (3, ["network/127.0.0.1/gateway"])
    assert found["network/127.0.0.1"].status == "ok"
    assert "wants a login (407): put it into https_proxy" in failed[0].detail
    assert {f"region/{code}" for code in CODES} <= set(found.named("skipped"))


async def test_where_the_provider_is_asked(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The zone's gateway, and the zone's STS; here a proxy sees where to, and lets nothing out."""
    async with RawServer(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n") as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        del patient.environ["NCRAWL_GATEWAY"]
        found = await patient.examined(trust_env=True, zone="gov")
    targets = {request.target for request in proxy.requests}
    assert targets == {"gov-ncr.apigw.gov-ntruss.com:443", "sts.apigw.gov-ntruss.com:443"}
    assert (found.code, found.named("failed"), found.named("warning")) == (
        *(3, ["network/127.0.0.1/gateway"]),
        ["identity"],
    )


async def test_sts_is_not_told_of_another_gateways_keys() -> None:
    """Nor is another gateway asked for what is the provider's."""
    settings = Settings(gateway=("https://gateway.example",), allow_gateway=True)
    keys = Credentials(KeyPair(Secret("access-key"), Secret("secret-key"), "test"))
    async with Gateway(settings, keys) as gateway:
        assert await gateway.identity() is None


async def test_a_proxy_that_cannot_be_used(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address is refused before anything is asked: exit 2."""
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1080")
    patient.environ["NCRAWL_GATEWAY"] = "https://127.0.0.1:2"
    found = await patient.examined(trust_env=True)
    assert (found.code, found.named("failed")) == (2, ["environment"])


SILENT_DNS = """\
import socket, subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["mount", "--bind", sys.argv[1], "/etc/resolv.conf"], check=True)
name_server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
name_server.bind(("127.0.0.1", 53))
print("silent", flush=True)
sys.exit(subprocess.run([sys.executable, "-m", "crawler", "doctor", "--json"]).returncode)
"""


@pytest.mark.long
async def test_a_name_server_that_says_nothing(patient: Patient, tmp_path: Path) -> None:
    """DNS is named, and not waited for: in a network of its own whose one name server is a socket that nobody reads."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    environ = patient.environ | {"PATH": os.environ["PATH"], "NCRAWL_GATEWAY": "https://ncr.apigw.ntruss.com"}
    command = ["unshare", "--net", "--mount", sys.executable, "-c", SILENT_DNS, str(tmp_path / "resolv.conf")]
    root = Path(__file__).parents[3]
    try:
        done = await asyncio.to_thread(
            subprocess.run, command, env=environ, cwd=root, capture_output=True, text=True, timeout=30, check=False
        )
    except FileNotFoundError:
        pytest.skip("not run: there is no unshare here")
    if not done.stdout.startswith("silent\n"):
        pytest.skip(f"not run: no network of its own can be had: {done.stderr[-200:]}")
    told = json.loads(done.stdout.partition("\n")[2])
    failed = [check for check in told["checks"] if check["status"] == "failed"]
    assert (done.returncode, told["exit_code"], [check["name"] for check in failed]) == (
        *(3, 3),
        ["network/ncr.apigw.ntruss.com"],
    )
    assert "DNS says nothing" in failed[0]["detail"]
    assert "resolv.conf" in failed[0]["mend"]


# --- the folder --------------------------------------------------------------------------------------------------


async def test_no_such_folder(patient: Patient, tmp_path: Path) -> None:
    """A run would refuse it: exit 2, with how to make it."""
    found = await patient.examined(tmp_path / "missing")
    assert (found.code, found.named("failed")) == (2, ["folder"])
    assert found["folder"].detail.endswith("does not exist")
    assert "mkdir" in (found["folder"].mend or "")


async def test_a_full_disk(patient: Patient, tmp_path: Path) -> None:
    """Nothing can be written: exit 3, everything else is well, and nothing is left behind."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=64k", "none"):
        with (tmp_path / "disk" / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
            while ballast.write(bytes(4096)):
                pass
        found = await patient.examined(tmp_path / "disk")
    assert (found.code, found.named("failed")) == (3, ["folder"])
    assert "No space left" in found["folder"].detail


async def test_little_space(patient: Patient, tmp_path: Path) -> None:
    """A run may do, and may not."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=10m", "none"):
        found = await patient.examined(tmp_path / "disk")
    assert (found.code, found.named("warning")) == (0, ["folder"])


async def test_a_folder_that_a_run_holds(patient: Patient, tmp_path: Path) -> None:
    """Who holds it is said, and it is left alone."""
    with locked(tmp_path, started="2026-11-26T02:00:00Z"):
        found = await patient.examined(tmp_path)
    assert (found.code, found.named("warning")) == (0, ["folder"])
    assert f"process {os.getpid()}" in found["folder"].detail


# --- what is not usual ---


def test_the_slower_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release whose inside is not known costs time: a warning, unless a proxy needs that client anyway."""
    assert of_client("why", trust_env=False).status == "ok"
    monkeypatch.setattr("aiohttp.__version__", "3.99.0")
    assert of_client("why", trust_env=False).status == "warning"
    assert of_client("why", trust_env=True).status == "ok"


async def test_a_login_file_that_cannot_be_read(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries pass over it in silence: a warning, none of its words."""
    (patient.home / "logins").write_text("machine one login two sesame\n")
    monkeypatch.setenv("NETRC", str(patient.home / "logins"))
    found = await patient.examined(trust_env=True)
    assert (found.code, found.named("warning")) == (0, ["environment"])
    assert "sesame" not in found["environment"].detail


async def test_a_file_in_the_current_directory(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not count, and whoever put it there is told."""
    monkeypatch.chdir(patient.home)
    (patient.home / "ncrawl.toml").touch()
    found = await patient.examined()
    assert (found.code, found.named("warning")) == (0, ["config"])


async def test_nobody_reads_any_more(patient: Patient) -> None:
    """What telling raises comes out as it is: the program ends as it does for every closed pipe."""

    def tell(check: Check) -> None:
        if check.name == "key":
            raise ClosedPipeError("standard output", OSError(32, "gone"))

    with pytest.raises(ClosedPipeError):
        await Examination({}, patient.environ, None, tell).look()


# --- several at once ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("break_it", "code"),
    [
        (lambda one: one.environ.pop("NCLOUD_SECRET_KEY"), 2),
        (lambda one: one.environ.update(NCLOUD_SECRET_KEY="a-wrong-secret-key"), 4),
    ],
)
async def test_what_would_end_a_run_first(patient: Patient, break_it: Callable[[Patient], object], code: int) -> None:
    """Of several faults the exit code is that of the one that a run meets first; all of them are named."""
    patient.account.replaced[path_of("kr"), 1] = REFUSALS[500]
    break_it(patient)
    found = await patient.examined()
    assert found.code == code
