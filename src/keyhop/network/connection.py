"""One connection to one peer, from the finished handshake to its end.

Frames that leave in one turn of the event loop are written together.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, cast

import structlog

from keyhop.core.clock import Clock
from keyhop.core.errors import PeerError, StoreFailure
from keyhop.core.ids import KmeId
from keyhop.network.lines import Lines
from keyhop.network.proof import Proof, Prove
from keyhop.network.wire import Frames, frame

MAX_UNWRITTEN_BYTES = 32 << 20

_log = structlog.get_logger(__name__)


class Keeper(Protocol):
    """Who keeps the connections."""

    clock: Clock

    def admit(self, connection: "PeerConnection", proof: Proof) -> Lines["PeerConnection"]:
        """Those of the peer that a new connection belongs to. Raises PeerError."""
        ...

    def refused(self, expected: KmeId | None, reason: str) -> None:
        """Somebody was not let in."""
        ...

    def heard(self, connection: "PeerConnection") -> None:
        """The peer has let us in and speaks."""
        ...

    def gone(self, connection: "PeerConnection", reason: str) -> None:
        """A connection ended."""
        ...


class PeerConnection(asyncio.Protocol):
    """The protocol of one connection, which `prove` says whose it is; `expected` is who was dialled."""

    def __init__(self, keeper: Keeper, prove: Prove, expected: KmeId | None = None) -> None:
        self._keeper = keeper
        self._prove = prove
        self.expected = expected
        self._frames = Frames()
        self._transport: asyncio.WriteTransport | None = None
        self._unsent: list[bytes] = []
        self.proof: Proof | None = None
        self.lines: Lines[PeerConnection] | None = None
        self.heard = False
        self.last_heard = 0.0
        self.ended = asyncio.Event()

    @property
    def generation(self) -> int | None:
        """Of the key that has proved who the peer is; None where a certificate has."""
        return self.proof.generation if self.proof else None

    @property
    def dialled(self) -> bool:
        """Whether this end has opened it."""
        return self.expected is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's does not inherit from it
        self.last_heard = self._keeper.clock.monotonic()
        try:
            self.proof = self._prove(transport.get_extra_info("ssl_object"))
            self.lines = self._keeper.admit(self, self.proof)
            self.lines.opened(self)
        except PeerError as error:
            self._keeper.refused(self.expected, error.message)
            self.abort()
        except StoreFailure:
            self.abort()

    def data_received(self, data: bytes) -> None:
        self.last_heard = self._keeper.clock.monotonic()
        if self.lines is None:
            return
        if not self.heard:
            self.heard = True  # with TLS 1.3 the dialling side cannot know before that it was let in
            self._keeper.heard(self)
        self._take(partial(self._frames.feed, data))

    def hear(self, frames: Sequence[bytes]) -> None:
        """What has been held back."""
        self._take(lambda: frames)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.ended.set()  # first: whoever dials waits for it, whatever becomes of what `gone` tells
        self._keeper.gone(self, str(exc) if exc else "closed")

    def send(self, message: bytes) -> None:
        """Writes at the end of this turn of the loop, together with what else is sent in it."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._write)
        self._unsent.append(frame(message))

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Ends the connection once everything is written."""
        if self._transport is not None:
            self._write()
            self._transport.close()

    def _take(self, frames: Callable[[], Sequence[bytes]]) -> None:
        lines = self.lines
        assert lines is not None  # whoever was not admitted is not heard
        try:
            for message in frames():
                if message:
                    lines.received(self, message)
        except PeerError as error:
            _log.warning("peer broke the protocol", peer=lines.peer.id, reason=error.message)
            self.abort()
        except StoreFailure:
            self.abort()
        except Exception as error:  # noqa: BLE001
            # Nothing that a peer sends may do this; if it does, the session is over and the next one compares marks.
            _log.exception("a message from a peer could not be handled", peer=lines.peer.id, kind=type(error).__name__)
            self.abort()

    def _write(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._transport is None or not unsent:
            return
        self._transport.write(b"".join(unsent))
        if self._transport.get_write_buffer_size() > MAX_UNWRITTEN_BYTES:
            self.abort()
