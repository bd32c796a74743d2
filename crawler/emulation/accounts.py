"""The accounts behind one emulator: each with keys and a world of its own, and how often each is crawled at once."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from crawler.emulation.gateway import Gateway, access_key_of, secret_key_of
from crawler.emulation.world import World

if TYPE_CHECKING:
    from crawler.emulation.ledger import Statistics
    from crawler.emulation.options import EmulatorOptions

_EXPIRES = "2099-12-31T23:59:59Z"
_PRINT_KEYS = """printf '{"access_key": "%s-%s", "secret_key": "%s", "expires": "%s"}' "$1" "$$" "$2" """ + _EXPIRES
"""What a shell runs: as an STS does, it gives each crawl an access key of its own, which the emulator tells it by."""


class Accounts:
    """The gateways of all accounts, each made when it is first asked for; the first is there from the start.

    Mutable state: the gateways, and the crawls.

    Attributes:
        crawls: which there were.
    """

    def __init__(self, options: EmulatorOptions, statistics: Statistics, first: Gateway) -> None:
        self.crawls = Crawls()
        self._options = options
        self._statistics = statistics
        self._gateways = {options.seed: first}

    @property
    def names(self) -> list[str]:
        """What each is called in a file of accounts, by number."""
        width = len(str(self._options.accounts))
        return [f"account-{number:0{width}}" for number in range(1, self._options.accounts + 1)]

    def gateway(self, number: int) -> Gateway:
        """Return the gateway of an account, numbered from 1."""
        return self._of_seed(self._options.seed + number - 1)

    def asked_by(self, access_key: str) -> Gateway:
        """Return the gateway of a key, after counting its crawl; the first one's where there is no such account."""
        options = self._options
        found = _KEY.fullmatch(access_key)
        seed = int(found[1]) if found else options.seed
        if not 0 <= seed - options.seed < options.accounts:
            return self._gateways[options.seed]
        self.crawls.arrived(seed - options.seed + 1, access_key)
        return self._of_seed(seed)

    def _of_seed(self, seed: int) -> Gateway:
        if seed not in self._gateways:
            options = replace(self._options, seed=seed)
            world = World(seed, options.registries, options.images, sort=options.sort)
            self._gateways[seed] = Gateway(options, world, self._statistics)
        return self._gateways[seed]

    def file(self, gateways: str) -> str:
        """Return a file of accounts that leads to them: ``--accounts`` takes it.

        Args:
            gateways: what ``--gateway`` takes, parts separated by commas.
        """
        written = ", ".join(f'"{origin}"' for origin in gateways.split(","))
        return "\n".join(self._entry(number, name, written) for number, name in enumerate(self.names, 1))

    def _entry(self, number: int, name: str, gateways: str) -> str:
        seed = self._options.seed + number - 1
        return f"""\
[[account]]
name = "{name}"
api = "{self._options.api}"
gateway = [{gateways}]
command = ["sh", "-c", '''{_PRINT_KEYS}''', "keys", "{access_key_of(seed)}", "{secret_key_of(seed)}"]
"""


_KEY = re.compile(access_key_of("(-?[0-9]{1,18})") + "(?:-[0-9A-Za-z]+)?")


class Crawls:
    """Which crawls of each account there were, told by access keys, and how often two of one account went on at once.

    That two did is seen when one asks again after the other has begun: who was killed does not.

    Mutable state: the key that asked last, and all that did, by account; how often what came back was another's.
    """

    def __init__(self) -> None:
        self._last: dict[int, str] = {}
        self._seen: set[tuple[int, str]] = set()
        self.at_once: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._seen)

    def arrived(self, account: int, access_key: str) -> None:
        """Note a request."""
        if self._last.get(account) == access_key:
            return
        if (account, access_key) in self._seen:
            self.at_once[account] += 1
        self._seen.add((account, access_key))
        self._last[account] = access_key
