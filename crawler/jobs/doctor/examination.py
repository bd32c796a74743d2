"""Look into everything, at once where that is right, and tell each finding as soon as there is one; in 15 s at most.

What asks the gateway begins when its keys are found and its host takes connections: else it would only say the same
again, later.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from crawler.core.errors import ConfigurationError, CredentialsError
from crawler.core.lifetime import ends_s
from crawler.core.text import iso
from crawler.engine.task_groups import one_error
from crawler.jobs.doctor import configuration, folder, keys, network, storage
from crawler.jobs.doctor.asking import ask_images, ask_lists, told_by
from crawler.jobs.doctor.checks import Status, exit_code, skipped, within
from crawler.jobs.doctor.gateway import Gateway
from crawler.settings.key_places import find_keys_for
from crawler.settings.loading import load_settings
from crawler.settings.sources import CONFIG_NAME, SYSTEM_CONFIG, config_home
from crawler.transport import fetch_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crawler.jobs.doctor.checks import Check
    from crawler.settings.credentials import FoundKeys
    from crawler.settings.table import Settings

SETTINGS_S = 3.0
KEYS_S = 4.5
HOST_S = 4.5
ASKING_S = 4.0
FOLDER_S = 10.0
TOTAL_S = 14.0
"""How long each look may take, and all of them from the start of the process: first settings, then keys beside hosts,
then lists of registries, then of images."""


@dataclass(slots=True)
class Examination:
    """One examination; `look` makes it.

    Mutable state: what was found so far.

    Attributes:
        flags: what the command line gave, by key.
        environ: the environment.
        place: the folder of snapshots; None for none.
        tell: is told of each check as it ends.
        system_config: the file of settings that is read where the user has none.
    """

    flags: Mapping[str, object]
    environ: Mapping[str, str]
    place: Path | None
    tell: Callable[[Check], None]
    system_config: Path = SYSTEM_CONFIG
    checks: list[Check] = field(default_factory=list)
    _ends_s: float = field(default_factory=lambda: ends_s(TOTAL_S))

    async def look(self) -> int:
        """Look into everything and return what a run would end with.

        Raises:
            NcrawlError: of ``tell``.
        """
        settings = self._settings()
        with one_error():
            async with anyio.create_task_group() as beside:
                beside.start_soon(self._look_at_folder)
                if settings is not None:
                    beside.start_soon(self._look_at_store, settings.push)
                    await self._look_outside(settings)
        return exit_code(self.checks)

    async def _look_outside(self, settings: Settings) -> None:
        environment = self._take(configuration.of_environment(settings))
        if environment.status is not Status.FAILED:
            await self._look_at_gateway(settings)

    def _take(self, check: Check) -> Check:
        self.checks.append(check)
        self.tell(check)
        return check

    def _within(self, limit_s: float) -> float:
        return max(0.0, min(limit_s, self._ends_s - time.monotonic()))

    def _settings(self) -> Settings | None:
        warnings: list[str] = []
        home = config_home(self.environ)
        try:
            settings = load_settings(
                self.flags,
                self.environ,
                cwd=Path(),
                config_home=home,
                system_config=self.system_config,
                warnings=warnings,
                patience_s=SETTINGS_S,
            )
        except ConfigurationError as error:
            self._take(configuration.bad_settings(error))
            return None
        usual = [*([home / "ncrawl" / CONFIG_NAME] if home else []), self.system_config]
        self._take(configuration.of_settings(settings))
        self._take(configuration.of_file(settings, usual, warnings))
        return settings

    async def _look_at_folder(self) -> None:
        if self.place is None:
            self._take(skipped("folder", "no DIR was named"))
            return
        look = partial(folder.of_folder, self.place, iso(time.time() * 1000))

        async def beside() -> Check:
            return await anyio.to_thread.run_sync(look, abandon_on_cancel=True)

        self._take(await within(self._within(FOLDER_S), "folder", beside))

    async def _look_at_store(self, url: str | None) -> None:
        if url is not None:
            look = partial(anyio.to_thread.run_sync, partial(storage.of_store, url), abandon_on_cancel=True)
            self._take(await within(self._within(FOLDER_S), "store", look))

    async def _look_at_gateway(self, settings: Settings) -> None:
        """Find keys and see whether the hosts can be reached; then ask, if that makes sense."""
        found: list[FoundKeys] = []
        hosts = network.hosts(settings)
        async with anyio.create_task_group() as both:
            both.start_soon(self._look_for_keys, settings, found)
            for name, origin in hosts.items():
                both.start_soon(self._look_at_host, name, origin)
        is_cut_off = any(check.name in hosts and check.status is Status.FAILED for check in self.checks)
        if is_cut_off or not found:
            why = "the gateway cannot be reached" if is_cut_off else "there is no key to ask with"
            for subject in ("key/accepted", "clock", "identity", *(f"region/{one.code}" for one in settings.region)):
                self._take(skipped(subject, why))
            return
        async with Gateway(settings, found[0].credentials) as gateway:
            self._take(configuration.of_client(gateway.client, trust_env=settings.trust_env))
            await self._ask(settings, gateway, next(iter(hosts)))

    async def _look_for_keys(self, settings: Settings, found: list[FoundKeys]) -> None:
        # After a key file the metadata endpoint may have to be asked; after an account's command nobody.
        patience_s = KEYS_S / 2 if settings.key_place is None else KEYS_S - 0.5

        async def look() -> Check:
            now_s = time.time()
            try:
                keys_found = await find_keys_for(
                    settings, self.environ, fetch=fetch_metadata, now_s=now_s, until_s=time.monotonic() + patience_s
                )
                pair = await keys_found.credentials.current(now_s)
            except CredentialsError as error:
                return keys.no_key(error)
            found.append(keys_found)
            return keys.of_key(pair, settings.account or keys_found.account, keys_found.warnings, now_s=now_s)

        self._take(await within(self._within(KEYS_S), "key", look))

    async def _look_at_host(self, name: str, origin: str) -> None:
        limit_s = self._within(HOST_S)
        self._take(await within(limit_s + 0.5, name, lambda: network.of_host(name, origin, limit_s)))

    async def _ask(self, settings: Settings, gateway: Gateway, host: str) -> None:
        """Ask for lists of registries, then for some images."""
        answers = await ask_lists(settings, gateway, limit_s=self._within(ASKING_S))
        for check in told_by(settings, gateway, answers, host=host):
            self._take(check)
        for check in await ask_images(settings, gateway, answers, limit_s=self._within(ASKING_S)):
            self._take(check)
