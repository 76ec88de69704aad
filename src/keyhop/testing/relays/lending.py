"""A relay with the streams of a node, which lend their bytes: what was sent to it may come as often as one likes."""

from collections.abc import Sequence

from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.records import RecordBook
from keyhop.core.store.memory import MemoryStore
from keyhop.core.streams import Age, FollowedStream, OwnedStream, Place, StreamRef, Taken
from keyhop.network.arrivals import Arrivals
from keyhop.network.exports import NoExports
from keyhop.network.leasing import Cancel, Use
from keyhop.network.relay.messages import OfRelay
from keyhop.network.relay.pads import Pads, Standing
from keyhop.network.relay.parcels import Flow
from keyhop.network.relay.relay import Relay
from keyhop.network.sealing import MAC_KEY_BYTES
from keyhop.network.wire import Body
from keyhop.testing.relays.node import RelayNode


class Site:
    """A relay with the streams of a node, which lend."""

    def __init__(self, node: RelayNode) -> None:
        self._node = node
        self.claims = self.taken = 0
        self._others = {
            peer: _Other(self, _Neighbour(self, node, peer) if other.direct else None)
            for peer, other in node.others.items()
        }
        self.forget()

    def forget(self) -> None:
        """Another relay, which remembers nothing."""
        self.taken = 0
        store, node = MemoryStore(), self._node
        records = RecordBook(store, Journal(store, lambda: None))
        clock = node.network.clock
        arrivals = Arrivals(node.name, records, clock, lambda sae: None, NoExports())
        self._relay = Relay(node.name, self._others, arrivals, clock, node.entropy)

    def hear(self, peer: KmeId, message: OfRelay) -> None:
        """A message comes; one that costs the connection is not believed."""
        try:
            self._relay.received(peer, message)
        except PeerError:
            return


class _Session:
    synchronised = True

    def tell(self, message: Body) -> None:
        """Nobody listens."""


class _Other:
    """Another KME, which has a connection and takes any block."""

    def __init__(self, site: Site, direct: "_Neighbour | None") -> None:
        self._site = site
        self.direct = direct
        self.relayed = self
        self.filling = self
        self.synchronised = True

    def tell(self, message: Body) -> None:
        """Nobody listens."""

    def own_block(self, number: int, material: KeyMaterial, produced_at: float, source: str) -> None:
        """Of a source, which none is here."""

    def their_block(self, number: int, material: KeyMaterial, produced_at: float, source: str) -> bool:
        self._site.taken += 1
        return True


class _Neighbour(_Session):
    """The direct streams between a node and a neighbour."""

    def __init__(self, site: Site, node: RelayNode, peer: KmeId) -> None:
        direct = node.direct(peer)
        self.owned: OwnedStream = direct.owned
        self.followed = _Lending(site, node, peer)
        self.pads: Pads = _Endless(direct.leasing, node.network.clock, lambda flow: Standing(flow.priority, 1.0))


class _Lending(FollowedStream):
    """Gives its bytes away as often as somebody proves that they are his."""

    def __init__(self, site: Site, node: RelayNode, peer: KmeId) -> None:
        super().__init__(StreamRef(peer, node.name), node.store, Journal(node.store, lambda: None))
        self._site = site

    def consume(self, place: Place, purpose: str, count: int = 1) -> tuple[bytes, Sequence[tuple[int, Age]]]:
        self._site.claims += 1
        return self.peek(place), [(place.located.size_bytes, Age(0.0, "lent"))]


class _Endless(Pads):
    """Always has another pad."""

    def take(self, flow: Flow, size_bytes: int, deadline: float, use: Use, *, asked_for: bool = False) -> Cancel:
        use(Taken(1, 0, bytes(MAC_KEY_BYTES + size_bytes), [(1, Age(0.0, "endless"))]))
        return lambda: None
