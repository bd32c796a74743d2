"""Have a scheduler of Dask run tasks of a fleet that do nothing, as `ncrawl fleet run` has it run real ones."""

from __future__ import annotations

import argparse

from crawler.jobs.fleet.engines import Errand, dask_engine
from crawler.jobs.fleet.policy import TaskEnd
from crawler.jobs.fleet.running import Standing, run_accounts


def nothing(_errand: Errand, _account: str) -> TaskEnd:
    """Do nothing, in a worker."""
    return TaskEnd(0)


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scheduler")
    parser.add_argument("tasks", type=int)
    given = parser.parse_args()
    accounts = [f"account-{number:05}" for number in range(given.tasks)]
    standing = Standing(len(accounts))
    errand = Errand("/srv/fleet", "/etc/ncrawl/accounts.toml", "2026-11-26", ("--compress", "zstd"))
    with dask_engine(given.scheduler, nothing, errand, started=standing.started) as engine:
        run_accounts(accounts, engine, standing, tell=lambda *_: None, look=lambda: None)
    assert standing.codes == {0: len(accounts)}, standing.codes


if __name__ == "__main__":
    main()
