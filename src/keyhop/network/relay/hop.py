"""A node inside the path of a share: takes it from under the pad of the node before, puts it under the next one's.

1. The pad of what came is erased durably before what goes leaves (`sealing`, and the journal's order).
2. What went is remembered: if the same message comes again, the same answer goes out again. So no pad is used twice,
   whatever is repeated, and a node that has lost its memory finds the pad gone.
3. Who cannot go on tells the source at once.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import partial

import msgspec

from keyhop.core.clock import Clock
from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.streams import Taken
from keyhop.core.xor import xor
from keyhop.network.relay.memory import Budget, Remembered
from keyhop.network.relay.messages import NOT_KNOWN, Forward
from keyhop.network.relay.nodes import Direct, Nodes
from keyhop.network.relay.vouching import Vouching
from keyhop.network.sealing import claimed, pad_of, tagged

REMEMBERED_BYTES = 8 << 20
REMEMBERED_S = 30.0

type _Came = tuple[int, int]
"""Where the pad of a neighbour's message is: no two messages have the same place."""


@dataclass(slots=True)
class _Step:
    """What came, without its data, and what became of it: what went, why nothing did, or neither yet."""

    came: Forward
    went: Forward | None = None
    stuck: str | None = None


class Hop:
    """Forwards the shares of others."""

    def __init__(self, nodes: Nodes, vouching: Vouching, clock: Clock) -> None:
        self._nodes = nodes
        self._vouching = vouching
        self._clock = clock
        self._budget = Budget()
        self._steps: defaultdict[KmeId, Remembered[_Came, _Step]] = defaultdict(
            lambda: Remembered(REMEMBERED_BYTES, REMEMBERED_S)
        )

    def forward(self, peer: KmeId, message: Forward) -> None:
        """A share that came from the node before this one."""
        steps, came = self._steps[peer], (message.epoch, message.pad)
        step = steps.get(came)
        if step is not None and step.came.tag == message.tag:
            self._tell(peer, step)
            return
        step = _Step(msgspec.structs.replace(message, sealed=b""))
        if not self._nodes.know_all(message.route):
            self._stop(peer, step, NOT_KNOWN)
            return
        onward = self._nodes.neighbour(_next(message, self._nodes.me))
        if onward is None:
            self._stop(peer, step, f"no connection to KME {_next(message, self._nodes.me)}")
            return
        source, size = KmeId(message.route[0]), len(message.sealed)
        if not self._budget.has_room(peer, source, size):
            self._stop(peer, step, "too much waits for pads here")
            return
        pad = claimed(message, size, self._nodes.followed(peer))
        if pad is None:
            self._stop(peer, step, "its pad is not here, or not its own")
            return
        steps.put(came, step, size, self._clock.monotonic())
        self._budget.charge(peer, source, size)
        use = partial(self._depart, peer, step, onward, KeyMaterial(xor(message.sealed, pad)))
        flow, deadline = self._vouching.flow(peer, message), self._clock.monotonic() + onward.pads.patience_s(size)
        onward.pads.take(flow, size, deadline, use)

    def tick(self) -> None:
        """Forgets what is old."""
        for steps in self._steps.values():
            steps.expire(self._clock.monotonic())

    def _depart(self, peer: KmeId, step: _Step, onward: Direct, data: KeyMaterial, taken: Taken | None) -> None:
        came = step.came
        self._budget.refund(peer, KmeId(came.route[0]), len(data))
        if taken is None:
            step.stuck = f"no key material is left for a pad to KME {_next(came, self._nodes.me)}"
        else:
            sealed = xor(data.reveal(), pad_of(taken))
            went = Forward(came.parcel, came.share, came.route, came.priority, taken.epoch, taken.position, sealed)
            step.went = tagged(went, taken, onward.owned)
        self._tell(peer, step)

    def _stop(self, peer: KmeId, step: _Step, reason: str) -> None:
        step.stuck = reason
        self._tell(peer, step)

    def _tell(self, peer: KmeId, step: _Step) -> None:
        came = step.came
        if step.went is not None:
            onward = self._nodes.neighbour(_next(came, self._nodes.me))
            if onward is not None:
                onward.tell(step.went)
        elif step.stuck is not None:
            self._nodes.stuck(KmeId(came.route[0]), came.parcel, came.share, peer, step.stuck)


def _next(message: Forward, me: KmeId) -> KmeId:
    return KmeId(message.route[message.route.index(me) + 1])
