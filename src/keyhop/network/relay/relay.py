"""The relay of one KME: its four sides behind one door."""

from collections.abc import Mapping

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId
from keyhop.network.arrivals import Arrivals
from keyhop.network.relay.combining import Combining
from keyhop.network.relay.destination import Destination, TakeFresh
from keyhop.network.relay.hop import Hop
from keyhop.network.relay.messages import (
    Announce,
    Contribution,
    Forward,
    OfRelay,
    PadPlace,
    Refused,
    Request,
    Stored,
    Stuck,
    Vouch,
)
from keyhop.network.relay.nodes import Node, Nodes
from keyhop.network.relay.parcels import Done, Parcel, Plan, Withdraw
from keyhop.network.relay.places import Places
from keyhop.network.relay.source import OnStuck, Source
from keyhop.network.relay.vouching import Vouching


class Relay:
    """The state machine. `received` raises PeerError for what the protocol does not allow."""

    def __init__(
        self,
        me: KmeId,
        others: Mapping[KmeId, Node],
        arrivals: Arrivals,
        clock: Clock,
        entropy: Entropy,
        take_fresh: TakeFresh = lambda source, check, fresh: False,
    ) -> None:
        self._me = me
        nodes, self._places = Nodes(me, others), Places(clock)
        self._vouching = Vouching(nodes, clock)
        self._source = Source(nodes, self._vouching, clock, entropy)
        self._hop = Hop(nodes, self._vouching, clock)
        self._combining = Combining(nodes, self._places, clock)
        self._destination = Destination(nodes, self._places, arrivals, clock, take_fresh)

    @property
    def on_stuck(self) -> list[OnStuck]:
        """Those who hear of a share that goes no further than a node of its path."""
        return self._source.on_stuck

    def send(self, parcel: Parcel, plan: Plan, deadline: float, done: Done) -> Withdraw:
        """Calls `done` once the destination has the parcel, or with the reason why it has not, at the deadline
        (monotonic seconds) at the latest."""
        return self._source.send(parcel, plan, deadline, done)

    def received(self, peer: KmeId, message: OfRelay) -> None:
        """A message from another KME."""
        match message:
            case Forward():
                if self._position(message.route, peer) == len(message.route) - 1:
                    self._destination.share(peer, message)
                else:
                    self._hop.forward(peer, message)
            case PadPlace():
                name = self._places.put(peer, message)
                self._combining.placed(peer, name)
                self._destination.placed(peer, name)
            case Request():
                if message.route[0] != peer or self._position(message.route) == len(message.route) - 1:
                    raise PeerError("a request of one who is not the source, or to the destination")
                self._combining.requested(peer, message)
            case Vouch():
                self._vouching.heard(peer, message)
            case Contribution():
                self._destination.contributed(peer, message)
            case Announce():
                self._destination.announced(peer, message)
            case Stored():
                self._source.stored(peer, message)
            case Refused():
                self._source.refused(peer, message)
            case Stuck():
                self._source.stuck(peer, message)

    def tick(self) -> None:
        """Time has passed: what is late is sent again or given up, what is old is forgotten."""
        for part in (self._source, self._vouching, self._hop, self._combining, self._destination, self._places):
            part.tick()

    def abandon(self) -> None:
        """The store has failed: nobody waits any longer, and nothing is written."""
        self._source.abandon()

    def _position(self, route: tuple[str, ...], before: KmeId | None = None) -> int:
        """Where this node is on a route that came from the node `before` it. Raises PeerError for a route that it is
        not on behind that node, or that comes through a node twice: so no message goes in circles."""
        if len(set(route)) != len(route) or self._me not in route[1:]:
            raise PeerError("a route that does not come through here once")
        index = route.index(self._me)
        if before is not None and route[index - 1] != before:
            raise PeerError("a route that does not come from there")
        return index
