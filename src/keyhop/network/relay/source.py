"""The source's side: a parcel leaves, and is under way until the destination answers or no share is left that could.

What was sent is sent again, word for word, until then. A parcel that fails is not sent by another plan here: whoever
made it makes a new one, with fresh bytes, a fresh ID and fresh pads.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import pairwise

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.errors import StoreFailure
from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.origin import Path
from keyhop.core.streams import Taken
from keyhop.network.arrivals import refused_for
from keyhop.network.relay.announcing import announced
from keyhop.network.relay.messages import (
    MAX_DATA_BYTES,
    NOT_PROVEN,
    BlockPayload,
    RecordsPayload,
    Refused,
    Stored,
    Stuck,
)
from keyhop.network.relay.nodes import Nodes
from keyhop.network.relay.parcels import Done, Flow, Parcel, Plan, Withdraw, block_number, fault, source_label
from keyhop.network.relay.sharing import split
from keyhop.network.relay.under_way import UnderWay
from keyhop.network.relay.vouching import Vouching

RESEND_S = 1.0
LATE = "it did not arrive in time"

type OnStuck = Callable[[Path, KmeId, str], None]
"""Hears of the path of a share that went no further than a node, or may have gone no further, and why."""


class Source:
    """Sends this KME's own parcels."""

    def __init__(self, nodes: Nodes, vouching: Vouching, clock: Clock, entropy: Entropy) -> None:
        self._nodes = nodes
        self._vouching = vouching
        self._clock = clock
        self._entropy = entropy
        self._under_way: dict[bytes, UnderWay] = {}
        self.on_stuck: list[OnStuck] = []

    def __len__(self) -> int:
        return len(self._under_way)

    def send(self, parcel: Parcel, plan: Plan, deadline: float, done: Done) -> Withdraw:
        """Calls `done` once the destination has the parcel, or with the reason why it has not, at the deadline
        (monotonic seconds) at the latest, unless it is withdrawn before anything has left."""
        size = len(parcel.data)
        wrong = fault(plan, self._nodes.me, parcel.destination)
        if wrong is None and not 1 <= size <= MAX_DATA_BYTES:
            wrong = f"a parcel has 1 to {MAX_DATA_BYTES} bytes"
        if wrong is None and not self._nodes.reaches(parcel.destination):
            wrong = f"no connection to KME {parcel.destination}"
        if wrong is not None:
            done(wrong)
            return lambda: None
        announce, secret = announced(parcel, plan, self._nodes.me, self._entropy)
        name = announce.parcel
        now, made_at = self._clock.monotonic(), self._clock.wall()
        self._under_way[name] = UnderWay(parcel, plan, announce, deadline, done, now, made_at)
        shares = split(secret, len(plan.paths), plan.threshold, self._entropy)
        for share, data in enumerate(shares):
            self._take_pad(name, share, KeyMaterial(data))
        return partial(self._withdraw, name)

    def stored(self, peer: KmeId, message: Stored) -> None:
        """The destination has it."""
        under_way = self._answered(peer, message)
        if under_way:
            parcel, label = under_way.parcel, source_label(under_way.plan)
            if isinstance(parcel.payload, BlockPayload):
                self._nodes.blocks(peer).own_block(block_number(message.parcel), parcel.data, under_way.made_at, label)
            under_way.done(None)

    def refused(self, peer: KmeId, message: Refused) -> None:
        """The destination will not have it."""
        under_way = self._answered(peer, message)
        if under_way:
            if message.reason == NOT_PROVEN:
                self._doubt(under_way, NOT_PROVEN)
            under_way.done(refused_for(message.reason, f"KME {peer} refused it: {message.reason}"))

    def stuck(self, peer: KmeId, message: Stuck) -> None:
        """A node on the path of a share cannot go on."""
        under_way = self._under_way.get(message.parcel)
        if under_way is None or message.share >= len(under_way.plan.paths):
            return
        path = under_way.plan.paths[message.share]
        if (message.came_from, peer) in tuple(pairwise(path)):
            self._lose(message.parcel, message.share, peer, message.reason)

    def tick(self) -> None:
        """Sends again what was not answered; gives up on what is late."""
        now = self._clock.monotonic()
        for name, under_way in list(self._under_way.items()):
            if under_way.deadline <= now:
                self._doubt(under_way, LATE)
                self._fail(name, LATE)
            elif under_way.sent_at < now - RESEND_S:
                under_way.send_again(self._nodes, now)

    def abandon(self) -> None:
        """Tells those who wait that no answer will come."""
        under_way, self._under_way = self._under_way, {}
        for each in under_way.values():
            with suppress(StoreFailure):  # who would undo something finds that the journal takes nothing any more
                each.done("the store of this KME has failed")

    def _withdraw(self, name: bytes) -> None:
        under_way = self._under_way.get(name)
        if under_way is not None and not under_way.shares:
            self._end(name)

    def _take_pad(self, name: bytes, share: int, data: KeyMaterial) -> None:
        under_way = self._under_way.get(name)
        if under_way is None:
            return  # given up for the sake of another share
        first = under_way.plan.paths[share][1]
        neighbour = self._nodes.neighbour(first)
        if neighbour is None:
            self._lose(name, share, self._nodes.me, f"no connection to KME {first}")
            return
        parcel = under_way.parcel
        flow = Flow(self._nodes.me, self._nodes.me, parcel.destination, parcel.priority)
        use, asked_for = partial(self._depart, name, share, data), isinstance(parcel.payload, RecordsPayload)
        cancel = neighbour.pads.take(flow, len(data), under_way.deadline, use, asked_for=asked_for)
        under_way.cancels.append(cancel)

    def _depart(self, name: bytes, share: int, data: KeyMaterial, taken: Taken | None) -> None:
        under_way = self._under_way.get(name)
        if under_way is None:
            return
        path = under_way.plan.paths[share]
        neighbour = self._nodes.neighbour(path[1])
        if taken is None or neighbour is None:
            self._lose(name, share, self._nodes.me, f"no key material is left for a pad to KME {path[1]}")
            return
        under_way.seal(self._nodes, share, data.reveal(), taken, neighbour)
        if under_way.plan.strategy != "xor-at-destination":
            self._vouching.tell(path, under_way.parcel.priority)

    def _answered(self, peer: KmeId, message: Stored | Refused) -> UnderWay | None:
        under_way = self._under_way.get(message.parcel)
        if under_way is None or under_way.parcel.destination != peer:
            return None
        return self._end(message.parcel)

    def _lose(self, name: bytes, share: int, at: KmeId, reason: str) -> None:
        """A share will not arrive."""
        under_way = self._under_way[name]
        if share in under_way.lost:
            return
        under_way.lost.add(share)
        for hears in self.on_stuck:
            hears(under_way.plan.paths[share], at, reason)
        if under_way.fails:
            self._fail(name, f"KME {at} cannot go on: {reason}")

    def _doubt(self, under_way: UnderWay, reason: str) -> None:
        """Any node on the way of what did not arrive may be why; nobody said so."""
        if self._nodes.reaches(under_way.parcel.destination):
            for share, at in under_way.doubtful(self._nodes.me):
                for hears in self.on_stuck:
                    hears(under_way.plan.paths[share], at, reason)

    def _fail(self, name: bytes, reason: str) -> None:
        self._end(name).done(reason)

    def _end(self, name: bytes) -> UnderWay:
        """It is under way no longer; shares that have not left do not leave."""
        under_way = self._under_way.pop(name)
        for cancel in under_way.cancels:
            cancel()
        return under_way
