"""Two ends of a refreshed PSK, with a stream between them, on virtual time.

What they say to each other is in the test's hands.
"""

from collections import deque
from collections.abc import Callable, Mapping

from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.base import Slot
from keyhop.core.store.memory import MemoryStore
from keyhop.core.streams import Block, FollowedStream, OwnedStream, StreamRef
from keyhop.network.leasing import Leasing
from keyhop.network.psk.generations import PskGenerations
from keyhop.network.psk.messages import OfPsk
from keyhop.network.psk.refreshing import Refreshing
from keyhop.network.wire import Body, Leased, LeaseNoted
from keyhop.testing.virtual import SeededEntropy, VirtualClock

ALICE, BOB = KmeId("alice"), KmeId("bob")
INTERVAL_S = 60.0


class PskEnd:
    """One node's part: it crashes, and starts again with what it had made durable."""

    def __init__(self, me: KmeId, peer: KmeId, psk: KeyMaterial, clock: VirtualClock) -> None:
        self.me = me
        self._peer = peer
        self._psk = psk
        self._clock = clock
        self.sent: deque[Body] = deque()
        self.fetched: list[tuple[bytes, KeyMaterial, Callable[[str | None], None]]] = []
        """What it wants to have relayed."""
        self.start({})

    def start(self, values: Mapping[Slot, bytes]) -> None:
        """With this on its disk."""
        self.store = MemoryStore(values)
        self.journal = Journal(self.store, lambda: None)
        self.generations = PskGenerations(self.me, self._peer, self._psk, self.store, self.journal)
        self.owned = OwnedStream(StreamRef(self.me, self._peer), self.store, self.journal)
        self.followed = FollowedStream(StreamRef(self._peer, self.me), self.store, self.journal)
        self.leasing = Leasing(self.owned, self._clock, self._send)
        whence = (self.leasing, self.followed, self._clock, SeededEntropy(len(self.me)))
        self.refreshing = Refreshing(self.generations, *whence, self._send, self._fetch, INTERVAL_S)
        self.sent.clear()
        self.fetched.clear()

    def crash(self) -> None:
        """What was not durable is gone."""
        self.start(self.store.values)

    def connect(self) -> None:
        """A session begins."""
        self.leasing.synchronised()
        self.refreshing.synchronised()

    def disconnect(self) -> None:
        """The session is over, with everything on its way."""
        self.leasing.interrupted()
        self.refreshing.interrupted()
        self.sent.clear()

    def tick(self) -> None:
        """Time has passed."""
        self.leasing.tick()
        self.refreshing.tick()

    def received(self, body: Body) -> None:
        """From the other end."""
        match body:
            case Leased(epoch, taken):
                if self.followed.note_taken(epoch, taken):
                    self._send(LeaseNoted(epoch, taken))
            case LeaseNoted():
                self.leasing.noted(body)
            case OfPsk():
                self.refreshing.received(body)
            case _:
                raise PeerError("unexpected")

    def _fetch(self, check: bytes, fresh: KeyMaterial, done: Callable[[str | None], None]) -> None:
        self.fetched.append((check, fresh, done))

    def _send(self, body: Body) -> None:
        self.journal.then(lambda: self.sent.append(body))


class PskEnds:
    """alice, who dials, and bob."""

    def __init__(self, psk: KeyMaterial | None = None) -> None:
        self.clock = VirtualClock()
        psk = psk or KeyMaterial(bytes(range(32)))
        self.alice, self.bob = PskEnd(ALICE, BOB, psk, self.clock), PskEnd(BOB, ALICE, psk, self.clock)
        self.both = (self.alice, self.bob)
        self.connected = False

    def produce(self, data: bytes) -> None:
        """Appends to alice's stream, durably at both ends."""
        block = Block(data, 0, data[:16], self.clock.wall(), "test")
        self.bob.followed.append(1, [block])
        self.alice.owned.append(block)
        self.flush()
        self.alice.leasing.stock_changed()

    def flush(self) -> None:
        """Both make durable what they have decided."""
        for end in self.both:
            end.journal.flush()

    def handshake(self) -> int:
        """The generation that alice shows and bob has. Raises PeerError, and AssertionError for other bytes."""
        generation = self.alice.generations.current
        shown = self.bob.generations.shown(self.alice.generations.identity(generation))
        assert shown == generation
        assert self.alice.generations.secret(generation) == self.bob.generations.secret(generation)
        return generation

    def connect(self) -> None:
        """A connection, as `network.connections` makes it."""
        generation = self.handshake()
        for end in self.both:
            end.generations.used(generation)
            end.connect()
        self.connected = True

    def disconnect(self) -> None:
        """It ends."""
        for end in self.both:
            end.disconnect()
        self.connected = False

    def deliver(self, sender: PskEnd) -> bool:
        """The next message of one end reaches the other; False when there is none."""
        if not sender.sent:
            return False
        body = sender.sent.popleft()
        (self.bob if sender is self.alice else self.alice).received(body)
        return True

    def settle(self) -> None:
        """Delivers everything."""
        self.flush()
        while self.deliver(self.alice) or self.deliver(self.bob):
            self.flush()

    def pass_time(self, seconds: float) -> None:
        """One tick at both ends, after that time."""
        self.clock.advance(seconds)
        for end in self.both:
            end.tick()
        self.settle()
