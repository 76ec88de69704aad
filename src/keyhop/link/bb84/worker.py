"""Where heavy work is done: in a thread of its own, or (on virtual time) at once."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol

NICENESS = 5
"""Of threads that compute: on a busy machine whoever asks the node for a key goes first."""


class Worker(Protocol):
    """One call at a time, in order."""

    def submit[T](self, call: Callable[[], T], done: Callable[[Future[T]], None]) -> None:
        """`done` takes what became of the call, on the event loop. On the event loop only."""
        ...

    def close(self) -> None:
        """Waits for nothing; calls that have not begun are dropped."""
        ...


class ThreadWorker:
    """A thread, so that neither the event loop nor other workers wait for what is computed here."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name, initializer=_give_way)

    def submit[T](self, call: Callable[[], T], done: Callable[[Future[T]], None]) -> None:
        loop = asyncio.get_running_loop()

        def finished(future: Future[T]) -> None:
            if not future.cancelled() and not loop.is_closed():
                loop.call_soon_threadsafe(done, future)

        self._executor.submit(call).add_done_callback(finished)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


def _give_way() -> None:
    with suppress(OSError):  # only Linux has priorities of single threads
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class InlineWorker:
    """At once, within `submit`: for tests on virtual time."""

    def submit[T](self, call: Callable[[], T], done: Callable[[Future[T]], None]) -> None:
        future: Future[T] = Future()
        try:
            future.set_result(call())
        except Exception as failure:  # noqa: BLE001 - `done` gets whatever happened, as from a thread
            future.set_exception(failure)
        done(future)

    def close(self) -> None:
        """Nothing to close."""
