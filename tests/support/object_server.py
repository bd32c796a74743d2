"""An object storage on loopback, S3 by its looks, that does what it is told wrong: lies, breaks off, refuses, hangs.

Without misdeeds it is a good one: conditions hold, parts become a file at once, lists have pages.
"""

from __future__ import annotations

import hashlib
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

_PAGE = 1_000


class Request(NamedTuple):
    """One request as it arrived: its target is decoded, and without the bucket."""

    method: str
    name: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def range(self) -> str:
        """What part of a file it asks for; empty if it asks for all."""
        return self.headers.get("range", "")


Misdeed = int | str
"""A status to answer with, or ``cut`` (the connection, before the answer) or ``hang`` (no answer)."""


@dataclass
class Stored:
    """A file."""

    data: bytes
    headers: dict[str, str]

    @property
    def tag(self) -> str:
        """The ETag."""
        return f'"{hashlib.md5(self.data).hexdigest()}"'


@dataclass
class ObjectServer:
    """A storage with one bucket, ``bucket``.

    Attributes:
        files: by name.
        requests: all so far.
        ignores_conditions: headers that it takes no heed of, in lower case.
        forgets_metadata: whether it keeps nothing but the bytes.
        lists_once: whether it gives the first page of a list only, as storages do that do not know version 2 of lists.
        misdeed: what it does wrong of a request, if anything.
        let_go: set, it hangs no longer.
    """

    files: dict[str, Stored] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    ignores_conditions: frozenset[str] = frozenset()
    forgets_metadata: bool = False
    lists_once: bool = False
    misdeed: Callable[[Request], Misdeed | None] = lambda _: None
    let_go: threading.Event = field(default_factory=threading.Event)
    lock: Any = field(default_factory=threading.Lock)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Listen."""
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.storage = self
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.let_go.set()
        self._http.shutdown()
        self._http.server_close()

    @property
    def environ(self) -> dict[str, str]:
        """The variables by which it is found, with keys that are never to be seen anywhere."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "ACCESSKEYNEVERTOLD",
            "AWS_SECRET_ACCESS_KEY": "SECRETKEYNEVERTOLD",
            "AWS_REGION": "kr-standard",
        }

    def of(self, method: str, name: str = "") -> list[Request]:
        """Return the requests of a method for files that end so."""
        return [one for one in self.requests if one.method == method and one.name.endswith(name)]


Answer = tuple[int, bytes, dict[str, str]]


