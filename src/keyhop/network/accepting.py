"""Accepting who waits at a listener, a few at once.

When there are clients and no files to accept them with, their listener stays readable all the while: whoever waits
for it pauses, or would do nothing else.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass

PAUSE_S = 0.1
BACKLOG = 1024
_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Door:
    """Before a listener that does not block: `welcome` gets who came, unless `is_full` says that no more can be had.

    `on_refused` is told of each that is closed for that.
    """

    listener: socket.socket
    at_once: int
    is_full: Callable[[], bool]
    on_refused: Callable[[], None]
    welcome: Callable[[socket.socket], None]

    def open(self) -> bool:
        """Accepts `at_once` at most; whether the system has resources for more, else wait `PAUSE_S`."""
        for _ in range(self.at_once):
            try:
                accepted, _address = self.listener.accept()
            except OSError as error:
                if error.errno not in _OUT_OF_RESOURCES:  # nobody waits, or who did has gone
                    return True
                _log.warning("cannot accept: %s", error.strerror)
                return False
            if self.is_full():
                accepted.close()
                self.on_refused()
                continue
            accepted.setblocking(False)
            self.welcome(accepted)
        return True


class OpenDoor:
    """A door that the event loop looks after, from `start` to `stop`."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._loop: asyncio.AbstractEventLoop
        self._pause: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins to accept, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._door.listener.setblocking(False)
        self._door.listener.listen(BACKLOG)
        self._go_on()

    def stop(self) -> None:
        """Accepts nobody any more. Once more does nothing."""
        if self._door.listener.fileno() < 0:
            return
        self._loop.remove_reader(self._door.listener.fileno())
        if self._pause is not None:
            self._pause.cancel()
        self._door.listener.close()

    def _go_on(self) -> None:
        self._loop.add_reader(self._door.listener.fileno(), self._accept)

    def _accept(self) -> None:
        if not self._door.open():
            self._loop.remove_reader(self._door.listener.fileno())
            self._pause = self._loop.call_later(PAUSE_S, self._go_on)
