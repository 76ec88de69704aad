"""A link that is scarce, a source that is two nodes away from it, and a neighbour of the link that lies."""

from collections.abc import Iterator
from itertools import cycle
from random import Random

import msgspec
from relay_world import Broken

from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.network.relay.messages import BlockPayload, Forward, OfRelay
from keyhop.network.relay.parcels import Parcel, Plan
from keyhop.testing.relays import VirtualRelays
from keyhop.testing.relays.network import BLOCK_BYTES

SOURCE, BEFORE, LIAR, HERE, NEXT, END = (KmeId(name) for name in ("source", "before", "liar", "here", "next", "end"))
LINKS = [(SOURCE, BEFORE), (BEFORE, HERE), (SOURCE, LIAR), (LIAR, HERE), (HERE, NEXT), (NEXT, END)]
HONEST, LYING = (Plan("hop-by-hop", ((*first, HERE, NEXT, END),)) for first in ((SOURCE, BEFORE), (LIAR,)))
SIZE = 1000
USUAL = 4


class ScarceWorld:
    """Both ways need pads of the link between two nodes, of which there are none left; all other links have enough.

    The liar says of its parcels that they are everybody's in turn, with the highest priority if it `hurries`.
    """

    def __init__(self, seed: int, *, hurries: bool) -> None:
        self.network = network = VirtualRelays(LINKS, seed, stock_bytes=1 << 19)
        network.lease_ahead()
        network.reorder = True
        if hurries:
            network.most_priorities[LIAR] = USUAL
        network.lies[LIAR] = self._renamed
        self._names = cycle(((SOURCE,), (BEFORE,), ()))
        self._priority = 7 if hurries else USUAL
        self._scarce = network.nodes[HERE].direct(NEXT)
        self._random = Random(seed)
        while self._scarce.owned.stock_units:
            units = min(self._scarce.owned.stock_units, 512)
            self._scarce.leasing.wait(8 * units, 1, "voided", 1e12, lambda taken: None)
            network.settle()

    def run(self) -> None:
        """Both send twice what the link brings. Raises Broken."""
        brought = 2 * BLOCK_BYTES
        plans = [(LIAR, LYING), (SOURCE, HONEST)] * (2 * brought // SIZE)
        self._random.shuffle(plans)
        for source, plan in plans:
            data = KeyMaterial(self._random.randbytes(SIZE))
            self.network.send(source, Parcel(END, BlockPayload(), data, USUAL), plan, 1000.0)
            self.network.settle()
        for _ in range(brought // BLOCK_BYTES):
            self.network.produce()
            self.network.settle()
        ways = [m.route for who, _, m in self.network.said if who == HERE and isinstance(m, Forward)]
        honest, lying = sum(BEFORE in way and LIAR not in way for way in ways), sum(LIAR in way for way in ways)
        if honest + lying < 0.8 * brought / SIZE:
            raise Broken(f"the link lies idle: {honest + lying} parcels went over it")
        if honest < 0.45 * (honest + lying):
            raise Broken(f"who tells the truth has {honest} parcels through, who lies {lying}")

    def _renamed(self, target: KmeId, message: OfRelay) -> Iterator[tuple[KmeId, OfRelay]]:
        if isinstance(message, Forward) and target == HERE:
            route = (*next(self._names), *message.route)
            message = msgspec.structs.replace(message, route=route, priority=self._priority)
        yield target, self.network.watch.retagged(LIAR, target, message)
