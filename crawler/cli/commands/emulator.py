"""`ncrawl emulator`: serve the API on loopback until stopped."""

from __future__ import annotations

import re
import shlex
import signal
import tempfile
from importlib.util import find_spec
from math import fsum
from pathlib import Path
from typing import Any, get_args

import anyio
import click

from crawler.emulation import Emulator, EmulatorOptions
from crawler.emulation.ledger import NoStatistics
from crawler.emulation.options import FAULTS, REGIONS, Count, Envelope, Oversize, PastEnd, Sort, UserType, Version
from crawler.engine.task_groups import one_error
from crawler.output.sinks import open_sink

_UNITS_MS = {"": 1, "ms": 1, "s": 1000, "m": 60_000}
_DAY_MS = 24 * 60 * 60_000
_DEFAULTS = EmulatorOptions(port=8080)

_HELP = """Serve the API on loopback: no account needed.

All public regions, real signatures, pages, errors, throttling, faults and change, over an account that is the same
for the same seed. Prints what to paste into another shell, then serves until Ctrl-C.
"""
_EPILOG = """\b
Examples:
  ncrawl emulator --registries 3334 --images 1000000 --latency 100 --jitter 30
  ncrawl emulator --rate-limit 50 --retry-after 2
  ncrawl emulator --fault 503=0.1 --fault reset=0.05 --denied 2
  ncrawl emulator --change-rate 0.3 --sort updated
  ncrawl emulator --api v3 --envelope none
  ncrawl emulator --accounts 200 --registries 2 --images 50

\b
Faults, each with a probability a request:
  500 502 503 504  the documented server errors
  429              throttled (429/410)
  reset            connection reset before the headers
  truncate         closed in mid-body, under the right Content-Length
  stall            half a body, then nothing for ever
  drop-kept-alive  right answer, then the connection is dead without notice
  html             200 with a web page
  empty            200 with nothing
  garbage          200 with malformed JSON
  error-body       200 with an error's JSON
"""


def _milliseconds(value: object) -> float:
    """Return milliseconds for ``250``, ``250ms``, ``1.5s`` or ``1m``."""
    parts = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|)", str(value))
    if not parts:
        raise click.BadParameter(f"{value!r} is no duration: write 250, 250ms or 1.5s.")
    milliseconds = float(parts[1]) * _UNITS_MS[parts[2]]
    if milliseconds > _DAY_MS:
        raise click.BadParameter(f"{value!r} is more than a day.")
    return milliseconds


def _probability(text: str) -> float:
    """Return a number from 0 to 1."""
    if not re.fullmatch(r"[01]|[01]?\.[0-9]+", text):
        raise click.BadParameter(f"{text!r} is no probability: write a number from 0 to 1.")
    return float(text)


def _key_and_text(value: str, keys: tuple[str, ...]) -> tuple[str, str]:
    """Split ``KEY=TEXT`` with one of these keys."""
    key, equals, text = value.partition("=")
    if not equals or key not in keys:
        raise click.BadParameter(f"{value!r} should begin with one of {', '.join(f'{key}=' for key in keys)}.")
    return key, text


def _region_latency(value: str) -> tuple[str, float]:
    region, text = _key_and_text(value, _REGIONS)
    return region, _milliseconds(text)


def _fault(value: str) -> tuple[str, float]:
    fault, text = _key_and_text(value, FAULTS)
    return fault, _probability(text)


def _mapping(_ctx: click.Context, _option: click.Parameter, pairs: tuple[tuple[str, float], ...]) -> dict[str, float]:
    return dict(pairs)


def _distribution(
    ctx: click.Context, option: click.Parameter, pairs: tuple[tuple[str, float], ...]
) -> dict[str, float]:
    """Return a mapping of probabilities, of which one at most can come true."""
    probabilities = dict(pairs)
    if fsum(probabilities.values()) > 1:
        raise click.BadParameter("all probabilities together can be 1 at most.", ctx, option)
    return probabilities


def _switch(flag: str, kind: Any, text: str, **more: Any) -> click.Option:
    """Return the option for one field of `EmulatorOptions`, by default the one that is called like the flag."""
    field = more.pop("field", flag.partition("/")[0].removeprefix("--").replace("-", "_"))
    if not more.get("multiple"):
        more = {"default": getattr(_DEFAULTS, field), "show_default": True} | more
    return click.Option([flag, field], type=kind, help=text, **more)


def _number(flag: str, kind: Any, text: str, **more: Any) -> click.Option:
    return _switch(flag, kind, text, **{"metavar": "N"} | more)


def _duration(flag: str, text: str) -> click.Option:
    return _switch(f"--{flag}", _milliseconds, text, field=f"{flag}_ms", metavar="DURATION")


def _choice(flag: str, alternatives: Any, text: str) -> click.Option:
    return _switch(flag, click.Choice(get_args(alternatives)), text)


_REGIONS = tuple(region.code for region in REGIONS)
_LONG_S = 10**9  # thirty years: further on, there are no dates
_ANY = click.IntRange(min=0)
_MANY = click.IntRange(0, 10**9)
_SOME = click.IntRange(min=1)
_MEAN = click.FloatRange(min=0, max=100)

