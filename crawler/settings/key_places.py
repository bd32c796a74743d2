"""Find the keys of a run: where its account has them, or else where the provider's own tools look."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from crawler.core.errors import CredentialsError
from crawler.settings.account_entry import KeyCommand, KeyVariables
from crawler.settings.accounts import Unpicked, named
from crawler.settings.credentials import Credentials, FoundKeys, find_keys
from crawler.settings.key_check import hint_at_quotes, pair
from crawler.settings.key_command import LONGEST_S, run_key_command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.core.secret import KeyPair
    from crawler.settings.credentials import Fetch
    from crawler.settings.table import Settings


async def find_keys_for(
    settings: Settings, environ: Mapping[str, str], *, fetch: Fetch, now_s: float, until_s: float = math.inf
) -> FoundKeys:
    """Return the keys of a run with these settings.

    Args:
        settings: which account, profile and zone.
        environ: the environment of this process.
        fetch: how to ask the metadata endpoint of a server.
        now_s: seconds since 1970, UTC.
        until_s: monotonic time by which a pipe, or a command, has to have given its keys.

    Raises:
        CredentialsError: there are none that can be used.
    """
    match settings.key_place:
        case None:
            profile, zone = settings.profile, settings.zone
            return await find_keys(environ, profile=profile, zone=zone, fetch=fetch, now_s=now_s, until_s=until_s)
        case KeyVariables() as variables:
            return _of_variables(variables, environ)
        case KeyCommand() as command:
            return await _of_command(command, environ, now_s=now_s, until_s=until_s)
        case Unpicked() as none:
            raise CredentialsError(f"{none.place}: no account is picked: add --account NAME: {named(none.names)}")


def _of_variables(variables: KeyVariables, environ: Mapping[str, str]) -> FoundKeys:
    source = f"account {variables.account} (variables {variables.access}, {variables.secret})"
    if missing := [name for name in (variables.access, variables.secret) if not environ.get(name)]:
        raise CredentialsError(
            f"account {variables.account}: {' and '.join(missing)}: not set: export what holds the key"
        )
    secret = environ[variables.secret]
    keys = pair(environ[variables.access], secret, source)
    return FoundKeys(Credentials(keys), account=variables.account, warnings=hint_at_quotes(secret, source))


async def _of_command(command: KeyCommand, environ: Mapping[str, str], *, now_s: float, until_s: float) -> FoundKeys:
    async def renew(now_s: float) -> KeyPair:
        return await run_key_command(command, environ, now_s=now_s, limit_s=LONGEST_S)

    limit_s = min(LONGEST_S, max(0.0, until_s - time.monotonic()))
    keys = await run_key_command(command, environ, now_s=now_s, limit_s=limit_s)
    return FoundKeys(Credentials(keys, now_s, renew), account=command.account)
