"""One KME's relay over real streams and leases."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.priority import MAX_PRIORITY
from keyhop.core.records import RecordBook
from keyhop.core.store.memory import MemoryStore
from keyhop.core.streams import FollowedStream, OwnedStream, StreamRef, Taken
from keyhop.core.streams.base import load_chunks
from keyhop.network.arrivals import Arrivals
from keyhop.network.exports import NoExports
from keyhop.network.leasing import Cancel, Leasing, Use
from keyhop.network.relay.messages import Forward, PadPlace
from keyhop.network.relay.pads import Pads, Standing
from keyhop.network.relay.parcels import Flow
from keyhop.network.relay.relay import Relay
from keyhop.network.wire import Body
from keyhop.testing.relays.pad_watch import PadWatch


def sae_of(kme: KmeId) -> SaeId:
    """The one SAE of a KME."""
    return SaeId(f"sae-of-{kme}")


@dataclass(slots=True)
class Delivered:
    """Blocks, by source and destination: those that destinations took, and those that sources then had."""

    blocks: list[tuple[KmeId, KmeId, bytes]] = field(default_factory=list)
    own: list[tuple[KmeId, KmeId, bytes]] = field(default_factory=list)


class Surroundings(Protocol):
    """What a node needs to know of its network."""

    @property
    def names(self) -> tuple[KmeId, ...]: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def most_priorities(self) -> Mapping[KmeId, int]: ...

    @property
    def delivered(self) -> Delivered: ...

    @property
    def watch(self) -> PadWatch: ...

    def joined(self, one: KmeId, other: KmeId) -> bool: ...

    def connected(self, one: KmeId, other: KmeId) -> bool: ...

    def transmit(self, journal: Journal, source: KmeId, target: KmeId, message: Body) -> None: ...


class RelayNode:
    """A relay whose disk survives and whose memory does not."""

    def __init__(self, name: KmeId, network: Surroundings, entropy: Entropy) -> None:
        self.name = name
        self.network = network
        self.entropy = entropy
        self.start(MemoryStore())

    def start(self, store: MemoryStore) -> None:
        """Starts on what a disk holds."""
        self.store = store
        self.journal = Journal(store, lambda: None)
        self.records = RecordBook(store, self.journal)
        network = self.network
        self.others = {
            peer: _Other(_Relayed(self, peer), _Direct(self, peer) if network.joined(self.name, peer) else None)
            for peer in network.names
            if peer != self.name
        }
        home = {sae_of(kme): kme for kme in network.names}
        arrivals = Arrivals(self.name, self.records, network.clock, home.get, NoExports())
        self.relay = Relay(self.name, self.others, arrivals, network.clock, self.entropy)

    def direct(self, peer: KmeId) -> "_Direct":
        """The streams to a neighbour and from it."""
        direct = self.others[peer].direct
        assert direct is not None
        return direct

    @property
    def directs(self) -> "Iterator[_Direct]":
        """The streams to all neighbours and from them."""
        return (other.direct for other in self.others.values() if other.direct is not None)

    def still_has(self, peer: KmeId, message: Forward | PadPlace) -> bool:
        """Whether anything of the pad of a neighbour's message is on the disk."""
        chunks = load_chunks(self.store, StreamRef(peer, self.name), "follower", message.epoch)
        at = message.pad
        return any(chunk.start <= at < chunk.end and chunk.holds(at, at + 1) for chunk in chunks)

    def balanced(self) -> bool:
        """Whether the books of its streams are."""
        streams: Iterable[OwnedStream | FollowedStream] = (s for d in self.directs for s in (d.owned, d.followed))
        return all(stream.ledger.balances(stream.available_bytes) for stream in streams)


class _Session:
    def __init__(self, node: RelayNode, peer: KmeId) -> None:
        self._node = node
        self._peer = peer
        self._journal = node.journal

    @property
    def synchronised(self) -> bool:
        return self._node.network.connected(self._node.name, self._peer)

    def tell(self, message: Body) -> None:
        node = self._node
        self._journal.then(lambda: node.network.transmit(self._journal, node.name, self._peer, message))


class _Direct(_Session):
    def __init__(self, node: RelayNode, peer: KmeId) -> None:
        super().__init__(node, peer)
        self.owned = OwnedStream(StreamRef(node.name, peer), node.store, node.journal)
        self.followed = FollowedStream(StreamRef(peer, node.name), node.store, node.journal)
        self.leasing = Leasing(self.owned, node.network.clock, self.tell)
        self.pads = _WatchedPads(self.leasing, node.network, self.owned.ref)
        self.leasing.synchronised()


class _Relayed(_Session):
    def __init__(self, node: RelayNode, peer: KmeId) -> None:
        super().__init__(node, peer)
        self.filling = _Blocks(node.name, peer, node.network.delivered, node.journal)


@dataclass(slots=True)
class _Other:
    relayed: _Relayed
    direct: _Direct | None


class _Blocks:
    """Notes what becomes a block of the relayed streams between a node and a peer."""

    def __init__(self, me: KmeId, peer: KmeId, delivered: Delivered, journal: Journal) -> None:
        self._me = me
        self._peer = peer
        self._delivered = delivered
        self._journal = journal

    def own_block(self, number: int, material: KeyMaterial, produced_at: float, source: str) -> None:
        self._delivered.own.append((self._me, self._peer, material.reveal()))

    def their_block(self, number: int, material: KeyMaterial, produced_at: float, source: str) -> bool:
        block = (self._peer, self._me, material.reveal())
        self._journal.then(lambda: self._delivered.blocks.append(block))
        return True


class _WatchedPads(Pads):
    def __init__(self, leasing: Leasing, network: Surroundings, ref: StreamRef) -> None:
        def standing(flow: Flow) -> Standing:
            return Standing(min(flow.priority, network.most_priorities.get(flow.source, MAX_PRIORITY)), 1.0)

        super().__init__(leasing, network.clock, standing)
        self._ref = ref
        self._watch = network.watch

    def take(self, flow: Flow, size_bytes: int, deadline: float, use: Use, *, asked_for: bool = False) -> Cancel:
        def watched(taken: Taken | None) -> None:
            if taken is not None:
                self._watch.took(self._ref, taken)
            use(taken)

        return super().take(flow, size_bytes, deadline, watched, asked_for=asked_for)