_WORLD: list[click.Parameter] = [
    _choice("--api", Version, "Version of the API; v3 has a port a region, from --port on."),
    _number("--port", click.IntRange(0, 65535 - len(REGIONS)), "Port of 127.0.0.1; 0 takes any free one."),
    _number("--seed", click.INT, "The same seed is the same account, keys, faults and changes."),
    _number("--accounts", click.IntRange(1, 100_000), "Accounts, each a world with keys of its own."),
    _number("--registries", _ANY, "Registries in each region."),
    _number("--images", _MANY, "Images in all regions together: a few registries hold many, some none."),
    _choice("--sort", Sort, "Order of images; random is a fresh order of every list on each request."),
    _number("--change-rate", _MEAN, "Images inserted, deleted or touched after each page, on average: 0.3."),
    _number("--registry-change-rate", _MEAN, "Registries created or deleted after each page of their list."),
    _number("--tag-change-rate", _MEAN, "Tags pushed, moved or deleted after each page of their list."),
]
_LOAD: list[click.Parameter] = [
    _duration("latency", "Before each answer: 100, 100ms, 1.5s."),
    _duration("jitter", "Latency varies up and down by as much: 30ms."),
    _switch(
        "--region-latency",
        _region_latency,
        "Latency of one region: jpn=500ms. Repeatable.",
        field="region_latency_ms",
        metavar="REGION=DURATION",
        multiple=True,
        callback=_mapping,
    ),
    _number("--rate-limit", _SOME, "Requests a second at one port; more are 429/410.", show_default="none"),
    _switch(
        "--retry-after", click.STRING, "Sent as it is with each 429/410: 2.", metavar="TEXT", show_default="not sent"
    ),
    _number("--quota", _ANY, "Requests before everything is 429/400.", show_default="none"),
]
_PAGES: list[click.Parameter] = [
    _number("--default-page-size", _SOME, "Records a page where no size is asked for."),
    _number("--max-page-size", _SOME, "Most records a page; with v3 1,000."),
    _choice("--oversize", Oversize, "Asking for more records: a smaller page, or 400/100."),
    _choice("--count", Count, "What `count` on an image list means; null and wrong go for registries, too."),
    _choice("--past-end", PastEnd, "A page past the end: without results, or 404/300."),
    _choice("--envelope", Envelope, "v3: where a list's totals stand: at the top, one level down, or nowhere."),
    _switch("--list-name", click.STRING, "v3: what the array of records is called.", metavar="NAME"),
]
_FAULTS: list[click.Parameter] = [
    _switch(
        "--fault",
        _fault,
        "Spoil some answers: 503=0.1. Repeatable; kinds below.",
        field="faults",
        metavar="KIND=PROBABILITY",
        multiple=True,
        callback=_distribution,
    ),
    _number("--denied", _ANY, "Registries a region that answer 401/210."),
    _number("--gone", _ANY, "Registries a region that are deleted when their images are asked for: 404/300."),
    _number("--hidden", _ANY, "Registries a region that answer 404/300, and stay listed."),
    _choice("--user-type", UserType, "Whose the key is, as the provider's STS says."),
    _number("--next-loop", _ANY, "Registries a region whose last page says that page 1 is next."),
    _switch("--date-header/--no-date-header", None, "Whether answers carry a Date."),
    _number(
        "--clock-skew",
        click.IntRange(-_LONG_S, _LONG_S),
        "How far the gateway's clock is ahead: -360.",
        field="clock_skew_s",
        metavar="SECONDS",
    ),
]


def _greeting(emulator: Emulator, accounts: Path) -> str:
    """Return lines to paste into a shell, comments included."""
    many = emulator.options.accounts > 1
    images, registries = emulator.world.image_total(), emulator.options.registries
    each = f"{emulator.options.accounts:,} accounts, each with " if many else ""
    return f"""\
# {each}{images:,} images; {registries:,} registries in each of {", ".join(emulator.world.regions)}. Stop: Ctrl-C
{_exports_of_many(emulator, accounts) if many else _exports(emulator)}"""


def _exports(emulator: Emulator) -> str:
    version = "" if emulator.options.api == _DEFAULTS.api else f"NCRAWL_API={emulator.options.api} "
    return f"""\
export {version}NCRAWL_GATEWAY={emulator.url}
export NCLOUD_ACCESS_KEY_ID={emulator.access_key}
export NCLOUD_SECRET_KEY={emulator.secret_key}
# Paste these lines into another shell, then: ncrawl images | head"""


def _exports_of_many(emulator: Emulator, accounts: Path) -> str:
    accounts.write_text(emulator.accounts.file(emulator.url))
    first = emulator.accounts.names[0]
    return f"""\
export NCRAWL_ACCOUNTS={shlex.quote(str(accounts))}
# Paste these lines into another shell, then: ncrawl images --account {first} | head"""


def _farewell(emulator: Emulator) -> str:
    crawls, at_once = emulator.accounts.crawls, emulator.accounts.crawls.at_once
    return f"# {len(crawls):,} crawls; accounts that were crawled twice at once: {len(at_once):,}"


async def _serve(options: EmulatorOptions) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="ncrawl-emulator-") as folder,
        anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals,
    ):
        async with Emulator(options, NoStatistics()) as emulator:
            with one_error():
                async with anyio.create_task_group() as beside:
                    beside.start_soon(_print, _greeting(emulator, Path(folder) / "accounts.toml"))
                    await anext(aiter(signals))
                    beside.cancel_scope.cancel()
            if options.accounts > 1:
                await _print(_farewell(emulator))


async def _print(text: str) -> None:
    async with open_sink("-") as sink:
        lines = f"{text}\n".encode()
        await sink.write(lines, lines.count(b"\n"))
        await sink.flush()
        await sink.commit()


def _run(**switches: Any) -> None:
    use_uvloop = find_spec("uvloop") is not None  # it exists on POSIX only
    anyio.run(_serve, EmulatorOptions(**switches), backend_options={"use_uvloop": use_uvloop})


command = click.Command(
    "emulator", params=[*_WORLD, *_LOAD, *_PAGES, *_FAULTS], callback=_run, help=_HELP, epilog=_EPILOG
)