def _answer(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
    return status, body, headers or {}


def _refusal(status: int, code: str) -> Answer:
    return _answer(status, f"<Error><Code>{code}</Code><Message>SECRETKEYNEVERTOLD</Message></Error>".encode())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    storage: ObjectServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_args: object) -> None:
        """Write nothing."""

    def _serve(self) -> None:
        storage = self.server.storage
        target = urlsplit(self.path)
        _, bucket, *name = unquote(target.path).split("/", 2)
        request = Request(
            self.command,
            "".join(name),
            {key: values[0] for key, values in parse_qs(target.query, keep_blank_values=True).items()},
            {key.lower(): value for key, value in self.headers.items()},
            self.rfile.read(int(self.headers.get("content-length", 0))),
        )
        storage.requests.append(request)
        wrong = storage.misdeed(request)
        if wrong == "hang":
            storage.let_go.wait(60)
        if isinstance(wrong, str):
            self.close_connection = True
            return
        if wrong is not None or bucket != "bucket":
            self._send(*_refusal(wrong or 404, "NoSuchBucket" if bucket != "bucket" else "Wrong"))
            return
        with storage.lock:
            answer = getattr(self, f"_{self.command.lower()}")(storage, request)
        self._send(*answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - the library's names

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"content-length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _get(self, storage: ObjectServer, request: Request) -> Answer:
        if not request.name:
            return _answer(200, _listed(storage, request.query), {"content-type": "application/xml"})
        found = storage.files.get(request.name)
        if found is None:
            return _refusal(404, "NoSuchKey")
        headers = found.headers | {"etag": found.tag, "last-modified": "Thu, 26 Nov 2026 02:00:00 GMT"}
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", request.range)
        if part is None:
            return _answer(200, found.data, headers | {"content-length": str(len(found.data))})
        begin, size = int(part[1]), len(found.data)
        end = min(int(part[2] or size) + 1, size) if part[2] else size
        if begin >= size:
            return _refusal(416, "InvalidRange")
        headers["content-range"] = f"bytes {begin}-{end - 1}/{size}"
        return _answer(206, found.data[begin:end], headers)

    _head = _get

    def _put(self, storage: ObjectServer, request: Request) -> Answer:
        if upload := request.query.get("uploadId"):
            storage.uploads[upload][int(request.query["partNumber"])] = request.body
            return _answer(200, headers={"etag": '"part"'})
        found = storage.files.get(request.name)
        heeded = {key: value for key, value in request.headers.items() if key not in storage.ignores_conditions}
        is_wrong = "if-match" in heeded and (found is None or found.tag != heeded["if-match"])
        if is_wrong or ("if-none-match" in heeded and found is not None):
            return _refusal(412, "PreconditionFailed")
        return _answer(200, headers={"etag": self._keep(storage, request, request.body)})

    def _keep(self, storage: ObjectServer, request: Request, data: bytes) -> str:
        kept = {} if storage.forgets_metadata else request.headers
        made = Stored(data, {name: value for name, value in kept.items() if name.startswith("x-amz-meta-")})
        storage.files[request.name] = made
        return made.tag

    def _post(self, storage: ObjectServer, request: Request) -> Answer:
        if "uploads" in request.query:
            upload = f"upload-{len(storage.uploads)}"
            storage.uploads[upload] = {}
            meta = {name: value for name, value in request.headers.items() if name.startswith("x-amz-meta-")}
            storage.files[f".headers-{upload}"] = Stored(b"", meta)
            body = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            return _answer(200, body.encode())
        upload = request.query["uploadId"]
        parts = storage.uploads.pop(upload)
        headers = storage.files.pop(f".headers-{upload}").headers
        data = b"".join(data for _, data in sorted(parts.items()))
        tag = self._keep(storage, request._replace(headers=headers), data)
        body = f"<CompleteMultipartUploadResult><ETag>{escape(tag)}</ETag></CompleteMultipartUploadResult>"
        return _answer(200, body.encode())

    def _delete(self, storage: ObjectServer, request: Request) -> Answer:
        if upload := request.query.get("uploadId"):
            storage.uploads.pop(upload, None)
            storage.files.pop(f".headers-{upload}", None)
        else:
            storage.files.pop(request.name, None)
        return _answer(204)


def _listed(storage: ObjectServer, query: dict[str, str]) -> bytes:
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    after = query.get("continuation-token") or query.get("start-after", "")
    entries: dict[str, Stored | None] = {}
    for name, file in sorted(storage.files.items()):
        rest = name.removeprefix(prefix)
        if name.startswith(".headers-") or not name.startswith(prefix):
            continue
        folder, cut, _ = rest.partition(delimiter) if delimiter else (rest, "", "")
        entries.setdefault(prefix + folder + delimiter if cut else name, None if cut else file)
    names = [name for name in entries if storage.lists_once or name > after]
    page = names[:_PAGE]
    is_cut = len(names) > len(page)
    body = "<ListBucketResult><IsTruncated>" + str(is_cut).lower() + "</IsTruncated>"
    if is_cut and not storage.lists_once:
        body += f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>"
    for name in page:
        if (stored := entries[name]) is None:
            body += f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
        else:
            body += (
                f"<Contents><Key>{escape(name)}</Key><Size>{len(stored.data)}</Size><ETag>{escape(stored.tag)}</ETag>"
                "<LastModified>2026-11-26T02:00:00Z</LastModified></Contents>"
            )
    return f"{body}</ListBucketResult>".encode()


@contextmanager
def known_storage(monkeypatch: pytest.MonkeyPatch, **options: Any) -> Iterator[ObjectServer]:
    """Serve a storage, to which the environment leads."""
    with ObjectServer(**options) as one:
        for name, value in one.environ.items():
            monkeypatch.setenv(name, value)
        yield one
