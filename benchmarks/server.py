"""The fastest server for the benchmark: prebaked pages of one region on loopback, one process on one core.

Nothing is decided while it serves but which bytes to send. It checks every signature, so a peer that signs nothing is
found out, and knows the most requests that began within any second.

Usage: server.py --registries 300 --pages 6130 [--page-size 100] [--cap 100] [--content ascii] [--latency-ms 0]
                 [--tls PEM]
Prints its port, then serves until it is ended. ``GET /statistics`` tells what arrived since it was last asked.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import hmac
import json
import ssl
import time
from base64 import b64encode
from collections import deque
from typing import cast

import uvloop
from measuring import CONTENTS, KEYS, how_many_tags, name_number

BASE = b"/ncr/api/v2/repositories"
ACCESS_KEY, SECRET_KEY = KEYS["NCLOUD_ACCESS_KEY_ID"], KEYS["NCLOUD_SECRET_KEY"]


def image(number: int, content: str, night: int) -> dict[str, object]:
    """Return one image record: about 250 bytes, the API's fields in the API's order.

    Names come in no order; on another night every tenth image was pulled more often.
    """
    mixed = name_number(number)
    record: dict[str, object] = {
        "can_edit": True,
        "description": "서울 리전의 결제 서비스 이미지" if content == "hangul" else None,
        "is_automated": None,
        "is_private": None,
        "last_updated": 1_711_928_488_000 + number,
        "name": f"service-{mixed:06d}",
        "namespace": "team",
        "pull_count": mixed % 100_000 + night * (number % 10 == 0),
        "repository_type": "image",
        "star_count": None,
        "status": 0,
        "user": None,
    }
    if content == "nested":
        record |= {"labels": {"tier": "backend", "owners": ["a", "b"]}, "size": 1.5e300, "scan": {"high": 0, "low": 3}}
    return record


def tag(number: int) -> dict[str, object]:
    """Return one tag record: the API's fields in the API's order, every third tag for two platforms."""
    digest = f"sha256:{number:064x}"
    platform = {
        "architecture": "amd64",
        "created": 1_711_928_488_000,
        "digest": digest,
        "features": None,
        "latest_pulled": None,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "os": "linux",
        "os_features": None,
        "os_version": None,
        "size": 81_920_000 + number,
        "updated": 1_711_928_488_000,
        "variant": None,
    }
    return {
        "creator": "builder",
        "digest": digest,
        "full_size": platform["size"],
        "id": number,
        "image_id": 7,
        "images": [platform, platform | {"architecture": "arm64"}] if number % 3 == 0 else [platform],
        "last_updated": 1_711_928_488_000,
        "last_updater": "builder",
        "name": f"1.{number}.0",
        "repository": 1,
        "v2": True,
    }


class Pages:
    """All answers, each encoded when it is first asked for; lists of one length share theirs."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.names = [f"registry-{number:05d}" for number in range(chosen.registries)]
        self._cap, self._content, self._night = chosen.cap or chosen.page_size, chosen.content, chosen.night
        self._most_tags = chosen.most_tags
        few, longer = divmod(chosen.pages, chosen.registries)
        lengths = [(few + (number < longer)) * chosen.page_size for number in range(chosen.registries)]
        self._lengths = {BASE + b"/" + name.encode(): length for name, length in zip(self.names, lengths, strict=True)}

    def answer(self, path: bytes, page: int, page_size: int) -> bytes:
        """Return the whole answer; who asks for pages above the cap gets those that it allows."""
        if path == BASE:
            return self._registries(page, min(page_size, max(self._cap, 100)))
        if path.endswith(b"/tags"):
            return self._tags(how_many_tags(int(path[-11:-5]), self._most_tags), page, min(page_size, self._cap))
        return self._images(self._lengths[path], page, min(page_size, self._cap))

    @functools.lru_cache(100_000)  # noqa: B019 - there is one
    def _registries(self, page: int, page_size: int) -> bytes:
        records: list[dict[str, object]] = [{"name": name, "status": "running"} for name in self.names]
        chunk = records[(page - 1) * page_size : page * page_size]
        return self._encode(chunk, page, count=len(records), is_last=page * page_size >= len(records))

    @functools.lru_cache(100_000)  # noqa: B019 - there is one
    def _images(self, length: int, page: int, page_size: int) -> bytes:
        numbers = range((page - 1) * page_size, min(page * page_size, length))
        records = [image(number, self._content, self._night) for number in numbers]
        return self._encode(records, page, count=length, is_last=page * page_size >= length)

    @functools.lru_cache(100_000)  # noqa: B019 - there is one
    def _tags(self, length: int, page: int, page_size: int) -> bytes:
        records = [tag(number) for number in range((page - 1) * page_size, min(page * page_size, length))]
        return self._encode(records, page, count=length, is_last=page * page_size >= length)

    def _encode(self, records: list[dict[str, object]], page: int, *, count: int, is_last: bool) -> bytes:
        body = {"count": count, "next": None if is_last else page + 1, "previous": page - 1 or None, "results": records}
        if self._content == "pretty":
            text = json.dumps(body, ensure_ascii=False, indent=2)
        else:
            text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        return http(text.encode())


