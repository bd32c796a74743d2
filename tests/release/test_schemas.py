"""Files that other programs read are what those programs take: by schemas that packages carry."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
BIN = ROOT / ".venv-release/bin"
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml"))
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def told(program: str, *arguments: str | Path) -> tuple[int, str]:
    """Run a program of the release's environment, and return its exit code and what it said."""
    if not BIN.exists():
        pytest.skip("not run: .venv-release is not here; `make test-long` sets it up")
    done = subprocess.run([BIN / program, *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("release", ["1.29", "1.37"])
@pytest.mark.parametrize("name", ["ncrawl-cronjob.yaml", "ncrawl-fleet-job.yaml"])
def test_kubernetes(release: str, name: str, tmp_path: Path) -> None:
    """An old release and the newest that the package knows take the jobs, strictly; a field misspelt is seen."""
    job = ROOT / "config" / name
    assert told("kubernetes-validate", "--strict", "--kubernetes-version", release, job)[0] == 0
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(job.read_text().replace("podFailurePolicy:", "podFailurePolizy:"))
    code, said = told("kubernetes-validate", "--strict", "--kubernetes-version", release, wrong)
    assert code != 0
    assert "podFailurePolizy" in said


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", WORKFLOWS),
        ("github-issue-forms", FORMS),
        ("github-issue-config", [ROOT / ".github/ISSUE_TEMPLATE/config.yml"]),
        ("dependabot", [ROOT / ".github/dependabot.yml"]),
    ],
)
def test_github(schema: str, files: list[Path], tmp_path: Path) -> None:
    """Workflows and templates follow GitHub's schemas; and what does not is seen."""
    assert files
    code, said = told("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)
    assert code == 0, said
    (tmp_path / "wrong.yml").write_text(f"{files[0].read_text()}\nno_such_key: 1\n")
    assert told("check-jsonschema", "--builtin-schema", f"vendor.{schema}", tmp_path / "wrong.yml")[0] == 1


def test_workflows_are_safe() -> None:
    """No finding of zizmor: actions pinned by hash, only rights that are used, no strangers' text in a shell."""
    code, said = told("zizmor", "--offline", "--no-progress", ROOT / ".github")
    assert code == 0, said
