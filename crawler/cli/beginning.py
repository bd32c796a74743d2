"""Decide what tonight's run is: the one that was interrupted, taken up with its own options, or a new one."""

from __future__ import annotations

import hashlib
import logging
import os
import shlex
import string
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crawler.api.zones import ZONES
from crawler.cli.crawling import keys_for, options_of
from crawler.cli.logs import WHOLE
from crawler.core.errors import UsageError
from crawler.core.text import duration, visible
from crawler.jobs.summary import iso
from crawler.output.files import mode_of
from crawler.settings.gateways import PROVIDERS
from crawler.settings.loading import OPTIONS, SNAPSHOT_OPTIONS
from crawler.settings.options import option_of
from crawler.snapshot.folder.latest import followed
from crawler.snapshot.folder.names import new_id
from crawler.snapshot.unfinished.base import read_source, seed
from crawler.snapshot.unfinished.journal import Header, UnusableRunError, read_header
from crawler.snapshot.unfinished.run import UnfinishedRun
from crawler.snapshot.unfinished.runs import remove_superseded, set_aside, unfinished_runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from crawler.settings.credentials import FoundKeys
    from crawler.settings.loading import Settings

log = logging.getLogger("ncrawl")

DECIDING_OPTIONS = ("api", "gateway", "zone", "region", "exclude", "page_size", "verify", "compress")
"""Options that decide what is in a snapshot: a run is taken up with the same ones only."""
OWN_OPTIONS = (*DECIDING_OPTIONS, "rate", "region_rate", "concurrency", "deadline", "accept", "expect_gap")
"""Options that a run is taken up with unless others are given. None of them says where to write, what to remove, or
whom to trust."""
HINTED_OPTIONS = ("config", "profile", "account", "api", "gateway", "allow_gateway", "trust_env", "summary")
"""Options that whoever takes a run up has to give again: they lead to keys and files, so a folder must not."""

CLOCK_SLACK_S = 300
"""So far may a run lie in the future: a clock that is wrong by more gets no answer from the gateway either."""
_PLAIN = f"{string.ascii_letters}{string.digits}/._-"
_ALL_OF_IT = 1_000_000


@dataclass(frozen=True, slots=True)
class Tonight:
    """A run that has begun or was taken up, with the settings and the keys that it goes on with."""

    settings: Settings
    found: FoundKeys
    run: UnfinishedRun


def hint_to_go_on(folder: Path, flags: Mapping[str, object]) -> str:
    """Return what to do after an interruption: a command to be pasted into a shell as it is.

    Args:
        folder: as the user named it.
        flags: what the command line gave, by key.
    """
    place = f"./{folder}" if str(folder).startswith("-") else str(folder)
    words = ["ncrawl", "snapshot", place, "--resume"]
    for name in HINTED_OPTIONS:
        value = flags.get(name)
        for one in value if isinstance(value, tuple) else (value,):
            if one is True:
                words.append(option_of(name))
            elif isinstance(one, str):
                words += (option_of(name), one)
    return f"run `{' '.join(map(_quoted, words))}` to go on"


def _quoted(word: str) -> str:
    """Quote a word for a shell: what could not be shown as it is in the way that bash, zsh and POSIX 2024 know."""
    if visible(word, _ALL_OF_IT) == word:
        return shlex.quote(word)
    shown = (chr(byte) if chr(byte) in _PLAIN else f"\\x{byte:02x}" for byte in os.fsencode(word))
    return f"$'{''.join(shown)}'"


async def take_up_or_begin(folder: Path, asked: Settings, now: datetime) -> Tonight:
    """Take up the newest run that an interruption ended, if that was asked for and one can be; else begin one.

    Raises:
        UsageError: other options were given than it had, or there are no keys; nothing was requested.
        OutputError: the folder cannot be written.
    """
    for path in reversed(unfinished_runs(folder)) if asked.resume else ():
        try:
            header = read_header(path)
            if _is_of_tonight(header, asked, now):
                return await _take_up(path, header, asked, now=now)
        except UnusableRunError as error:
            told = f"{error}; it is kept as {set_aside(path)}, the latest of its kind; tonight's run goes on without it"
            log.warning("%s", told, extra=WHOLE)
    remove_superseded(folder)
    return await _begin(folder, asked, now)


def _is_of_tonight(header: Header, asked: Settings, now: datetime) -> bool:
    """Whether a run began within --resume-within, by this machine's clock: before a request there is no better one."""
    age_s = now.timestamp() - header.started_ms / 1000
    if -CLOCK_SLACK_S <= age_s <= asked.resume_within:
        return True
    if age_s < 0:
        why = "began in the future, by this machine's clock"
    else:
        why = f"began {duration(age_s)} ago; --resume-within is {duration(asked.resume_within)}"
    log.warning("the unfinished run of %s is not taken up: it %s", header.id, why)
    return False


