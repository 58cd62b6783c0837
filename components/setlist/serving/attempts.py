"""Work that may never end, each in a thread of its own, which is left behind when time is over."""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from typing import TypeVar

ABANDONED_AT_MOST = 4
"""Threads that were left behind and have not ended. Each holds a connection, or a few."""

T = TypeVar("T")


class OverdueError(Exception):
    """Some work was not done in time, or not begun, as too much before it has not ended."""


class Attempts:
    """Runs one piece of work after the other, and waits for none longer than its deadline.

    Nothing ends a thread of Python from outside. So a thread whose time is over goes on, what it
    returns is ignored, and while too many of them have not ended, no new work is begun.
    """

    def __init__(self, name: str) -> None:
        """Nothing runs yet.

        Args:
            name: of the threads.
        """
        self._name = name
        self._abandoned: list[threading.Thread] = []
        self._outcome: Future[object] | None = None
        self._stopped = False

    def run(self, work: Callable[[], T], seconds: float) -> T:
        """What the work returns; what it raises is raised.

        Raises:
            OverdueError: it has not ended in time, could not be begun, or `stop` was called.
        """
        self._abandoned = [thread for thread in self._abandoned if thread.is_alive()]
        if len(self._abandoned) >= ABANDONED_AT_MOST:
            raise OverdueError
        outcome: Future[T] = Future()
        self._outcome = outcome  # type: ignore[assignment] # it is only cancelled
        if (
            self._stopped
        ):  # looked at after `_outcome` is set, as `stop` does it the other way round
            raise OverdueError
        thread = threading.Thread(
            target=_finish, args=(work, outcome), name=self._name, daemon=True
        )
        thread.start()
        try:
            return outcome.result(seconds)
        except (TimeoutError, CancelledError):
            if not outcome.cancel():  # it has ended: at the last moment, or with this very fault
                return outcome.result()
            self._abandoned.append(thread)
            raise OverdueError from None

    def stop(self) -> None:
        """End the waiting of `run`, from another thread; nothing is begun any more."""
        self._stopped = True
        if self._outcome:
            self._outcome.cancel()


def _finish(work: Callable[[], T], outcome: "Future[T]") -> None:
    """Do the work, and tell its outcome to whoever still waits for it."""
    with suppress(InvalidStateError):  # it was cancelled: nobody waits
        try:
            result = work()
        except BaseException as fault:  # raised again by who waits
            outcome.set_exception(fault)
        else:
            outcome.set_result(result)
