"""An environment in which no test of faults can reach anything but loopback, and the table of figures."""

from __future__ import annotations

from typing import Any

import pytest
from faults.server import ACCESS_KEY, SECRET_KEY


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keys from the environment, no home, no metadata service, no settings of whoever runs the tests."""
    monkeypatch.setenv("NCLOUD_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("NCLOUD_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("NCLOUD_METADATA_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(tmp_path_factory.getbasetemp()))
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")  # reading the system's authorities takes longer than a crawl
    monkeypatch.setenv("SSL_CERT_DIR", "/dev/null")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that README and ARCHITECTURE.md quote: what the tests noted while they ran."""
    noted: dict[str, list[Any]] = {}
    for outcome in ("passed", "failed", "xfailed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties if getattr(report, "when", "") == "call" else ():
                noted.setdefault(name, []).append(value)
    if noted:
        terminalreporter.write_sep("=", "figures of the faults")
    for line in _figures(noted):
        terminalreporter.write_line(line)


def _figures(noted: dict[str, list[Any]]) -> list[str]:
    """Return a line a figure."""
    told = []
    for level in dict.fromkeys(each["level"] for each in noted.get("fault", [])):
        faults = [each for each in noted["fault"] if each["level"] == level]
        runs, healed = sum(each["runs"] for each in faults), sum(each["healed"] for each in faults)
        kinds, most = len({each["number"] for each in faults}), max(each["load"] for each in faults)
        told += [
            f"injected runs        {runs:>8,}   at the level of {level}: {len(faults)} rows, {kinds} faults",
            f"  ended complete     {healed:>8,}",
            f"  flagged, as due    {runs - healed:>8,}",
            f"  most attempts      {most:>8.2f}   x those of a crawl without faults",
        ]
    told += [
        f"load at 20 % faults  {one['attempts'] / one['pages']:>8.3f}   {one['pages']:,} pages, {one['lost']} lost"
        for one in noted.get("random", [])
    ]
    told += [
        f"load in an outage    {one['attempts'] / one['probes']:>8.3f}   x one probe a hold"
        f" ({one['fault']}: {one['probes']} probes in ten minutes and three regions)"
        for one in noted.get("outage", [])
    ]
    return told + [
        f"busiest second       {one['sent']:>8,}   of {one['most']:,} allowed; {one['arrived']:,} arrived;"
        f" {one['attempts']:,} attempts, signed {one['oldest_s']:.3f} s before at most"
        for one in noted.get("wire", [])
    ]
