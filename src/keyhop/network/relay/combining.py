"""A node inside the path of an xor-at-destination: sends the XOR of the pad before it and the pad after it.

It takes the pad to the next node as soon as the source asks, and tells that node its place; so all nodes of the path do
so at once. Both pads are then in two XORs each, which is what the scheme is, and in nothing else.
"""

from dataclasses import dataclass
from functools import partial

from keyhop.core.clock import Clock
from keyhop.core.ids import KmeId
from keyhop.core.streams import Taken
from keyhop.core.xor import xor
from keyhop.network.relay.hop import REMEMBERED_BYTES, REMEMBERED_S
from keyhop.network.relay.memory import Budget, Remembered
from keyhop.network.relay.messages import NOT_KNOWN, SECRET_HEAD_BYTES, Contribution, PadPlace, Request
from keyhop.network.relay.nodes import Direct, Nodes
from keyhop.network.relay.parcels import Flow
from keyhop.network.relay.places import ParcelName, Places
from keyhop.network.sealing import claimed, pad_of, tagged


@dataclass(slots=True, repr=False)
class _Combination:
    request: Request
    before: KmeId
    after: KmeId
    place: PadPlace | None = None
    """Of the pad to the node after this one, which was told of it."""
    pad_before: bytes = b""
    pad_after: bytes = b""
    contribution: Contribution | None = None
    stuck: str | None = None

    @property
    def size_bytes(self) -> int:
        """Of each pad."""
        return SECRET_HEAD_BYTES + self.request.size


class Combining:
    """Contributes to the parcels of others."""

    def __init__(self, nodes: Nodes, places: Places, clock: Clock) -> None:
        self._nodes = nodes
        self._places = places
        self._clock = clock
        self._budget = Budget()
        self._combinations: dict[KmeId, Remembered[bytes, _Combination]] = {}

    def requested(self, source: KmeId, request: Request) -> None:
        """The source asks for a contribution, or asks again."""
        of_source = self._combinations.setdefault(source, Remembered(REMEMBERED_BYTES, REMEMBERED_S))
        known = of_source.get(request.parcel)
        if known is not None:
            self._tell(known)
            return
        index = request.route.index(self._nodes.me)
        combination = _Combination(request, KmeId(request.route[index - 1]), KmeId(request.route[index + 1]))
        after, size = self._nodes.neighbour(combination.after), combination.size_bytes
        of_source.put(request.parcel, combination, 2 * size, self._clock.monotonic())
        if not self._nodes.know_all(request.route):
            self._stop(combination, NOT_KNOWN)
            return
        if after is None:
            self._stop(combination, f"no connection to KME {combination.after}")
            return
        if not self._budget.has_room(source, source, size):
            self._stop(combination, "too much waits for pads here")
            return
        self._budget.charge(source, source, size)
        flow = Flow(source, source, KmeId(request.route[-1]), request.priority)
        use = partial(self._depart, combination, after)
        after.pads.take(flow, size, self._clock.monotonic() + after.pads.patience_s(size), use)
        self._claim(combination)

    def placed(self, peer: KmeId, name: ParcelName) -> None:
        """A neighbour has told of a pad."""
        source, parcel = name
        of_source = self._combinations.get(source)
        combination = of_source.get(parcel) if of_source else None
        if combination is not None and combination.before == peer:
            self._claim(combination)

    def tick(self) -> None:
        """Forgets what is old."""
        for of_source in self._combinations.values():
            of_source.expire(self._clock.monotonic())

    def _depart(self, combination: _Combination, after: Direct, taken: Taken | None) -> None:
        source = KmeId(combination.request.route[0])
        self._budget.refund(source, source, combination.size_bytes)
        if taken is None:
            self._stop(combination, f"no key material is left for a pad to KME {combination.after}")
            return
        request = combination.request
        place = PadPlace(request.parcel, request.route[0], combination.size_bytes, taken.epoch, taken.position)
        combination.place = tagged(place, taken, after.owned)
        combination.pad_after = pad_of(taken)
        after.tell(combination.place)
        self._contribute(combination)

    def _claim(self, combination: _Combination) -> None:
        request = combination.request
        place = self._places.take(combination.before, (KmeId(request.route[0]), request.parcel))
        if place is None or combination.pad_before or combination.contribution:
            return
        pad = claimed(place, combination.size_bytes, self._nodes.followed(combination.before))
        if pad is None:
            self._stop(combination, "its pad is not here, or not its own")
            return
        combination.pad_before = pad
        self._contribute(combination)

    def _contribute(self, combination: _Combination) -> None:
        if combination.pad_before and combination.pad_after:
            pads = xor(combination.pad_before, combination.pad_after)
            request = combination.request
            combination.contribution = Contribution(request.parcel, request.route[0], pads)
            combination.pad_before = combination.pad_after = b""
            self._nodes.tell(KmeId(request.route[-1]), combination.contribution)

    def _stop(self, combination: _Combination, reason: str) -> None:
        combination.stuck = reason
        self._tell(combination)

    def _tell(self, combination: _Combination) -> None:
        """What it has said already."""
        request = combination.request
        after = self._nodes.neighbour(combination.after)
        if combination.place is not None and after is not None:
            after.tell(combination.place)
        if combination.contribution is not None:
            self._nodes.tell(KmeId(request.route[-1]), combination.contribution)
        if combination.stuck is not None:
            self._nodes.stuck(KmeId(request.route[0]), request.parcel, 0, combination.before, combination.stuck)
