"""Both ends of a stream, driven against a model that is nothing but dicts of units.

Every step is made durable at once, as the journal does at the end of each turn of the loop; a restart loses what is in
memory only. Losing messages and crashing between commits is the business of tests/simulation.
"""

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.key_id import Located
from keyhop.core.ledger import Purpose
from keyhop.core.store.base import Slot
from keyhop.core.store.memory import MemoryStore
from keyhop.core.streams import ID_KEY_UNITS, Ages, Block, FollowedStream, Lease, OwnedStream, Place, StreamRef
from keyhop.core.units import UNIT_BYTES, units_for

REF = StreamRef(KmeId("alice"), KmeId("bob"))
MASTER, SLAVE = SaeId("master"), SaeId("slave")

type Position = tuple[int, int]
"""Epoch and unit."""


class StreamMachine(RuleBasedStateMachine):
    """`units` is what the link produced; `used` and `kept` are where each end stands."""

    def __init__(self) -> None:
        super().__init__()
        self.units: dict[Position, bytes] = {}
        self.born: dict[Position, float] = {}
        self.source: dict[Position, str] = {}
        self.used: set[Position] = set()
        self.kept: set[Position] = set()
        self.keys: list[tuple[Place, bytes, bytes]] = []
        self.pending: deque[Lease] = deque()
        self.now = 0.0
        self.serial = 0
        self.noted = 0

    @initialize()
    def start(self) -> None:
        self.stores = (MemoryStore(), MemoryStore())
        self.load()

    def load(self) -> None:
        self.journals = tuple(Journal(store, lambda: None) for store in self.stores)
        self.owned = OwnedStream(REF, self.stores[0], self.journals[0])
        self.followed = FollowedStream(REF, self.stores[1], self.journals[1])
        self.pending.clear()

    def fresh(self, units: int, tail: int) -> Block:
        """A block whose units are like no others."""
        data = b"".join((self.serial + i + 1).to_bytes(UNIT_BYTES) for i in range(units)) + bytes(tail)
        self.serial += units
        return Block(data, 32, b"tag", self.now, f"source {units % 3}")

    def has_ages(self, epoch: int, start: int, end: int, ages: Ages) -> None:
        """These are the ages of the units from start to before end, and of no others."""
        told = {at: next(age.produced_at for until, age in ages if at < until) for at in range(start, end)}
        assert told == {at: self.born[epoch, at] for at in range(start, end)}
        assert all(until < end for until, _ in ages[:-1])

    @rule(blocks=st.lists(st.tuples(st.integers(9, 1100), st.integers(0, 7)), min_size=1, max_size=3))
    def append(self, blocks: list[tuple[int, int]]) -> None:
        made = [self.fresh(*block) for block in blocks]
        epoch, at = self.owned.epoch, self.owned.produced
        self.followed.append(epoch, made)
        for block in made:
            self.owned.append(block)
            for i in range(block.units):
                place = (epoch, at + i)
                self.units[place] = block.data[UNIT_BYTES * i : UNIT_BYTES * (i + 1)]
                self.born[place] = block.produced_at
                self.source[place] = block.source
                if at + i >= ID_KEY_UNITS:
                    self.kept.add(place)
            at += block.units

    @rule(units=st.integers(9, 600))
    def append_that_the_owner_never_hears_of(self, units: int) -> None:
        self.followed.append(self.owned.epoch, [self.fresh(units, 0)])
        self.flush()
        self.followed.forget_unconfirmed(self.owned.epoch)

    @precondition(lambda self: self.owned.available_units)
    @rule(units=st.integers(1, 1500))
    def lease_and_note(self, units: int) -> None:
        self.lease(units)
        while self.pending:
            self.note()

    @precondition(lambda self: self.owned.available_units)
    @rule(units=st.integers(1, 1500))
    def lease(self, units: int) -> None:
        before = self.owned.available_units
        lease = self.owned.lease(units)
        assert (lease is None) == (before == 0)
        if lease:
            assert lease.end - lease.start == min(units, before)
            self.pending.append(lease)

    @precondition(lambda self: self.pending)
    @rule()
    def note(self) -> None:
        lease = self.pending.popleft()
        if lease.epoch == self.owned.epoch:
            assert self.followed.note_taken(lease.epoch, lease.end)
            self.noted = lease.end
        self.owned.activate(lease)

    @precondition(lambda self: self.owned.leased_units)
    @rule(
        size=st.integers(1, 200),
        count=st.integers(1, 40),
        purpose=st.sampled_from(["delivered", "pad", "mac"]),
    )
    def take(self, size: int, count: int, purpose: Purpose) -> None:
        leased, width = self.owned.leased_units, units_for(size)
        taken = self.owned.take(size, count, purpose)
        assert (taken is None) == (width * count > leased)
        if taken is None:
            return
        assert taken.position + width * count <= self.noted, "used before the follower had noted it"
        self.has_ages(taken.epoch, taken.position, taken.position + width * count, taken.ages)
        for i in range(count):
            start = taken.position + width * i
            places = [(taken.epoch, start + j) for j in range(width)]
            assert not self.used & set(places), "used twice"
            self.used.update(places)
            data = b"".join(self.units[place] for place in places)[:size]
            assert taken.data[size * i : size * (i + 1)] == data
            assert self.owned.key_ids is not None
            key_id = self.owned.key_ids.pair(MASTER, SLAVE).seal(start, size)
            self.keys.append((Place(taken.epoch, Located(start, size)), key_id, data))

    @precondition(lambda self: self.keys)
    @rule(data=st.data())
    def fetch(self, data: st.DataObject) -> None:
        place, key_id, key = self.keys[data.draw(st.integers(0, len(self.keys) - 1))]
        places = {(place.epoch, at) for at in range(place.located.position, place.located.end)}
        there = places <= self.kept
        assert self.followed.has(place) == there
        assert self.followed.find(key_id, SLAVE, MASTER) is None
        if there:
            assert self.followed.find(key_id, MASTER, SLAVE) == place
            got, ages = self.followed.consume(place, "delivered")
            assert got == key
            self.has_ages(place.epoch, place.located.position, place.located.end, ages)
            self.kept -= places

    @rule(start=st.integers(0, 3000), size=st.integers(1, 3000))
    def nothing_untaken_is_there(self, start: int, size: int) -> None:
        place = Place(self.owned.epoch, Located(start, size))
        if self.followed.has(place):
            assert place.located.end <= self.followed.taken <= self.owned.taken
            assert {(place.epoch, at) for at in range(start, place.located.end)} <= self.kept

    @precondition(lambda self: self.owned.leased_units)
    @rule()
    def take_all(self) -> None:
        self.take(UNIT_BYTES, self.owned.leased_units, "delivered")

    @rule(
        upheaval=st.sampled_from(["seal", "close", "forget", "restart", "expire", "expire both"]), age=st.integers(0, 6)
    )
    def upheave(self, upheaval: str, age: int) -> None:
        match upheaval:
            case "seal":
                self.seal()
            case "close":
                self.close_epoch()
            case "forget":
                self.forget_at_the_follower()
            case "restart":
                self.restart()
            case "expire":
                self.expire_at_the_owner(age)
            case _:
                self.expire_at_the_follower(age)

    def seal(self) -> None:
        self.pending.clear()
        self.give_up(self.owned.seal())
        assert self.owned.leased_units == 0

    def expire_at_the_owner(self, age: int) -> None:
        epoch, before = self.owned.epoch, self.now - age
        self.give_up(self.owned.expire(before))
        left = [self.born[p] for p in self.units if p[0] == epoch and p[1] >= ID_KEY_UNITS and p not in self.used]
        assert all(born >= before for born in left)

    @rule(number=st.integers(0, 2))
    def give_up_a_source(self, number: int) -> None:
        epoch, source = self.owned.epoch, f"source {number}"
        left = sorted(p for p in self.units if p[0] == epoch and p[1] >= ID_KEY_UNITS and p not in self.used)
        unfit = [place for place in left if self.source[place] == source]
        given_up = self.owned.give_up(lambda each: each == source)
        assert given_up == ((left[0][1], unfit[-1][1] + 1) if unfit else None)
        self.give_up(given_up)

    def give_up(self, given_up: tuple[int, int] | None) -> None:
        if given_up:
            gone = {(self.owned.epoch, at) for at in range(*given_up)}
            assert not gone & self.used
            self.used |= gone
            self.kept -= gone
            assert self.followed.note_taken(self.owned.epoch, given_up[1])
            self.followed.void(self.owned.epoch, *given_up)

    def expire_at_the_follower(self, age: int) -> None:
        """Which the node lets happen only long after the owner's."""
        self.expire_at_the_owner(age)
        while self.pending:
            self.note()
        self.followed.note_taken(self.owned.epoch, self.owned.taken)  # a restart burnt some, of which a session tells
        self.followed.expire(self.now - age, len(self.units))
        self.kept = {place for place in self.kept if self.born[place] >= self.now - age}

    def close_epoch(self) -> None:
        old, taken = self.owned.epoch, self.followed.taken if self.followed.epoch == self.owned.epoch else 0
        self.owned.close_epoch(old + 1)
        self.followed.close_before(old + 1)
        self.kept = {place for place in self.kept if place[0] != old or place[1] < taken}
        self.noted = 0

    def forget_at_the_follower(self) -> None:
        self.owned.close_epoch(self.owned.epoch + 1)
        self.followed.forget_all(0)
        self.kept.clear()
        self.noted = 0

    def restart(self) -> None:
        burnt = range(self.next_unit(), self.owned.taken)
        self.used.update((self.owned.epoch, at) for at in burnt)
        self.stores = MemoryStore(self.stores[0].values), MemoryStore(self.stores[1].values)
        self.load()

    @rule(seconds=st.integers(1, 3))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds

    def next_unit(self) -> int:
        """Where the next use would begin."""
        used = [at for epoch, at in self.used if epoch == self.owned.epoch]
        return max(used, default=ID_KEY_UNITS - 1) + 1

    def flush(self) -> None:
        for journal in self.journals:
            journal.flush()

    @invariant()
    def books_balance_in_memory_and_on_disk(self) -> None:
        if not hasattr(self, "stores"):
            return
        self.flush()
        assert self.owned.ledger.balances(self.owned.available_bytes)
        assert self.followed.ledger.balances(self.followed.available_bytes)
        assert self.followed.available_bytes == len(self.kept) * UNIT_BYTES
        copies = [MemoryStore(store.values) for store in self.stores]
        owned = OwnedStream(REF, copies[0], Journal(copies[0], lambda: None))
        followed = FollowedStream(REF, copies[1], Journal(copies[1], lambda: None))
        assert owned.ledger.balances(owned.available_bytes)
        assert followed.ledger.balances(followed.available_bytes)
        for one, other in ((owned, self.owned), (followed, self.followed)):
            marks = (other.epoch, other.produced, other.taken, other.available_bytes)
            assert (one.epoch, one.produced, one.taken, one.available_bytes) == marks
        assert (owned.leased_units, owned.ledger.leased) == (0, 0)
        noted, told = self.owned.leased_units * UNIT_BYTES, self.owned.ledger.leased
        assert noted <= told if self.pending else noted == told

    @invariant()
    def nothing_used_is_left_in_the_owners_store(self) -> None:
        if hasattr(self, "stores"):
            prefix = REF.chunk_slot("owner", self.owned.epoch, 0).name[:-9]
            starts = [int(slot.name[-9:], 16) for slot in self.slots(0) if slot.name.startswith(prefix)]
            assert all(start >= self.owned.taken for start in starts)
            assert len(starts) == len(self.slots(0)), "chunks of another epoch are left"

    def slots(self, end: int) -> list[Slot]:
        return [slot for slot in self.stores[end].values if slot.kind == "chunk"]


TestStreams = StreamMachine.TestCase
TestStreams.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
