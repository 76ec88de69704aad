"""KMEs joined by links, of which messages are lost, repeated, reordered, altered, and which stop and start anew."""

import random
from collections.abc import Callable, Iterable, Mapping
from itertools import count

import msgspec

from keyhop.core.entropy import Entropy
from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId
from keyhop.core.journal import Journal
from keyhop.core.store.memory import MemoryStore
from keyhop.core.streams import Block
from keyhop.network.relay.messages import Forward, OfRelay
from keyhop.network.relay.parcels import Parcel, Plan
from keyhop.network.wire import Body, Leased, LeaseNoted
from keyhop.testing.relays.node import Delivered, RelayNode
from keyhop.testing.relays.pad_watch import PadWatch
from keyhop.testing.virtual import SeededEntropy, VirtualClock

TICK_S = 0.5
BLOCK_BYTES = 1 << 15
_decoder: msgspec.msgpack.Decoder[Body] = msgspec.msgpack.Decoder(Body)

type Lie = Callable[[KmeId, OfRelay], Iterable[tuple[KmeId, OfRelay]]]
"""What a lying node sends, and to whom, instead of a message to a node."""


class VirtualRelays:
    """KMEs, those of which that links join have streams. Deterministic for a seed.

    `loss` and `repeat` are the probabilities that a message is lost, or delivered once more later; `crash` that a node
    stops where it should commit, before that or after it. Messages overtake each other when `reorder` is set.
    """

    def __init__(
        self,
        links: Iterable[tuple[str, str]],
        seed: int = 0,
        *,
        stock_bytes: int = 4 * BLOCK_BYTES,
        entropies: Mapping[KmeId, Entropy] | None = None,
    ) -> None:
        """`entropies` are those of nodes whose random bytes a test wants to choose."""
        self.random = random.Random(seed)
        self.clock = VirtualClock()
        self.loss = self.repeat = self.crash = 0.0
        self.reorder = False
        self.cut: set[frozenset[KmeId]] = set()
        """Pairs of KMEs that have no connection."""
        self.most_priorities: dict[KmeId, int] = {}
        """The highest that what a KME sends has at the others."""
        self.lies: dict[KmeId, Lie] = {}
        self.delivered = Delivered()
        self.watch = PadWatch()
        self.heard: dict[KmeId, list[bytes]] = {}
        """All that each node received."""
        self.said: list[tuple[KmeId, KmeId, OfRelay]] = []
        """All that relays sent, by source and target."""
        self.breaches: list[tuple[KmeId, KmeId]] = []
        """Who found that whom broke the protocol."""
        self._links = {frozenset(KmeId(kme) for kme in link) for link in links}
        self.names = tuple(sorted({kme for link in self._links for kme in link}))
        self._silenced: set[Journal] = set()
        self._on_the_way: list[tuple[KmeId, KmeId, bytes]] = []
        self._blocks = count()
        drawn = {name: SeededEntropy(seed * 1000 + i) for i, name in enumerate(self.names)}
        self.nodes = {name: RelayNode(name, self, (entropies or {}).get(name, drawn[name])) for name in self.names}
        for _ in range(stock_bytes // BLOCK_BYTES):
            self.produce()
        self.settle()

    def joined(self, one: KmeId, other: KmeId) -> bool:
        """Whether a link joins them."""
        return frozenset((one, other)) in self._links

    def connected(self, one: KmeId, other: KmeId) -> bool:
        """Whether they can talk."""
        return frozenset((one, other)) not in self.cut

    def produce(self) -> None:
        """Every link brings each of its streams a block."""
        for owner, follower in ((a, b) for a in self.names for b in self.names if self.joined(a, b)):
            data = random.Random(f"{owner} {follower} {next(self._blocks)}").randbytes(BLOCK_BYTES)
            block = Block(data, 32, data[:16], self.clock.wall(), "test")
            self.nodes[follower].direct(owner).followed.append(1, [block])
            self.nodes[follower].journal.flush()
            direct = self.nodes[owner].direct(follower)
            direct.owned.append(block)
            direct.leasing.stock_changed()
            self.nodes[owner].journal.flush()

    def lease_ahead(self, size_bytes: int = BLOCK_BYTES) -> None:
        """As if all streams had been asked for so much of late: so nobody waits for a lease."""
        for node in self.nodes.values():
            for direct in node.directs:
                direct.leasing.demand.took(size_bytes // 8)
                direct.leasing.tick()
        self.settle()

    def send(self, source: str, parcel: Parcel, plan: Plan, wait_s: float = 10.0) -> list[str | None]:
        """Sends a parcel; the outcome is appended to the list when there is one."""
        outcome: list[str | None] = []
        self.nodes[KmeId(source)].relay.send(parcel, plan, self.clock.monotonic() + wait_s, outcome.append)
        return outcome

    def restart(self, name: KmeId, *, after_commit: bool = True) -> None:
        """A node stops just before a commit, or just after it and before anything that waits for it; and starts."""
        node = self.nodes[name]
        self._silenced.add(node.journal)
        if after_commit:
            node.journal.flush()
        node.start(MemoryStore(node.store.values))
        for peer in self.names:
            if self.joined(name, peer):
                self.nodes[peer].direct(name).leasing.synchronised()

    def transmit(self, journal: Journal, source: KmeId, target: KmeId, message: Body) -> None:
        """A node sends a message."""
        if journal in self._silenced or not self.connected(source, target):
            return
        if not isinstance(message, OfRelay):
            self._on_the_way.append((source, target, msgspec.msgpack.encode(message)))
            return
        self.said.append((source, target, message))
        self._check_erased(source, message)
        self.watch.sent(source, target, message, all_are_honest=not self.lies)
        lie = self.lies.get(source)
        for to, said in lie(target, message) if lie else [(target, message)]:
            if to != source:
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

    def lose(self) -> None:
        """Nothing that is on the way arrives."""
        self._on_the_way.clear()

    def deliver(self, source: KmeId, target: KmeId, data: bytes) -> None:
        """A message arrives."""
        self.heard.setdefault(target, []).append(data)
        try:
            message = _decoder.decode(data)
            if isinstance(message, OfRelay):
                self.nodes[target].relay.received(source, message)
            else:
                self._lease(source, target, message)
        except (PeerError, msgspec.DecodeError):
            self.breaches.append((target, source))

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
                for direct in node.directs:
                    direct.leasing.tick()
                    direct.pads.tick()
                node.relay.tick()
            self.settle()

    def _check_erased(self, source: KmeId, message: OfRelay) -> None:
        """Raises AssertionError for a hop that sends on what it still has the pad of."""
        if isinstance(message, Forward) and message.route[0] != source and not self.lies:
            before = KmeId(message.route[message.route.index(source) - 1])
            name = (before, source, message.parcel, message.share)
            for sender, target, came in self.said:
                if isinstance(came, Forward) and (sender, target, came.parcel, came.share) == name:
                    assert not self.nodes[source].still_has(before, came), "a pad was used and not erased"

    def _lease(self, source: KmeId, target: KmeId, message: Body) -> None:
        direct = self.nodes[target].direct(source)
        if isinstance(message, Leased):
            if direct.followed.note_taken(message.epoch, message.taken):
                direct.tell(LeaseNoted(message.epoch, message.taken))
        elif isinstance(message, LeaseNoted):
            direct.leasing.noted(message)

    def _flush(self) -> None:
        for name, node in self.nodes.items():
            if node.journal.dirty and self.random.random() < self.crash:
                self.restart(name, after_commit=self.random.random() < 0.5)
            else:
                node.journal.flush()
