"""TLS handshakes, on a thread of their own: strangers cost the event loop nothing.

A handshake costs as much CPU time as a hundred requests, and whoever can reach the port can ask for one. So the thread
accepts, carries every handshake forward as its bytes come in (OpenSSL does so without the interpreter's lock), and
hands over what is whole. There is one such thread, less urgent than the event loop, and a budget bounds its share of
a core. When too many handshakes are pending the oldest gives way, so that half-open clients lock nobody out.
"""

import errno
import logging
import math
import os
import selectors
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from keyhop.service.etsi014.cpu_budget import CpuBudget

NICENESS = 5
LINGER_S = 1.0
_ACCEPTS_AT_ONCE = 64
_DRAIN_BYTES = 16 * 1024
_PAUSE_S = 0.1
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HandshakeLimits:
    """`share` is of one core, over any second or more."""

    max_pending: int
    timeout_s: float
    share: float


class Handshakes:
    """Serves `listener` until `stop`; the callbacks are called on the thread.

    `context` gives the context for a new connection, `is_full` says that no more can be had, `admit` takes a
    connection whose handshake is over, and `on_refused` is told of each that failed.
    """

    def __init__(
        self,
        listener: socket.socket,
        context: Callable[[], ssl.SSLContext],
        limits: HandshakeLimits,
        is_full: Callable[[], bool],
        admit: Callable[[ssl.SSLSocket], None],
        on_refused: Callable[[], None],
    ) -> None:
        self._listener = listener
        self._context = context
        self._limits = limits
        self._is_full = is_full
        self._admit = admit
        self._on_refused = on_refused
        self._pending: dict[ssl.SSLSocket, float] = {}  # their deadlines; the oldest is the first
        self._leaving: dict[ssl.SSLSocket, float] = {}  # refused: to close at once could lose the reason, an alert
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="handshakes", daemon=True)

    @property
    def pending(self) -> int:
        """How many have begun and are not over."""
        return len(self._pending)

    def start(self) -> None:
        """Begins to accept."""
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread.start()

    def stop(self) -> None:
        """Accepts nobody any more and drops what is pending; when it returns no callback will be called again."""
        self._wake.close()
        self._thread.join()
        for tls in (*self._pending, *self._leaving):
            tls.close()
        self._selector.close()
        self._woken.close()
        self._listener.close()

    def _run(self) -> None:
        if sys.platform == "linux":  # there a thread has a niceness of its own
            niceness = os.getpriority(os.PRIO_PROCESS, 0) + NICENESS
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
        budget = CpuBudget(self._limits.share, time.monotonic())
        spent = time.thread_time()
        while self._turn():
            before, spent = spent, time.thread_time()
            rest_s = budget.rest_s(spent - before, time.monotonic())
            if rest_s:
                time.sleep(rest_s)

    def _turn(self) -> bool:
        for key, _ in self._selector.select(self._until_deadline()):
            if key.fileobj is self._woken:
                return False
            if key.fileobj is self._listener:
                self._accept()
                continue
            assert isinstance(key.fileobj, ssl.SSLSocket)
            if key.fileobj in self._pending:
                self._step(key.fileobj)
            elif key.fileobj in self._leaving:  # in neither, if it gave way in this turn
                self._drain(key.fileobj)
        now = time.monotonic()
        while self._pending and _first_deadline(self._pending) <= now:
            self._refuse(next(iter(self._pending)), "too slow")
        while self._leaving and _first_deadline(self._leaving) <= now:
            self._end(next(iter(self._leaving)))
        return True

    def _until_deadline(self) -> float | None:
        deadline = min(_first_deadline(self._pending), _first_deadline(self._leaving))
        return None if deadline == math.inf else max(0.0, deadline - time.monotonic())

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_AT_ONCE):
            try:
                accepted, _address = self._listener.accept()
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    _log.warning("cannot accept: %s", error.strerror)
                    time.sleep(_PAUSE_S)
                return
            if self._is_full():
                accepted.close()
                self._on_refused()
                continue
            while len(self._pending) >= self._limits.max_pending:
                self._refuse(next(iter(self._pending)), "too many")
            self._begin(accepted)

    def _begin(self, accepted: socket.socket) -> None:
        try:
            accepted.setblocking(False)
            tls = self._context().wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        except OSError as error:  # it has gone already
            accepted.close()
            self._on_refused()
            _log.debug("handshake refused: %s", error)
            return
        self._pending[tls] = time.monotonic() + self._limits.timeout_s
        self._selector.register(tls, selectors.EVENT_READ)

    def _step(self, tls: ssl.SSLSocket) -> None:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            self._await(tls, selectors.EVENT_READ)
        except ssl.SSLWantWriteError:
            self._await(tls, selectors.EVENT_WRITE)
        except (OSError, ValueError) as error:
            self._refuse(tls, str(error))
        else:
            self._selector.unregister(tls)
            del self._pending[tls]
            self._admit(tls)

    def _await(self, tls: ssl.SSLSocket, events: int) -> None:
        if self._selector.get_key(tls).events != events:
            self._selector.modify(tls, events)

    def _refuse(self, tls: ssl.SSLSocket, why: str) -> None:
        """OpenSSL has sent the alert, if there is one to send."""
        self._on_refused()
        _log.debug("handshake refused: %s", why)
        del self._pending[tls]
        self._leaving[tls] = time.monotonic() + LINGER_S
        try:
            tls.shutdown(socket.SHUT_WR)  # also takes TLS off
            self._await(tls, selectors.EVENT_READ)
        except OSError:  # the client has gone
            self._end(tls)
        if len(self._leaving) > self._limits.max_pending:
            self._end(next(iter(self._leaving)))

    def _drain(self, tls: ssl.SSLSocket) -> None:
        try:
            if 0 < len(tls.recv(_DRAIN_BYTES)) < _DRAIN_BYTES:  # more than a request is no honest client's
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._end(tls)

    def _end(self, tls: ssl.SSLSocket) -> None:
        del self._leaving[tls]
        self._selector.unregister(tls)
        tls.close()


def _first_deadline(deadlines: dict[ssl.SSLSocket, float]) -> float:
    return next(iter(deadlines.values()), math.inf)
