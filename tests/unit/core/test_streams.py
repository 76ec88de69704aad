"""Both ends of a stream, driven by hand: the cases that have a name."""

from pathlib import Path

import pytest

from keyhop.core.chunk import CHUNK_UNITS
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.key_id import Located
from keyhop.core.store.base import Slot
from keyhop.core.store.memory import MemoryStore
from keyhop.core.streams import ID_KEY_UNITS, Block, FollowedStream, OwnedStream, Place, StreamRef
from keyhop.core.units import UNIT_BYTES

REF = StreamRef(KmeId("alice"), KmeId("bob"))
MASTER, SLAVE = SaeId("master"), SaeId("slave")


def pattern(units: int, start: int = 0) -> bytes:
    """Bytes of which each unit tells its own position."""
    return b"".join((start + i).to_bytes(UNIT_BYTES) for i in range(units))


class Ends:
    """Both ends, in step, each on its own disk."""

    def __init__(self) -> None:
        self.disks: tuple[dict[Slot, bytes], dict[Slot, bytes]] = ({}, {})
        self.restart()

    def restart(self) -> None:
        self.stores = MemoryStore(self.disks[0]), MemoryStore(self.disks[1])
        self.journals = Journal(self.stores[0], lambda: None), Journal(self.stores[1], lambda: None)
        self.owned = OwnedStream(REF, self.stores[0], self.journals[0])
        self.followed = FollowedStream(REF, self.stores[1], self.journals[1])

    def flush(self) -> None:
        for journal in self.journals:
            journal.flush()
        self.disks = self.stores[0].values, self.stores[1].values

    def append(self, units: int, produced_at: float = 0.0) -> None:
        block = Block(pattern(units, self.owned.produced), 32, b"tag", produced_at, "test")
        self.followed.append(self.owned.epoch, [block])
        self.owned.append(block)

    def lease(self, units: int) -> None:
        lease = self.owned.lease(units)
        assert lease is not None
        assert self.followed.note_taken(lease.epoch, lease.end)
        self.owned.activate(lease)

    def balance(self) -> None:
        assert self.owned.ledger.balances(self.owned.available_bytes)
        assert self.followed.ledger.balances(self.followed.available_bytes)


@pytest.fixture
def ends() -> Ends:
    return Ends()


def test_both_ends_hold_the_same_bytes_at_the_same_place(ends: Ends) -> None:
    ends.append(100)
    ends.lease(50)
    taken = ends.owned.take(32, 3, "delivered")
    assert taken is not None
    assert taken.data == pattern(12, ID_KEY_UNITS)
    for i in range(3):
        place = Place(taken.epoch, Located(taken.position + 4 * i, 32))
        assert ends.followed.has(place)
        assert ends.followed.consume(place, "delivered")[0] == taken.data[32 * i : 32 * i + 32]
        assert not ends.followed.has(place)
    ends.balance()


def test_the_id_key_is_given_to_nobody(ends: Ends) -> None:
    ends.append(100)
    ends.lease(1000)
    taken = ends.owned.take(8, 1, "delivered")
    assert taken is not None
    assert taken.position == ID_KEY_UNITS
    for position in range(ID_KEY_UNITS):
        assert not ends.followed.has(Place(1, Located(position, 8)))


def test_nothing_that_is_not_taken_is_given_out(ends: Ends) -> None:
    ends.append(2 * CHUNK_UNITS)
    ends.lease(100)
    end = ends.followed.taken
    assert ends.followed.has(Place(1, Located(end - 1, 8)))
    assert not ends.followed.has(Place(1, Located(end, 8)))
    assert not ends.followed.has(Place(1, Located(end - 1, 16)))


def test_a_place_in_an_epoch_that_nobody_knows_is_not_there(ends: Ends) -> None:
    ends.append(100)
    assert not ends.followed.has(Place(7, Located(8, 8)))


def test_a_place_across_chunks_is_one_key(ends: Ends) -> None:
    ends.append(3 * CHUNK_UNITS)
    ends.lease(3 * CHUNK_UNITS)
    start = ID_KEY_UNITS + CHUNK_UNITS - 2
    place = Place(1, Located(start, 5 * UNIT_BYTES - 3))
    data, _ = ends.followed.consume(place, "delivered")
    assert data == pattern(5, start)[:-3]
    assert not ends.followed.has(place)
    ends.balance()
    ends.flush()
    ends.restart()
    assert not ends.followed.has(place)
    assert ends.followed.has(Place(1, Located(start - 1, UNIT_BYTES)))
    assert ends.followed.has(Place(1, Located(start + 5, UNIT_BYTES)))
    ends.balance()