def http(body: bytes) -> bytes:
    """Return a whole answer."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Statistics:
    """What arrived since somebody last asked."""

    def __init__(self) -> None:
        self.requests = self.unsigned = self.most_in_a_second = 0
        self._recent_s: deque[float] = deque()

    def count(self) -> None:
        """Count a request that arrives now."""
        now_s = time.monotonic()
        self.requests += 1
        self._recent_s.append(now_s)
        while self._recent_s[0] <= now_s - 1:
            self._recent_s.popleft()
        self.most_in_a_second = max(self.most_in_a_second, len(self._recent_s))

    def answer(self) -> bytes:
        """Tell, and begin anew."""
        known = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        self.__init__()  # type: ignore[misc]
        return http(json.dumps(known).encode())


def is_signed(target: bytes, head: bytes) -> bool:
    """Whether a request's head carries the signature of its target."""
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b"x-ncp" in line.lower())
    given = [line.split(b": ", 1)[1] for line in head.split(b"\r\n") if line.lower().startswith(b"x-ncp-apigw-sig")]
    text = b"GET " + target + b"\n" + fields.get(b"x-ncp-apigw-timestamp", b"") + b"\n" + ACCESS_KEY.encode()
    return given == [b64encode(hmac.digest(SECRET_KEY.encode(), text, "sha256"))]


class Connection(asyncio.Protocol):
    """One client's connection; requests come whole and one at a time, or are put together here."""

    _transport: asyncio.Transport

    def __init__(self, pages: Pages, statistics: Statistics, latency_s: float) -> None:
        self._pages, self._statistics, self._latency_s = pages, statistics, latency_s
        self._loop = asyncio.get_running_loop()
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            answer = self._answer(head)
            if self._latency_s:
                self._loop.call_later(self._latency_s, self._send, answer)
            else:
                self._transport.write(answer)

    def _send(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)

    def _answer(self, head: bytes) -> bytes:
        target = head.split(b" ", 2)[1]
        if target == b"/statistics":
            return self._statistics.answer()
        self._statistics.count()
        self._statistics.unsigned += not is_signed(target, head)
        path, _, query = target.partition(b"?")
        asked = dict(pair.split(b"=") for pair in query.split(b"&") if pair)
        return self._pages.answer(path, int(asked.get(b"page", 1)), int(asked.get(b"pagesize", 100)))


def ask() -> argparse.Namespace:
    """Return the command line's choices."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--registries", type=int, default=300)
    parser.add_argument("--pages", type=int, default=6130, help="of images, in all registries together")
    parser.add_argument("--page-size", type=int, default=100, help="images in each of these pages")
    parser.add_argument("--cap", type=int, help="largest page given, whatever is asked for: --page-size")
    parser.add_argument("--most-tags", type=int, default=1, help="of an image")
    parser.add_argument("--content", choices=CONTENTS, default="ascii")
    parser.add_argument("--latency-ms", type=float, default=0)
    parser.add_argument("--night", type=int, default=0, help="0 or 1: another night, a tenth of the images differs")
    parser.add_argument("--tls", help="PEM file with key and certificate")
    return parser.parse_args()


async def serve(chosen: argparse.Namespace) -> None:
    """Serve until cancelled."""
    pages = Pages(chosen)
    statistics = Statistics()
    context = None
    if chosen.tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(chosen.tls)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(pages, statistics, chosen.latency_ms / 1000), "127.0.0.1", 0, ssl=context, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(ask()))
