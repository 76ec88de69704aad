"""Records carried to the peer under a one-time pad and a one-time MAC.

Pad and MAC key are bytes of the sender's own stream, used for this batch only. The receiver checks the MAC, stores
the records and erases the pad in one commit, then answers. A message that fails the check erases nothing: it may name
bytes that belong to somebody's key. A batch is sent again, word for word, until it is answered; its bytes are never
used for another. While the stream is dry, pad and MAC key may be expanded from a seed (`expanding`) instead.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from keyhop.core.clock import Clock
from keyhop.core.errors import StoreFailure
from keyhop.core.ids import SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.origin import Path, crossed
from keyhop.core.records import RecordSource
from keyhop.core.streams import Admission, FollowedStream, OwnedStream, StreamRef, Taken
from keyhop.core.xor import xor
from keyhop.network.arrivals import Arrivals, Opened, refused_for
from keyhop.network.expanding.held import HeldSeeds
from keyhop.network.expanding.own import ExpandedPad, OwnSeed
from keyhop.network.hybrid.records import Masked
from keyhop.network.leasing import Leasing
from keyhop.network.sealing import MAC_KEY_BYTES, claimed, is_tagged, pad_of, place_of, tag_of, tagged
from keyhop.network.wire import Body, Carried, Carry

RESEND_S = 1.0
ANSWER_S = 2.0
"""How long the answer to what has left is waited for at least, whatever the deadline of its pad was: where nobody waits
for pads, a message still has its way."""


type Done = Callable[[str | None], None]
"""Gets None for a batch that arrived, or the reason why it did not."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Keys of one size for slaves at one KME: 16-byte IDs and key bytes, each one after the other.

    `batch` names it, `made_by` is what made the keys, `admission` says which bytes may be their pad; `combined`, the
    bytes are parts of keys; `crossed` are the paths that they were sent over.
    """

    batch: bytes
    made_by: RecordSource
    master: SaeId
    slaves: tuple[SaeId, ...]
    ids: bytes
    keys: KeyMaterial
    admission: Admission | None = None
    combined: Masked | None = None
    crossed: set[Path] = field(default_factory=set)

    @property
    def pad_bytes(self) -> int:
        """What it takes of a stream: the MAC key, and the pad."""
        return MAC_KEY_BYTES + len(self.keys)


@dataclass(slots=True)
class _UnderWay:
    message: Carry
    deadline: float
    sent_at: float
    done: Done


class Carriage:
    """Carries batches to one peer and receives the peer's."""

    def __init__(
        self,
        owned: OwnedStream,
        followed: FollowedStream,
        leasing: Leasing,
        arrivals: Arrivals,
        clock: Clock,
        send: Callable[[Body], None],
        seed: OwnSeed,
        seeds: HeldSeeds,
    ) -> None:
        """`seed` gives pads while the owned stream is dry, `seeds` are the peer's."""
        self.seed = seed
        self.seeds = seeds
        self._owned = owned
        self._followed = followed
        self._leasing = leasing
        self._arrivals = arrivals
        self._clock = clock
        self._send = send
        self._synchronised = False
        self._under_way: dict[bytes, _UnderWay] = {}

    def carry(self, batch: Batch, deadline: float, done: Done) -> None:
        """Calls `done` once the peer holds the batch durably, or with the reason why it does not."""

        def padded(taken: Taken | None) -> None:
            if taken is None:
                done("no key material is left for its pad")
                return
            batch.crossed.update(crossed((age.source for _, age in taken.ages), self._owned.ref.ends))
            until = max(deadline, self._clock.monotonic() + ANSWER_S)
            self._begin(tagged(_sealed(batch, taken), taken, self._owned), until, done)

        pair = (batch.master, batch.slaves[0])
        self._leasing.wait(batch.pad_bytes, 1, "pad", deadline, padded, pair, batch.admission)

    def expands(self, admission: Admission | None) -> bool:
        """Whether there is a seed now that records may go under."""
        sources = self.seed.sources
        return bool(sources) and (admission is None or all(map(admission.admits_source, sources)))

    def carry_expanded(self, batch: Batch, deadline: float, done: Done) -> None:
        """The same, under a pad that is expanded from a seed."""
        pad = self.seed.take(batch.pad_bytes) if self.expands(batch.admission) else None
        if pad is None:
            done("there is no seed to expand")
        else:
            batch.crossed.update(self.seed.paths)
            self._begin(_expanded(batch, pad, self._owned.ref), deadline, done)

    def received(self, message: Carry) -> None:
        """A batch from the peer: kept if it is what the peer's KME sent for our SAEs, else refused."""

        def keys() -> Opened | None:
            sources = self._sources_of_pad(message)
            if message.number:
                pad = self._expanded_pad(message)
            else:
                pad = claimed(message, len(message.sealed), self._followed)
            return None if pad is None else Opened(xor(message.sealed, pad), sources)

        def answer(refusal: str | None) -> None:
            self._send(Carried(message.batch, refusal))

        self._arrivals.take(self._followed.ref.owner, message, len(message.sealed), keys, answer)

    def carried(self, message: Carried) -> None:
        """The peer's answer."""
        under_way = self._under_way.pop(message.batch, None)
        if under_way:
            refusal = message.refusal
            under_way.done(None if refusal is None else refused_for(refusal, refusal))

    def synchronised(self) -> None:
        """A session begins: what was not answered is sent again. Both ends agree on the epochs that there are."""
        self._synchronised = True
        self.seeds.forget_done()
        for under_way in self._under_way.values():
            self._send(under_way.message)

    def interrupted(self) -> None:
        """The session is over."""
        self._synchronised = False

    def tick(self) -> None:
        """Sends again what was not answered; gives up on what is late."""
        now = self._clock.monotonic()
        for batch, under_way in list(self._under_way.items()):
            if under_way.deadline <= now:
                del self._under_way[batch]
                under_way.done("it did not answer in time")
            elif self._synchronised and under_way.sent_at < now - RESEND_S:
                under_way.sent_at = now
                self._send(under_way.message)

    def abandon(self) -> None:
        """Tells those who wait that no answer will come."""
        under_way, self._under_way = self._under_way, {}
        for each in under_way.values():
            with suppress(StoreFailure):  # who recalls other copies finds that the journal takes nothing any more
                each.done("the store of this KME has failed")

    def _sources_of_pad(self, message: Carry) -> tuple[str, ...]:
        """What made the peer's pad, while it is here."""
        if message.number:
            return self.seeds.sources(message.epoch, message.pad)
        stream, place = self._followed, place_of(message, len(message.sealed))
        return tuple(dict.fromkeys(age.source for age in stream.ages(place))) if stream.has(place) else ()

    def _begin(self, message: Carry, deadline: float, done: Done) -> None:
        self._under_way[message.batch] = _UnderWay(message, deadline, self._clock.monotonic(), done)
        self._send(message)

    def _expanded_pad(self, message: Carry) -> bytes | None:
        """Used with the journal's next commit. None when the tag is not the seed's, or the number was used before."""
        size_bytes = MAC_KEY_BYTES + len(message.sealed)
        pad = self.seeds.pad(message.epoch, message.pad, message.number, size_bytes)
        if pad is None or not is_tagged(message, pad[:MAC_KEY_BYTES], self._followed.ref):
            return None
        self.seeds.used(message.epoch, message.pad, message.number)
        return pad[MAC_KEY_BYTES:]


def _expanded(batch: Batch, pad: ExpandedPad, ref: StreamRef) -> Carry:
    keys = xor(batch.keys.reveal(), pad.pad[MAC_KEY_BYTES:])
    who = (batch.master, batch.slaves, batch.ids)
    bare = Carry(batch.batch, batch.made_by, pad.epoch, pad.position, *who, keys, b"", pad.number, batch.combined)
    return msgspec.structs.replace(bare, tag=tag_of(bare, pad.pad[:MAC_KEY_BYTES], ref))


def _sealed(batch: Batch, taken: Taken) -> Carry:
    keys, who = xor(batch.keys.reveal(), pad_of(taken)), (batch.master, batch.slaves, batch.ids)
    return Carry(batch.batch, batch.made_by, taken.epoch, taken.position, *who, keys, b"", 0, batch.combined)