# ── taking one up ──


async def _take_up(path: Path, header: Header, asked: Settings, *, now: datetime) -> Tonight:
    settings = _with_own_options(path, header.options, asked)
    found = await keys_for(settings, now_s=now.timestamp())
    if (header.account, header.identity) != (found.account, await _identity(found, now)):
        raise UnusableRunError(path, "it is another account, or other keys")
    run = UnfinishedRun.resume(path, now=iso(time.time() * 1000))
    remove_superseded(path.parent, newest=path)
    log.warning("resuming the run of %s: %d listings are finished", header.id, len(run.parts))
    return Tonight(settings, found, run)


def _with_own_options(path: Path, own: Mapping[str, Any], asked: Settings) -> Settings:
    """Return the settings with a run's own options where no others were given.

    Raises:
        UsageError: others were given, and they decide what is in a snapshot; each is named.
        UnusableRunError: the run's own cannot be understood.
    """
    if differences := list(_differences(own, asked)):
        raise UsageError(
            f"{path} cannot be taken up: {'; '.join(differences)}; use the same again, or begin anew without --resume"
        )
    try:
        zone = ZONES[own["zone"]]
        regions = {region.code: region for region in zone.regions}
        values = {name: _value(name, own[name]) for name in OWN_OPTIONS if name not in asked.given}
        values |= {"zone": zone.name, "gateway": _gateways(own["gateway"])}
        values |= {"region": tuple(regions[code] for code in own["region"])}
    except (KeyError, ValueError, TypeError) as error:
        raise UnusableRunError(path, f"its options cannot be understood: {error!r}") from None
    return replace(asked, **values)


def _differences(own: Mapping[str, Any], asked: Settings) -> Iterator[str]:
    now = options_of(asked, SNAPSHOT_OPTIONS)
    for name in sorted(DECIDING_OPTIONS):
        then = own.get(name)
        if name in asked.given and now[name] != then:
            yield f"{option_of(name)} was {then} and is {now[name]}"
        elif name == "gateway" and now[name] != then and not PROVIDERS.issuperset(_origins(then)):
            yield f"{option_of(name)} was {then}, which a folder does not decide: give it again"


def _gateways(written: Any) -> tuple[str, ...]:
    """Return the gateways of a run from their form in JSON."""
    return (written,) if isinstance(written, str) else tuple(written)


def _origins(written: Any) -> list[str]:
    return [gateway.rpartition("=")[2] for gateway in _gateways(written)]


def _value(name: str, written: Any) -> Any:
    """Return the value of a setting from its form in JSON."""
    if isinstance(written, str):
        return OPTIONS[name].parse(written)
    return tuple(map(OPTIONS[name].parse, written)) if isinstance(written, list) else written


# ── beginning one ──


async def _begin(folder: Path, settings: Settings, now: datetime) -> Tonight:
    found = await keys_for(settings, now_s=now.timestamp())
    source = read_source(_snapshot_path(folder, settings.retry_failed)) if settings.retry_failed else None
    if source is not None and source.manifest.run.options.get("api", "v2") != settings.api:
        raise UsageError(
            f"{settings.retry_failed} is of another version of the API: --api {settings.api} cannot mend it"
        )
    options = options_of(settings, SNAPSHOT_OPTIONS)
    header = Header(
        id=new_id(folder, now),
        started_ms=int(now.timestamp() * 1000),
        account=found.account,
        identity=await _identity(found, now),
        options={name: options[name] for name in OWN_OPTIONS},
        taken_from=source.manifest.run.id if source else None,
    )
    run = UnfinishedRun.begin(folder, header)
    if source is not None:
        try:
            seed(run, source, [region.code for region in settings.region])
        except BaseException:
            run.remove()
            raise
    return Tonight(settings, found, run)


def _snapshot_path(folder: Path, name: str) -> Path:
    """Return the snapshot that --retry-failed names: a path, or a name in the folder."""
    return followed(Path(name) if mode_of(Path(name)) else folder / name)


# ── keys ──


async def _identity(found: FoundKeys, now: datetime) -> str:
    keys = await found.credentials.current(now.timestamp())
    # A role's keys change every few hours; where they come from does not.
    who = keys.access_key.reveal() if keys.expires_at_s is None else keys.source
    return hashlib.sha256(b"ncrawl account\0" + who.encode()).hexdigest()
