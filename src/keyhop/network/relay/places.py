"""Pads of an xor-at-destination that neighbours have told of, until it is known here what they are for."""

from keyhop.core.clock import Clock
from keyhop.core.ids import KmeId
from keyhop.network.relay.memory import ITEM_BYTES, Remembered
from keyhop.network.relay.messages import PadPlace

MAX_PLACES = 512
WAIT_S = 30.0

type ParcelName = tuple[KmeId, bytes]
"""The source, and its ID of the parcel."""


class Places:
    """The latest ones that each neighbour told of."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[KmeId, Remembered[ParcelName, PadPlace]] = {}

    def put(self, peer: KmeId, message: PadPlace) -> ParcelName:
        """A neighbour tells of one; returns what it is for."""
        name = (KmeId(message.source), message.parcel)
        told = self._told.setdefault(peer, Remembered(MAX_PLACES * ITEM_BYTES, WAIT_S))
        told.put(name, message, 0, self._clock.monotonic())
        return name

    def take(self, peer: KmeId, name: ParcelName) -> PadPlace | None:
        """What that neighbour told of for a parcel."""
        told = self._told.get(peer)
        place = told.get(name) if told else None
        if told and place:
            told.drop(name)
        return place

    def tick(self) -> None:
        """Forgets what is old."""
        for told in self._told.values():
            told.expire(self._clock.monotonic())
