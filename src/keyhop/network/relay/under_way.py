"""A parcel under way: what was said of it, and is said again word for word until somebody answers."""

from dataclasses import dataclass, field

import msgspec

from keyhop.core.ids import KmeId
from keyhop.core.streams import Taken
from keyhop.core.xor import xor
from keyhop.network.leasing import Cancel
from keyhop.network.relay.messages import Announce, Forward, PadPlace, RelayMessage, Request
from keyhop.network.relay.nodes import Direct, Nodes
from keyhop.network.relay.parcels import Done, Parcel, Plan
from keyhop.network.sealing import pad_of, tagged


@dataclass(slots=True, repr=False)
class UnderWay:
    """Of one parcel, at its source."""

    parcel: Parcel
    plan: Plan
    announce: Announce
    deadline: float
    done: Done
    sent_at: float
    made_at: float
    shares: dict[int, RelayMessage] = field(default_factory=dict)
    """What went to the first hop of each path."""
    lost: set[int] = field(default_factory=set)
    cancels: list[Cancel] = field(default_factory=list)
    """Of the pads that its shares wait for."""

    @property
    def fails(self) -> bool:
        """Whether too few shares are left."""
        return len(self.plan.paths) - len(self.lost) < self.plan.threshold

    def seal(self, nodes: Nodes, share: int, data: bytes, taken: Taken, neighbour: Direct) -> None:
        """Puts a share under its first pad, and sends it; the announcement goes out with the first one."""
        masked = xor(data, pad_of(taken))
        if self.plan.strategy == "xor-at-destination":
            self.announce = msgspec.structs.replace(self.announce, masked=masked)
            place = PadPlace(self.announce.parcel, nodes.me, len(masked), taken.epoch, taken.position)
            message: RelayMessage = tagged(place, taken, neighbour.owned)
        else:
            place_of_pad = (taken.epoch, taken.position)
            path, priority = self.plan.paths[share], self.parcel.priority
            forward = Forward(self.announce.parcel, share, path, priority, *place_of_pad, masked)
            message = tagged(forward, taken, neighbour.owned)
        if not self.shares:
            self._tell(nodes)
        self.shares[share] = message
        self._transmit(nodes, share)

    def send_again(self, nodes: Nodes, now: float) -> None:
        """All that has left."""
        self.sent_at = now
        if self.shares:
            self._tell(nodes)
        for share in self.shares:
            self._transmit(nodes, share)

    def doubtful(self, me: KmeId) -> list[tuple[int, KmeId]]:
        """Shares of which nothing is known, and the nodes that may not have forwarded them: where none has left, us."""
        left = [share for share in range(len(self.plan.paths)) if share not in self.lost]
        return [(s, node) for s in left for node in (self.plan.paths[s][:-1] if s in self.shares else (me,))]

    def _tell(self, nodes: Nodes) -> None:
        nodes.tell(self.parcel.destination, self.announce)
        if self.plan.strategy == "xor-at-destination":
            (path,) = self.plan.paths
            request = Request(self.announce.parcel, path, self.parcel.priority, self.announce.size)
            for node in path[1:-1]:
                nodes.tell(node, request)

    def _transmit(self, nodes: Nodes, share: int) -> None:
        neighbour = nodes.neighbour(self.plan.paths[share][1])
        if neighbour is not None and share not in self.lost:
            neighbour.tell(self.shares[share])
