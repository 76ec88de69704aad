"""Planted in the relay: proofs, pads, shares, answers and bounds that are not what they should be."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.poly1305 import Poly1305

from keyhop.core.ids import KmeId
from keyhop.core.key_id import Located
from keyhop.core.keys import KeyMaterial
from keyhop.core.streams import FollowedStream, Place, Taken
from keyhop.network import sealing
from keyhop.network.relay import combining, destination, hop, under_way
from keyhop.network.relay.assembly import Assembly
from keyhop.network.relay.destination import Destination
from keyhop.network.relay.hop import Hop
from keyhop.network.relay.memory import Budget, Remembered
from keyhop.network.relay.messages import SECRET_HEAD_BYTES, Forward, Stored, Stuck
from keyhop.network.relay.nodes import Nodes
from keyhop.network.relay.relay import Relay
from keyhop.network.relay.source import Source
from keyhop.network.relay.under_way import UnderWay

type Plant = Callable[[pytest.MonkeyPatch], None]


def what_comes_is_not_proven(patch: pytest.MonkeyPatch) -> None:
    """A destination takes whatever can be put together."""
    patch.setattr(destination, "proven", lambda secret, *_: secret[SECRET_HEAD_BYTES:])


def pads_are_kept(patch: pytest.MonkeyPatch) -> None:
    """A hop uses the pad of what came, and does not erase it."""

    def peeked(message: Any, size_bytes: int, stream: FollowedStream) -> bytes | None:
        place = Place(message.epoch, Located(message.pad, sealing.MAC_KEY_BYTES + size_bytes))
        return stream.peek(place)[sealing.MAC_KEY_BYTES :] if stream.has(place) else None

    patch.setattr(hop, "claimed", peeked)


def one_pad_for_all_shares(patch: pytest.MonkeyPatch) -> None:
    """The shares of a parcel, and parcels after it, leave under the pad of the first one."""
    depart = Source._depart
    first: dict[tuple[int, int], Taken] = {}

    def again(self: Source, name: bytes, share: int, data: KeyMaterial, taken: Taken | None) -> None:
        if taken is not None:
            taken = first.setdefault((id(self), len(data)), taken)
        depart(self, name, share, data, taken)

    patch.setattr(Source, "_depart", again)


def sent_again_with_something_else(patch: pytest.MonkeyPatch) -> None:
    """What is sent again has another tag, because something else is in it."""
    send_again = UnderWay.send_again

    def changed(self: UnderWay, nodes: Nodes, now: float) -> None:
        for share, message in self.shares.items():
            if isinstance(message, Forward):
                message = msgspec.structs.replace(message, priority=message.priority + 1, tag=b"")
                tag = Poly1305.generate_tag(bytes(32), msgspec.msgpack.encode(message))
                self.shares[share] = msgspec.structs.replace(message, tag=tag)
        send_again(self, nodes, now)

    patch.setattr(UnderWay, "send_again", changed)


def hops_forget_what_they_sent(patch: pytest.MonkeyPatch) -> None:
    """What comes again finds its pad gone, and the parcel is stuck although nothing is wrong."""
    patch.setattr(Remembered, "get", lambda self, key: None)


def answered_before_it_is_durable(patch: pytest.MonkeyPatch) -> None:
    """A destination that stops before its commit has said that it has the records."""

    def told(self: Destination, name: Any, answer: Any) -> None:
        self._drop(name)
        session: Any = self._nodes._others[name[0]].relayed
        if isinstance(answer, Stored):
            session._node.network.transmit(session._journal, self._nodes.me, name[0], answer)

    patch.setattr(Destination, "_answer", told)


def forwarded_before_it_is_erased(patch: pytest.MonkeyPatch) -> None:
    """A hop sends what it made of a message before the pad of that message is gone."""
    depart = Hop._depart

    class AtOnce:
        def __init__(self, onward: Any) -> None:
            self.owned = onward.owned
            self._onward = onward

        def tell(self, message: Any) -> None:
            onward = self._onward
            onward._node.network.transmit(onward._journal, onward._node.name, onward._peer, message)

    def hasty(self: Hop, peer: Any, step: Any, onward: Any, data: KeyMaterial, taken: Taken | None) -> None:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(Nodes, "neighbour", lambda nodes, kme: AtOnce(onward))
            depart(self, peer, step, onward, data, taken)

    patch.setattr(Hop, "_depart", hasty)


def one_share_less_is_enough(patch: pytest.MonkeyPatch) -> None:
    """The destination puts together fewer shares than the threshold."""
    secrets = Assembly.secrets

    def fewer(self: Assembly) -> Iterator[bytes]:
        announce = self.announce
        if announce is None or announce.threshold == 1:
            yield from secrets(self)
            return
        self.announce = msgspec.structs.replace(announce, threshold=announce.threshold - 1)
        yield from secrets(self)
        self.announce = announce

    patch.setattr(Assembly, "secrets", fewer)


def only_the_first_combination_is_tried(patch: pytest.MonkeyPatch) -> None:
    """One lying share of several that are not all needed spoils the parcel."""
    patch.setattr(Assembly, "complete", property(lambda self: bool(self._tried)))


def a_contribution_is_one_pad(patch: pytest.MonkeyPatch) -> None:
    """A node sends the pad before it to the destination in the clear."""
    patch.setattr(combining, "xor", lambda before, after: before)


def what_waits_is_never_given_back(patch: pytest.MonkeyPatch) -> None:
    """The room that a share took stays taken."""
    patch.setattr(Budget, "refund", lambda *_: None)


def what_does_not_come_together_is_kept(patch: pytest.MonkeyPatch) -> None:
    """Shares without an announcement wait for ever."""
    patch.setattr(Destination, "tick", lambda self: None)


def routes_are_not_checked(patch: pytest.MonkeyPatch) -> None:
    """A share goes on from a node to which its route does not lead."""

    def anywhere(self: Relay, route: tuple[str, ...], before: Any = None) -> int:
        return route.index(self._me) if self._me in route else 1

    patch.setattr(Relay, "_position", anywhere)


def anybody_says_stuck(patch: pytest.MonkeyPatch) -> None:
    """A node that is not on the path of a share gives it up."""

    def believed(self: Source, peer: KmeId, message: Stuck) -> None:
        given_up = self._under_way.get(message.parcel)
        if given_up is not None and message.share < len(given_up.plan.paths):
            self._lose(message.parcel, message.share, peer, message.reason)

    patch.setattr(Source, "stuck", believed)


def deadlines_are_not_kept(patch: pytest.MonkeyPatch) -> None:
    """Whoever sent a parcel waits for ever."""

    def tick(self: Source) -> None:
        for each in self._under_way.values():
            each.send_again(self._nodes, self._clock.monotonic())

    patch.setattr(Source, "tick", tick)


def blocks_are_taken_again(patch: pytest.MonkeyPatch) -> None:
    """What was answered is forgotten, and pads are not erased: a parcel that comes again is taken again."""
    patch.setattr(Destination, "_answer_to", lambda self, name: None)

    def peeked(message: Any, size_bytes: int, stream: FollowedStream) -> bytes | None:
        place = Place(message.epoch, Located(message.pad, sealing.MAC_KEY_BYTES + size_bytes))
        return stream.peek(place)[sealing.MAC_KEY_BYTES :] if stream.has(place) else None

    patch.setattr(destination, "claimed", peeked)


def sources_put_up_with_any_answer(patch: pytest.MonkeyPatch) -> None:
    """A node on the path says that the destination has the parcel."""
    patch.setattr(Source, "_answered", lambda self, peer, message: self._under_way.pop(message.parcel, None))


def half_of_the_pad_is_used_twice(patch: pytest.MonkeyPatch) -> None:
    """The MAC key of a message is the beginning of its pad."""
    patch.setattr(under_way, "pad_of", lambda taken: taken.data[: -sealing.MAC_KEY_BYTES])


PLANTED: tuple[Plant, ...] = (
    what_comes_is_not_proven,
    pads_are_kept,
    one_pad_for_all_shares,
    sent_again_with_something_else,
    hops_forget_what_they_sent,
    answered_before_it_is_durable,
    forwarded_before_it_is_erased,
    one_share_less_is_enough,
    only_the_first_combination_is_tried,
    a_contribution_is_one_pad,
    what_waits_is_never_given_back,
    what_does_not_come_together_is_kept,
    routes_are_not_checked,
    anybody_says_stuck,
    deadlines_are_not_kept,
    blocks_are_taken_again,
    sources_put_up_with_any_answer,
    half_of_the_pad_is_used_twice,
)
