"""The connections of one peer: the one that its sessions go over, and one that is to take over from it.

A connection takes over when there is a newer generation of the peer's key (`psk`), without an end to any session. Who
dials says on the new one that it succeeds, and then on the old one that it moves, both with the same random token;
from then on it writes to the new one. The other end answers on the old one that it moves too, and does the same. What
comes on the new one is held back until that last word has come on the old one. So nothing is lost, nothing changes its
place, and nobody who has only a copy of the key can take over: a copy of a node has no part in the old connection.
"""

from collections.abc import Sequence
from typing import Protocol

from keyhop.core.entropy import Entropy
from keyhop.core.errors import PeerError
from keyhop.network.peer import Peer
from keyhop.network.wire.words import Moves, Succeeds, spoken, word_of

MAX_HELD_BYTES = 32 << 20
"""Of what comes early on a connection that takes over."""
FRAME_BYTES = 64
"""What a frame takes beside its own bytes."""
TOKEN_BYTES = 16


class Line(Protocol):
    """One authenticated connection. `generation` is None where certificates prove who is there."""

    @property
    def generation(self) -> int | None: ...

    @property
    def dialled(self) -> bool: ...

    def send(self, message: bytes) -> None: ...

    def hear(self, frames: Sequence[bytes]) -> None:
        """These have been held back, and shall be taken for received now."""
        ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


class Lines[L: Line]:
    """The state machine for one peer; `received` raises PeerError for what the protocol does not allow."""

    def __init__(self, peer: Peer, entropy: Entropy) -> None:
        self.peer = peer
        self._entropy = entropy
        self.heard: L | None = None
        """Where the peer is heard; None while there is no connection."""
        self.spoken: L | None = None
        """Where it is spoken to."""
        self.next: L | None = None
        """Which may take over; it has a newer generation."""
        self._token: bytes | None = None
        """What was said on `next`."""
        self._left: bytes | None = None
        """What was said last on `heard`."""
        self._held: list[bytes] = []
        self._held_bytes = 0

    @property
    def open(self) -> list[L]:
        """Every connection of the peer."""
        return [line for line in (self.heard, self.next) if line is not None]

    @property
    def is_over(self) -> bool:
        """Whether both ends have a newer generation of their key than the connection's."""
        generation = self.heard.generation if self.heard else None
        psk = self.peer.psk
        return generation is not None and psk is not None and psk.current > generation

    def opened(self, line: L) -> None:
        """There is one more, which has proved that it is the peer's."""
        before = self.heard
        if before is None:
            self._begin(line)
        elif _is_newer(line, before) and not self._is_leaving:
            self._drop_next()
            self.next = line
            if line.dialled:
                self._move(line, self._entropy.token(TOKEN_BYTES))
        else:
            self._replace(line)

    def received(self, line: L, frame: bytes) -> None:
        """A frame of one of them; of those that are over nothing counts."""
        if line is self.next and self._token is None:
            self._received_first(line, frame)
        elif line is self.next:
            self._hold(frame)
        elif line is self.heard:
            self._received_now(frame)

    def lost(self, line: L) -> bool:
        """One of them has ended. Returns whether the peer has none now."""
        if line is self.next and not self._is_leaving:
            self._forget_next()
            return False
        if line not in (self.heard, self.next):
            return False
        waits = self.next if self.next is not None and self._token is None else None
        others = [other for other in self.open if other not in (line, waits)]
        self.heard = self.spoken = None
        self._forget_next()
        self.peer.disconnect()
        for other in others:
            other.abort()  # what was on its way is lost, so the session is over
        if waits is not None:
            self._begin(waits)
        return self.heard is None

    @property
    def _is_leaving(self) -> bool:
        """Whether this end has moved, and the other one not yet."""
        return self.next is not None and self.spoken is self.next

    def _begin(self, line: L) -> None:
        self.heard = self.spoken = line
        self._left = None
        self.peer.connect(line.send)

    def _replace(self, line: L) -> None:
        """The peer begins anew, or somebody who claims to be it."""
        self.peer.replaced()
        before, after = self.heard, self.next if self.next is not line else None
        self._forget_next()
        self._begin(line)
        if before is not None:
            before.close()
        if after is not None:
            after.abort()

    def _move(self, line: L, token: bytes) -> None:
        self._token = token
        line.send(spoken(Succeeds(token)))
        self._say_last(token, line)

    def _say_last(self, token: bytes, line: L) -> None:
        assert self.spoken is not None  # there is no `next` without
        self.spoken.send(spoken(Moves(token)))
        self.spoken = line
        self.peer.move(line.send)

    def _received_first(self, line: L, frame: bytes) -> None:
        match word_of(frame):
            case Succeeds(token):
                self._token = token
                self._take_over()
            case Moves():
                raise PeerError("a connection that ends before it has begun")
            case None:
                self._replace(line)
                self.peer.received(frame)

    def _received_now(self, frame: bytes) -> None:
        if self._left is not None:
            raise PeerError("a word after the last one")
        match word_of(frame):
            case Moves(token):
                if self.peer.psk is None:
                    raise PeerError("a connection with certificates that moves")
                self._left = token
                self._take_over()
            case Succeeds():
                raise PeerError("a connection that succeeds itself")
            case None:
                self.peer.received(frame)

    def _hold(self, frame: bytes) -> None:
        self._held_bytes += len(frame) + FRAME_BYTES
        if self._held_bytes > MAX_HELD_BYTES:
            raise PeerError("too much before the last word on the connection before")
        self._held.append(frame)

    def _take_over(self) -> None:
        """Once both words have come, of whoever has said them."""
        line, before, token = self.next, self.heard, self._token
        if line is None or before is None or token is None or self._left is None:
            return
        if token != self._left:
            if self._is_leaving:
                raise PeerError("a last word with another token")
            self._drop_next()  # not the one that the peer moves to
            return
        if self.spoken is not line:
            self._say_last(token, line)
        held = self._held
        self.heard, self._left = line, None
        self._forget_next()
        before.close()
        line.hear(held)

    def _drop_next(self) -> None:
        line = self.next
        self._forget_next()
        if line is not None:
            line.abort()

    def _forget_next(self) -> None:
        self.next = self._token = None
        self._held, self._held_bytes = [], 0


def _is_newer(line: Line, before: Line) -> bool:
    generation, other = line.generation, before.generation
    return generation is not None and other is not None and generation > other
