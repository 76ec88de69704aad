"""Relays of many KMEs over real streams and leases, on virtual time: what is lost, repeated, altered or forgotten there
is up to the test.

There are no sessions here, so a message may also come after its sender or receiver was started anew.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count

import msgspec
from cryptography.hazmat.primitives.poly1305 import Poly1305

from keyhop.core.entropy import Entropy
from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.ledger import Ledger
from keyhop.core.records import RecordBook
from keyhop.core.store.memory import MemoryStore
from keyhop.core.streams import Block, FollowedStream, OwnedStream, StreamRef, Taken
from keyhop.core.units import units_for
from keyhop.network.arrivals import Arrivals
from keyhop.network.leasing import Cancel, Leasing, Use
from keyhop.network.relay.messages import Forward, OfRelay, PadPlace
from keyhop.network.relay.pads import Pads
from keyhop.network.relay.parcels import Flow, Parcel, Plan
from keyhop.network.relay.relay import Relay
from keyhop.network.sealing import MAC_KEY_BYTES, authenticated
from keyhop.network.wire import Body, Leased, LeaseNoted
from keyhop.testing.virtual import SeededEntropy, VirtualClock

TICK_S = 0.5
_decoder: msgspec.msgpack.Decoder[Body] = msgspec.msgpack.Decoder(Body)

type _Place = tuple[KmeId, KmeId, int, int]
type Lie = Callable[[KmeId, OfRelay], Iterable[tuple[KmeId, OfRelay]]]
"""What a lying node sends, and to whom, instead of a message to a node."""


def sae_of(kme: KmeId) -> SaeId:
    """The one SAE of a KME."""
    return SaeId(f"sae-of-{kme}")


@dataclass(slots=True)
class Delivered:
    """What destinations took, by source and destination."""

    blocks: list[tuple[KmeId, KmeId, bytes]] = field(default_factory=list)
    own: list[tuple[KmeId, KmeId, bytes]] = field(default_factory=list)


class _Session:
    def __init__(self, node: "RelayNode", peer: KmeId) -> None:
        self._node = node
        self._peer = peer

    @property
    def synchronised(self) -> bool:
        return frozenset((self._node.name, self._peer)) not in self._node.network.cut

    def tell(self, message: Body) -> None:
        node, peer = self._node, self._peer
        journal = node.journal
        journal.then(lambda: node.network.transmit(journal, node.name, peer, message))


class _Blocks:
    """Notes what becomes a block of the relayed streams between a node and a peer."""

    def __init__(self, me: KmeId, peer: KmeId, delivered: Delivered) -> None:
        self._me = me
        self._peer = peer
        self._delivered = delivered

    def own_block(self, number: int, material: KeyMaterial, produced_at: float, source: str) -> None:
        self._delivered.own.append((self._me, self._peer, material.reveal()))

    def their_block(self, number: int, material: KeyMaterial, produced_at: float, source: str) -> bool:
        self._delivered.blocks.append((self._peer, self._me, material.reveal()))
        return True


class _Relayed(_Session):
    def __init__(self, node: "RelayNode", peer: KmeId) -> None:
        super().__init__(node, peer)
        self.filling = _Blocks(node.name, peer, node.network.delivered)


class _WatchedPads(Pads):
    """Raises AssertionError when a unit is taken for two pads."""

    def __init__(self, leasing: Leasing, ref: StreamRef, network: "VirtualRelays") -> None:
        super().__init__(leasing, network.clock, lambda flow: 1.0)
        self._ref = ref
        self._network = network

    def take(self, flow: Flow, size_bytes: int, deadline: float, use: Use) -> Cancel:
        def watched(taken: Taken | None) -> None:
            if taken is not None:
                self._network.note_pad(self._ref, taken)
            use(taken)

        return super().take(flow, size_bytes, deadline, watched)


class _Direct(_Session):
    def __init__(self, node: "RelayNode", peer: KmeId) -> None:
        super().__init__(node, peer)
        self.owned = OwnedStream(StreamRef(node.name, peer), node.store, node.journal)
        self.followed = FollowedStream(StreamRef(peer, node.name), node.store, node.journal)
        self.leasing = Leasing(self.owned, node.network.clock, self.tell)
        self.pads = _WatchedPads(self.leasing, self.owned.ref, node.network)
        self.leasing.synchronised()


@dataclass(slots=True)
class _Other:
    relayed: _Relayed
    direct: _Direct | None


class RelayNode:
    """One KME's relay. Its disk survives, its memory does not."""

    def __init__(self, name: KmeId, network: "VirtualRelays", entropy: Entropy) -> None:
        self.name = name
        self.network = network
        self.entropy = entropy
        self.start(MemoryStore())

    def start(self, store: MemoryStore) -> None:
        """Starts on what a disk holds."""
        self.store = store
        self.journal = Journal(store, lambda: None)
        self.records = RecordBook(store, self.journal)
        self.others = {
            peer: _Other(_Relayed(self, peer), _Direct(self, peer) if self.network.joined(self.name, peer) else None)
            for peer in self.network.names
            if peer != self.name
        }
        home = {sae_of(kme): kme for kme in self.network.names}
        arrivals = Arrivals(self.name, self.records, self.network.clock, home.get)
        self.relay = Relay(self.name, self.others, arrivals, self.network.clock, self.entropy)

    def direct(self, peer: KmeId) -> _Direct:
        """The streams to a neighbour and from it."""
        direct = self.others[peer].direct
        assert direct is not None
        return direct

    def crash(self, *, after_commit: bool) -> None:
        """Loses its memory, just before a commit, or just after it and before anything that waits for it."""
        self.network.silenced.add(self.journal)
        if after_commit:
            self.journal.flush()
        self.start(MemoryStore(self.store.values))
        for peer, other in self.others.items():
            if other.direct is not None:
                self.network.nodes[peer].direct(self.name).leasing.synchronised()

    def ledgers(self) -> Iterable[tuple[Ledger, int]]:
        """The books of all streams, and what is available of each."""
        for other in self.others.values():
            if other.direct is not None:
                for stream in (other.direct.owned, other.direct.followed):
                    yield stream.ledger, stream.available_bytes


