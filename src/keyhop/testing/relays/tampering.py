"""Messages of real parcels, altered on their way, tried against a real relay: what of them is believed?

A parcel is sent through a network once, and what came to each node is noted. Another network of the same seed is left
as it was before, so its nodes have all the pads still. To each of its nodes come the same messages, one of them altered
in some bits, a great many times: streams here lend their bytes instead of erasing them, and a relay is made anew where
something may have been left behind.

A Forward or a PadPlace is believed when its pad is claimed; an Announce or a Contribution when a parcel is taken.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.network.relay.messages import Announce, BlockPayload, Contribution, Forward, OfRelay, PadPlace, RelayMessage
from keyhop.network.relay.parcels import Parcel, Plan
from keyhop.testing.relays.lending import Site
from keyhop.testing.relays.network import VirtualRelays
from keyhop.testing.relays.node import RelayNode

A, B, C, D, E, F = (KmeId(name) for name in "ABCDEF")
LINKS = [("A", "B"), ("B", "D"), ("A", "C"), ("C", "D"), ("A", "E"), ("E", "F"), ("F", "D")]
PLANS = (
    Plan("hop-by-hop", ((A, E, F, D),)),
    Plan("xor-at-destination", ((A, E, F, D),)),
    Plan("secret-shared", ((A, B, D), (A, C, D)), 2),
    Plan("secret-shared", ((A, B, D), (A, C, D), (A, E, F, D)), 2),
)
SIZES = (32, 512)
FEW_BITS = 6
REUSED = 256
"""So often a relay is tried; then the message as it was has to be believed, and another relay is made."""
_decoder: msgspec.msgpack.Decoder[RelayMessage] = msgspec.msgpack.Decoder(RelayMessage)

type _Came = tuple[KmeId, OfRelay]


@dataclass(slots=True)
class Outcome:
    """How many altered messages of each kind were tried; what became of them all."""

    tried: Counter[str]
    unreadable: int = 0
    believed: int = 0

    def add(self, other: "Outcome") -> None:
        """Both together."""
        self.tried += other.tried
        self.unreadable += other.unreadable
        self.believed += other.believed


class Tampering:
    """Deterministic for a seed."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._trials = [trial for plan in PLANS for size in SIZES for trial in _trials(plan, size)]

    def run(self, count: int) -> Outcome:
        """Tries so many altered messages, as many at each place. Raises AssertionError if one that was not altered is
        not believed: then nothing would be shown."""
        outcome = Outcome(Counter())
        each = -(-count // len(self._trials))
        for trial in self._trials:
            for times in (*[REUSED] * (each // REUSED), each % REUSED):
                self._try(trial, times, outcome)
        return outcome

    def _try(self, trial: "_Trial", times: int, outcome: Outcome) -> None:
        for altered in self._altered(trial.data, times):
            outcome.tried[trial.kind] += 1
            try:
                message = _decoder.decode(altered)
            except (msgspec.DecodeError, UnicodeDecodeError):
                outcome.unreadable += 1
                continue
            if message != trial.message and trial.believes(message):  # the same may be written in two ways
                outcome.believed += 1
                trial.begin()
        assert trial.believes(trial.message), "a message as it was sent is refused"
        trial.begin()

    def _altered(self, data: bytes, times: int) -> Iterator[bytes]:
        """Half of the time in one bit."""
        draw = self._random
        for _ in range(times):
            altered = bytearray(data)
            for _ in range(1 if draw.random() < 0.5 else draw.randint(2, FEW_BITS)):
                altered[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
            if altered != data:
                yield bytes(altered)


class _Trial:
    """A node, and what comes to it, of which one message is altered."""

    def __init__(self, node: RelayNode, came: Sequence[_Came], index: int) -> None:
        self._node = node
        self._came = came
        self._index = index
        self.message = came[index][1]
        self.kind = type(self.message).__name__
        self.data = msgspec.msgpack.encode(self.message)
        self._at_once = isinstance(self.message, Forward | PadPlace)
        self.begin()

    def begin(self) -> None:
        """With a relay that has heard nothing yet, or all but the message, if that is judged by itself."""
        self._site = Site(self._node)
        if self._at_once:
            for index, came in enumerate(self._came):
                if index != self._index:
                    self._site.hear(*came)

    def believes(self, message: OfRelay) -> bool:
        """Whether the node believes this message in place of the one that was sent."""
        site, peer = self._site, self._came[self._index][0]
        if self._at_once:
            before = site.claims
            site.hear(peer, message)
            return site.claims > before
        site.forget()
        for index, came in enumerate(self._came):
            site.hear(peer, message) if index == self._index else site.hear(*came)
        return site.taken > 0


def _network() -> VirtualRelays:
    network = VirtualRelays(LINKS)
    network.lease_ahead()
    return network


def _trials(plan: Plan, size: int) -> Iterator[_Trial]:
    """Of one parcel: every message that carries something of it, at every node."""
    used, fresh = _network(), _network()
    parcel = Parcel(plan.paths[0][-1], BlockPayload(), KeyMaterial(random.Random(size).randbytes(size)))
    outcome = used.send(plan.paths[0][0], parcel, plan)
    used.settle()
    assert outcome == [None], outcome
    carries = (Announce, Contribution, Forward, PadPlace)
    for name, node in fresh.nodes.items():
        came = [(source, message) for source, target, message in used.said if target == name]
        for index, (_, message) in enumerate(came):
            if name != plan.paths[0][0] and isinstance(message, carries):
                yield _Trial(node, came, index)
