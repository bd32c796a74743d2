"""The file for Prometheus: what its own parser reads of it, what is kept over failed runs, and what damage does."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families
from support.lists import GOOD, LIST

from crawler.core.errors import OutputError
from crawler.core.model import ListingResult, Verdict
from crawler.core.patterns import Patterns
from crawler.engine.spec import CrawlResult
from crawler.jobs.metrics import CLOCK_SLACK_S, RunFigures, encode, read_earlier, write_metrics
from crawler.jobs.summary import manifest
from crawler.snapshot.manifest import Reused, Run, StoredFile

if TYPE_CHECKING:
    from crawler.snapshot.manifest import Manifest

ALERT_RULES = Path(__file__).parents[2] / "config/ncrawl-alerts.yaml"
OF_ACCOUNT, OF_REGION = '{account="a"}', '{account="a",region="kr"}'
OF_VERDICT = '{account="a",region="kr",verdict="denied"}'
NOW_S = 1_800_000_000.0
RUN = Run(id="x", started="2026-01-01T00:00:00.000Z", finished="2026-01-01T00:00:10.000Z")
FILES = [StoredFile(name="images.ndjson", bytes=1234, sha256="", lines=1)]
NAMES = {
    "ncrawl_last_run_timestamp_seconds",
    "ncrawl_last_success_timestamp_seconds",
    "ncrawl_last_run_duration_seconds",
    "ncrawl_last_run_exit_code",
    "ncrawl_registries",
    "ncrawl_images",
    "ncrawl_requests",
    "ncrawl_retries",
    "ncrawl_throttled",
    "ncrawl_requests_per_second",
    "ncrawl_snapshot_bytes",
    "ncrawl_snapshots_kept",
    "ncrawl_expected_gaps",
}
"""All of the contract's, but for tags, which this run does not list; and the rate."""