def test_a_restart_burns_the_lease_and_nothing_else(ends: Ends) -> None:
    ends.append(4 * CHUNK_UNITS)
    ends.lease(10)
    first = ends.owned.take(8, 1, "delivered")
    ends.flush()
    ends.restart()
    ends.balance()
    assert ends.owned.leased_units == 0
    assert ends.owned.ledger.burnt == 9 * UNIT_BYTES
    ends.lease(10)
    second = ends.owned.take(8, 1, "delivered")
    assert first is not None
    assert second is not None
    assert second.position == ID_KEY_UNITS + 10


def test_a_lease_cuts_a_chunk_and_what_is_left_is_in_the_store(ends: Ends) -> None:
    ends.append(2 * CHUNK_UNITS)
    for units in (10, CHUNK_UNITS, 3):
        before = ends.owned.available_units
        ends.lease(units)
        assert ends.owned.available_units == before - units
        ends.balance()
    ends.flush()
    ends.restart()
    ends.balance()
    at = ID_KEY_UNITS + CHUNK_UNITS + 13
    assert ends.owned.available_units == 2 * CHUNK_UNITS - at
    ends.lease(2 * CHUNK_UNITS)
    taken = ends.owned.take(8, 2 * CHUNK_UNITS - at, "delivered")
    assert taken is not None
    assert (taken.position, taken.data) == (at, pattern(2 * CHUNK_UNITS - at, at))


def test_expiring_does_not_bring_back_a_lease_that_was_used_up(ends: Ends) -> None:
    ends.append(CHUNK_UNITS)
    ends.lease(CHUNK_UNITS)
    ends.append(CHUNK_UNITS, produced_at=1.0)
    ends.append(CHUNK_UNITS, produced_at=9.0)
    assert ends.owned.take(8, ends.owned.leased_units, "delivered") is not None
    expired = ends.owned.expire(5.0)
    assert expired == (CHUNK_UNITS, 2 * CHUNK_UNITS)
    assert ends.owned.leased_units == 0
    assert ends.owned.take(8, 1, "delivered") is None
    ends.balance()
    ends.lease(1)
    taken = ends.owned.take(8, 1, "delivered")
    assert taken is not None
    assert taken.data == pattern(1, taken.position)


def test_expiring_takes_the_old_part_of_a_lease(ends: Ends) -> None:
    ends.append(CHUNK_UNITS, produced_at=1.0)
    ends.append(CHUNK_UNITS, produced_at=9.0)
    ends.lease(2 * CHUNK_UNITS)
    assert ends.owned.take(8, 3, "delivered") is not None
    assert ends.owned.expire(5.0) == (ID_KEY_UNITS + 3, CHUNK_UNITS)
    ends.balance()
    taken = ends.owned.take(16, 1, "delivered")
    assert taken is not None
    assert taken.data == pattern(2, CHUNK_UNITS)
    assert taken.age.produced_at == 9.0
    ends.balance()


def test_a_lease_that_expired_before_it_was_noted_is_not_used(ends: Ends) -> None:
    ends.append(CHUNK_UNITS, produced_at=1.0)
    ends.append(CHUNK_UNITS, produced_at=9.0)
    lease = ends.owned.lease(2 * CHUNK_UNITS)
    assert lease is not None
    assert ends.owned.expire(5.0) == (ID_KEY_UNITS, CHUNK_UNITS)
    ends.balance()
    assert ends.followed.note_taken(lease.epoch, lease.end)
    ends.owned.activate(lease)
    taken = ends.owned.take(8, 1, "delivered")
    assert taken is not None
    assert taken.data == pattern(1, CHUNK_UNITS)
    ends.balance()


def test_expiring_everything_leaves_nothing(ends: Ends) -> None:
    ends.append(3 * CHUNK_UNITS)
    ends.lease(10)
    assert ends.owned.expire(5.0) == (ID_KEY_UNITS, 3 * CHUNK_UNITS)
    assert (ends.owned.leased_units, ends.owned.available_units) == (0, 0)
    assert ends.owned.expire(5.0) is None
    assert ends.owned.next_age() is None
    ends.balance()
    ends.flush()
    ends.restart()
    ends.balance()
    assert ends.owned.taken == ends.owned.produced


def test_the_age_is_that_of_the_oldest_byte(ends: Ends) -> None:
    ends.append(CHUNK_UNITS, produced_at=1.0)
    ends.append(CHUNK_UNITS, produced_at=2.0)
    ends.lease(2 * CHUNK_UNITS)
    rest = CHUNK_UNITS - ID_KEY_UNITS
    before = ends.owned.take(8, rest - 1, "delivered")
    across = ends.owned.take(16, 1, "delivered")
    after = ends.owned.take(8, 1, "delivered")
    assert [t and t.age.produced_at for t in (before, across, after)] == [1.0, 1.0, 2.0]


