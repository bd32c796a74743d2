"""The catalogue of faults: a row for every way in which an answer can go wrong, and where every other fault is proved.

`ROWS` are run by test_catalogue.py, each at every place and in every region that stands in it; `PROVED` names the test
of what needs more than a spoilt answer; `NOT_RUN` says why something is proved nowhere. Numbers as in the issue.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from faults import misdeeds as m
from faults.server import PAGE_SIZE, REGIONS, TAGGED, Place
from support.raw_server import answer, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faults.server import Fault

NUMBERS = tuple(
    [f"N{n}" for n in range(1, 14)] + [f"T{n}" for n in range(1, 7)] + [f"H{n}" for n in range(1, 18)]
    + [f"P{n}" for n in range(1, 8)] + [f"D{n}" for n in range(1, 7)] + [f"C{n}" for n in range(1, 5)]
    + [f"F{n}" for n in range(1, 7)] + [f"S{n}" for n in range(1, 6)] + [f"K{n}" for n in range(1, 7)] + ["V1", "V2"]
)  # fmt: skip


class Reach(Enum):
    """Which answers a fault spoils."""

    ONCE = auto()  # the first to a page
    TWICE = auto()  # the first two to a page: aiohttp sends once more by itself after a reset
    ALWAYS = auto()  # each to a page
    LISTING = auto()  # from the first to a page on, all of its listing
    ACCOUNT = auto()  # from the first to a page on, all


class Expect(Enum):
    """How a run has to end."""

    HEALED = auto()  # everything complete, exit 0
    WHOLE = auto()  # everything complete or complete_with_drift, exit 0
    FLAGGED = auto()  # the listing that was hit is not complete, all others are, exit 3
    STOPPED = auto()  # exit 4, what was had is kept


def places(registry: str | None, last: int, regions: tuple[str, ...] = REGIONS) -> tuple[Place, ...]:
    """Return the first, a middle and the last page of a listing in some regions."""
    return tuple(Place(region, registry, page) for region in regions for page in (1, (last + 1) // 2, last))


IMAGES = places("team-a", 5)
LISTS = places(None, 3)
EVERYWHERE = IMAGES + LISTS
ONE_REGION = places("team-a", 5, ("kr",)) + places(None, 3, ("sgn",))
LATER = tuple(place for place in IMAGES if place.page > 1)
DIAGONAL = (*IMAGES[::4], LISTS[2], LISTS[3], LISTS[7])
"""Each page and each region, of both lists, without all of their pairs."""
MIDDLE = tuple(place for place in IMAGES if place.page == 3)
IMAGES_WITH_TAGS = tuple(Place(region, "team-a", page) for region in REGIONS for page in (1, 2))


@dataclass(frozen=True, slots=True)
class Row:
    """One fault.

    Attributes:
        number: as in the issue's catalogue.
        at: where it strikes; each place is a run of its own.
        most_more: attempts on the wire, at most, beyond those of a crawl without faults.
        least_s: that the run has to last at least, by the program's clock; ``most_s`` at most.
        flags: options of the command line.
        api: the version of the API that it is met in.
        level: how deep the crawl goes.
    """

    number: str
    name: str
    fault: Fault
    expect: Expect = Expect.HEALED
    reach: Reach = Reach.ONCE
    at: tuple[Place, ...] = IMAGES
    most_more: int = 1
    least_s: float = 0.0
    most_s: float = 60.0
    keep_alive: bool = True
    largest_page: int = PAGE_SIZE
    flags: tuple[tuple[str, str], ...] = ()
    api: str = "v2"
    level: str = "images"

    def __str__(self) -> str:
        usual = ("v2", "images")
        where = "".join(f"{word} " for word in (self.api, self.level) if word not in usual)
        return f"{where}{self.number} {self.name}, {self.reach.name.lower()}"


_ALWAYS = Reach.ALWAYS
_FLAGGED = Expect.FLAGGED


def _flagged(number: str, name: str, fault: Fault, at: tuple[Place, ...] = ONE_REGION, most_more: int = 11) -> Row:
    """Return a row for a page that cannot be had, however often it is tried; each try on a connection of its own.

    Ten tries, and where nothing else is answered meanwhile the region is held once: a probe, and one try more.
    """
    flags = (("deadline", "5m"),)
    return Row(number, name, fault, _FLAGGED, _ALWAYS, at, most_more, most_s=500, keep_alive=False, flags=flags)


def _permanent(number: str, name: str, fault: Fault, at: tuple[Place, ...] = DIAGONAL) -> Row:
    """Return a row for an answer that is not asked for again."""
    return Row(number, name, fault, _FLAGGED, _ALWAYS, at, most_more=0)


_NETWORK = [
    Row("N2", "reset before the headers", m.reset, at=EVERYWHERE, keep_alive=False),
    Row("N2", "reset before the headers", m.reset, reach=Reach.TWICE, at=DIAGONAL, most_more=2, keep_alive=False),
    Row("N2", "closed before the headers", m.closed_before_headers, at=LISTS, keep_alive=False),
    _flagged("N2", "reset before the headers", m.reset, most_more=40),
    Row("N3", "reset in mid-body", m.reset_in_body, at=EVERYWHERE),
    Row("N4", "kept-alive connection closed under us", m.reset, at=LATER, flags=(("concurrency", "1"),)),
    Row("N9", "one byte a second", m.byte_a_second, at=DIAGONAL, least_s=30, most_s=120),
    Row("N9", "endless 1xx", m.endless_1xx, at=DIAGONAL, least_s=20, most_s=120),
    Row("N10", "stall in mid-body", m.stall, at=EVERYWHERE, least_s=20),
    Row("N10", "silence", m.silence, least_s=20),
    _flagged("N10", "stall in mid-body", m.stall, places("team-a", 5, ("kr",))),
]

_THROTTLED = [
    Row("H1", "429/410 without Retry-After", m.refused(429, "410", "Throttle Limited"), at=EVERYWHERE, least_s=1),
    Row("H1", "429/420 without Retry-After", m.refused(429, 420, "Rate Limited"), at=IMAGES, least_s=1),
    Row("H2", "429/400", m.refused(429, "400", "Quota Exceeded"), Expect.STOPPED, at=DIAGONAL, most_more=0),
    *(
        Row("H3", f"Retry-After {text}", m.refused(429, "410", "Throttle Limited", f"Retry-After: {text}"),
            at=ONE_REGION, least_s=least_s, most_s=least_s + 20)
        for text, least_s in (
            ("5", 5), ("-1", 1), ("1e99", 1), ("NaN", 1), ("soon", 1), ("Fri, 31 Dec 9999 23:59:59 GMT", 60),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 1), ("999999999999", 60),
        )
    ),
    Row("H3", "503 with Retry-After 7", m.refused(503, "500", "x", "Retry-After: 7"), at=ONE_REGION, least_s=7),
]  # fmt: skip

_REFUSED = [
    *(
        Row("H4", f"{status}/{code}", m.refused(status, code, "trouble"), at=at)
        for (status, code), at in (
            ((500, "900"), EVERYWHERE), ((502, None), IMAGES), ((503, 500), IMAGES), ((504, "510"), IMAGES)
        )
    ),
    _flagged("H4", "503/500", m.refused(503, "500", "Endpoint Error")),
    *(
        _permanent("H5", f"{status}/{code}", m.refused(status, code, "no"))
        for status, code in ((403, "230"), (413, "430"))
    ),
    Row("H5", "400/100", m.refused(400, "100", "Bad Request Exception"), _FLAGGED, _ALWAYS, DIAGONAL, most_more=60),
    Row("H5", "404/300 for a page", m.refused(404, "300", "Not Found Exception"), _FLAGGED, _ALWAYS,
        LATER[::3] + LISTS[::3], most_more=60),
    Row("H5", "404/300 for a registry", m.refused(404, "300", "Not Found Exception"), _FLAGGED, Reach.LISTING,
         places("team-a", 5), most_more=60),
    _permanent("H7", "401/210", m.refused(401, "210", "Permission Denied"), EVERYWHERE),
    Row("H8", "key revoked", m.refused(401, "200", "Authentication Failed"), Expect.STOPPED, Reach.ACCOUNT,
        DIAGONAL, most_more=0),
    *(_permanent("H9", f"{status} elsewhere", m.moved(f"{status} Moved")) for status in (301, 302, 307, 308)),
    Row("H9", "302 elsewhere", m.moved("302 Found"), _FLAGGED, Reach.ONCE, MIDDLE, most_more=0),
]  # fmt: skip

_ODD = [
    Row("H10", "200 with an error body", m.always(answer(refusal(500, "900").partition(b"\r\n\r\n")[2])),
        at=DIAGONAL),
    Row("H10", "200 with HTML", m.body(m.MALFORMED_JSON["HTML"], "Content-Type: text/html"), at=EVERYWHERE),
    Row("H10", "200 with nothing", m.always(answer(b"")), at=DIAGONAL),
    Row("H10", "204", m.always(b"HTTP/1.1 204 No Content\r\n\r\n")),
    Row("H10", "206", m.body(lambda page: page, status="206 Partial Content")),
    Row("H10", "999", m.body(lambda page: page, status="999 What")),
    _flagged("H10", "200 with nothing", m.always(answer(b""))),
    _flagged("H10", "200 with HTML", m.body(m.MALFORMED_JSON["HTML"])),
    _flagged("H10", "204", m.always(b"HTTP/1.1 204 No Content\r\n\r\n")),
    Row("H11", "cut short of Content-Length", m.cut_by_length, at=EVERYWHERE),
    Row("H11", "chunked, cut in a chunk", m.cut_chunked),
    Row("H11", "chunked, cut between chunks", m.cut_between_chunks),
    Row("H11", "close-delimited, cut", m.cut_at_close),
    Row("H11", "gzip cut under a right Content-Length", m.cut_gzip, at=DIAGONAL),
    _flagged("H11", "cut short of Content-Length", m.cut_by_length),
    Row("H12", "gzip bomb", m.gzip_bomb, at=ONE_REGION),
    Row("H12", "double gzip", m.double_gzip),
    Row("H12", "no gzip under its header", m.no_gzip),
    Row("H12", "an encoding that was not asked for", m.brotli),
    Row("H13", "endless body", m.endless, at=ONE_REGION),
    *(Row("H14", name, fault, at=ONE_REGION) for name, fault in m.MALFORMED_HTTP.items()),
    Row("H14", "bare LF", m.bare_lf, at=ONE_REGION),
    _flagged("H14", "no HTTP at all", m.MALFORMED_HTTP["no HTTP at all"], places("team-a", 5, ("jpn",))),
    Row("H15", "Set-Cookie", m.body(lambda page: page, "Set-Cookie: session=abc; Path=/"), most_more=0),
]  # fmt: skip

_BAD_FIELDS = {
    "results null": m.edited(results=None),
    "results an object": m.edited(results={}),
    "results a text": m.edited(results="none"),
    "no results": m.edited(results=...),
    "next a text": m.edited(next="2"),
    "next 0": m.edited(next=0),
    "next -1": m.edited(next=-1),
    "next an object": m.edited(next={}),
    "next 1e30": m.edited(next=10**30),
    "no next": m.edited(next=...),
}

_COUNTS: tuple[object, ...] = ("12", -1, 10**30, 1.5, True, None, {}, ..., 1, 10**9)
_BAD_RECORDS = {
    "record without name": b'{"x":1}',
    "record whose name is null": b'{"name":null}',
    "record whose name is a number": b'{"name":7}',
    "record that is a text": b'"x"',
    "record that is a list": b'[{"name":"x"}]',
    "record that is null": b"null",
}

_PAYLOAD = [
    *(
        Row("P1", name, m.body(spoil), at=(places("team-a", 5)[turn % 9], places(None, 3)[(turn * 4) % 9]))
        for turn, (name, spoil) in enumerate(m.MALFORMED_JSON.items())
    ),
    *(_flagged("P1", name, m.body(m.MALFORMED_JSON[name]), MIDDLE[:1]) for name in ("cut in half", "null", "a list")),
    *(
        Row("P2", name, fault, at=(IMAGES[turn % 9], IMAGES[(turn * 4 + 2) % 9], LISTS[turn % 9]))
        for turn, (name, fault) in enumerate(_BAD_FIELDS.items())
    ),
    *(_flagged("P2", name, _BAD_FIELDS[name], ONE_REGION[:1]) for name in ("results null", "no results", "next 0")),
    *(
        Row("P2", f"count {count!r}", m.edited(count=count), reach=_ALWAYS, expect=Expect.WHOLE, at=IMAGES[:4],
            most_more=100)
        for count in _COUNTS
    ),
    Row("P3", "nesting 500 deep", m.nested(500)),
    Row("P3", "nesting 100,000 deep", m.nested(100_000), at=ONE_REGION),
    _flagged("P3", "nesting 500 deep", m.nested(500), places("team-a", 5, ("kr",))),
    *(
        Row("P7", name, m.with_record(bad), _FLAGGED, _ALWAYS, at=ONE_REGION[:3], most_more=60)
        for name, bad in _BAD_RECORDS.items()
    ),
    Row("P7", "a name twice on a page", m.edited(results=lambda found: [*found, found[0]]), Expect.WHOLE, Reach.ONCE,
        at=IMAGES, most_more=40),
]  # fmt: skip

_VANISHED = answer(b'{"count":0,"next":null,"previous":null,"results":[]}')

_PAGES = [
    Row("D3", "next names the page itself", m.next_is(lambda page: page), _FLAGGED, _ALWAYS, IMAGES, most_more=60),
    Row("D3", "next names an earlier page", m.next_is(lambda page: max(page - 1, 1)), _FLAGGED, _ALWAYS, IMAGES,
        most_more=60),
    Row("D3", "next names page 1,000,000,000", m.next_is(lambda _: 10**9), _FLAGGED, _ALWAYS, IMAGES, most_more=60),
    Row("D3", "next without end", m.next_is(lambda page: page + 1), _FLAGGED, Reach.LISTING, IMAGES[:3],
        most_more=200),
    Row("D5", "registry vanishes", m.refused(404, "300", "Not Found Exception"), _FLAGGED, Reach.LISTING,
         LATER, most_more=60),
    Row("D5", "count falls to 0", m.always(_VANISHED), _FLAGGED, Reach.LISTING, LATER, most_more=60),
    Row("D5", "the list of registries falls empty", m.always(_VANISHED), _FLAGGED, Reach.LISTING,
        tuple(place for place in LISTS if place.page > 1), most_more=60),
]  # fmt: skip

_V2 = (*_NETWORK, *_THROTTLED, *_REFUSED, *_ODD, *_PAYLOAD, *_PAGES)

_OF_V2_ONLY = {"H5", "P2", "P7", "D3", "D5"}
"""What an answer can have wrong in its envelope or its code; what follows has the like for version 3."""
_JSON_OF_V2_ONLY = {"no colon", "no comma", "two commas", "comma at the end of the list", "key without quotes"}


def _over_v3() -> Iterator[Row]:
    """Yield the rows that mean something over version 3 as well, at a place or two each: most are about the wire."""
    for turn, row in enumerate(row for row in _V2 if row.number not in _OF_V2_ONLY):
        if row.name not in _JSON_OF_V2_ONLY:
            yield replace(row, api="v3", at=(row.at[turn % len(row.at)],))


def _totals(**fields: int | None) -> Fault:
    """Change the totals of a page."""
    return m.edited(page=lambda totals: totals | fields)


_V3 = [
    *_over_v3(),
    Row("H4", "409/ResourceNotReady", m.refused(409, "ResourceNotReady", "read-only"), at=DIAGONAL[:3]),
    Row("H5", "400/InvalidParameter", m.refused(400, "InvalidParameter", "no"), _FLAGGED, _ALWAYS, DIAGONAL[:3],
        most_more=60),
    *(
        Row("H5", f"{status}/NotFound for a registry", m.refused(status, "NotFound", "no"), _FLAGGED, Reach.LISTING,
            places("team-a", 5, REGIONS[:1]), most_more=60)
        for status in (400, 404)
    ),
    _permanent("H5", "403/Forbidden", m.refused(403, "Forbidden", "no"), DIAGONAL[:3]),
    Row("D3", "another page than the one that was asked for", _totals(pageNo=7), at=DIAGONAL[:3]),
    _flagged("D3", "another page than the one that was asked for", _totals(pageNo=7)),
    Row("D3", "totals that deny the page", _totals(totalPages=0), Expect.WHOLE, _ALWAYS, MIDDLE[:2], most_more=60),
    Row("D3", "totals without end", _totals(totalPages=10**9), _FLAGGED, Reach.LISTING, IMAGES[:2], most_more=200),
    Row("P2", "totals without a number", _totals(pageNo=None), Expect.WHOLE, _ALWAYS, IMAGES[:3], most_more=60),
    *(
        Row("P2", name, fault, at=(IMAGES[turn % 9], LISTS[turn % 9]))
        for turn, (name, fault) in enumerate({
            "no records": m.edited(content=...),
            "records null": m.edited(content=None),
            "records twice": m.body(lambda page: page[:-1] + b',"content":[]}'),
            "two lists": m.body(lambda page: page[:-1] + b',"more":[{"name":"x"}]}'),
            "totals twice": m.body(
                lambda page: page[:-1] + b',"pageNo":9,"pageSize":1,"totalElements":9,"totalPages":9}'
            ),
        }.items())
    ),
    *(
        Row("P7", name, m.with_record(bad), _FLAGGED, _ALWAYS, at=IMAGES[:1], most_more=60)
        for name, bad in _BAD_RECORDS.items()
    ),
    Row("D5", "count falls to 0", m.always(answer(b'{"content":[],"page":{"pageNo":1,"pageSize":10,"totalElements":0,'
        b'"totalPages":0}}')), _FLAGGED, Reach.LISTING, IMAGES[1:2], most_more=60),
]  # fmt: skip


def _over_tags() -> Iterator[Row]:
    """Yield the rows once more at the level of tags: each strikes a page of an image's tags, as it would one of images.

    What lasts strikes a list of images as well, which has lists of tags below it. Where a list of tags cannot be had,
    that of the images is read again, twice over.
    """
    over_v3 = (replace(row, api="v3") for row in _V3 if row.number in _OF_V2_ONLY)
    for turn, row in enumerate((*_V2, *over_v3)):
        of_images = [place for place in row.at if place.registry is not None]
        if of_images:
            at = [of_images[turn % len(of_images)]._replace(image=TAGGED)]
            if is_lasting := row.reach in (Reach.ALWAYS, Reach.LISTING):
                at.append(IMAGES_WITH_TAGS[turn % len(IMAGES_WITH_TAGS)])
            yield replace(row, level="tags", at=tuple(at), most_more=row.most_more + 20 * is_lasting)


def _of_tags() -> tuple[Row, ...]:
    """Return the rows of tags that are run: all by `make faults`; else every fourth of those that heal by themselves.

    What a client or a decoder refuses at once and has again does not depend on what is listed.
    """
    rows = tuple(_over_tags())
    heal = [row for row in rows if row.reach is Reach.ONCE]
    skipped = set(heal) - set(heal[::4]) if os.environ.get("FAULTS") != "all" else set()
    return tuple(row for row in rows if row not in skipped)


ROWS = (*_V2, *(replace(row, api="v3") for row in _V3), *_of_tags())
INJECTED = sum(len(row.at) for row in ROWS)

PROVED = {
    "N1": "tests/faults/test_network.py::test_no_connection_at_first, ::test_no_connection_at_all",
    "N5": "tests/faults/test_network.py::test_no_connection_at_first; "
    "tests/transport/test_transport.py::test_black_hole",
    "N6": "tests/faults/test_network.py::test_packets_get_lost",
    "N7": "tests/faults/test_network.py::test_latency",
    "N8": "tests/faults/test_network.py::test_narrow_link",
    "N11": "tests/faults/test_network.py::test_one_region_down_for_minutes, ::test_one_region_down_for_good",
    "N12": "tests/faults/test_network.py::test_name_resolution_flaps",
    "N13": "tests/faults/test_processes.py::test_out_of_file_descriptors",
    "T1": "tests/faults/test_network.py::test_certificates; tests/transport/test_transport.py::test_bad_certificates",
    "T2": "tests/faults/test_network.py::test_certificates; tests/transport/test_transport.py::test_bad_certificates",
    "T3": "tests/faults/test_network.py::test_certificates; tests/transport/test_transport.py::test_bad_certificates",
    "T4": "tests/transport/test_transport.py::test_old_tls_is_refused",
    "T5": "tests/faults/test_account.py::test_configurations_that_are_refused",
    "T6": "tests/faults/test_network.py::test_hostile_environment; "
    "tests/transport/test_transport.py::test_proxies_and_netrc_are_ignored; "
    "tests/faults/test_proxies.py::test_what_a_proxy_says_is_permanent, ::test_addresses_that_cannot_be_used",
    "H6": "tests/faults/test_account.py::test_wrong_key_on_the_first_answer, ::test_key_that_the_gateway_does_not_know",
    "H8": "tests/faults/test_account.py::test_key_revoked",
    "H14": "tests/transport/test_heads.py::test_improper_heads, ::test_harmless_heads; "
    "tests/faults/test_answers.py::test_an_answer_that_is_no_http_is_tried_twice",
    "H12": "tests/transport/test_transport.py::test_gzip_bomb_takes_no_memory",
    "H16": "tests/faults/test_network.py::test_random_failures; tests/transport/test_wire.py::test_wire",
    "H17": "tests/faults/test_network.py::test_total_outage",
    "P4": "tests/faults/test_account.py::test_odd_records_come_out_as_they_are",
    "P5": "tests/faults/test_account.py::test_odd_records_come_out_as_they_are",
    "P6": "tests/faults/test_account.py::test_odd_records_come_out_as_they_are; tests/project/test_fuzz.py::test_fuzz",
    "D1": "tests/engine/test_listing.py; tests/engine/test_crawl.py",
    "D2": "tests/engine/test_listing.py",
    "D4": "tests/faults/test_account.py::test_page_is_ignored, ::test_page_size_is_clamped, "
    "::test_page_size_is_refused",
    "D6": "tests/engine/test_crawl.py",
    "C1": "tests/faults/test_account.py::test_clock_that_is_off",
    "C2": "tests/faults/test_account.py::test_wall_clock_that_jumps",
    "C3": "tests/transport/test_transport.py::test_signed_after_the_wait; tests/transport/test_wire.py::test_wire",
    "C4": "tests/faults/test_account.py::test_absurd_date_corrects_nothing",
    "F1": "tests/jobs/snapshot/test_crash.py; tests/output/test_sinks.py",
    "F2": "tests/jobs/snapshot/test_crash.py; tests/jobs/snapshot/test_job.py",
    "F3": "tests/jobs/snapshot/test_crash.py::test_a_power_loss_at_any_call_costs_nothing, "
    "::test_a_program_that_does_not_sync_is_caught; tests/snapshot/unfinished/test_run.py",
    "F4": "tests/snapshot/unfinished/test_publishing.py; tests/cli/test_cli.py",
    "F5": "tests/snapshot/unfinished/test_run.py; tests/jobs/snapshot/test_job.py",
    "F6": "tests/output/test_sinks.py; tests/cli/test_cli.py; tests/output/test_outlets.py; "
    "tests/cli/test_ends.py::test_unread_output_and_a_signal, ::test_unread_output_and_the_deadline, "
    "::test_unread_standard_error",
    "S1": "tests/cli/test_cli.py; tests/cli/test_ends.py::test_unread_standard_error_and_an_end, "
    "::test_signal_to_a_pipe_without_another_side, ::test_signal_at_any_time",
    "S2": "tests/faults/test_processes.py::test_stopped_and_continued",
    "S3": "tests/snapshot/folder/test_lock.py; tests/cli/test_cli.py",
    "S4": "tests/jobs/snapshot/test_job.py",
    "S5": "tests/faults/test_processes.py::test_bug; tests/engine/test_crawl.py",
    "K1": "tests/faults/test_secrets.py::test_leak_is_caught, ::test_no_leak; "
    "tests/faults/test_account.py::test_gateway_that_echoes_the_request; "
    "tests/faults/test_processes.py::test_keys_stay_in_the_process; "
    "tests/transport/test_transport.py::test_errors_hold_no_key",
    "K2": "tests/settings/test_credentials.py; tests/cli/test_cli.py",
    "K3": "tests/settings/test_credentials.py",
    "K4": "tests/faults/test_account.py::test_configurations_that_are_refused; tests/settings/test_credentials.py",
    "K5": "tests/faults/test_account.py::test_configurations_that_are_refused; tests/settings/test_loading.py",
    "K6": "tests/faults/test_account.py::test_hostile_names_of_discovered_registries, "
    "::test_hostile_names_that_are_typed",
    "V1": "tests/faults/test_processes.py::test_terminal, ::test_log_to_a_terminal; "
    "tests/faults/test_account.py::test_message_is_one_line_and_harmless",
    "V2": "tests/faults/test_account.py::test_message_is_one_line_and_harmless",
}
"""Fault to the tests that prove it: what needs more than a spoilt answer, or are proved in modules of their own."""

HOSTILE_NAMES = (
    "../x", "..", ".", "%2e%2e", "a?b", "a#b", "a/b", "a\r\nHost: evil", "", "n" * 300, "a\0b", "a b", "é", "\ud800",
    "\x1b[31m", "a%2fb", "//evil.example/x", "http://evil.example/",
)  # fmt: skip
"""Names that a gateway may give a registry, and that mean something to a shell, a URL, a header or a terminal."""

NOT_RUN = {
    "N5": "a namespace with nftables as a black hole: a packet filter of the socket takes its place",
    "N6": "a namespace with nftables that loses packets: likewise",
    "N12": "an address that moves: aiohttp keeps names for 60 s by a clock that no test can turn",
    "F3": "a drive that reorders what it was not told to flush: an image holds what was written to it, in its order",
    "S4": "a memory cgroup: to the program its end is SIGKILL",
    "C1": "libfaketime: a gateway whose clock is off takes its place",
    "C2": "libfaketime: the process' clock is set from within instead",
}
"""Ways of injection that the issue names and that are not run, and why."""
