"""What URLs, endpoints, variables and profiles are taken, and what is never shown."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.night import ROOT
from support.object_server import ObjectServer

from crawler.core.errors import OutputError, UsageError
from crawler.output.files import writing
from crawler.output.stores.local import LocalStore
from crawler.output.stores.opening import Patience, is_loopback, place_at, store_at
from crawler.output.stores.place import Place
from crawler.output.stores.profiles import profile_of

_FILES = {
    "credentials": "[default]\naws_access_key_id = KEY\naws_secret_access_key = SECRET\n"
    "[other]\naws_access_key_id = OTHER\naws_secret_access_key = SECRET%2\naws_session_token = TOKEN\n",
    "config": "[default]\nregion = kr-standard\nendpoint_url = https://kr.object.ncloudstorage.com\n"
    "[profile other]\nregion = sg-standard\n",
}


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """Return the variable that leads to the files of AWS's tools."""
    (tmp_path / ".aws").mkdir()
    for name, text in _FILES.items():
        (tmp_path / ".aws" / name).write_text(text)
    return {"HOME": str(tmp_path)}


@pytest.mark.parametrize(
    "url",
    [
        *("s3://", "s3:///key", "ftp://host/x", "://x", "http://host/bucket", "file://host/path"),
        *("s3://bucket//x", "s3://bucket/../x", "s3://bucket/a/./b"),
        *("s3://user:SECRET@bucket", "s3://bucket/x?X-Amz-Signature=SECRET", "az://c/x#SECRET", "s3://b/\x1b[2J"),
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    """One sentence says what to give instead; what may hold a key is not in it."""
    with pytest.raises(UsageError, match="give s3://BUCKET/PREFIX") as caught:
        place_at(url)
    assert "SECRET" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_what_leads_where(tmp_path: Path) -> None:
    """Paths and file URLs are local paths; of an object storage the parts of a URL are those of a path."""
    assert place_at(str(tmp_path)) == place_at(f"file://{tmp_path}") == tmp_path
    assert isinstance(store_at(tmp_path), LocalStore)
    place = place_at("s3://bucket/prefix/team/20261123T020000Z/images.ndjson.zst")
    assert isinstance(place, Place)
    assert (place.name, place.suffix, place.parent.name) == ("images.ndjson.zst", ".zst", "20261123T020000Z")
    assert str(place.parent.parent / "latest") == "s3://bucket/prefix/team/latest"
    assert str(place_at("s3://bucket/")) == "s3://bucket"
    assert place_at("s3://bucket/x/") == place_at("s3://bucket/x") != place_at("s3://bucket/y")
    assert place_at(place) is place
    assert store_at("s3://bucket/x/y").url == "s3://bucket/x/y"


@pytest.mark.parametrize("endpoint", ["http://example.com", "http://10.0.0.1:9000", "http://127.0.0.1.example.com"])
def test_http_is_for_loopback(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is signed goes over http to this machine only, whatever the library's own variable allows."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    with pytest.raises(UsageError, match="https is needed"):
        place_at("s3://bucket")


def test_endpoints() -> None:
    """Loopback is known in its usual spellings; a user in an endpoint is refused unseen."""
    assert all(map(is_loopback, ("http://127.0.0.1:1", "http://localhost", "http://[::1]:8333", "https://127.0.0.2")))
    assert not any(map(is_loopback, ("", "https://example.com")))
    with pytest.raises(UsageError, match="not shown"):
        is_loopback("https://user:SECRET@host")


def test_profiles(home: dict[str, str]) -> None:
    """Keys, region and endpoint come from the profile, as far as the environment has none."""
    assert profile_of(home) == {
        "access_key_id": "KEY",
        "secret_access_key": "SECRET",
        "region": "kr-standard",
        "endpoint": "https://kr.object.ncloudstorage.com",
    }
    assert profile_of(home | {"AWS_PROFILE": "other"}) == {
        "access_key_id": "OTHER",
        "secret_access_key": "SECRET%2",
        "session_token": "TOKEN",
        "region": "sg-standard",
    }
    own = {"AWS_ACCESS_KEY_ID": "MINE", "AWS_SECRET_ACCESS_KEY": "MINE", "AWS_REGION": "us-standard"}
    assert profile_of(home | own) == {"endpoint": "https://kr.object.ncloudstorage.com"}
    with pytest.raises(UsageError, match="no profile 'third'"):
        profile_of(home | {"AWS_PROFILE": "third"})


def test_a_profile_that_cannot_be_read_is_not_shown(home: dict[str, str]) -> None:
    """Not a word of a file of keys is in the sentence about it."""
    (Path(home["HOME"]) / ".aws/credentials").write_text("SECRET")
    with pytest.raises(UsageError, match="cannot be read") as caught:
        profile_of(home)
    assert "SECRET" not in str(caught.value)


def test_keys_of_a_profile_are_signed_with(home: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A storage sees the profile's key, and the region that it names."""
    assert home
    with ObjectServer() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        store_at("s3://bucket").find("x")
        [request] = server.requests
        assert "Credential=KEY/" in request.headers["authorization"]
        assert "/kr-standard/s3/" in request.headers["authorization"]


def test_no_keys_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no keys are found, also not those of a machine in a cloud, it is said in words."""
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(PermissionError, match="there are no keys"):
        store_at("s3://bucket", Patience(retries=0)).find("x")


class KeyService(BaseHTTPRequestHandler):
    """The metadata of a machine in a cloud, which has keys for one request, and a storage that has no file."""

    protocol_version = "HTTP/1.1"
    status = 200

    def do_GET(self) -> None:
        """Give keys, or nothing."""
        if "security-credentials" not in self.path:
            self._reply(404)
        elif self.path.rstrip("/").endswith("security-credentials"):
            self._reply(200, b"role")
        else:
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            keys = {"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c", "Expiration": now}
            self._reply(200, json.dumps(keys).encode())

    do_HEAD = do_GET  # noqa: N815 - the server's name for it

    def do_PUT(self) -> None:
        """Give a token."""
        self._reply(self.status, b"token")

    def _reply(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    ("had_keys", "status", "code"), [(False, 503, 74), (False, 404, 2), (True, 503, 74), (True, 404, 74)]
)
def test_a_key_service_that_is_ill_is_no_lack_of_keys(
    monkeypatch: pytest.MonkeyPatch, *, had_keys: bool, status: int, code: int
) -> None:
    """It may be well again soon, so whoever tries again does right: that is no usage error; nor where keys were had."""
    monkeypatch.setattr(KeyService, "status", 200 if had_keys else status)
    with ThreadingHTTPServer(("127.0.0.1", 0), KeyService) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("AWS_METADATA_ENDPOINT", "AWS_ENDPOINT_URL"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
        store = store_at("s3://bucket/prefix", Patience(retries=0))
        if had_keys:
            assert store.find("x") is None
            monkeypatch.setattr(KeyService, "status", status)
        with pytest.raises(OutputError) as caught, writing("x"):
            store.below("y").find("x")
        server.shutdown()
    assert caught.value.exit_code == code
    assert ("the keys for the store cannot be had at present" in str(caught.value)) is (code == 74)


def test_half_a_pair_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key without its secret is refused at once."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "HALF")
    with pytest.raises(UsageError, match="cannot be opened: check the variables"):
        store_at("s3://bucket")


def test_without_the_library() -> None:
    """Where obstore is not installed, a sentence says how to; what needs none never asks for it."""
    code = (
        "import sys; sys.modules['obstore'] = None\n"
        "from crawler.cli import run\n"
        "assert run(['snapshots', '/']) == 0\n"
        "sys.exit(run(['verify', 's3://bucket/x']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'ncrawl[s3]'" in done.stderr