class VirtualRelays:
    """KMEs, those of which that links join have streams. Deterministic for a seed.

    `loss` and `repeat` are the probabilities that a message is lost, or delivered once more later; `crash` that a node
    stops when it should commit. Messages overtake each other when `reorder` is set.
    """

    def __init__(self, links: Iterable[tuple[str, str]], seed: int = 0, stock_bytes: int = 1 << 17) -> None:
        self.random = random.Random(seed)
        self.clock = VirtualClock()
        self.loss = self.repeat = self.crash = 0.0
        self.reorder = False
        self.cut: set[frozenset[KmeId]] = set()
        """Pairs of KMEs that have no connection."""
        self.lies: dict[KmeId, Lie] = {}
        self.delivered = Delivered()
        self.silenced: set[Journal] = set()
        self.breaches: list[tuple[KmeId, KmeId, str]] = []
        """Who found that whom broke the protocol, and how."""
        self.heard: dict[KmeId, list[bytes]] = {}
        """All that each node received."""
        self.pads: set[_Place] = set()
        """All units of all streams that were taken as a pad."""
        self.mac_keys: dict[_Place, bytes] = {}
        """With which key a pad begins."""
        self.named: dict[_Place, bytes] = {}
        """The tag of the message that named a pad, by its first unit."""
        self._links = {frozenset(KmeId(kme) for kme in link) for link in links}
        self.names = tuple(sorted({kme for link in self._links for kme in link}))
        self._on_the_way: list[tuple[KmeId, KmeId, bytes]] = []
        self._blocks = count()
        self.nodes = {name: RelayNode(name, self, SeededEntropy(seed * 1000 + i)) for i, name in enumerate(self.names)}
        for _ in range(stock_bytes >> 15):
            self.produce()
        self.settle()

    def joined(self, one: KmeId, other: KmeId) -> bool:
        """Whether a link joins them."""
        return frozenset((one, other)) in self._links

    def produce(self, size: int = 1 << 15) -> None:
        """Every link brings each of its streams a block."""
        for owner, follower in ((a, b) for a in self.names for b in self.names if self.joined(a, b)):
            data = random.Random(f"{owner} {follower} {next(self._blocks)}").randbytes(size)
            block = Block(data, 32, data[:16], self.clock.wall(), "test")
            self.nodes[follower].direct(owner).followed.append(1, [block])
            self.nodes[follower].journal.flush()
            direct = self.nodes[owner].direct(follower)
            direct.owned.append(block)
            direct.leasing.stock_changed()
            self.nodes[owner].journal.flush()

    def send(self, source: str, parcel: Parcel, plan: Plan, wait_s: float = 10.0) -> list[str | None]:
        """Sends a parcel; the outcome is appended to the list when there is one."""
        outcome: list[str | None] = []
        self.nodes[KmeId(source)].relay.send(parcel, plan, self.clock.monotonic() + wait_s, outcome.append)
        return outcome

    def transmit(self, journal: Journal, source: KmeId, target: KmeId, message: Body) -> None:
        """A node sends a message."""
        if journal in self.silenced or frozenset((source, target)) in self.cut:
            return
        if isinstance(message, Leased | LeaseNoted):
            self._on_the_way.append((source, target, msgspec.msgpack.encode(message)))
            return
        assert isinstance(message, OfRelay)
        self._watch(source, target, message)
        lie = self.lies.get(source)
        for to, said in lie(target, message) if lie else [(target, message)]:
            self._on_the_way.append((source, to, msgspec.msgpack.encode(said)))

    def step(self) -> bool:
        """Delivers one message (or loses it); False when none is on the way."""
        self._flush()
        if not self._on_the_way:
            return False
        index = self.random.randrange(len(self._on_the_way)) if self.reorder else 0
        source, target, data = self._on_the_way[index]
        if self.random.random() >= self.repeat:
            del self._on_the_way[index]
        if self.random.random() >= self.loss:
            self.deliver(source, target, data)
        return True

    def deliver(self, source: KmeId, target: KmeId, data: bytes) -> None:
        """A message arrives."""
        self.heard.setdefault(target, []).append(data)
        node = self.nodes[target]
        try:
            message = _decoder.decode(data)
            if isinstance(message, Leased):
                direct = node.direct(source)
                if direct.followed.note_taken(message.epoch, message.taken):
                    direct.tell(LeaseNoted(message.epoch, message.taken))
            elif isinstance(message, LeaseNoted):
                node.direct(source).leasing.noted(message)
            else:
                assert isinstance(message, OfRelay)
                node.relay.received(source, message)
        except PeerError as error:
            self.breaches.append((target, source, error.message))

    def settle(self, limit: int = 20_000) -> None:
        """Delivers messages until none is on the way. Raises AssertionError if that does not end."""
        for _ in range(limit):
            if not self.step():
                return
        raise AssertionError("the network does not come to rest")

    def pass_time(self, seconds: float) -> None:
        """Moves time on in ticks, delivering what is sent."""
        for _ in range(max(1, round(seconds / TICK_S))):
            self.clock.advance(TICK_S)
            for node in self.nodes.values():
                for other in node.others.values():
                    if other.direct is not None:
                        other.direct.leasing.tick()
                node.relay.tick()
            self.settle()

    def balanced(self) -> bool:
        """Whether all books are."""
        return all(ledger.balances(there) for node in self.nodes.values() for ledger, there in node.ledgers())

    def note_pad(self, ref: StreamRef, taken: Taken) -> None:
        """Raises AssertionError when a unit is taken for two pads."""
        places = [(ref.owner, ref.follower, taken.epoch, taken.position + i) for i in range(units_for(len(taken.data)))]
        assert self.pads.isdisjoint(places), "a byte was taken for two pads"
        self.pads.update(places)
        self.mac_keys[places[0]] = taken.data[:MAC_KEY_BYTES]

    def _flush(self) -> None:
        for node in self.nodes.values():
            if node.journal.dirty and self.random.random() < self.crash:
                node.crash(after_commit=self.random.random() < 0.5)
            else:
                node.journal.flush()

    def _watch(self, source: KmeId, target: KmeId, message: OfRelay) -> None:
        """Raises AssertionError when two messages name one pad, or one that was not taken for it."""
        if isinstance(message, Forward | PadPlace):
            place = (source, target, message.epoch, message.pad)
            assert place in self.pads, "a pad was not taken for its message"
            assert self.named.setdefault(place, message.tag) == message.tag, "a pad was used for two messages"

    def retagged(self, source: KmeId, target: KmeId, message: OfRelay) -> OfRelay:
        """A message that a node altered after its tag was made, with a tag that is right again: it has the key."""
        if not isinstance(message, Forward | PadPlace) or not self.joined(source, target):
            return message
        keys = self.mac_keys.get((source, target, message.epoch, message.pad))
        if keys is None:
            return message
        ref = StreamRef(source, target)
        return msgspec.structs.replace(message, tag=Poly1305.generate_tag(keys, authenticated(message, ref)))
