"""The files in config/ that users copy: every option they use exists, and the real tools accept them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from support.commands import check_call, options_of

from crawler.cli import COMMANDS, cli
from crawler.core.errors import LockedError, UsageError

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"


def command_lines() -> list[list[str]]:
    """Return the arguments of every call of ncrawl in config/, comments left out."""
    service = re.findall(r"^ExecStart=\S+/ncrawl (.*)$", (CONFIG / "ncrawl.service").read_text(), re.MULTILINE)
    cron = re.findall(r"^\d.*/bin/ncrawl (.*?) \|\|", (CONFIG / "ncrawl.cron").read_text(), re.MULTILINE)
    job = re.findall(r"args: \[(.*)\]", (CONFIG / "ncrawl-cronjob.yaml").read_text())
    calls = [shlex.split(line) for line in service + cron] + [[word.strip(' "') for word in job[0].split(",")]]
    assert len(calls) == 3
    return calls


def parse(arguments: list[str]) -> click.Context:
    """Parse a command line as the program would, without running it."""
    return found(arguments[0]).make_context(arguments[0], arguments[1:])


@pytest.mark.parametrize("arguments", command_lines())
def test_every_option_exists(arguments: list[str]) -> None:
    """The service, the cron line and the Kubernetes job call a command with options and a folder that it takes."""
    assert parse(arguments).params["resume"] is True


def test_options_of_the_readme_exist() -> None:
    """Every `ncrawl …` line in README.md's code blocks parses, and every option in its table exists."""
    text = (ROOT / "README.md").read_text()
    blocks = "\n".join(re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    lines = re.findall(r"^ncrawl (.+?)(?:\s+#.*|\s*\|.*|\s*>.*)?$", blocks, re.MULTILINE)
    assert len(lines) >= 8
    for line in lines:
        check_call(cli, "ncrawl", shlex.split(line))
    table = set(re.findall(r"^\| `.*?(--[a-z-]+)", text, re.MULTILINE))
    known = {name for command in COMMANDS for name in options_of(found(command))}
    assert table <= known


def found(name: str) -> click.Command:
    """Return a command."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return command


def test_the_service_looks_for_settings_where_it_may() -> None:
    """ProtectHome= closes /home, and a settings file that may be there but cannot be read draws a warning."""
    service = dict(re.findall(r"^(\w+)=(.*)$", (CONFIG / "ncrawl.service").read_text(), re.MULTILINE))
    assert service["ProtectHome"] == "yes"
    assert service["Environment"] == f"HOME=/var/lib/{service['StateDirectory']}"


def test_the_job_runs_what_the_image_runs() -> None:
    """Kubernetes gives arguments only; the image's own first process passes signals on and ends with `ncrawl`."""
    job = (CONFIG / "ncrawl-cronjob.yaml").read_text()
    assert "command:" not in job
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", (ROOT / "Containerfile").read_text(), re.MULTILINE)
    assert json.loads(entry)[-1] == "ncrawl"
    users = set(re.findall(r"^USER (\d+):(\d+)$", (ROOT / "Containerfile").read_text(), re.MULTILINE))
    assert users == {tuple(re.findall(r"runAs(?:User|Group): (\d+)", job))}


def test_what_calls_for_a_look_is_not_started_again() -> None:
    """The same exit codes for systemd and Kubernetes; what was stopped goes on only where a pod was moved."""
    job = (CONFIG / "ncrawl-cronjob.yaml").read_text()
    (values,) = re.findall(r"operator: In, values: \[(.*)\]", job)
    service = dict(re.findall(r"^(\w+)=(.*)$", (CONFIG / "ncrawl.service").read_text(), re.MULTILINE))
    prevented = {int(code) for code in service["RestartPreventExitStatus"].split()}
    for_a_look = {UsageError.exit_code, LockedError.exit_code, 3, 4}
    assert {int(code) for code in values.split(",")} == for_a_look
    assert prevented == for_a_look | {128 + signal.SIGHUP, 128 + signal.SIGINT, 128 + signal.SIGTERM}
    assert service["Restart"] == "on-failure"
    assert all("--resume" in line for line in command_lines())


def test_the_fleet_of_kubernetes() -> None:
    """Both jobs call what there is; the shares are those that there are pods for; exit codes fail what they should."""
    job = (CONFIG / "ncrawl-fleet-job.yaml").read_text()
    calls = [[word.strip(' "') for word in args.split(",")] for args in re.findall(r"args: \[(.*)\]", job)]
    assert [call[:2] for call in calls] == [["fleet", "run"], ["fleet", "merge"]]
    share = calls[0][calls[0].index("--share") + 1]
    (completions,) = re.findall(r"completions: (\d+)", job)
    assert share == f"$(JOB_COMPLETION_INDEX)/{completions}"
    for call in calls:
        check_call(cli, "ncrawl", [word.replace("$(JOB_COMPLETION_INDEX)", "0") for word in call])
    rules = re.findall(r"action: (\w+).*\n +onExitCodes: \{ operator: In, values: \[(.*)\]", job)
    codes = {action: {int(code) for code in values.split(",")} for action, values in rules}
    assert codes == {"Ignore": {75, 143}, "FailIndex": {2, 3, 4}, "FailJob": {2, 3}}
    assert job.count("enableServiceLinks: false") == 2
    assert job.count("2026-11-26") == 5


def test_the_job_gets_no_variables_of_services() -> None:
    """A service called ncrawl in the namespace would put NCRAWL_SERVICE_HOST and more into the job's environment."""
    job = (CONFIG / "ncrawl-cronjob.yaml").read_text()
    assert re.search(r"^ {10}enableServiceLinks: false\b", job, re.MULTILINE)
    assert re.search(r"^ {10}restartPolicy: ", job, re.MULTILINE), "it is a field of the pod, as this one is"


def test_every_night_has_the_same_options() -> None:
    """Whether systemd, cron or Kubernetes begins it: options of the log and the folder aside."""
    nights = [[word for word in line if word not in ("--log-format", "json", "-q")] for line in command_lines()]
    assert nights[0][2:] == nights[1][2:] == nights[2][2:]


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """`systemd-analyze verify` finds nothing wrong with service and timer."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("not run: systemd-analyze is not here")
    program = Path(sys.executable).with_name("ncrawl")
    service = (CONFIG / "ncrawl.service").read_text().replace("/opt/ncrawl/bin/ncrawl", str(program))
    (tmp_path / "ncrawl.service").write_text(service)
    shutil.copy(CONFIG / "ncrawl.timer", tmp_path)
    units = [str(tmp_path / "ncrawl.service"), str(tmp_path / "ncrawl.timer")]
    answer = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    complaints = [line for line in answer.stderr.splitlines() if "ncrawl" in line]
    assert complaints == []
    assert answer.returncode == 0
