"""Hear what an answer's head says beside its body: the gateway's clock, its name for the request."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from crawler.transport.refusals import http_date, trace_of

if TYPE_CHECKING:
    from crawler.transport.attempt import Attempt
    from crawler.transport.clients import Answer, HttpClient


class Heard(NamedTuple):
    """What the head of an answer said.

    Attributes:
        skew_s: the gateway's clock minus ours, uncorrected; None if it told no time. A Date has whole seconds.
        trace: what the gateway calls the request, and who answered; empty if it does not say.
    """

    status: int
    skew_s: float | None
    trace: str


class ListeningClient:
    """Sends attempts over another client; see `HttpClient`.

    Mutable state: the latest answer's head by target.
    """

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self.heard: dict[str, Heard] = {}

    async def send(self, attempt: Attempt, *, fresh: bool) -> Answer:
        """Send, and note what was heard."""
        answer = await self._client.send(attempt, fresh=fresh)
        date = http_date(answer.headers.get("Date"))
        self.heard[attempt.target] = Heard(
            answer.status,
            None if date is None else date - attempt.signed_at_s,
            trace_of(answer.headers, "", attempt.secrets),
        )
        return answer

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()
