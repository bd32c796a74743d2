"""The scenarios in which ncrawl runs beside its peers."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import trustme
from bench import HEAD, cpu_ratio, race, rows
from contestants import (
    AIOHTTP,
    LIKE_FOR_LIKE,
    NCRAWL_ITSELF,
    PROVED,
    PYCURL,
    SAME_OUTCOME,
    SLOW_PEERS,
    Slow,
    measure_wrk,
)
from measuring import CONTENTS, Server, World, ratios
from report import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench import Bench, Race
    from contestants import Contestant


def between(bench: Bench, server: Server, contestants: Sequence[Contestant], rounds: int, *, wrk: bool = False) -> Race:
    """Run a race over one server."""
    runs = {one.name: partial(one.measure, server, bench.folder) for one in contestants}
    if wrk and shutil.which("wrk"):
        runs["wrk, unsigned, unread"] = partial(measure_wrk, server)
    return race(runs, rounds)


def same_outcome(bench: Bench) -> None:
    """Run the fast peers, each with its own way with JSON."""
    with Server(World()) as server:
        samples = between(bench, server, SAME_OUTCOME, bench.rounds, wrk=True)
    note = (
        "Each its own way with JSON, and one pass, which proves nothing; beside it what ncrawl costs by default. Whole "
        "processes, start-up included; 300 registries, 6,130 pages of 100; the server gives no larger ones."
    )
    bench.report.table("Same outcome, fast peers", note, HEAD, rows(samples))
    for peer, at_least, aim in ((AIOHTTP, 1.5, 2.0), (PYCURL, 0.9, 1.25)):
        bench.report.figure(
            Figure(f"same outcome, 100 a page: {peer.name}", cpu_ratio(samples, peer.name), at_least, aim)
        )
    bench.report.figure(
        Figure("the default, which proves, in pages of 100: CPU ÷ that of one pass", cpu_ratio(samples, PROVED.name))
    )
    per_request = ([one.cost.cpu_s / one.arrivals.requests for one in samples[x.name]] for x in (PROVED, NCRAWL_ITSELF))
    name = "the default, which proves, in pages of 100: CPU a request ÷ that of one pass"
    bench.report.figure(Figure(name, ratios(*per_request), 1.0, None, "less"))


def like_for_like(bench: Bench) -> None:
    """Run the peers that use ncrawl's functions for JSON: what is left is HTTP, verdicts and uniqueness."""
    with Server(World()) as server:
        samples = between(bench, server, LIKE_FOR_LIKE, bench.rounds)
    note = "The peers turn bodies into lines by ncrawl's own functions: what differs is HTTP, verdicts and uniqueness."
    bench.report.table("Like for like", note, HEAD, rows(samples))
    for peer, at_least, aim in zip(LIKE_FOR_LIKE[1:], (1.30, None, None), (1.40, 1.0, 0.8), strict=True):
        bench.report.figure(Figure(f"like for like: {peer.name}", cpu_ratio(samples, peer.name), at_least, aim))


def page_sizes(bench: Bench) -> None:
    """Run small pages and large ones."""
    for page_size, pages in ((10, 6130), (1000, 1226)):
        with Server(World(pages=pages, page_size=page_size)) as server:
            samples = between(bench, server, (NCRAWL_ITSELF, AIOHTTP, PYCURL), bench.times(5))
        note = f"Same outcome; 300 registries, {pages:,} pages of {page_size:,} images."
        bench.report.table(f"Pages of {page_size:,}", note, HEAD, rows(samples))
        name = f"same outcome, {page_size:,} a page: {AIOHTTP.name}"
        bench.report.figure(Figure(name, cpu_ratio(samples, AIOHTTP.name), 1.3, 1.5))


def contents(bench: Bench) -> None:
    """Run pages that are not flat ASCII."""
    for content in CONTENTS[1:]:
        with Server(World(pages=3065, content=content)) as server:
            samples = between(bench, server, (NCRAWL_ITSELF, AIOHTTP, PYCURL), bench.times(3))
        note = "Same outcome; 300 registries, 3,065 pages of 100 images."
        bench.report.table(f"Content: {content}", note, HEAD, rows(samples))
        bench.report.figure(Figure(f"same outcome, {content}: {AIOHTTP.name}", cpu_ratio(samples, AIOHTTP.name)))


def slow_peers(bench: Bench) -> None:
    """Run the peers that need a hundred times as long, with fewer pages."""
    with ExitStack() as stack:
        servers = {pages: stack.enter_context(Server(World(registries=60, pages=pages))) for pages in (60, 360, 1260)}
        many = stack.enter_context(Server(World()))
        for server in servers.values():
            NCRAWL_ITSELF.measure(server, bench.folder)  # the server bakes its pages, and learns what shall come out
        runs = {NCRAWL_ITSELF.name: partial(Slow(NCRAWL_ITSELF, servers[60], many).measure, bench.folder)}
        for peer, pages, *_ in SLOW_PEERS:
            runs[peer.name] = partial(Slow(peer, servers[60], servers[pages]).measure, bench.folder)
        samples = race(runs, bench.times(3))
    note = (
        "What more pages cost, so nobody's start-up counts: 300 or 1,200 more in 60 registries, for ncrawl 6,070 "
        "more in 300. dlt, Singer and Scrapy with items do more work: types, schemas, packages."
    )
    bench.report.table("Same outcome, slow peers", note, HEAD, rows(samples))
    for peer, _, at_least, aim in SLOW_PEERS:
        bench.report.figure(
            Figure(f"same outcome, 100 a page: {peer.name}", cpu_ratio(samples, peer.name), at_least, aim)
        )


def tls(bench: Bench) -> None:
    """Run over TLS."""
    authority = trustme.CA()
    pem = bench.folder / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
    authority.cert_pem.write_to_path(pem, append=True)
    with Server(World(pages=3065, tls=pem)) as server:
        samples = between(bench, server, (NCRAWL_ITSELF, AIOHTTP), bench.times(3))
    bench.report.table("TLS", "Same outcome; 300 registries, 3,065 pages of 100 images.", HEAD, rows(samples))
    bench.report.figure(Figure(f"same outcome, TLS: {AIOHTTP.name}", cpu_ratio(samples, AIOHTTP.name)))
