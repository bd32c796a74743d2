"""The command line: arguments, signals and exit codes. Composition root: a file a command, loaded when asked for."""

from __future__ import annotations

import os
import sys
import traceback
from itertools import pairwise

import click

from crawler.cli.lazy import LazyGroup
from crawler.cli.streams import fill_standard_streams, standard_error, tame_standard_streams
from crawler.core.errors import ClosedPipeError, NcrawlError
from crawler.core.version import __version__

_LOG_FORMAT = "--log-format"
COMMANDS = {
    "images": "Stream every image of every registry as NDJSON.",
    "registries": "Stream every registry as NDJSON.",
    "tags": "Stream every tag of every image as NDJSON.",
    "snapshot": "The nightly job: a durable, verifiable snapshot.",
    "verify": "Prove a snapshot whole: sizes, SHA-256, counts, order, every line.",
    "diff": "Tell what changed between two snapshots or files of images.",
    "snapshots": "List the snapshots of a folder, and unfinished runs.",
    "prune": "Remove old snapshots.",
    "plan": "Say what a run would cost, before it is run.",
    "doctor": "Say what is wrong here: keys, clock, network, permissions.",
    "report": "One HTML file to look at, offline.",
    "history": "Tell what became of one registry, image or tag through all snapshots.",
    "push": "Copy a snapshot into an object storage: S3, Google's, Azure's.",
    "export": "Write a snapshot as Parquet or CSV: for SQL, data frames, spreadsheets.",
    "fleet": "Many accounts, on one machine or many: task, run, merge, status.",
    "emulator": "Serve the API on loopback: no account needed.",
    "demo": "Emulator and crawl in one process: what to run first.",
    "completion": "Print what lets bash, zsh or fish complete commands and values.",
    "help": "Explain ncrawl, or one command.",
    "version": "Say which version this is, and of what it is made.",
}


@click.group(
    cls=LazyGroup,
    known=COMMANDS,
    prefix="crawler.cli.commands.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="First time here? Run `ncrawl demo`, then `ncrawl doctor` with your own keys.",
)
@click.version_option(__version__, prog_name="ncrawl", message="%(prog)s %(version)s")
def cli() -> None:
    """Inventory crawler for NAVER Cloud Platform Container Registry.

    Lists every image of every registry in every region and proves the list complete, or says what is missing.
    """


def run(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code; a mistake gets one sentence on standard error, never a traceback."""
    fill_standard_streams()
    tame_standard_streams()
    try:
        return _run(arguments)
    finally:
        if (told := standard_error()) is not None:
            told.finish()


def _run(arguments: list[str] | None) -> int:
    try:
        return _run_command(arguments)
    except click.ClickException as error:
        return _refuse(_clearer(error), arguments)
    except ClosedPipeError as error:
        return error.exit_code
    except NcrawlError as error:
        _complain(str(error), arguments)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except Exception as error:  # noqa: BLE001 - whatever else comes up here is a bug
        return _unexpected(error)


def _refuse(error: click.ClickException, arguments: list[str] | None) -> int:
    """Say how the program was called wrongly, and return the exit code."""
    if _wants_json(arguments):
        _complain(error.format_message(), arguments)
    else:
        error.show()
    return 2


def _clearer(error: click.ClickException) -> click.ClickException:
    """Return an error that says of an option which a command does not take which ones do."""
    if not (isinstance(error, click.NoSuchOption) and error.ctx and isinstance(cli, LazyGroup)):
        return error
    called, owners = error.ctx.command_path.removeprefix("ncrawl "), cli.with_option(error.option_name)
    text = f"{error.option_name} is no option of {called}, but of {', '.join(owners)}"
    return click.UsageError(text, error.ctx) if owners else error


def _complain(text: str, arguments: list[str] | None) -> None:
    """Say why the program ends, in the form that the log was to have, also where it ends before there was a log."""
    from crawler.cli.logs import complain, configure_logging  # noqa: PLC0415 - `--version` should not wait for it

    if _wants_json(arguments):
        from crawler.settings.table import Settings  # noqa: PLC0415 - likewise

        configure_logging(Settings(log_format="json"))
    complain(text)


def _wants_json(arguments: list[str] | None) -> bool:
    """Whether --log-format, or else its variable, asks for JSON; the rest of them need not make sense."""
    words = sys.argv[1:] if arguments is None else arguments
    said = [value for word, value in pairwise(words) if word == _LOG_FORMAT]
    said += [word.partition("=")[2] for word in words if word.startswith(f"{_LOG_FORMAT}=")]
    return "json" in said if said else os.environ.get("NCRAWL_LOG_FORMAT") == "json"


def _run_command(arguments: list[str] | None) -> int:
    code = cli.main(arguments, prog_name="ncrawl", standalone_mode=False)
    if sys.stdout is not None:
        sys.stdout.flush()
    return code or 0


def _unexpected(error: Exception) -> int:
    """Say what happened that nobody expects, and return the exit code."""
    if _is_memory_short(error):
        os.write(2, b"ncrawl: too little memory: give the process more (`ulimit -v`, or the limit of its container)\n")
        return 2
    click.echo(f"{traceback.format_exc()}ncrawl: this is a bug: please report it with the lines above", err=True)
    return 1


def _is_memory_short(error: Exception) -> bool:
    """Tell it by trying: libraries in C, and what loads them, have many words for it, and some have none."""
    try:
        from crawler.cli.limits import check_memory  # noqa: PLC0415 - nobody needs it but here

        check_memory()
    except (NcrawlError, ImportError, MemoryError, SystemError):
        return True
    return isinstance(error, MemoryError)
