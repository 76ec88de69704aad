"""Carried records: whatever was altered is refused, whatever is repeated is stored once."""

from collections.abc import Callable

import msgspec
import pytest

from keyhop.core.errors import StoreFailure
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.record_ids import record_ids
from keyhop.core.records import RecordBook, RecordOrigin
from keyhop.core.store.base import Slot
from keyhop.core.store.memory import MemoryStore
from keyhop.core.streams import Block, FollowedStream, OwnedStream, StreamRef
from keyhop.network.arrivals import NOT_THESE, Arrivals
from keyhop.network.carriage import RESEND_S, Batch, Carriage
from keyhop.network.expanding.held import HeldSeeds
from keyhop.network.expanding.own import OwnSeed
from keyhop.network.exports import NoExports
from keyhop.network.leasing import Leasing
from keyhop.network.wire import Body, Carried, Carry, Leased, LeaseNoted
from keyhop.testing.virtual import SeededEntropy, VirtualClock

ALICE, BOB = KmeId("alice"), KmeId("bob")
MASTER, OTHER, SLAVE, SECOND = SaeId("a1"), SaeId("a2"), SaeId("b1"), SaeId("b2")
HOME = {MASTER: ALICE, OTHER: ALICE, SLAVE: BOB, SECOND: BOB}
IDS = record_ids(bytes(range(32)))
KEYS = bytes(range(100, 132)) + bytes(range(132, 164))


class End:
    """One KME's carriage."""

    def __init__(self, me: KmeId, peer: KmeId, clock: VirtualClock) -> None:
        self.store = MemoryStore()
        self.journal = Journal(self.store, lambda: None)
        self.sent: list[Body] = []
        self.owned = OwnedStream(StreamRef(me, peer), self.store, self.journal)
        self.followed = FollowedStream(StreamRef(peer, me), self.store, self.journal)
        self.leasing = Leasing(self.owned, clock, self.sent.append)
        self.leasing.demand.took(4096)  # much was asked for of late, so that leases are long
        self.records = RecordBook(self.store, self.journal)
        arrivals = Arrivals(me, self.records, clock, HOME.get, NoExports())
        self.seed = OwnSeed(self.owned, self.leasing, clock, self.sent.append)
        seeds = HeldSeeds(self.followed, self.store, self.journal)
        self.carriage = Carriage(
            self.owned, self.followed, self.leasing, arrivals, clock, self.sent.append, self.seed, seeds
        )
        self.leasing.synchronised()
        self.carriage.synchronised()


