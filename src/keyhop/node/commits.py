"""When a node commits what its event loop decided, and what it does when that fails."""

import asyncio
from collections.abc import Callable
from functools import partial

import structlog

from keyhop.core.clock import Clock
from keyhop.core.errors import StoreFailure
from keyhop.service.kme import Kme

_log = structlog.get_logger(__name__)


class Commits:
    """Of one KME. `on_commit` hears how many seconds each took, `on_failure` that there will be no more."""

    def __init__(
        self,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        on_commit: Callable[[float], None],
        on_failure: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._loop = loop
        self._on_commit = on_commit
        self._on_failure = on_failure
        self._kme: Kme | None = None

    def attach(self, kme: Kme) -> None:
        """Once it is open. One that cannot be opened commits nothing."""
        self._kme = kme
        kme.journal.on_failure.append(partial(self._failed, kme))

    def wake(self) -> None:
        """A turn later: what its sockets bring shares the commit, which costs as much as several requests.

        `service.etsi014.turns` measures how long that takes, and has to know when it comes.
        """
        self._loop.call_soon(self._loop.call_soon, self._flush)

    def last(self) -> None:
        """Whatever the effects raise: what is open is closed all the same."""
        try:
            if self._kme is not None:
                self._kme.flush()
        except ExceptionGroup as broken:
            for error in broken.exceptions:
                _log.error("an effect of the last commit failed", kind=type(error).__name__, reason=str(error))

    def _flush(self) -> None:
        if self._kme is None:
            return
        dirty, since = self._kme.journal.dirty, self._clock.monotonic()
        self._kme.flush()
        if dirty:
            self._on_commit(self._clock.monotonic() - since)

    def _failed(self, kme: Kme, failure: StoreFailure) -> None:
        self._on_failure()  # first: nothing that the rest meets may keep the node alive
        _log.critical("the store failed: the node gives out no more keys and stops", reason=failure.message)
        kme.abandon()
