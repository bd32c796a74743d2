"""Every kind of error that ncrawl raises on purpose, as one tree.

    NcrawlError                       exit code
    ├── UsageError                    2   configuration, arguments, no credentials: nothing was requested
    │   ├── ConfigurationError            every problem of the settings at once
    │   ├── CredentialsError              no keys, half a pair, unknown profile
    │   ├── UnreadableSnapshotError       one that is there, and of which nobody can tell what it holds
    │   └── InvalidNameError              a name that must not become part of a path
    │       └── InvalidRegistryNameError
    ├── RequestError                      one try of one page failed; `retry_policy` says what that calls for
    │   ├── NotSentError                  sent back while it waited for its turn: no failure of anybody
    │   ├── NetworkError                  no answer: refused, reset, name resolution
    │   │   └── TimedOutError             no whole answer in time
    │   ├── CertificateError              the gateway could not be authenticated
    │   ├── ProxyError                    the proxy lets nothing through: its own words
    │   ├── ProtocolError                 what came was not HTTP, or was cut short
    │   ├── TooLargeError                 the body is larger than is taken in
    │   ├── PageError                     the body is not a page
    │   └── GatewayError                  an answer with another status than 200
    ├── OutputError                   74  output could not be written; 2 where there are no keys for a storage
    │   └── ClosedPipeError           141 the reader closed the pipe
    └── LockedError                   75  another run holds the lock

Packages have kinds of their own below these: `StaleConnectionError` in the transport, `UnreadableError` and
`ManifestError` in the snapshots. Their texts never hold a header, a key or a signature.
"""

from __future__ import annotations

import errno
import os


class NcrawlError(Exception):
    """Base of all errors that are not bugs; ``exit_code`` is what the program ends with."""

    exit_code = 1


class UsageError(NcrawlError):
    """Something is wrong before the first request: what, where, and how to mend it."""

    exit_code = 2


class ConfigurationError(UsageError):
    """Settings that cannot be used; carries every problem found, a sentence each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class CredentialsError(UsageError):
    """No usable keys."""


class UnreadableSnapshotError(UsageError):
    """A snapshot's manifest that is there and cannot be read: others can be."""


class InvalidNameError(UsageError):
    """A text that cannot be a name in a path and so never reaches one."""

    what = "sent as a name"
    rule = "at least one character, and no half of a surrogate pair"

    def __init__(self, name: str) -> None:
        self.name = name
        shown = name if len(name) <= 60 else name[:57] + "…"
        super().__init__(f"{shown!r} cannot be {self.what}: {self.rule}")


class InvalidRegistryNameError(InvalidNameError):
    """A text that cannot be a registry's name and so never reaches a path."""

    what = "a registry's name"
    rule = "letters, digits, '.', '_' and '-' only, no '.' in front and no two in a row, 255 characters at most"


class RequestError(NcrawlError):
    """One try of one page failed.

    Attributes:
        retry_after_s: seconds that the gateway asked to be left alone, or None.
    """

    retry_after_s: float | None = None


class NotSentError(RequestError):
    """A request that was sent back while it waited for its turn, because its region is held."""


class NetworkError(RequestError):
    """No whole answer came: refused, reset, timed out, or the name did not resolve."""


class TimedOutError(NetworkError):
    """No whole answer came in time."""


class CertificateError(RequestError):
    """The gateway's certificate or TLS version is not acceptable; nothing signed was sent."""


class ProxyError(RequestError):
    """The proxy that requests go through refuses to pass them on, for good."""


class ProtocolError(RequestError):
    """What came was not proper HTTP, or was cut short.

    Attributes:
        is_improper: it breaks the rules that say where an answer ends: whoever sends that once sends it again.
    """

    def __init__(self, text: str, *, is_improper: bool = False) -> None:
        self.is_improper = is_improper
        super().__init__(text)


class TooLargeError(RequestError):
    """A body larger than the cap."""


class PageError(RequestError):
    """A body under status 200 that is not a page of a listing."""


class GatewayError(RequestError):
    """An answer other than 200.

    Its sentence ends with what the gateway calls the request, and who answered: the provider's support asks for it.

    Attributes:
        status: HTTP status.
        code: the gateway's errorCode as text, or None if the body had none.
        clock_skew_s: gateway's clock minus ours, uncorrected, if the answer had a Date.
        signed_offset_s: the correction of our clock that the request was signed with.
    """

    def __init__(
        self,
        status: int,
        code: str | None = None,
        message: str = "",
        *,
        trace: str = "",
        retry_after_s: float | None = None,
        clock_skew_s: float | None = None,
        signed_offset_s: float = 0.0,
    ) -> None:
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        self.clock_skew_s = clock_skew_s
        self.signed_offset_s = signed_offset_s
        answer = f"{status}/{code}" if code else str(status)
        told = f" ({trace})" if trace else ""
        super().__init__(f"{answer} {message}".rstrip() + told)


class NoStoreKeysError(PermissionError):
    """There are no keys for an object storage: nothing was asked of it. An OSError, as all that a store raises."""


class OutputError(NcrawlError):
    """Output could not be written, or what it goes to could not be read: the path and the system's reason."""

    exit_code = 74

    def __init__(self, path: str, error: OSError, *, doing: str = "write") -> None:
        self.path = path
        self.errno = error.errno
        self.reason = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
        if isinstance(error, NoStoreKeysError):
            self.exit_code = UsageError.exit_code
        super().__init__(f"cannot {doing} {path}: {self.reason}{_mend(path, error.errno)}")


def _mend(path: str, number: int | None) -> str:
    """Return how to mend what keeps a path from being written, where that can be said."""
    if number in (errno.ENOSPC, errno.EDQUOT):
        return ": free some space and run again"
    if number == errno.EISDIR:
        return ": name a file"
    is_local = "://" not in path
    folder = os.path.dirname(path) if number == errno.ENOENT and is_local else ""  # noqa: PTH120 - a path as it was given
    return f": make its folder with `mkdir -p {folder}`" if folder else ""


class ClosedPipeError(OutputError):
    """The reader of standard output went away: not worth a word."""

    exit_code = 141


class LockedError(NcrawlError):
    """Another run holds the lock."""

    exit_code = 75
