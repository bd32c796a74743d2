"""Tell systemd where a run stands, for `systemctl status`: by datagrams, which take no library and wait for nobody.

Source: sd_notify(3).
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from crawler.cli.progress import sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.jobs.progress import Progress

EVERY_S = 5.0
_ADDRESS = "NOTIFY_SOCKET"


def is_listening() -> bool:
    """Whether this process is one of a service whose status is wanted."""
    return bool(os.environ.get(_ADDRESS))


async def show_status(look: Callable[[], Progress]) -> None:
    """Send a line again and again."""
    address = os.environ[_ADDRESS]
    if address.startswith("@"):  # a name that is in no folder
        address = f"\0{address[1:]}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        while True:
            with suppress(OSError):  # nobody reads it: that is no matter of the run's
                sender.sendto(f"STATUS={sentence(look())}".encode(), address)
            await anyio.sleep(EVERY_S)
