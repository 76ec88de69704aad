"""Planted in what joins KMEs that no link joins: topology, feeding, relaying, and keys that came that way."""

from typing import Any

import pytest
from bugs_in_streams import Plant

from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.base import Slot
from keyhop.core.streams import StreamRef, Taken
from keyhop.network.arrivals import Arrivals
from keyhop.network.carriage import Batch, Done
from keyhop.network.relay import assembly, destination, source
from keyhop.network.relay.hop import Hop
from keyhop.network.relay.messages import SECRET_HEAD_BYTES, Stored
from keyhop.network.relay.source import Source
from keyhop.network.topology.gossip import Gossip
from keyhop.network.topology.own_report import OwnReport
from keyhop.network.topology.view import View
from keyhop.service.courier import Courier
from keyhop.service.lookup import Lookup


def what_comes_is_not_proven(patch: pytest.MonkeyPatch) -> None:
    """A destination takes whatever can be put together."""
    patch.setattr(destination, "proven", lambda secret, *_: secret[SECRET_HEAD_BYTES:])


def shares_are_the_secret(patch: pytest.MonkeyPatch) -> None:
    """Every node on the way of a share can read what is shared."""
    patch.setattr(source, "split", lambda secret, count, *_: [secret] * count)
    patch.setattr(assembly, "combined", lambda shares, _: next(iter(shares.values())))


def one_pad_for_all_shares(patch: pytest.MonkeyPatch) -> None:
    """Parcels leave under the pad of the first one of their size."""
    depart = Source._depart
    first: dict[tuple[int, int], Taken] = {}

    def again(self: Source, name: bytes, share: int, data: KeyMaterial, taken: Taken | None) -> None:
        if taken is not None:
            taken = first.setdefault((id(self), len(data)), taken)
        depart(self, name, share, data, taken)

    patch.setattr(Source, "_depart", again)


def a_parcel_that_left_has_arrived(patch: pytest.MonkeyPatch) -> None:
    """A source does not wait for the destination's answer."""
    depart = Source._depart

    def hasty(self: Source, name: bytes, share: int, data: KeyMaterial, taken: Taken | None) -> None:
        depart(self, name, share, data, taken)
        under_way = self._under_way.get(name)
        if taken is not None and under_way is not None:
            done, under_way.done = under_way.done, lambda reason: None
            done(None)

    patch.setattr(Source, "_depart", hasty)


def outcomes_are_told_twice(patch: pytest.MonkeyPatch) -> None:
    """Whoever sent a parcel hears of its arrival as often as the destination says so."""
    stored = Source.stored

    def again(self: Source, peer: KmeId, message: Stored) -> None:
        under_way = self._under_way.get(message.parcel)
        stored(self, peer, message)
        if under_way is not None:
            under_way.done(None)

    patch.setattr(Source, "stored", again)


def hops_keep_what_they_forward(patch: pytest.MonkeyPatch) -> None:
    """A node on the way writes down what it forwards."""
    depart = Hop._depart

    def kept(self: Hop, peer: KmeId, step: Any, onward: Any, data: KeyMaterial, taken: Taken | None) -> None:
        onward.owned._journal.save(Slot("chunk", "forwarded"), data.reveal)
        depart(self, peer, step, onward, data, taken)

    patch.setattr(Hop, "_depart", kept)


def routes_have_one_place_in_the_store(patch: pytest.MonkeyPatch) -> None:
    """Of the direct and the relayed stream to a peer the store holds the one that was written last."""
    slot = StreamRef.slot
    patch.setattr(StreamRef, "slot", lambda self, role: slot(self._replace(route="direct"), role))


def the_first_word_of_a_node_counts(patch: pytest.MonkeyPatch) -> None:
    """News of a node are taken for what is known of it."""
    accept = Gossip._accept

    def first(self: Gossip, entry: Any) -> None:
        if entry.report.node not in self._known:
            accept(self, entry)

    patch.setattr(Gossip, "_accept", first)


def a_link_that_comes_back_is_not_told(patch: pytest.MonkeyPatch) -> None:
    """A node says of its links once for all what is up."""
    update = OwnReport.update
    patch.setattr(OwnReport, "update", lambda self, links: self.latest.version == 0 and update(self, links))


def paths_are_found_once(patch: pytest.MonkeyPatch) -> None:
    """What was found is not looked for again when the network changes."""
    patch.setattr(View, "_refresh", lambda self: None)


def relayed_keys_are_not_looked_for(patch: pytest.MonkeyPatch) -> None:
    """A slave's KME looks only into streams that links fill."""
    begin = Lookup.__init__

    def direct_only(self: Lookup, streams: Any, *rest: Any, **named: Any) -> None:
        begin(self, [stream for stream in streams if stream.ref.route == "direct"], *rest, **named)

    patch.setattr(Lookup, "__init__", direct_only)


def records_are_called_stored(patch: pytest.MonkeyPatch) -> None:
    """A destination answers before it has anything."""
    patch.setattr(Arrivals, "_holds", lambda *_: True)


def couriers_lose_batches(patch: pytest.MonkeyPatch) -> None:
    """What can only be relayed is called arrived."""

    def lost(self: Courier, kme: KmeId, batch: Batch, way: Any, deadline: float, done: Done, earlier: int) -> None:
        done(None)

    patch.setattr(Courier, "_attempt", lost)


PLANTED: dict[Plant, set[int]] = {
    what_comes_is_not_proven: {1, 4, 5, 6},
    shares_are_the_secret: {4},
    one_pad_for_all_shares: {2},
    a_parcel_that_left_has_arrived: {5},
    outcomes_are_told_twice: {0, 2},
    hops_keep_what_they_forward: {4},
    routes_have_one_place_in_the_store: {0, 1, 2, 3, 5},
    the_first_word_of_a_node_counts: {0},
    a_link_that_comes_back_is_not_told: {0},
    paths_are_found_once: {0},
    relayed_keys_are_not_looked_for: {0, 5},
    records_are_called_stored: {5},
    couriers_lose_batches: {5},
}
"""Which promise each of them breaks first."""
