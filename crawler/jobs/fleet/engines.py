"""Who runs the tasks of a fleet: threads of this process, or Dask's workers on any machine.

Either way a task is a process of its own, made by whoever runs it, and ends with it. Names travel, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from crawler.core.errors import NcrawlError, UsageError
from crawler.jobs.fleet.policy import TaskEnd

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Errand:
    """What every task of a run is told, besides its account; it is sent as it is, so it holds no secret.

    Attributes:
        place: folder or URL of the snapshots.
        accounts: path of the file of accounts, where the task runs.
        run_id: of the run.
        words: more options.
    """

    place: str
    accounts: str
    run_id: str
    words: tuple[str, ...] = ()


RunTask: TypeAlias = Callable[[Errand, str], TaskEnd]
"""Runs the task of an account as a process, and waits for it."""
Ended: TypeAlias = Callable[[str, TaskEnd], object]
"""Is told of an account whose task has ended, in any thread."""
Started: TypeAlias = Callable[[str], object]
"""Likewise of one whose task begins."""


class Engine(Protocol):
    """Runs tasks, some of them at once."""

    @property
    def most(self) -> int:
        """How many it is given at once: no more than is useful."""
        ...

    def start(self, account: str, ended: Ended) -> None:
        """Have the task of an account run, now or when there is somebody to do it."""
        ...


class LocalEngine:
    """Runs tasks by threads of this process."""

    def __init__(self, run_task: RunTask, errand: Errand, *, workers: int, started: Started) -> None:
        self.most = workers
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="fleet")
        self._run_task = run_task
        self._errand = errand
        self._started = started

    def start(self, account: str, ended: Ended) -> None:
        """Have a thread run it."""
        self._threads.submit(self._run, account, ended)

    def _run(self, account: str, ended: Ended) -> None:
        self._started(account)
        ended(account, self._run_task(self._errand, account))


_MOST_SENT: Final = 1_000
"""Tasks that the scheduler holds at once: it keeps some 10 KB for each."""
_PATIENCE_S: Final = 30
HOW_TO_INSTALL: Final = "pip install 'ncrawl[fleet]'"


class EngineGoneError(NcrawlError):
    """The engine runs nothing any more."""

    exit_code = 3


class DaskEngine:
    """Has Dask's workers run the tasks. A scheduler that was started anew is found again, within a minute.

    Mutable state: the client, and how often each account was sent, for each try is another task to Dask.
    """

    most = _MOST_SENT

    def __init__(self, scheduler: str, run_task: RunTask, errand: Errand, *, started: Started) -> None:
        self._scheduler = scheduler
        self._run_task = run_task
        self._errand = errand
        self._started = started
        self._sent: dict[str, int] = {}
        self._topic = f"ncrawl {errand.run_id}"
        self._client = self._connect()

    def _connect(self) -> Any:
        from distributed import Client  # noqa: PLC0415 - an extra, and takes a second

        client: Any = Client(self._scheduler, timeout=_PATIENCE_S, set_as_default=False)  # type: ignore[no-untyped-call]
        client.subscribe_topic(self._topic, lambda event: self._started(str(event[1])))
        return client

    def start(self, account: str, ended: Ended) -> None:
        """Send it to the scheduler.

        Raises:
            EngineGoneError: there is none any more.
        """
        number = self._sent[account] = self._sent.get(account, 0) + 1
        key = f"ncrawl {self._errand.run_id} {account} {number}"
        arguments = (_on_worker, self._run_task, self._errand, account)
        try:
            if self._client.status == "closed":
                self._client = self._connect()
            future = self._client.submit(*arguments, topic=self._topic, key=key, pure=False)
        except Exception as error:
            raise EngineGoneError(f"the scheduler is gone, and none came within {_PATIENCE_S} s") from error
        future.add_done_callback(partial(_tell_end, account, ended))

    def close(self) -> None:
        """Let go of the scheduler, which forgets what it has not begun."""
        self._client.close(timeout=_PATIENCE_S)


def _on_worker(run_task: RunTask, errand: Errand, account: str, *, topic: str) -> TaskEnd:
    """Run a task in a thread of a worker."""
    from distributed import get_worker  # noqa: PLC0415 - an extra

    get_worker().log_event(topic, account)
    return run_task(errand, account)


def _tell_end(account: str, ended: Ended, future: Any) -> None:
    """Take over what a future holds: a result, or why there is none."""
    try:
        end = TaskEnd(*future.result())
    except CancelledError:
        end = TaskEnd(None, "its scheduler ended", is_forgotten=True)
    except Exception as error:  # noqa: BLE001 - whatever a worker, or the way there, may raise
        end = TaskEnd(None, f"the engine gave it up: {type(error).__name__}")
    ended(account, end)


@contextmanager
def dask_engine(scheduler: str, run_task: RunTask, errand: Errand, *, started: Started) -> Iterator[DaskEngine]:
    """Connect to a scheduler; with TLS if its URL says so, as Dask's own configuration has it.

    Raises:
        UsageError: Dask is not installed, or no scheduler answers.
    """
    try:
        from dask import config  # noqa: PLC0415 - an extra

        config.set({"logging": {"distributed": "critical"}})  # what there is to say is said here
        import distributed  # noqa: F401, PLC0415 - likewise
    except ImportError:
        raise UsageError(f"--scheduler needs Dask, which is not installed: {HOW_TO_INSTALL}") from None
    try:
        engine = DaskEngine(scheduler, run_task, errand, started=started)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"--scheduler {scheduler}: cannot be reached: {told}") from None
    try:
        yield engine
    finally:
        engine.close()
