"""What the documentation of fleets shows for other engines does what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path

from support.fleet import a_fleet

from crawler.cli import run

PAGE = Path(__file__).parents[3] / "docs/how-to/fleet.md"


def test_a_task_of_another_engine(tmp_path: Path) -> None:
    """The function for Airflow, Dagster and Prefect: idempotent by the run's id, JSON; merged as the page says."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    with a_fleet(tmp_path, accounts=2) as fleet:
        code = code.replace("/srv/fleet", str(fleet.folder)).replace("/etc/ncrawl/accounts.toml", str(fleet.file))
        names: dict[str, object] = {}
        exec(code, names)
        take, run_id = names["take"], "scheduled__2026-11-26T00:00:00+00:00"
        assert callable(take)
        for name in fleet.names:
            (fleet.folder / name).mkdir()
            first, second = take(name, run_id), take(name, run_id)
            assert (first["id"], first["exit_code"]) == (second["id"], 0)
            assert json.loads(json.dumps(first))["verdict"] == "complete"
            assert len(fleet.snapshots(name)) == 1
        words = ["fleet", "merge", str(fleet.folder), "--run-id", run_id, "--accounts", str(fleet.file), "-q"]
        assert run(words) == 0
