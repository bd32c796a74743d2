"""Which clients a run gets: one for each gateway, however many regions stand behind it."""

from __future__ import annotations

from crawler.transport import open_clients


async def test_regions_behind_one_gateway_share_a_client() -> None:
    """Connections are kept for all of them; regions with gateways of their own have a client each; one word on why."""
    gateways = {"kr": "http://127.0.0.1:1", "sgn": "http://127.0.0.1:1", "jpn": "http://127.0.0.1:2"}
    clients, why = open_clients(gateways, trust_env=False)
    assert clients.keys() == gateways.keys()
    assert clients["kr"] is clients["sgn"] is not clients["jpn"]
    assert why.count("requests go ") == 1
    for client in set(clients.values()):
        await client.close()
