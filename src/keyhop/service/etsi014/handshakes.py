"""TLS handshakes, on a thread of their own: strangers cost the event loop nothing.

A handshake costs as much CPU time as a hundred requests, and whoever can reach the port can ask for one. So the thread
accepts, carries every handshake forward as its bytes come in (OpenSSL does so without the interpreter's lock), and
hands over what is whole. There is one such thread, less urgent than the event loop, to which it gives way before each
step (`core.scheduling`), and a budget bounds its share of a core. When too many handshakes are pending the oldest is
dropped, so that half-open clients lock nobody out.
"""

import logging
import math
import os
import selectors
import socket
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from keyhop.core.scheduling import ask_for_slices, give_way
from keyhop.network.accepting import PAUSE_S, Door
from keyhop.service.etsi014.cpu_budget import CpuBudget
from keyhop.service.etsi014.handshaking import READ_BYTES, HandshakingClient
from keyhop.service.etsi014.tls import Tls

NICENESS = 10
SLICE_S = 0.006
"""When it has given way, and the event loop is busy, the thread is back after some nine of these."""
LINGER_S = 1.0
_ACCEPTS_AT_ONCE = 4  # between steps of handshakes: many at once hold up the event loop, which needs the same lock

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
    connection whose handshake is over and its certificate (DER), and `on_refused` is told of each that failed.
    `on_failure` is told if the thread ends for any reason but `stop`: nobody is accepted any more.
    """

    def __init__(
        self,
        listener: socket.socket,
        context: Callable[[], ssl.SSLContext],
        limits: HandshakeLimits,
        is_full: Callable[[], bool],
        admit: Callable[[socket.socket, Tls, bytes], None],
        on_refused: Callable[[], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._listener = listener
        self._context = context
        self._limits = limits
        self._door = Door(listener, _ACCEPTS_AT_ONCE, is_full, on_refused, self._begin)
        self._admit = admit
        self._on_refused = on_refused
        self._on_failure = on_failure
        self._pending: dict[HandshakingClient, float] = {}  # their deadlines; the oldest is the first
        self._leaving: dict[HandshakingClient, float] = {}  # refused: to close at once could lose the reason, an alert
        self._spent: deque[Tls] = deque()  # of connections that have ended, to be freed
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
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

    def free(self, tls: Tls) -> None:
        """Has the thread free what a connection leaves that has ended; on any thread, which then forgets it.

        OpenSSL takes a lock to free it, as handshakes do all the time. When this thread has been stopped between two
        steps of that lock, who wants it spins until it goes on; the event loop would do so for all of nine slices.
        """
        self._spent.append(tls)
        if len(self._spent) == 1:
            with suppress(OSError):  # it has been woken often enough, or has ended
                self._wake.send(b"\0")

    def stop(self) -> None:
        """Accepts nobody any more and drops what is pending; when it returns no callback will be called again."""
        self._wake.close()
        self._thread.join()
        for client in (*self._pending, *self._leaving):
            client.sock.close()
        self._selector.close()
        self._woken.close()
        self._listener.close()

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 (whatever it is, a node that accepts nobody shall not go on)
            self._on_failure(error)

    def _work(self) -> None:
        if sys.platform == "linux":  # there a thread has a niceness of its own
            niceness = os.getpriority(os.PRIO_PROCESS, 0) + NICENESS
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
        ask_for_slices(SLICE_S)
        budget = CpuBudget(self._limits.share, time.monotonic())
        spent = time.thread_time()
        while self._turn():
            before, spent = spent, time.thread_time()
            rest_s = budget.rest_s(spent - before, time.monotonic())
            if rest_s:
                time.sleep(rest_s)

    def _turn(self) -> bool:
        ready = deque(key for key, _ in self._selector.select(self._until_deadline()))
        while ready:
            give_way()
            if not self._serve(ready.popleft()):
                return False
        now = time.monotonic()
        while self._pending and _first_deadline(self._pending) <= now:
            give_way()
            self._refuse(next(iter(self._pending)), "too slow")
        while self._leaving and _first_deadline(self._leaving) <= now:
            give_way()
            self._end(next(iter(self._leaving)))
        while self._spent:
            give_way()
            self._spent.popleft()
        return True

    def _serve(self, ready: selectors.SelectorKey) -> bool:
        """Whether to go on. Nobody else holds the client: the TLS of many that end together takes long to free."""
        if ready.fileobj is self._woken:
            return bool(self._woken.recv(READ_BYTES))
        if ready.fileobj is self._listener:
            if not self._door.open():
                time.sleep(PAUSE_S)
        elif ready.data in self._pending:
            self._step(ready.data)
        elif ready.data in self._leaving:  # in neither, if it gave way in this turn
            self._drain(ready.data)
        return True

    def _until_deadline(self) -> float | None:
        deadline = min(_first_deadline(self._pending), _first_deadline(self._leaving))
        return None if deadline == math.inf else max(0.0, deadline - time.monotonic())

    def _begin(self, accepted: socket.socket) -> None:
        while len(self._pending) >= self._limits.max_pending:
            self._refuse(next(iter(self._pending)), "too many")
        try:
            client = HandshakingClient(accepted, Tls(self._context()))
            self._selector.register(accepted, selectors.EVENT_READ, client)
        except Exception as error:  # noqa: BLE001 (it is one client's, and the others are served)
            accepted.close()
            self._on_refused()
            _log.error("a handshake could not begin: %s", type(error).__name__)
            return
        self._pending[client] = time.monotonic() + self._limits.timeout_s

    def _step(self, client: HandshakingClient) -> None:
        try:
            if not client.go_on():
                return
            certificate = client.tls.certificate
        except (OSError, ValueError) as error:
            self._refuse(client, str(error))
            return
        except Exception as error:  # noqa: BLE001 (it is one client's, and the others are served)
            _log.error("a handshake failed for a reason that is ours: %s", type(error).__name__)
            self._refuse(client, "internal error")
            return
        self._selector.unregister(client.sock)
        del self._pending[client]
        self._admit(client.sock, client.tls, certificate)

    def _refuse(self, client: HandshakingClient, why: str) -> None:
        """The alert is sent, if there is one to send."""
        self._on_refused()
        _log.debug("handshake refused: %s", why)
        del self._pending[client]
        self._leaving[client] = time.monotonic() + LINGER_S
        try:
            client.sock.shutdown(socket.SHUT_WR)
        except OSError:  # the client has gone
            self._end(client)
        if len(self._leaving) > self._limits.max_pending:
            self._end(next(iter(self._leaving)))

    def _drain(self, client: HandshakingClient) -> None:
        try:
            if 0 < len(client.sock.recv(READ_BYTES)) < READ_BYTES:  # more than a request is no honest client's
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._end(client)

    def _end(self, client: HandshakingClient) -> None:
        del self._leaving[client]
        self._selector.unregister(client.sock)
        client.sock.close()


def _first_deadline(deadlines: dict[HandshakingClient, float]) -> float:
    return next(iter(deadlines.values()), math.inf)
