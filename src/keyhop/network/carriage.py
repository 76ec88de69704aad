"""Records carried to the peer under a one-time pad and a one-time MAC.

Pad and MAC key are bytes of the sender's own stream, used for this batch only. The receiver checks the MAC, stores
the records and erases the pad in one commit, then answers. A message that fails the check erases nothing: it may name
bytes that belong to somebody's key. A batch is sent again, word for word, until it is answered; its bytes are never
used for another.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.poly1305 import Poly1305

from keyhop.core.clock import Clock
from keyhop.core.errors import StoreFailure
from keyhop.core.ids import KEY_ID_BYTES, KmeId, SaeId
from keyhop.core.key_id import Located
from keyhop.core.keys import KeyMaterial
from keyhop.core.records import RecordBook, record_ids
from keyhop.core.streams import FollowedStream, OwnedStream, Place, StreamRef, Taken
from keyhop.network.leasing import Leasing
from keyhop.network.wire import Body, Carried, Carry, Recall

MAC_KEY_BYTES = 32
RESEND_S = 1.0


type Done = Callable[[str | None], None]
"""Gets None for a batch that arrived, or the reason why it did not."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Keys of one size for slaves at one KME: 16-byte IDs and key bytes, each one after the other."""

    batch: bytes
    master: SaeId
    slaves: tuple[SaeId, ...]
    ids: bytes
    keys: KeyMaterial

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
        records: RecordBook,
        clock: Clock,
        send: Callable[[Body], None],
        home: Callable[[SaeId], KmeId | None],
    ) -> None:
        """`home` tells which KME an SAE belongs to."""
        self._owned = owned
        self._followed = followed
        self._leasing = leasing
        self._records = records
        self._clock = clock
        self._send = send
        self._home = home
        self._synchronised = False
        self._under_way: dict[bytes, _UnderWay] = {}

    def carry(self, batch: Batch, deadline: float, done: Done) -> None:
        """Calls `done` once the peer holds the batch durably, or with the reason why it does not."""

        def padded(taken: Taken | None) -> None:
            if taken is None:
                done("no key material is left for its pad")
                return
            self._owned.ledger.rebook("pad", "mac", MAC_KEY_BYTES)
            message = _sealed(batch, taken, self._owned.ref)
            self._under_way[batch.batch] = _UnderWay(message, deadline, self._clock.monotonic(), done)
            self._send(message)

        pair = (batch.master, batch.slaves[0])
        self._leasing.wait(batch.pad_bytes, 1, "pad", deadline, padded, pair)

    def received(self, message: Carry) -> None:
        """A batch from the peer: kept if it is what the peer's KME sent for our SAEs, else refused."""
        if self._holds(message):
            self._send(Carried(message.batch, True))
            return
        place = Place(message.epoch, Located(message.pad, MAC_KEY_BYTES + len(message.sealed)))
        if not self._acceptable(message) or not self._followed.has(place):
            self._send(Carried(message.batch, False))
            return
        mac_key = self._followed.peek(place)[:MAC_KEY_BYTES]
        try:
            Poly1305.verify_tag(mac_key, _authenticated(message, self._followed.ref), message.tag)
        except InvalidSignature:
            self._send(Carried(message.batch, False))
            return
        secret, _ = self._followed.consume(place, "pad")
        self._followed.ledger.rebook("pad", "mac", MAC_KEY_BYTES)
        self._store(message, _xor(message.sealed, secret[MAC_KEY_BYTES:]))
        self._send(Carried(message.batch, True))

    def carried(self, message: Carried) -> None:
        """The peer's answer."""
        under_way = self._under_way.pop(message.batch, None)
        if under_way:
            under_way.done(None if message.stored else "it refused its copy")

    def recall(self, ids: bytes) -> None:
        """Tells the peer to forget records that nobody was given."""
        self._send(Recall(ids))

    def recalled(self, message: Recall) -> None:
        """The peer takes its records back."""
        for key_id in _each(message.ids, KEY_ID_BYTES):
            if key_id in self._records and self._home(self._records.master(key_id)) == self._followed.ref.owner:
                self._records.discard(key_id)

    def synchronised(self) -> None:
        """A session begins: what was not answered is sent again."""
        self._synchronised = True
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

    def _holds(self, message: Carry) -> bool:
        """Whether it comes again: its records are here, and nobody can have fetched one before the answer."""
        records, ids = self._records, _each(message.ids, KEY_ID_BYTES)
        return bool(ids) and all(k in records and records.master(k) == message.master for k in ids)

    def _acceptable(self, message: Carry) -> bool:
        count, rest = divmod(len(message.ids), KEY_ID_BYTES)
        ids = _each(message.ids, KEY_ID_BYTES)
        return (
            count > 0
            and rest == 0
            and record_ids(message.ids) == message.ids  # else they could be the IDs of another stream's keys
            and len({key_id for key_id in ids if key_id not in self._records}) == count
            and len(message.sealed) > 0
            and len(message.sealed) % count == 0
            and self._records.has_room(SaeId(message.master), count)
            and self._home(SaeId(message.master)) == self._followed.ref.owner
            and all(self._home(SaeId(slave)) == self._followed.ref.follower for slave in message.slaves)
            and len(set(message.slaves)) == len(message.slaves)
        )

    def _store(self, message: Carry, keys: bytes) -> None:
        ids = _each(message.ids, KEY_ID_BYTES)
        slaves = tuple(SaeId(slave) for slave in message.slaves)
        created_at = self._clock.wall()  # by the clock that they will be too old by
        for key_id, key in zip(ids, _each(keys, len(keys) // len(ids)), strict=True):
            self._records.add(key_id, KeyMaterial(key), SaeId(message.master), slaves, created_at)


def _sealed(batch: Batch, taken: Taken, ref: StreamRef) -> Carry:
    message = Carry(
        batch=batch.batch,
        epoch=taken.epoch,
        pad=taken.position,
        master=batch.master,
        slaves=batch.slaves,
        ids=batch.ids,
        sealed=_xor(batch.keys.reveal(), taken.data[MAC_KEY_BYTES:]),
    )
    tag = Poly1305.generate_tag(taken.data[:MAC_KEY_BYTES], _authenticated(message, ref))
    return msgspec.structs.replace(message, tag=tag)


def _authenticated(message: Carry, ref: StreamRef) -> bytes:
    """Everything that the tag binds: both names, their direction, and the whole message but the tag."""
    bare = msgspec.structs.replace(message, tag=b"")
    return msgspec.msgpack.encode(("keyhop carry v1", ref.owner, ref.follower, bare))


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))


def _each(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]
