"""Who comes over TLS to a listener of the event loop, as long as nobody knows who that is.

asyncio's own servers begin a handshake with whoever comes, however many they are. Here so many are under way at most,
and the oldest gives way to a new one: those who say nothing lock nobody out, and what they make us hold is bounded.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable

from keyhop.network.accepting import Door, OpenDoor

MOST_HANDSHAKES = 64
HANDSHAKE_S = 5.0
_ACCEPTS_AT_ONCE = 16

_log = logging.getLogger(__name__)


class TlsListener:
    """Makes a protocol of each connection to `listener`, which is told of it when the handshake is over."""

    def __init__(
        self, listener: socket.socket, tls: ssl.SSLContext, protocol: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self._tls = tls
        self._protocol = protocol
        self._door = OpenDoor(Door(listener, _ACCEPTS_AT_ONCE, lambda: False, lambda: None, self._begin))
        self._handshakes: dict[asyncio.Task[None], None] = {}  # the oldest is the first

    @property
    def handshakes(self) -> int:
        """How many are under way."""
        return len(self._handshakes)

    def start(self) -> None:
        """Begins to accept, on the running loop."""
        self._door.start()

    def stop(self) -> None:
        """Accepts nobody any more, and drops whose handshake is not over."""
        self._door.stop()
        for handshake in self._handshakes:
            handshake.cancel()

    def _begin(self, accepted: socket.socket) -> None:
        if len(self._handshakes) >= MOST_HANDSHAKES:
            oldest = next(iter(self._handshakes))
            del self._handshakes[oldest]
            oldest.cancel()
        handshake = asyncio.create_task(self._shake_hands(accepted))
        self._handshakes[handshake] = None
        handshake.add_done_callback(self._over)

    async def _shake_hands(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(self._protocol, accepted, ssl=self._tls, ssl_handshake_timeout=HANDSHAKE_S)

    def _over(self, handshake: asyncio.Task[None]) -> None:
        self._handshakes.pop(handshake, None)
        failure = None if handshake.cancelled() else handshake.exception()
        if failure is not None and not isinstance(failure, OSError):  # which is the client's
            _log.error("a handshake failed for a reason that is ours: %s", type(failure).__name__)
