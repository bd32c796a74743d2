"""Version 3 as the emulator speaks it: a port a region, pages from 0, named errors, and any shape of envelope."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, get_args

import pytest

from crawler.api.collections import IMAGES, REGISTRIES
from crawler.api.signing import sign
from crawler.api.zones import ZONES
from crawler.core.errors import UsageError
from crawler.core.secret import KeyPair, Secret
from crawler.emulation import Emulator, EmulatorOptions
from crawler.emulation.options import Envelope
from crawler.emulation.wire import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

CODES = [region.code for region in ZONES["public"].regions]


async def get(
    emulator: Emulator, region: str, target: str, *, is_signed: bool = True
) -> tuple[int, Mapping[str, str], Any]:
    """Return status, headers and body of a signed request to a region's port."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(emulator.urls[region].rpartition(":")[2]))
    keys = KeyPair(Secret(emulator.access_key), Secret(emulator.secret_key), "the test")
    headers = sign(target, keys, now_ms=int(time.time() * 1000)) if is_signed else {}
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"GET {target} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    line, *sent = head.decode().split("\r\n")
    return int(line.split()[1]), dict(field.lower().split(": ", 1) for field in sent), json.loads(body)


async def test_each_region_has_a_port() -> None:
    """What is behind a port is its region's, and `--gateway` takes all of them as one text."""
    async with Emulator(EmulatorOptions(api="v3", registries=2, images=30)) as emulator:
        assert emulator.url == ",".join(f"{code}={emulator.urls[code]}" for code in CODES)
        assert len(set(emulator.urls.values())) == len(CODES)
        for code in CODES:
            status, headers, page = await get(emulator, code, "/api/v3/registries?pageNo=0&pageSize=10")
            assert (status, headers["x-ncp-request-id"][:9]) == (200, "emulated-")
            assert [one["name"] for one in page["content"]] == emulator.world.registry_names(code)
        assert emulator.statistics.requests_by_region == dict.fromkeys(CODES, 1)


async def test_records_are_as_documented() -> None:
    """Fields in the order of the documents, times in RFC 3339."""
    async with Emulator(EmulatorOptions(api="v3", registries=1, images=90)) as emulator:
        name = emulator.world.registry_names("kr")[0]
        _, _, registries = await get(emulator, "kr", "/api/v3/registries?pageNo=0")
        _, _, images = await get(emulator, "kr", f"/api/v3/registries/{name}/images?pageNo=1&pageSize=5&sort=name,asc")
    assert list(registries["content"][0]) == [
        "name", "bucketName", "publicEndpointHost", "privateEndpointHost", "publicEndpointEnabled",
        "scanOnPushEnabled", "publicRegistryEnabled", "createdDateTime", "storageTypeCode", "status",
    ]  # fmt: skip
    held = list(emulator.world.images("kr", name))
    assert [one["name"] for one in images["content"]] == [one["name"] for one in held[5:10]]
    assert list(images["content"][0]) == [
        "name", "registryName", "description", "pullCount", "lastPushedDateTime", "lastPulledDateTime"
    ]  # fmt: skip
    assert images["content"][0]["lastPushedDateTime"].startswith("20")
    assert images["page"] == {
        "pageNo": 1, "pageSize": 5, "totalElements": len(held), "totalPages": -(-len(held) // 5)
    }  # fmt: skip


@pytest.mark.parametrize("envelope", get_args(Envelope))
async def test_envelopes(envelope: Envelope) -> None:
    """Totals at the top, one level down, or nowhere; the array is called as one likes."""
    async with Emulator(EmulatorOptions(api="v3", envelope=envelope, list_name="registries")) as emulator:
        _, _, page = await get(emulator, "kr", "/api/v3/registries")
    assert len(page["registries"]) == 20
    keys = {"top": ["pageNo", "pageSize", "totalElements", "totalPages"], "inner": ["page"], "none": []}
    assert [name for name in page if name != "registries"] == keys[envelope]


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/api/v3/registries?pageSize=1001", 400, "InvalidParameter"),
        ("/api/v3/registries?pageSize=0", 400, "InvalidParameter"),
        ("/api/v3/registries?pageNo=-1", 400, "InvalidParameter"),
        ("/api/v3/registries?sort=size,asc", 400, "InvalidParameter"),
        ("/api/v3/registries/no-such/images", 404, "NotFound"),
        ("/api/v3/repositories", 404, "NotFound"),
        ("/ncr/api/v2/repositories", 404, "NotFound"),
        ("/elsewhere", 404, "NotFound"),
    ],
)
async def test_refusals(target: str, status: int, code: str) -> None:
    """Sizes are never clamped, and errors have names."""
    async with Emulator(EmulatorOptions(api="v3", registries=1)) as emulator:
        found, _, body = await get(emulator, "kr", target)
        unsigned, _, refusal = await get(emulator, "kr", target, is_signed=False)
    assert (found, body["error"]["errorCode"]) == (status, code)
    assert (unsigned, refusal["error"]["errorCode"]) == (401, "200")


async def test_each_port_throttles_for_itself() -> None:
    """What comes too fast is told how long to wait; another region's port does not mind."""
    async with Emulator(EmulatorOptions(api="v3", registries=1, rate_limit=1)) as emulator:
        statuses = [(await get(emulator, code, "/api/v3/registries"))[:2] for code in ("kr", "kr", "sgn")]
    assert [status for status, _ in statuses] == [200, 429, 200]
    assert statuses[1][1]["retry-after"] == "1"


async def test_ports_follow_each_other() -> None:
    """From the one that is given; if one of them is taken, none stays open."""
    async with Emulator(EmulatorOptions(api="v3", registries=1)) as emulator:
        taken = int(emulator.urls[CODES[-1]].rpartition(":")[2])
        with pytest.raises(UsageError, match="cannot listen on"):
            async with Emulator(EmulatorOptions(api="v3", port=taken)):
                pass


@pytest.mark.parametrize("api", ["v2", "v3"])
def test_deeper_lists_are_routed(api: Any) -> None:
    """A path leads to its collection and the names in it, percent-encoded or not."""
    gateway = Emulator(EmulatorOptions(api=api)).gateway
    base = f"{ZONES['public'].regions[0].base_path}/repositories" if api == "v2" else "/api/v3/registries"
    door = "" if api == "v2" else "kr"
    images = f"{base}/team-a" if api == "v2" else f"{base}/team-a/images"
    for path, collection, names in (
        (base, REGISTRIES, ()),
        (images, IMAGES, ("team-a",)),
    ):
        assert gateway.api.place(Request("GET", f"{path}?x=1", {}, door)) == ("kr", collection, names)
    place = gateway.api.place(Request("GET", f"{images}/a%2Fb/tags", {}, door))
    assert place is not None
    assert (place.collection.name, place.names) == ("tags", ("team-a", "a/b"))