def test_a_new_epoch_starts_with_nothing_of_the_old_one(ends: Ends) -> None:
    ends.append(CHUNK_UNITS)
    lease = ends.owned.lease(10)
    assert lease is not None
    ends.owned.close_epoch(2)
    ends.owned.activate(lease)
    assert ends.owned.leased_units == 0
    assert ends.owned.key_ids is None
    ends.balance()
    ends.flush()
    ends.restart()
    assert (ends.owned.epoch, ends.owned.produced, ends.owned.taken) == (2, 0, 0)
    ends.balance()
    assert not [slot for slot in ends.disks[0] if slot.kind == "chunk"]


def test_closed_epochs_keep_what_was_taken(ends: Ends) -> None:
    ends.append(2 * CHUNK_UNITS)
    ends.lease(10)
    taken = ends.owned.take(32, 1, "delivered")
    assert taken is not None
    key_ids = ends.owned.key_ids
    assert key_ids is not None
    key_id = key_ids.pair(MASTER, SLAVE).seal(taken.position, 32)
    ends.owned.close_epoch(2)
    ends.append(100)
    ends.followed.close_before(2)
    ends.balance()
    ends.flush()
    ends.restart()
    place = ends.followed.find(key_id, MASTER, SLAVE)
    assert place is not None
    assert ends.followed.consume(place, "delivered")[0] == taken.data
    assert not ends.followed.has(Place(1, Located(CHUNK_UNITS + ID_KEY_UNITS, 8)))
    ends.balance()


def test_after_forgetting_nothing_is_found_and_the_mark_does_not_fall(ends: Ends) -> None:
    ends.append(2 * CHUNK_UNITS)
    ends.lease(10)
    ends.followed.raise_mark()
    ends.followed.forget_all(9)
    ends.balance()
    ends.flush()
    ends.restart()
    assert (ends.followed.mark, ends.followed.epoch, ends.followed.available_bytes) == (9, 0, 0)
    assert not ends.followed.has(Place(1, Located(ID_KEY_UNITS, 8)))
    ends.followed.forget_all(3)
    assert ends.followed.mark == 9
    assert not [slot for slot in ends.disks[1] if slot.kind == "chunk"]


@pytest.mark.parametrize("kept", [0, CHUNK_UNITS])
def test_what_the_owner_never_made_available_is_dropped(ends: Ends, kept: int) -> None:
    if kept:
        ends.append(kept)
    block = Block(pattern(CHUNK_UNITS, 7777), 32, b"tag", 0.0, "test")
    ends.followed.append(1, [block, block])
    ends.flush()
    ends.followed.forget_unconfirmed(1)
    ends.balance()
    assert ends.followed.produced == kept
    ends.append(CHUNK_UNITS)
    ends.lease(2 * CHUNK_UNITS)
    taken = ends.owned.take(8, 1, "delivered")
    assert taken is not None
    assert ends.followed.consume(Place(1, Located(taken.position, 8)), "delivered")[0] == taken.data
    ends.flush()
    ends.restart()
    ends.balance()


def test_erased_bytes_leave_the_store(tmp_path: Path, ends: Ends) -> None:
    ends.append(CHUNK_UNITS)
    ends.lease(CHUNK_UNITS)
    ends.flush()
    secret = pattern(2, 100)
    assert any(secret in value for value in ends.disks[1].values())
    assert not any(secret in value for value in ends.disks[0].values())
    ends.followed.consume(Place(1, Located(100, 16)), "delivered")
    ends.flush()
    assert not any(secret in value for value in ends.disks[1].values())


def test_names_with_slashes_do_not_meet_in_the_store() -> None:
    refs = [StreamRef(KmeId(a), KmeId(b)) for a, b in (("a/b", "c"), ("a", "b/c"), ("a%2Fb", "c"), ("a b", "c"))]
    slots = {ref.slot("owner") for ref in refs} | {ref.chunk_slot("owner", 1, 0) for ref in refs}
    assert len(slots) == 2 * len(refs)


def test_of_what_nobody_fetches_the_oldest_goes_first_and_the_untaken_stays(ends: Ends) -> None:
    ends.append(4 * CHUNK_UNITS)
    ends.lease(2 * CHUNK_UNITS)
    taken = ends.followed.taken
    ends.followed.expire(-1.0, CHUNK_UNITS)
    assert not ends.followed.has(Place(1, Located(ID_KEY_UNITS, 8)))
    assert ends.followed.has(Place(1, Located(taken - 1, 8)))
    assert ends.followed.available_bytes == (4 * CHUNK_UNITS - ID_KEY_UNITS - CHUNK_UNITS) * UNIT_BYTES
    ends.followed.expire(-1.0, 0)
    assert ends.followed.available_bytes == (4 * CHUNK_UNITS - taken) * UNIT_BYTES
    ends.balance()
