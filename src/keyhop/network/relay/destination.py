"""The destination's side: an announcement and shares come, in any order; what can be proven is kept, then answered.

Records are durable before the answer. A block is in memory: if this node stops before the block has its place in the
stream, both ends drop it. What is answered is remembered for a while, and answered the same again.
"""

from collections.abc import Callable

from cryptography.exceptions import InvalidSignature

from keyhop.core.clock import Clock
from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.xor import xor
from keyhop.network.arrivals import Arrivals, Opened
from keyhop.network.relay.announcing import header_of, plan_of, size_of
from keyhop.network.relay.assembly import Assembly
from keyhop.network.relay.attempts import Attempts
from keyhop.network.relay.memory import ITEM_BYTES, Budget, Remembered
from keyhop.network.relay.messages import (
    NOT_KNOWN,
    NOT_PROVEN,
    SECRET_HEAD_BYTES,
    Announce,
    Contribution,
    Forward,
    PskPayload,
    RecordsPayload,
    Refused,
    Stored,
)
from keyhop.network.relay.nodes import Nodes
from keyhop.network.relay.parcels import block_number, fault, source_label
from keyhop.network.relay.places import WAIT_S, ParcelName, Places
from keyhop.network.relay.proof import proven
from keyhop.network.sealing import claimed

MAX_ANSWERS = 4096
ANSWERS_S = 60.0


type TakeFresh = Callable[[KmeId, bytes, KeyMaterial], bool]
"""Gets what another KME has had relayed for the key that authenticates the two, under a check; whether it may be it."""