class Two:
    """Alice carries, Bob receives."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.alice, self.bob = End(ALICE, BOB, self.clock), End(BOB, ALICE, self.clock)
        self.outcomes: list[str | None] = []

    def produce(self, size: int = 4096) -> None:
        block = Block(SeededEntropy(self.alice.owned.produced).token(size), 32, b"tag", 0.0, "test")
        self.bob.followed.append(1, [block])
        self.alice.owned.append(block)
        self.alice.leasing.stock_changed()
        self.note_lease()

    def note_lease(self) -> None:
        told = self.alice.sent.pop()
        assert isinstance(told, Leased)
        assert self.bob.followed.note_taken(told.epoch, told.taken)
        self.alice.leasing.noted(LeaseNoted(told.epoch, told.taken))

    def carry(self, wait_s: float = 10.0, ids: bytes = IDS, slaves: tuple[SaeId, ...] = (SLAVE,)) -> None:
        batch = Batch(bytes(16), "kme", MASTER, slaves, ids, KeyMaterial(KEYS))
        self.alice.carriage.carry(batch, self.clock.monotonic() + wait_s, self.outcomes.append)

    def sealed(self) -> Carry:
        self.carry()
        message = self.alice.sent.pop()
        assert isinstance(message, Carry)
        return message

    def answer(self, message: Carry) -> bool:
        self.bob.carriage.received(message)
        answer = self.bob.sent.pop()
        assert isinstance(answer, Carried)
        assert answer.batch == message.batch
        self.balance()
        return answer.refusal is None

    def balance(self) -> None:
        assert self.alice.owned.ledger.balances(self.alice.owned.available_bytes)
        assert self.bob.followed.ledger.balances(self.bob.followed.available_bytes)


@pytest.fixture
def two() -> Two:
    two = Two()
    two.produce()
    return two


def test_the_peer_holds_the_keys_for_its_slaves(two: Two) -> None:
    message = two.sealed()
    assert two.outcomes == []
    assert two.answer(message)
    two.alice.carriage.carried(Carried(message.batch, None))
    assert two.outcomes == [None]
    records = two.bob.records
    for i in range(2):
        key_id = IDS[16 * i : 16 * i + 16]
        assert records.entitles(key_id, MASTER, SLAVE)
        assert not records.entitles(key_id, OTHER, SLAVE)
        assert not records.entitles(key_id, MASTER, SECOND)
        assert records.deliver(key_id, SLAVE) == KEYS[32 * i : 32 * i + 32]
    assert len(records) == 0


def test_key_bytes_do_not_cross_in_the_clear(two: Two) -> None:
    message = two.sealed()
    assert KEYS[:8] not in msgspec.msgpack.encode(message)
    assert message.sealed != KEYS


def test_two_batches_use_different_pads(two: Two) -> None:
    one, other = two.sealed(), two.sealed()
    assert one.pad + 12 == other.pad
    assert one.sealed != other.sealed


ALTERATIONS: dict[str, Callable[[Carry], Carry]] = {
    "sealed": lambda m: msgspec.structs.replace(m, sealed=bytes([m.sealed[0] ^ 1]) + m.sealed[1:]),
    "sealed, shorter": lambda m: msgspec.structs.replace(m, sealed=m.sealed[:-2]),
    "sealed, empty": lambda m: msgspec.structs.replace(m, sealed=b""),
    "sealed, uneven": lambda m: msgspec.structs.replace(m, sealed=m.sealed + b"x"),
    "tag": lambda m: msgspec.structs.replace(m, tag=bytes([m.tag[0] ^ 1]) + m.tag[1:]),
    "no tag": lambda m: msgspec.structs.replace(m, tag=b""),
    "short tag": lambda m: msgspec.structs.replace(m, tag=m.tag[:8]),
    "ids": lambda m: msgspec.structs.replace(m, ids=bytes([m.ids[0] ^ 1]) + m.ids[1:]),
    "ids, swapped": lambda m: msgspec.structs.replace(m, ids=m.ids[16:] + m.ids[:16]),
    "ids, cut": lambda m: msgspec.structs.replace(m, ids=m.ids[:-1]),
    "ids, fewer": lambda m: msgspec.structs.replace(m, ids=m.ids[:16]),
    "ids, none": lambda m: msgspec.structs.replace(m, ids=b""),
    "ids, one twice": lambda m: msgspec.structs.replace(m, ids=m.ids[:16] * 2),
    "another master": lambda m: msgspec.structs.replace(m, master=OTHER),
    "a master of the receiver": lambda m: msgspec.structs.replace(m, master=SLAVE),
    "an unknown master": lambda m: msgspec.structs.replace(m, master="nobody"),
    "another slave": lambda m: msgspec.structs.replace(m, slaves=(SECOND,)),
    "one slave more": lambda m: msgspec.structs.replace(m, slaves=(SLAVE, SECOND)),
    "a slave twice": lambda m: msgspec.structs.replace(m, slaves=(SLAVE, SLAVE)),
    "a slave elsewhere": lambda m: msgspec.structs.replace(m, slaves=(OTHER,)),
    "batch": lambda m: msgspec.structs.replace(m, batch=b"x" * 16),
    "pad": lambda m: msgspec.structs.replace(m, pad=m.pad + 1),
    "pad far away": lambda m: msgspec.structs.replace(m, pad=1 << 36),
    "pad in the ID key": lambda m: msgspec.structs.replace(m, pad=0),
    "epoch": lambda m: msgspec.structs.replace(m, epoch=2),
}


@pytest.mark.parametrize("what", ALTERATIONS)
def test_an_altered_message_is_refused_and_stores_nothing(two: Two, what: str) -> None:
    message = ALTERATIONS[what](two.sealed())
    assert not two.answer(message)
    assert len(two.bob.records) == 0


@pytest.mark.parametrize("what", ALTERATIONS)
def test_an_altered_copy_does_not_keep_the_true_message_out(two: Two, what: str) -> None:
    message = two.sealed()
    assert not two.answer(ALTERATIONS[what](message))
    assert two.answer(message)


@pytest.mark.parametrize(
    "batch",
    [
        Batch(bytes(16), "kme", SLAVE, (SECOND,), IDS, KeyMaterial(KEYS)),
        Batch(bytes(16), "kme", SaeId("nobody"), (SLAVE,), IDS, KeyMaterial(KEYS)),
        Batch(bytes(16), "kme", MASTER, (OTHER,), IDS, KeyMaterial(KEYS)),
        Batch(bytes(16), "kme", MASTER, (SLAVE, SLAVE), IDS, KeyMaterial(KEYS)),
        Batch(bytes(16), "kme", MASTER, (SLAVE, SaeId("nobody")), IDS, KeyMaterial(KEYS)),
        Batch(bytes(16), "kme", MASTER, (SLAVE,), IDS[:16] * 2, KeyMaterial(KEYS)),
        Batch(bytes(16), "kme", MASTER, (SLAVE,), IDS[:-1], KeyMaterial(KEYS)),
        Batch(bytes(16), "kme", MASTER, (SLAVE,), b"", KeyMaterial(KEYS)),
        Batch(bytes(16), "kme", MASTER, (SLAVE,), IDS, KeyMaterial(KEYS[:-1])),
        Batch(bytes(16), "kme", MASTER, (SLAVE,), IDS, KeyMaterial(b"")),
    ],
)
def test_what_a_peer_may_not_send_is_refused_although_its_tag_is_right(two: Two, batch: Batch) -> None:
    two.alice.carriage.carry(batch, two.clock.monotonic() + 10.0, two.outcomes.append)
    message = two.alice.sent.pop()
    assert isinstance(message, Carry)
    assert not two.answer(message)
    assert len(two.bob.records) == 0


def test_a_message_sent_back_to_its_sender_is_refused(two: Two) -> None:
    message = two.sealed()
    two.alice.carriage.received(message)
    assert two.alice.sent.pop() == Carried(message.batch, NOT_THESE)
    assert len(two.alice.records) == 0


def test_a_repeated_message_is_stored_once_and_answered_the_same(two: Two) -> None:
    message = two.sealed()
    assert two.answer(message)
    pad = two.bob.followed.ledger.pad
    assert two.answer(message)
    assert two.bob.followed.ledger.pad == pad
    assert len(two.bob.records) == 2


def test_a_message_that_comes_again_after_its_keys_were_fetched_brings_nothing_back(two: Two) -> None:
    message = two.sealed()
    assert two.answer(message)
    for key_id in (IDS[:16], IDS[16:]):
        two.bob.records.deliver(key_id, SLAVE)
    two.answer(message)
    assert len(two.bob.records) == 0


def test_a_batch_cannot_take_the_place_of_a_record(two: Two) -> None:
    two.bob.records.add(IDS[16:], KeyMaterial(b"k" * 32), (SECOND,), RecordOrigin(OTHER, "kme", 1.0))
    assert not two.answer(two.sealed())
    assert two.bob.records.entitles(IDS[16:], OTHER, SECOND)
    assert len(two.bob.records) == 1


def test_records_of_another_master_are_no_sign_of_a_repetition(two: Two) -> None:
    for key_id in (IDS[:16], IDS[16:]):
        two.bob.records.add(key_id, KeyMaterial(b"k" * 32), (SECOND,), RecordOrigin(OTHER, "kme", 1.0))
    assert not two.answer(two.sealed())
    assert two.bob.records.entitles(IDS[:16], OTHER, SECOND)


def test_pad_and_mac_key_are_booked_as_such_and_gone(two: Two) -> None:
    message = two.sealed()
    two.answer(message)
    for ledger in (two.alice.owned.ledger, two.bob.followed.ledger):
        assert (ledger.pad, ledger.mac) == (len(KEYS), 32 + 32)  # the block's MAC key and the batch's
    two.bob.journal.flush()
    assert two.bob.store.values


def test_what_is_not_answered_is_sent_again_word_for_word(two: Two) -> None:
    message = two.sealed()
    two.alice.carriage.tick()
    assert two.alice.sent == []
    two.clock.advance(RESEND_S * 1.1)
    two.alice.carriage.tick()
    assert two.alice.sent == [message]
    two.alice.carriage.interrupted()
    two.clock.advance(RESEND_S * 1.1)
    two.alice.carriage.tick()
    assert two.alice.sent == [message]
    two.alice.carriage.synchronised()
    assert two.alice.sent == [message, message]
    two.alice.carriage.carried(Carried(message.batch, None))
    two.alice.carriage.carried(Carried(message.batch, NOT_THESE))
    assert two.outcomes == [None]
    two.alice.carriage.synchronised()
    assert two.alice.sent == [message, message]


def test_at_the_deadline_it_is_given_up_and_a_late_answer_is_nobodys(two: Two) -> None:
    message = two.sealed()
    two.clock.advance(10.0)
    two.alice.carriage.tick()
    assert two.outcomes == ["it did not answer in time"]
    two.alice.carriage.carried(Carried(message.batch, None))
    assert two.outcomes == ["it did not answer in time"]


def test_when_the_store_has_failed_nobody_waits_for_an_answer(two: Two) -> None:
    def recall(outcome: str | None) -> None:
        two.outcomes.append(outcome)
        two.alice.journal.delete(Slot("record", "another copy"))

    for name in (bytes(16), bytes([1] * 16)):
        batch = Batch(name, "kme", MASTER, (SLAVE,), IDS, KeyMaterial(KEYS))
        two.alice.carriage.carry(batch, 10.0, recall)
    message = two.alice.sent.pop()
    assert isinstance(message, Carry)
    two.alice.journal.fail(StoreFailure("the disk is gone"))
    two.alice.carriage.abandon()
    assert two.outcomes == ["the store of this KME has failed"] * 2
    two.alice.carriage.carried(Carried(message.batch, None))
    assert len(two.outcomes) == 2


def test_without_a_pad_it_waits_for_one() -> None:
    two = Two()
    two.carry()
    assert two.alice.sent == []
    two.produce()
    message = two.alice.sent.pop()
    assert isinstance(message, Carry)
    assert two.answer(message)


def test_without_a_pad_until_the_deadline_it_is_refused() -> None:
    two = Two()
    two.carry(wait_s=1.0)
    two.clock.advance(1.0)
    two.alice.leasing.tick()
    assert two.outcomes == ["no key material is left for its pad"]
