"""``ncrawl doctor``: what is wrong with this machine, the keys, the network, the gateway; and how to mend it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from crawler.cli.completing import complete_folder
from crawler.cli.options import GroupedCommand, crawl_options

if TYPE_CHECKING:
    from crawler.jobs.doctor.checks import Check

_ASKED_WITH = (
    *(
        "profile",
        "account",
        "accounts",
        "zone",
        "gateway",
        "allow_gateway",
        "trust_env",
        "region",
        "exclude",
        "expect_gap",
    ),
    *("rate", "region_rate", "page_size", "push"),
)
_NARROWEST, _WIDEST = 40, 80
_INDENT = " " * 9


@click.command(
    "doctor",
    cls=GroupedCommand,
    epilog="""\b
Examples:
  ncrawl doctor
  ncrawl doctor /var/lib/ncrawl --json | jq '.checks[] | select(.mend)'

\b
Exit codes, those of a run: 0 it would do, 2 settings, keys or folder are not
            right, 3 network, permission or gateway, 4 key, clock or quota""",
)
@click.argument("folder", metavar="[DIR]", required=False, shell_complete=complete_folder)
@click.option("--json", "as_json", is_flag=True, help="One object with all checks, in the end.")
@crawl_options(*_ASKED_WITH)
def command(folder: str | None, *, as_json: bool, **flags: Any) -> int:
    """Say what is wrong with settings, keys, network, clock, permissions and DIR, and how to mend it.

    Asks every region for a page of its registries and one of images, signed and paced as a run would. Takes 15 s at
    most, whatever hangs. Nothing is written but DIR's lock, and trials in DIR and at --push that are removed again.
    """
    from crawler.cli.hardening import forbid_dumps  # noqa: PLC0415 - `--help` should not wait for it
    from crawler.cli.limits import check_memory  # noqa: PLC0415 - likewise
    from crawler.cli.logs import configure_logging  # noqa: PLC0415 - likewise
    from crawler.cli.signals import run  # noqa: PLC0415 - likewise
    from crawler.settings.table import Settings  # noqa: PLC0415 - likewise

    configure_logging(Settings())
    forbid_dumps()
    check_memory()
    return run(lambda: _examine(folder, flags, as_json=as_json))


async def _examine(folder: str | None, flags: dict[str, Any], *, as_json: bool) -> int:
    from crawler.cli.stdout import write_lines  # noqa: PLC0415 - likewise
    from crawler.jobs.doctor.checks import as_json as encoded  # noqa: PLC0415
    from crawler.jobs.doctor.examination import Examination  # noqa: PLC0415

    def tell(check: Check) -> None:
        if not as_json:
            write_lines(line.encode() + b"\n" for line in _lines(check))

    one = Examination(flags, os.environ, None if folder is None else Path(folder), tell)
    code = await one.look()
    write_lines([encoded(one.checks) if as_json else _conclusion(one.checks, code).encode() + b"\n"])
    return code


def _lines(check: Check) -> list[str]:
    """Return a check for people: a line, broken where it does not fit, and how to mend it."""
    from crawler.core.text import visible  # noqa: PLC0415 - likewise

    width = max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size().columns))
    took = f" ({check.seconds * 1000:.0f} ms)" if check.seconds else ""
    said = f"{check.status:7}  {check.name}: {visible(check.detail, 1_000)}{took}"
    lines = wrap(said, width, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False)
    if check.mend:
        mend = f"{_INDENT}mend: {visible(check.mend, 1_000)}"
        lines += wrap(mend, width, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False)
    return lines


def _conclusion(checks: list[Check], code: int) -> str:
    counts = {status: sum(check.status == status for check in checks) for status in ("failed", "warning", "skipped")}
    counted = [f"{number} {status}" for status, number in counts.items() if number]
    told = "a run would do" if not code else f"a run would end with exit code {code}"
    return f"{len(checks)} checks" + (f" ({', '.join(counted)})" if counted else "") + f": {told}"
