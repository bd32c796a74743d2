"""What a run says of itself: the manifest adds up, the tables show what matters, nothing foreign steers a terminal."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from msgspec.structs import asdict, replace
from support.lists import GOOD, LIST, place_of

from crawler.cli.tables import MOST_REGISTRIES_SHOWN, missing_lines, tables
from crawler.core.model import ListingResult, Verdict
from crawler.core.patterns import Patterns
from crawler.core.text import iso
from crawler.engine.spec import CrawlResult, StopReason
from crawler.jobs.summary import is_complete, manifest, run_id
from crawler.snapshot.manifest import Extent, Run, StoredFile, dump, load

RUN = Run(
    id="x", started="2026-01-01T00:00:00.000Z", finished="2026-01-01T00:00:01.000Z", options={"rate": "unlimited"}
)
NOTHING = replace(GOOD, records=0, count=None, pages=0, page_size=None, requests=1, retries=0, throttled=0)


def result(*registries: ListingResult, **more: Any) -> CrawlResult:
    """Return how a crawl of these registries ended, in one region."""
    usual: dict[str, Any] = {"discoveries": [LIST], "stop": None, "stop_reason": None, "rate_per_s": inf}
    return CrawlResult(registries=list(registries), **usual | more)


def made(a_result: CrawlResult, **more: Any) -> Any:
    return manifest(a_result, account="default", run=RUN, files=more.pop("files", []), **more)


def test_times() -> None:
    """UTC, to the millisecond, with Z; an id is the same without what file names cannot hold everywhere."""
    assert iso(1_800_000_000_123) == "2027-01-15T08:00:00.123Z"
    assert run_id(1_800_000_000_123) == "20270115T080000123Z"


def test_manifest_adds_up() -> None:
    """Totals are sums over everything, registries are in order, and it can be read back."""
    other = replace(GOOD, within=("A-team",), records=5, verdict=Verdict.COMPLETE_WITH_DRIFT, reason="count went up")
    absent = replace(NOTHING, within=("A-team",), region="sgn", exists=False, verdict=Verdict.FAILED)
    file = StoredFile(name="standard output", bytes=77, sha256="0" * 64, lines=1205)
    probes = replace(LIST, verdict=Verdict.FAILED, records=0, pages=0, requests=3, throttled=1)
    whole = made(result(GOOD, other, beside=[absent, probes]), files=[file])
    assert whole.verdict == "complete"
    totals = whole.totals
    assert (totals.images, totals.pages, totals.requests) == (1205, 25, 14 + 14 + 1 + 1 + 3)
    assert (totals.retries, totals.throttled, totals.bytes) == (4, 3, 77)
    assert whole.observed["regions"]["kr"]["throttled"] == totals.throttled
    assert [record.registry for record in whole.registries] == ["A-team", "team-a"]
    assert (totals.registries.complete, totals.registries.complete_with_drift) == (1, 1)
    assert [(region.region, region.registries) for region in whole.regions] == [("kr", 3)]
    assert load(dump(whole)) == whole


def test_extents_follow_each_other() -> None:
    """In a snapshot each registry begins where the one before it ends."""
    extents = {
        place_of("kr", "team-a"): Extent(offset=7, length=100, sha256="a" * 64),
        place_of("kr", "B"): Extent(offset=0, length=7, sha256="b" * 64),
    }
    records = made(result(GOOD, replace(GOOD, within=("B",))), extents=extents).registries
    assert [(record.registry, record.offset, record.length) for record in records] == [("B", 0, 7), ("team-a", 7, 100)]


@pytest.mark.parametrize(
    ("verdict", "complete"),
    [
        (verdict, verdict in (Verdict.COMPLETE, Verdict.COMPLETE_WITH_DRIFT, Verdict.UNVERIFIED, Verdict.GONE))
        for verdict in Verdict
    ],
)
def test_what_makes_a_run_complete(verdict: Verdict, complete: bool) -> None:  # noqa: FBT001 - a parameter
    """Every list and every registry, where one that is gone does not count; and that nothing stopped it."""
    assert is_complete(result(GOOD, replace(NOTHING, verdict=verdict))) is complete
    assert is_complete(result(GOOD, discoveries=[replace(LIST, verdict=verdict)])) is complete
    assert not is_complete(result(GOOD, stop=StopReason.DEADLINE, stop_reason="x"))


def test_observed() -> None:
    """What the provider does not document: page size given, throttling, rate, skew; null where nobody knows."""
    observed = made(result(GOOD, replace(GOOD, within=("b",), page_size=20, throttled=2), clock_offset_s=-3.5)).observed
    assert observed["regions"]["kr"]["page_sizes"] == [20, 100]
    assert observed["regions"]["kr"]["throttled"] == 3
    assert (observed["rate_after_throttling"], observed["clock_skew_s"], observed["stopped"]) == (None, -3.5, None)
    stopped = made(result(NOTHING, rate_per_s=12.5, stop=StopReason.QUOTA, stop_reason="used up")).observed
    assert stopped["regions"]["kr"]["page_sizes"] == []
    assert (stopped["rate_after_throttling"], stopped["stopped"]) == (12.5, "used up")


def test_table_of_regions() -> None:
    """A line a region in the order asked for, columns aligned, thousands apart; a region without registries too."""
    nothing = replace(LIST, region="sgn", records=0)
    head, kr, sgn, total = tables(result(GOOD, discoveries=[LIST, nothing]), ["kr", "sgn"]).splitlines()
    assert head.split()[0] == "region"
    assert len(head) == len(kr) == len(sgn) == len(total)
    cells = dict(zip(head.split(), kr.split(), strict=True))
    assert cells["complete"] == "1"
    assert cells["images"] == "1,200"
    assert cells["requests"] == "15"
    assert (cells["retries"], cells["throttled"], cells["seconds"]) == ("2", "1", "4.2")
    assert dict(zip(head.split(), sgn.split(), strict=True))["images"] == "0"


def test_regions_are_summed_up() -> None:
    """A total where there are several regions; its seconds are those of the whole run, from first to last."""
    late = replace(GOOD, region="sgn", started_ms=GOOD.started_ms + 1_000, finished_ms=GOOD.finished_ms + 2_000)
    head, _, _, total = tables(result(GOOD, late), ["kr", "sgn"]).splitlines()
    cells = dict(zip(head.split(), total.split(), strict=True))
    assert (cells["region"], cells["registries"], cells["images"], cells["requests"]) == ("total", "4", "2,400", "29")
    assert cells["seconds"] == "6.2"
    assert "total" not in tables(result(GOOD), ["kr"])


def test_only_regions_that_were_asked() -> None:
    """Who names kr/team-a is not told of two regions that have nothing."""
    text = tables(result(GOOD, discoveries=[]), ["sgn", "kr", "jpn"])
    assert [line.split()[0] for line in text.splitlines()] == ["region", "kr"]


def test_the_table_fits_a_terminal() -> None:
    """With every verdict and large numbers it has 80 columns at most, and nothing that is not zero is left out."""
    bad = [replace(GOOD, within=(str(verdict),), verdict=verdict, reason="x", records=10**9) for verdict in Verdict]
    text = tables(result(*bad, replace(GOOD, region="sgn")), ["kr", "sgn"])
    table, _, _ = text.partition("\n\n")
    assert max(map(len, table.splitlines())) <= 80
    besides = " ".join(table.partition("\nbesides: ")[2].split()).split(", ")
    shown = {*table.split("\n")[0].split(), *(one.split()[1] for one in besides)}
    assert shown > {*Verdict, "requests", "retries", "throttled"}
    assert besides[-4:] == [
        "1 unverified",
        "1 complete_with_drift",
        f"{2 * len(bad) + 2} retries",
        f"{len(bad) + 1} throttled",
    ]


def test_the_output_is_named() -> None:
    """What was written, and where to; its name steers no terminal."""
    file = StoredFile(name="a\x1b.ndjson", bytes=123456, sha256="", lines=1200)
    assert tables(result(GOOD), ["kr"], output=file).endswith("\n1,200 lines, 123,456 bytes: a\\x1b.ndjson")
    out = StoredFile(name="-", bytes=1, sha256="", lines=1)
    assert tables(result(GOOD), ["kr"], output=out).endswith("\n1 line, 1 bytes: standard output")


def test_the_first_few_that_are_missing() -> None:
    """For a mail: so many, each with its reason; the lists of registries first, and no expected gaps."""
    denied = [replace(NOTHING, within=(f"r-{n}",), verdict=Verdict.DENIED, reason="401/210 no") for n in range(9)]
    failed = replace(LIST, region="jpn", verdict=Verdict.FAILED, reason="connection lost")
    ended = result(GOOD, *denied, discoveries=[LIST, failed], expected_gaps=Patterns(["kr/r-0"]))
    assert missing_lines(ended, 2) == [
        "jpn, list of registries: failed: connection lost",
        "kr/r-1: denied: 401/210 no",
        "kr/r-2: denied: 401/210 no",
        "… and 6 more; --summary FILE holds them all",
    ]
    assert missing_lines(result(GOOD), 2) == []


def test_what_is_missing_stands_under_the_table() -> None:
    """Each registry with its verdict and reason, lists of registries first; only so many, and how many more."""
    denied = [
        replace(NOTHING, within=(f"r-{number:02}",), verdict=Verdict.DENIED, reason="401/210 Permission Denied")
        for number in range(MOST_REGISTRIES_SHOWN + 5)
    ]
    failed = replace(LIST, region="jpn", verdict=Verdict.FAILED, reason="connection lost")
    text = tables(result(GOOD, *denied, discoveries=[LIST, failed]), ["kr", "jpn"])
    below = text.partition("\n\n")[2].splitlines()
    assert below[0] == "jpn, list of registries: failed: connection lost"
    assert below[1] == "kr/r-00: denied: 401/210 Permission Denied"
    assert len(below) == MOST_REGISTRIES_SHOWN + 2
    assert below[-1] == "… and 5 more; --summary FILE holds them all"


def test_registries_that_a_stop_cut_off_are_a_number() -> None:
    """They have nothing to say for themselves: one line, not one each."""
    reason = "the deadline came"
    cut = [
        replace(NOTHING, within=(f"r-{number}",), verdict=Verdict.FAILED, reason=f"not begun: {reason}")
        for number in range(300)
    ]
    text = tables(result(GOOD, *cut, stop=StopReason.DEADLINE, stop_reason=reason), ["kr"])
    assert f"300 registries were not begun or not finished: {reason}" in text
    assert "r-7" not in text
    told = f"{reason}; last in kr: no answer so far"
    cut = [replace(one, reason=f"{one.reason}; last: no answer so far") for one in cut]
    text = tables(result(GOOD, *cut, stop=StopReason.DEADLINE, stop_reason=reason, stop_told=told), ["kr"])
    assert text.endswith(f"\n300 registries were not begun or not finished: {told}")
    text = tables(result(GOOD, cut[0], stop=StopReason.DEADLINE, stop_reason=reason), ["kr"])
    assert text.endswith(f"\n1 registry was not begun or not finished: {reason}")


def test_an_expected_gap_was_begun_and_finished() -> None:
    """It stands in its own line alone; none is counted among those that a stop cut off."""
    denied = replace(NOTHING, within=("legacy",), verdict=Verdict.DENIED, reason="401/210 Permission Denied")
    text = tables(result(GOOD, denied, expected_gaps=Patterns(["kr/legacy"])), ["kr"])
    assert text.partition("\n\n")[2] == "expected gaps: kr/legacy (denied)"


def test_the_tables_do_not_look_for_each_registry_among_all() -> None:
    """With 30,000 registries of which 1,500 were denied that took 46 s, past any deadline."""
    compared: list[object] = []

    class Compared(ListingResult, frozen=True):
        def __eq__(self, other: object) -> bool:
            compared.append(other)
            return self is other

        __hash__ = None  # type: ignore[assignment]

    denied = {**asdict(NOTHING), "verdict": Verdict.DENIED}
    text = tables(result(*(Compared(**denied | {"within": (f"r-{number}",)}) for number in range(50))), ["kr"])
    assert "kr/r-0: denied" in text
    assert not compared


def test_server_cannot_steer_the_terminal() -> None:
    """Escapes, bidi controls and line ends in names and reasons are made visible (V1, V2)."""
    hostile = "\x1b]0;owned\x07\u202e\r\nncrawl: all is well"
    bad = replace(NOTHING, within=(f"name{hostile}",), verdict=Verdict.FAILED, reason=f"reason{hostile}")
    text = tables(result(bad, discoveries=[replace(LIST, verdict=Verdict.DENIED, reason=hostile)]), ["kr"])
    assert not set("\x1b\x07\u202e\r") & set(text)
    assert len(text.splitlines()) == 5