class Destination:
    """Receives parcels for this KME."""

    def __init__(self, nodes: Nodes, places: Places, arrivals: Arrivals, clock: Clock, take_fresh: TakeFresh) -> None:
        self._take_fresh = take_fresh
        self._nodes = nodes
        self._places = places
        self._arrivals = arrivals
        self._clock = clock
        self._budget = Budget()
        self._assemblies: dict[ParcelName, Assembly] = {}
        self._attempts = Attempts()
        self._answers: dict[KmeId, Remembered[bytes, Stored | Refused]] = {}

    def announced(self, source: KmeId, announce: Announce) -> None:
        """The source says what is on its way. Raises PeerError for what no source may announce."""
        secret_bytes = SECRET_HEAD_BYTES + announce.size if announce.strategy == "xor-at-destination" else 0
        if fault(plan_of(announce), source, self._nodes.me) or len(announce.masked) != secret_bytes:
            raise PeerError("a parcel was announced that cannot come")
        name = (source, announce.parcel)
        answer = self._answer_to(name)
        assembly = self._assemblies.get(name)
        if answer is not None:
            self._nodes.tell(source, answer)
        elif assembly is None or assembly.announce is None:
            size = size_of(announce)
            refusal = self._refusal(source, announce, size)
            if refusal is not None:
                self._answer(name, refusal)
                return
            self._assembly(name, source, size).announce = announce
            self._attempts.add(source, announce)
            self._claim_last_pad(name)
            self._try(name)

    def share(self, peer: KmeId, message: Forward) -> None:
        """A share has come to its end."""
        name, size = (KmeId(message.route[0]), message.parcel), len(message.sealed)
        piece = (peer, message.share, message.route)
        assembly, answer = self._assemblies.get(name), self._answer_to(name)
        if assembly is not None and piece in assembly.shares:
            return
        if not self._budget.has_room(peer, name[0], size):
            self._nodes.stuck(name[0], message.parcel, message.share, peer, "too much waits here")
            return
        pad = claimed(message, size, self._nodes.followed(peer))
        if answer is not None:
            return  # the parcel is here without it
        if pad is None:
            self._nodes.stuck(name[0], message.parcel, message.share, peer, "its pad is not here, or not its own")
            return
        self._assembly(name, peer, size).shares[piece] = xor(message.sealed, pad)
        self._try(name)

    def placed(self, peer: KmeId, name: ParcelName) -> None:
        """A neighbour has told of a pad."""
        announce = self._announce_of(name)
        if announce is not None and announce.paths[0][-2] == peer:
            self._claim_last_pad(name)
            self._try(name)

    def contributed(self, peer: KmeId, message: Contribution) -> None:
        """A node inside the path of an xor-at-destination has sent the XOR of its pads."""
        name = (KmeId(message.source), message.parcel)
        assembly = self._assemblies.get(name)
        known = assembly is not None and peer in assembly.contributions
        if known or self._answer_to(name) is not None or not self._nodes.knows(name[0]):
            return
        if self._budget.has_room(peer, name[0], len(message.pads)):
            self._assembly(name, peer, len(message.pads)).contributions[peer] = message.pads
            self._try(name)

    def tick(self) -> None:
        """Gives up on what does not come together; forgets old answers."""
        now = self._clock.monotonic()
        for name in [n for n, assembly in self._assemblies.items() if assembly.began_at < now - WAIT_S]:
            self._drop(name)
        for answers in self._answers.values():
            answers.expire(now)

    def _refusal(self, source: KmeId, announce: Announce, size: int) -> Stored | Refused | None:
        """The answer before anything has come, or None."""
        payload = announce.payload
        if not all(map(self._nodes.know_all, announce.paths)):
            return Refused(announce.parcel, NOT_KNOWN)
        if isinstance(payload, RecordsPayload):
            foreseen = self._arrivals.foreseen(source, payload, announce.size)
            if foreseen is not None:
                return _records_answer(announce.parcel, foreseen.refusal)
        if not self._budget.has_room(source, source, size):
            return Refused(announce.parcel, "too much waits here")
        return None

    def _claim_last_pad(self, name: ParcelName) -> None:
        """Of an xor-at-destination, the pad between the last node before this one and this one."""
        assembly, announce = self._assemblies[name], self._announce_of(name)
        if announce is None or announce.strategy != "xor-at-destination" or assembly.last_pad is not None:
            return
        before = KmeId(announce.paths[0][-2])
        place = self._places.take(before, name)
        if place is None:
            return
        assembly.last_pad = claimed(place, len(announce.masked), self._nodes.followed(before))
        if assembly.last_pad is None:
            self._nodes.stuck(name[0], name[1], 0, before, "its pad is not here, or not its own")

    def _try(self, name: ParcelName) -> None:
        """Answers, if what has come can be proven, or if nothing more can come."""
        assembly = self._assemblies[name]
        announce = assembly.announce
        if announce is None:
            return
        header = header_of(announce, name[0], self._nodes.me)
        for secret in assembly.secrets():
            try:
                data = proven(secret, announce.key, header, announce.check)
            except InvalidSignature:
                continue
            self._keep(name, announce, data)
            return
        if assembly.complete:
            self._answer(name, Refused(announce.parcel, NOT_PROVEN))

    def _keep(self, name: ParcelName, announce: Announce, data: bytes) -> None:
        """What was proven; the answer may come later."""
        source, parcel = name
        payload = announce.payload
        if isinstance(payload, PskPayload):
            taken = self._take_fresh(source, payload.check, KeyMaterial(data))
            self._answer(name, Stored(parcel) if taken else Refused(parcel, "no such bytes are wanted"))
            return
        if not isinstance(payload, RecordsPayload):
            blocks, label = self._nodes.blocks(source), source_label(plan_of(announce))
            taken = blocks.their_block(block_number(parcel), KeyMaterial(data), self._clock.wall(), label)
            self._answer(name, Stored(parcel) if taken else Refused(parcel, "no such block is wanted"))
            return

        def answer(refusal: str | None) -> None:
            self._answer(name, _records_answer(parcel, refusal))
            if refusal is None:  # a slave may fetch them from now on, and they must not come again
                for other in self._attempts.of(source, payload):
                    self._answer((source, other.parcel), Stored(other.parcel))

        ways = dict.fromkeys(source_label(plan_of(each)) for each in self._attempts.of(source, payload))
        self._arrivals.take(source, payload, len(data), lambda: Opened(data, tuple(ways)), answer)

    def _answer(self, name: ParcelName, answer: Stored | Refused) -> None:
        self._drop(name)
        source, parcel = name
        answers = self._answers.setdefault(source, Remembered(MAX_ANSWERS * ITEM_BYTES, ANSWERS_S))
        answers.put(parcel, answer, 0, self._clock.monotonic())
        self._nodes.tell(source, answer)

    def _answer_to(self, name: ParcelName) -> Stored | Refused | None:
        answers = self._answers.get(name[0])
        return answers.get(name[1]) if answers else None

    def _announce_of(self, name: ParcelName) -> Announce | None:
        assembly = self._assemblies.get(name)
        return assembly.announce if assembly else None

    def _assembly(self, name: ParcelName, peer: KmeId, size_bytes: int) -> Assembly:
        """Where the pieces of a parcel are put together, for one more that a peer brings."""
        assembly = self._assemblies.setdefault(name, Assembly(self._clock.monotonic()))
        self._budget.charge(peer, name[0], size_bytes)
        assembly.charged.append((peer, size_bytes))
        return assembly

    def _drop(self, name: ParcelName) -> None:
        assembly = self._assemblies.pop(name, None)
        if assembly is None:
            return
        if assembly.announce is not None:
            self._attempts.drop(name[0], assembly.announce)
        for peer, size_bytes in assembly.charged:
            self._budget.refund(peer, name[0], size_bytes)


def _records_answer(parcel: bytes, refusal: str | None) -> Stored | Refused:
    return Stored(parcel) if refusal is None else Refused(parcel, refusal)
