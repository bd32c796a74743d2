"""Look names up in threads that the end of the process does not wait for."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress

from crawler.transport.library import AbstractResolver, ResolveResult


class Resolver(AbstractResolver):
    """Looks names up in threads that the end of the process does not wait for.

    An executor's threads it does wait for, and a resolver that hangs would hold up a run that was stopped.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of ``host``; OSError if there is none."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[ResolveResult]] = loop.create_future()

        def look_up() -> None:
            found: list[ResolveResult] | OSError
            try:
                found = _addresses(host, port, family)
            except OSError as error:
                found = error
            with suppress(RuntimeError):  # the loop ended meanwhile
                loop.call_soon_threadsafe(_settle, answer, found)

        threading.Thread(target=look_up, name=f"look up {host}", daemon=True).start()
        return await answer

    async def close(self) -> None:
        """Nothing to do."""


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    try:
        found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except UnicodeError:  # a label of more than 63 characters, for one
        raise socket.gaierror(socket.EAI_NONAME, "no name that DNS could hold") from None
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=port,
            family=kind,
            proto=protocol,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, protocol, _, address in found
    ]


def _settle(answer: asyncio.Future[list[ResolveResult]], found: list[ResolveResult] | OSError) -> None:
    if answer.done():  # whoever asked has left
        return
    if isinstance(found, OSError):
        answer.set_exception(found)
    else:
        answer.set_result(found)