def test_what_was_reused_is_counted() -> None:
    """Where tags were reused, and nowhere else."""
    told = Reused(snapshot="x", reused=850, refreshed=140, refreshed_and_different=3)
    one = made(GOOD)
    one = replace(one, run=replace(one.run, reuse=told))
    text = encode(RunFigures("a", NOW_S, NOW_S, 0, one), None).decode()
    found = {
        sample.labels["how"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "ncrawl_tag_lists"
    }
    assert found == {"reused": 850, "refreshed": 140, "refreshed_and_different": 3}
    assert "ncrawl_tag_lists" not in encode(RunFigures("a", NOW_S, NOW_S, 0, made(GOOD)), None).decode()


def made(
    *registries: ListingResult, gaps: tuple[str, ...] = (), lists: tuple[ListingResult, ...] = (LIST,)
) -> Manifest:
    """Return what a run of these registries says of itself."""
    result = CrawlResult(
        registries=list(registries),
        discoveries=list(lists),
        stop=None,
        stop_reason=None,
        rate_per_s=inf,
        expected_gaps=Patterns(gaps),
    )
    return manifest(result, account="team", run=RUN, files=FILES)


def figures(exit_code: int = 0, **more: Any) -> RunFigures:
    """Return what is known of a run that took ten seconds."""
    known: dict[str, Any] = {"account": "team", "started_s": NOW_S - 10, "ended_s": NOW_S, "exit_code": exit_code}
    return RunFigures(**known | more)


def parsed(data: bytes) -> dict[tuple[str, ...], float]:
    """Return (name, label, label, …) but for the account's to value, as Prometheus' own client reads it."""
    samples = [one for family in text_string_to_metric_families(data.decode()) for one in family.samples]
    found = {
        (one.name, *(value for name, value in sorted(one.labels.items()) if name != "account")): one.value
        for one in samples
    }
    assert len(found) == len(samples)
    return found


def test_everything_that_the_contract_names() -> None:
    """Each name is there, with the label `account` on each sample, and the figures are the manifest's."""
    lost = replace(GOOD, within=("b",), verdict=Verdict.FAILED, reason="500", records=0, requests=3)
    jpn = replace(GOOD, region="jpn", within=("c",))
    data = encode(figures(3, manifest=made(GOOD, lost, jpn, gaps=("kr/b",)), snapshots_kept=30), NOW_S - 86_400)
    found = parsed(data)
    assert {name for name, *_ in found} == NAMES
    assert found["ncrawl_last_run_timestamp_seconds",] == NOW_S - 10
    assert found["ncrawl_last_success_timestamp_seconds",] == NOW_S - 86_400
    assert found["ncrawl_last_run_duration_seconds",] == 10
    assert found["ncrawl_last_run_exit_code",] == 3
    assert {verdict: found["ncrawl_registries", "kr", verdict] for verdict in Verdict} == {
        verdict: float(verdict in (Verdict.COMPLETE, Verdict.FAILED)) for verdict in Verdict
    }
    assert found["ncrawl_images", "kr"] == found["ncrawl_images", "jpn"] == 1200
    assert found["ncrawl_requests", "kr"] == 14 + 3 + 1
    assert (found["ncrawl_retries", "jpn"], found["ncrawl_throttled", "jpn"]) == (2, 1)
    assert found["ncrawl_requests_per_second",] == (14 + 3 + 1 + 14) / 10
    assert (found["ncrawl_snapshot_bytes",], found["ncrawl_snapshots_kept",]) == (1234, 30)
    assert found["ncrawl_expected_gaps",] == 1
    assert data.count(b'{account="team"') == len(found)
    assert data.count(b"# HELP ") == data.count(b"# TYPE ") == len(NAMES)


def test_what_is_not_known_is_not_there() -> None:
    """A run that ended before its first request has no images rather than none, and never succeeded."""
    assert parsed(encode(figures(2), None)) == {
        ("ncrawl_last_run_timestamp_seconds",): NOW_S - 10,
        ("ncrawl_last_run_duration_seconds",): 10,
        ("ncrawl_last_run_exit_code",): 2,
    }


def test_a_list_of_registries_counts_no_images() -> None:
    """`ncrawl registries` looks into none of them: its zero would look like an account that is empty."""
    names = {name for name, *_ in parsed(encode(figures(manifest=made()), None))}
    assert {"ncrawl_requests", "ncrawl_last_success_timestamp_seconds"} <= names
    assert not {"ncrawl_images", "ncrawl_registries"} & names


@settings(deadline=None)
@given(st.text(min_size=1), st.floats(1, NOW_S), st.integers(0, 255))
def test_any_account_and_time_come_back(
    tmp_path_factory: pytest.TempPathFactory, account: str, success_s: float, exit_code: int
) -> None:
    """Whatever a profile is called, Prometheus reads its name, and so does the next run, with the time of success."""
    shown = account.encode(errors="backslashreplace").decode()
    data = encode(figures(exit_code or 3, account=account), success_s)
    for family in text_string_to_metric_families(data.decode()):
        assert [sample.labels["account"] for sample in family.samples] == [shown]
    path = tmp_path_factory.getbasetemp() / "earlier.prom"
    path.write_bytes(data)
    earlier = read_earlier(str(path), now_s=NOW_S)
    assert (earlier.account, earlier.problem) == (shown, None)
    assert earlier.success_s == pytest.approx(success_s, abs=0.001)


def test_the_last_success_outlives_failures(tmp_path: Path) -> None:
    """Failed runs leave it, also one that ended before it knew its account; the next that succeeds moves it."""
    name = str(tmp_path / "ncrawl.prom")
    for exit_code, ended_s, account in ((0, NOW_S, "team"), (3, NOW_S + 1, "team"), (2, NOW_S + 2, None)):
        assert write_metrics(name, figures(exit_code, ended_s=ended_s, account=account)) == []
        found = parsed(Path(name).read_bytes())
        assert found["ncrawl_last_success_timestamp_seconds",] == NOW_S
        assert found["ncrawl_last_run_exit_code",] == exit_code
    assert b'account="team"' in Path(name).read_bytes()
    assert write_metrics(name, figures(ended_s=NOW_S + 3)) == []
    assert parsed(Path(name).read_bytes())["ncrawl_last_success_timestamp_seconds",] == NOW_S + 3
    assert os.listdir(tmp_path) == ["ncrawl.prom"]  # noqa: PTH208


def test_a_first_run_that_fails_never_succeeded(tmp_path: Path) -> None:
    """Then there is no such sample, twice as well, and that is nothing to warn of."""
    name = str(tmp_path / "ncrawl.prom")
    for _ in range(2):
        assert write_metrics(name, figures(4)) == []
        assert ("ncrawl_last_success_timestamp_seconds",) not in parsed(Path(name).read_bytes())


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda data: data[: len(data) // 2], "damaged"),
        (lambda _: b"\xff\xfe\x00", "no text"),
        (lambda _: b"# somebody else's\nup 1\n", "no file of ncrawl's"),
        (lambda _: b"\0" * 4096, "damaged"),
        (lambda data: data.replace(b"1800000000.000", b"9999999999.000"), "not believed"),
        (lambda data: data.replace(b"1800000000.000", b"1.8.0"), "not believed"),
        (lambda data: data.replace(b"1800000000.000", b"0"), "not believed"),
    ],
    ids=["cut", "bytes", "foreign", "zeros", "to come", "no number", "zero"],
)
def test_damage_is_told_and_not_believed(tmp_path: Path, damage: Any, told: str) -> None:
    """A success that cannot be read back is none: an alert that rings too early is better than one that never does."""
    path = tmp_path / "ncrawl.prom"
    write_metrics(str(path), figures())
    path.write_bytes(damage(path.read_bytes()))
    (odd,) = write_metrics(str(path), figures(3))
    assert odd.startswith(f"{path}: ")
    assert told in odd
    found = parsed(path.read_bytes())
    assert ("ncrawl_last_success_timestamp_seconds",) not in found
    assert found["ncrawl_last_run_exit_code",] == 3


