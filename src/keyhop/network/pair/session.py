"""A session begins with Hello and State in both directions. From the two States both ends come to the same verdict on
each stream (`network.agreement`); until then nothing is placed, leased or marked. Messages of any other session are
dropped.
"""

from collections.abc import Callable

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.journal import Journal
from keyhop.core.streams import Route
from keyhop.network import wire
from keyhop.network.agreement import Agreement
from keyhop.network.twins import Twins

type Transmit = Callable[[bytes], None]


class Session:
    """With the other end of one pair, over whatever connection there is."""

    def __init__(
        self,
        route: Route,
        agreement: Agreement,
        journal: Journal,
        clock: Clock,
        entropy: Entropy,
        on_begun: Callable[[], None],
        on_over: Callable[[], None],
    ) -> None:
        """`on_begun` when both ends agree, `on_over` when such a session is over."""
        self._route: Route = route
        self._agreement = agreement
        self._journal = journal
        self._clock = clock
        self._entropy = entropy
        self._on_begun = on_begun
        self._on_over = on_over
        self._transmit: Transmit | None = None
        self._process = self._draw()
        self.number = self._draw()
        self.peer_number = 0
        self.theirs, self.ours = Twins(clock), Twins(clock)
        """What is known of the processes that claim to be the peer, or to be us."""
        self.synchronised = False
        self.since: float | None = None
        """Since when both ends agree, in wall seconds."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection, synchronised or not."""
        return self._transmit is not None

    @property
    def doubted(self) -> bool:
        """Whether the peer has met another node that claims to be this one, and has not agreed with us since."""
        return self._agreement.doubted

    def connect(self, transmit: Transmit) -> None:
        """There is a connection now."""
        self._begin()
        self.peer_number = 0
        self._transmit = transmit
        self.greet()

    def move(self, transmit: Transmit) -> None:
        """What is said from now on goes another way, in the same session."""
        self._transmit = transmit

    def replaced(self) -> None:
        """Another connection takes the place of this one, whose end may live all the same: it is told."""
        if self._transmit:
            self._transmit(self._encoded(wire.Replaced()))

    def disconnect(self) -> None:
        """The connection is gone."""
        self._begin()
        self.peer_number = 0
        self._transmit = None

    def greet(self) -> None:
        """A session is to begin, unless there is one."""
        if self.connected and not self.synchronised:
            self.tell(wire.Hello(self._process))

    def received(self, envelope: wire.Envelope) -> wire.Body | None:
        """A message from the peer; what of it is left for others to see to."""
        match envelope.body:
            case wire.Hello(process):
                self.theirs.heard(process)
                self._hear(envelope.sender)
                self.tell(self._agreement.state())
            case wire.State() as state:
                if envelope.receiver == self.number:
                    self._hear(envelope.sender)
                    if envelope.receiver == self.number:
                        self._synchronise(state)
                    else:
                        self.tell(wire.Hello(self._process))  # the State answered a session that has just ended
            case wire.Replaced() as body:
                if envelope.receiver == self.number:
                    self.ours.sign()
                    self._agreement.doubted = True
                    return body
            case body:
                current = (self.peer_number, self.number)
                if self.synchronised and (envelope.sender, envelope.receiver) == current:
                    return body
        return None

    def tell(self, body: wire.Body) -> None:
        """Sends once everything noted so far is durable, if the session is still the same."""
        number, peer_number = self.number, self.peer_number

        def transmit() -> None:
            if self._transmit and (number, peer_number) == (self.number, self.peer_number):
                self._transmit(self._encoded(body))

        self._journal.then(transmit)

    def tell_now(self, body: wire.Body) -> None:
        """Sends what waits for nothing to be durable, if there is a session."""
        if self._transmit and self.synchronised:
            self._transmit(self._encoded(body))

    def _hear(self, peer_number: int) -> None:
        """Notes the peer's session; a new one ends ours, unless ours has nothing behind it yet."""
        if peer_number != self.peer_number:
            self._begin()
            self.peer_number = peer_number

    def _begin(self) -> None:
        if self.synchronised:
            self.synchronised = False
            self.since = None
            self.number = self._draw()
            self._agreement.begin()
            self._on_over()

    def _synchronise(self, theirs: wire.State) -> None:
        if self.synchronised:
            return
        self.tell(self._agreement.state())
        self._agreement.reach(theirs)
        self.synchronised = True
        self.since = self._clock.wall()
        self._on_begun()

    def _draw(self) -> int:
        return int.from_bytes(self._entropy.token(8)) >> 2 | 1

    def _encoded(self, body: wire.Body) -> bytes:
        return wire.encode(wire.Envelope(self._route, self.number, self.peer_number, body))
