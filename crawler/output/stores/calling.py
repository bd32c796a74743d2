"""Do what waits for a network where it is in nobody's way, and tell of what goes wrong without a secret.

The library's own texts hold URLs, headers and whatever a server says, so nothing of them is passed on but numbers and
words that are known.
"""

from __future__ import annotations

import errno
import re
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from crawler.core.errors import NoStoreKeysError
from crawler.output.stores.interface import ChangedError, ExistsError

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

_STATUS = re.compile(r"status code: ([1-5][0-9]{2})")
_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_KIND = re.compile(r"kind: (Connect|Timeout)\b")
_NO_KEYS = re.compile(
    r"MissingAccessKeyId|MissingSecretAccessKey|MissingAccount|TokenRequest|/latest/api/token|security-credentials"
)
_NO_KEYS_FOUND = (
    "there are no keys for the store, or only half a pair: set what its own tools read, "
    "for S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)
_KEYS_NOT_HAD = "the keys for the store cannot be had at present"
_NO_BUCKET = "there is no such bucket"
_UNKNOWN = (400, 405, 501)
_FULL = ("StorageFull", "QuotaExceeded", "EntityTooLarge")


class UnknownRequestError(OSError):
    """A request that a store does not know, or not so."""


class Calls:
    """Asks a store; the main thread waits in a way that a signal ends. Mutable state: whether it ever answered."""

    def __init__(self) -> None:
        self._has_answered = False

    def __call__(self, question: Callable[[], _T]) -> _T:
        """Return the answer.

        Raises:
            OSError: there is none, or the store refuses; NoStoreKeysError only while it has never answered.
        """
        try:
            is_main = threading.current_thread() is threading.main_thread()
            answer = _beside(question) if is_main else question()
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:  # a local file's
                raise
            told = translated(error)
            if told is None:
                raise
            raise self._as_of_now(told) from None
        self._has_answered = True
        return answer

    def _as_of_now(self, told: OSError) -> OSError:
        """Return an error as it is to be told: keys that were there cannot be missing, but may not be had just now."""
        if isinstance(told, NoStoreKeysError):
            return PermissionError(told.errno, _KEYS_NOT_HAD) if self._has_answered else told
        self._has_answered = self._has_answered or not isinstance(told, ConnectionError | TimeoutError)
        return told


def _beside(question: Callable[[], _T]) -> _T:
    done: Future[_T] = Future()

    def answer() -> None:
        try:
            done.set_result(question())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            done.set_exception(error)

    threading.Thread(target=answer, daemon=True, name="ncrawl-store").start()
    return done.result()


def translated(error: Exception) -> OSError | None:
    """Return what an exception of the library means; None if it is none of its."""
    from obstore import exceptions  # noqa: PLC0415 - whoever has its exceptions has it

    text = str(error)
    if isinstance(error, exceptions.AlreadyExistsError):
        return ExistsError(errno.EEXIST, "is there already")
    if isinstance(error, exceptions.PreconditionError):
        return ChangedError(errno.ESTALE, "was changed by somebody else")
    if isinstance(error, FileNotFoundError):
        is_written = "NoSuchBucket" in text or "performing P" in text  # only what is in a bucket that is not there
        return FileNotFoundError(errno.ENOENT, _NO_BUCKET if is_written else "No such file or directory")
    if not isinstance(error, exceptions.BaseError):
        return None
    if isinstance(error, exceptions.InvalidPathError):  # in a list, which is then all that is told of it
        told = (
            "the store has a file there with an empty part, '.' or '..' in its name: remove it, or use another prefix"
        )
        return OSError(errno.EINVAL, told)
    return _of_text(text)


def _of_text(text: str) -> OSError:
    status, code, kind = _STATUS.search(text), _CODE.search(text), _KIND.search(text)
    if _NO_KEYS.search(text):
        if status is not None and (status[1] == "429" or status[1][0] == "5"):
            return PermissionError(errno.EACCES, _KEYS_NOT_HAD)
        return NoStoreKeysError(errno.EACCES, _NO_KEYS_FOUND)
    if status is not None:
        return _of_answer(int(status[1]), code[1] if code else "")
    if kind is None:
        return ConnectionError(errno.EIO, "the connection to the store broke")
    if kind[1] == "Timeout":
        return TimeoutError(errno.ETIMEDOUT, "the store did not answer in time")
    return ConnectionError(errno.ECONNREFUSED, "the store cannot be reached: check its endpoint and the network")


def _of_answer(status: int, code: str) -> OSError:
    answer = f"{status} {code}".rstrip()
    if status == 404:
        return FileNotFoundError(errno.ENOENT, _NO_BUCKET)
    if status == 507 or code.endswith(_FULL):
        return OSError(errno.ENOSPC, f"the store is full ({answer})")
    if status in (401, 403):
        return PermissionError(errno.EACCES, f"the store denies it ({answer}): check its keys and what they may do")
    kind = UnknownRequestError if status in _UNKNOWN else OSError
    return kind(errno.EIO, f"the store answers {answer}")