@settings(deadline=None)
@given(st.binary(max_size=400) | st.text(max_size=400).map(lambda text: text.encode(errors="surrogatepass")))
def test_whatever_is_there_is_read_without_harm(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """No content of the file raises, and none without a sample of ours gives a success."""
    path = tmp_path_factory.getbasetemp() / "any.prom"
    path.write_bytes(data)
    assert read_earlier(str(path), now_s=NOW_S).success_s is None


def test_a_clock_that_was_a_little_ahead_is_believed(tmp_path: Path) -> None:
    """Two machines' clocks, or one that is set, differ by seconds: that makes no success undone."""
    name = str(tmp_path / "ncrawl.prom")
    write_metrics(name, figures(ended_s=NOW_S + CLOCK_SLACK_S - 1))
    assert read_earlier(name, now_s=NOW_S).success_s == NOW_S + CLOCK_SLACK_S - 1


def test_another_account_in_its_place(tmp_path: Path) -> None:
    """Its success is not ours, and whoever gave two accounts one file is told."""
    name = str(tmp_path / "ncrawl.prom")
    write_metrics(name, figures(account="other"))
    (odd,) = write_metrics(name, figures(3))
    assert "account other" in odd
    assert b"last_success" not in Path(name).read_bytes()


def test_a_pipe_is_written_to_and_not_read(tmp_path: Path) -> None:
    """What was written into it is gone, so nothing is waited for; without a reader, that is an error, soon."""
    os.mkfifo(tmp_path / "pipe")
    assert read_earlier(str(tmp_path / "pipe")).problem is None
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_metrics(str(tmp_path / "pipe"), figures())
        assert os.read(reader, 1 << 16).startswith(b"# HELP ncrawl_last_run")
    finally:
        os.close(reader)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """It is one of our errors, and names the path."""
    with pytest.raises(OutputError, match=r"nowhere/x\.prom"):
        write_metrics(str(tmp_path / "nowhere" / "x.prom"), figures())


def promtool(*arguments: str, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run Prometheus' own tool, or skip the test where it is not."""
    if shutil.which("promtool") is None:
        pytest.skip("not run: promtool is not here (Debian: prometheus)")
    return subprocess.run(["promtool", *arguments], input=text, capture_output=True, check=False)


def test_promtool_takes_the_file() -> None:
    """`promtool check metrics` finds no fault, not even with a name or a help text."""
    done = promtool("check", "metrics", text=encode(figures(3, manifest=made(GOOD), snapshots_kept=3), NOW_S))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_alerts_are_about_what_is_written() -> None:
    """Each name in the example of alert rules is one that a run writes."""
    rules = ALERT_RULES.read_text()
    named = {name.rstrip("_") for name in re.findall(r"\bncrawl_[a-z_]+", rules)}
    assert named >= {"ncrawl_last_success_timestamp_seconds", "ncrawl_registries", "ncrawl_last_run_exit_code"}
    assert named <= NAMES


ALERTS = {
    "NcrawlNoSuccess": f"ncrawl_last_success_timestamp_seconds{OF_ACCOUNT} 0+0x3000",
    "NcrawlNeverSucceeded": f"ncrawl_last_run_timestamp_seconds{OF_ACCOUNT} 0+60x3000",
    "NcrawlMetricsMissing": "up 1+0x3000",
    "NcrawlNeedsSomebody": f"ncrawl_last_run_exit_code{OF_ACCOUNT} 4+0x3000",
    "NcrawlRegistriesMissing": f"ncrawl_registries{OF_VERDICT} 2+0x3000",
    "NcrawlImagesHalved": f"ncrawl_images{OF_REGION} 100+0x1500 49+0x1500",
    "NcrawlThrottled": f"ncrawl_throttled{OF_REGION} 11+0x3000",
}
"""What makes each alert ring after 27 hours, a sample a minute, in place of what a night that went well has."""
QUIET = {
    f"ncrawl_last_run_timestamp_seconds{OF_ACCOUNT}": "0+60x3000",
    f"ncrawl_last_success_timestamp_seconds{OF_ACCOUNT}": "0+60x3000",
    f"ncrawl_last_run_exit_code{OF_ACCOUNT}": "3+0x3000",
    f"ncrawl_registries{OF_VERDICT}": "1+0x3000",
    f"ncrawl_expected_gaps{OF_ACCOUNT}": "1+0x3000",
    f"ncrawl_images{OF_REGION}": "100+0x3000",
    f"ncrawl_requests{OF_REGION}": "100+0x3000",
    f"ncrawl_throttled{OF_REGION}": "10+0x3000",
}


def test_every_alert_is_tried() -> None:
    """None is added that nobody has heard."""
    assert set(ALERTS) == set(re.findall(r"- alert: (\w+)", ALERT_RULES.read_text()))


def alert_test(ringing: str | None) -> dict[str, object]:
    """Return a test for promtool: a night that went well, but for what makes one alert ring."""
    absent = {"NcrawlNeverSucceeded": "success", "NcrawlMetricsMissing": "ncrawl"}.get(ringing or "", "nothing")
    series = {name: values for name, values in QUIET.items() if absent not in name}
    if ringing is not None:
        name, _, values = ALERTS[ringing].partition(" ")
        series[name] = values
    expected = [{"labels": f'{{alertname="{ringing}"}}', "value": 1}] if ringing else []
    count = 'count by (alertname) (ALERTS{alertstate="firing"})'
    return {
        "name": ringing or "nothing rings",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": count, "eval_time": "27h", "exp_samples": expected}],
    }


def test_alerts_ring_when_they_should(tmp_path: Path) -> None:
    """One by one, by `promtool test rules`: what rings is what has to, and a night that went well rings nothing."""
    tests = [alert_test(ringing) for ringing in (None, *ALERTS)]
    rules = {"rule_files": [str(ALERT_RULES)], "evaluation_interval": "5m", "tests": tests}
    (tmp_path / "test.yaml").write_text(json.dumps(rules))
    done = promtool("test", "rules", str(tmp_path / "test.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
