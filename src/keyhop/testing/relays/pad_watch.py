"""Sees every pad that is taken and every message that honest state machines send; raises AssertionError for what should
never be."""

from collections import defaultdict
from typing import NamedTuple

import msgspec
from cryptography.hazmat.primitives.poly1305 import Poly1305

from keyhop.core.ids import KmeId
from keyhop.core.streams import StreamRef, Taken
from keyhop.core.units import units_for
from keyhop.core.xor import xor
from keyhop.network.relay.messages import Contribution, Forward, OfRelay, PadPlace
from keyhop.network.sealing import MAC_KEY_BYTES, authenticated, pad_of


class _Place(NamedTuple):
    owner: KmeId
    follower: KmeId
    epoch: int
    position: int


class PadWatch:
    """What is known of all pads of a network."""

    def __init__(self) -> None:
        self._taken: set[_Place] = set()
        self._pads: dict[_Place, Taken] = {}
        self._named: dict[_Place, bytes] = {}
        self._shares: dict[tuple[bytes, int], bytes] = {}
        self._told: defaultdict[tuple[KmeId, bytes], list[tuple[KmeId, KmeId, bytes]]] = defaultdict(list)

    def took(self, ref: StreamRef, taken: Taken) -> None:
        """A node takes a pad of its stream."""
        units = range(units_for(len(taken.data)))
        places = [_Place(ref.owner, ref.follower, taken.epoch, taken.position + unit) for unit in units]
        assert self._taken.isdisjoint(places), "a byte was taken for two pads"
        self._taken.update(places)
        self._pads[places[0]] = taken

    def sent(self, source: KmeId, target: KmeId, message: OfRelay, *, all_are_honest: bool) -> None:
        """A node sends a message. What it is made of is only known where nobody lies."""
        if isinstance(message, Contribution):
            if all_are_honest:
                self._check_contribution(source, message)
        elif isinstance(message, Forward | PadPlace):
            place = _Place(source, target, message.epoch, message.pad)
            assert place in self._pads, "a message names a pad that nobody took"
            assert self._named.setdefault(place, message.tag) == message.tag, "a pad was used for two messages"
            if isinstance(message, PadPlace):
                of_parcel = self._told[KmeId(message.source), message.parcel]
                of_parcel.append((source, target, pad_of(self._pads[place])))
            elif all_are_honest:
                data = xor(message.sealed, pad_of(self._pads[place]))
                first = self._shares.setdefault((message.parcel, message.share), data)
                assert first == data, "a share became another one on its way"

    def retagged(self, source: KmeId, target: KmeId, message: OfRelay) -> OfRelay:
        """A message that a node altered after its tag was made, with a tag that is right again: it has the key."""
        if not isinstance(message, Forward | PadPlace):
            return message
        taken = self._pads.get(_Place(source, target, message.epoch, message.pad))
        if taken is None:
            return message
        covered = authenticated(message, StreamRef(source, target))
        return msgspec.structs.replace(message, tag=Poly1305.generate_tag(taken.data[:MAC_KEY_BYTES], covered))

    def _check_contribution(self, source: KmeId, message: Contribution) -> None:
        told = self._told[KmeId(message.source), message.parcel]
        before = [pad for _, target, pad in told if target == source]
        after = [pad for owner, _, pad in told if owner == source]
        sums = (xor(one, other) for one in before for other in after)
        assert message.pads in sums, "a contribution is not of its parcel's pads"
