"""Link blocks → streams: only what both ends hold alike goes in, at the follower first."""

import msgspec
import pytest

from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId, LinkId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.memory import MemoryStore
from keyhop.core.streams import FollowedStream, OwnedStream, StreamRef
from keyhop.network.filling import Filling
from keyhop.network.filling.blocks import RELAYED
from keyhop.network.filling.levels import MAX_PLACED_UNITS
from keyhop.network.filling.placing import MAX_PARTS, MISMATCH_S, RESEND_S
from keyhop.network.filling.waiting import MAX_PENDING, MIN_BLOCK_BYTES, PENDING_S
from keyhop.network.wire import Body, Offer, Part, Placed, Placing
from keyhop.testing.virtual import SeededEntropy, VirtualClock

ALICE, BOB = KmeId("alice"), KmeId("bob")
LINK = LinkId("alice-bob")
SIZE = 1024


class End:
    """One end's Filling on its own disk, and what it sends."""

    def __init__(
        self, me: KmeId, peer: KmeId, clock: VirtualClock, stock_units: int, before: MemoryStore | None = None
    ) -> None:
        self.store = MemoryStore(before.values if before else None)
        self.journal = Journal(self.store, lambda: None)
        self.sent: list[Body] = []
        self.appended = 0
        self.owned = OwnedStream(StreamRef(me, peer), self.store, self.journal)
        self.followed = FollowedStream(StreamRef(peer, me), self.store, self.journal)
        self.filling = Filling(
            self.owned,
            self.followed,
            self.store,
            self.journal,
            clock,
            self.sent.append,
            stock_units,
            self._on_appended,
            lambda: self.owned.close_epoch(self.owned.epoch + 1),
        )

    def _on_appended(self) -> None:
        self.appended += 1

    def receive(self, message: Body) -> None:
        match message:
            case Offer():
                self.filling.offer(message)
            case Placing():
                self.filling.placing(message)
            case Placed():
                self.filling.placed(message)
            case _:
                raise AssertionError(f"filling sends no {message}")


class Two:
    """Alice, who decides, and Bob."""

    def __init__(self, stock_units: int = 1 << 20) -> None:
        self.clock = VirtualClock()
        self.alice = End(ALICE, BOB, self.clock, stock_units)
        self.bob = End(BOB, ALICE, self.clock, stock_units)
        self.ends = (self.alice, self.bob)
        self.placements: list[int] = []
        """How many blocks each of them had."""
        for end in self.ends:
            end.filling.synchronised()

    def produce(
        self,
        sequence: int,
        *,
        differs: bool = False,
        only: End | None = None,
        size: int = SIZE,
        link: LinkId = LINK,
    ) -> None:
        data = SeededEntropy(sequence).token(size)
        for end in self.ends:
            if only in (None, end):
                other = SeededEntropy(1000 + sequence).token(size) if differs and end is self.bob else data
                end.filling.link_block(link, sequence, KeyMaterial(other), 1.0, "test")

    def settle(self) -> None:
        while any(end.sent for end in self.ends):
            for end, far in ((self.alice, self.bob), (self.bob, self.alice)):
                sent, end.sent[:] = list(end.sent), []
                for message in sent:
                    if isinstance(message, Placing):
                        self.placements.append(len(message.parts))
                    far.receive(message)
        self.check()

    def tick(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for end in self.ends:
            end.filling.tick()

    def check(self) -> None:
        for end, far in ((self.alice, self.bob), (self.bob, self.alice)):
            assert end.owned.ledger.balances(end.owned.available_bytes)
            assert end.followed.ledger.balances(end.followed.available_bytes)
            assert end.owned.produced == far.followed.produced

    @property
    def stocks(self) -> tuple[int, int]:
        return self.alice.owned.produced, self.bob.owned.produced


@pytest.fixture
def two() -> Two:
    return Two()


UNITS = (SIZE - 32) // 8


def test_blocks_go_to_both_directions_in_turn_and_nowhere_twice(two: Two) -> None:
    for sequence in range(6):
        two.produce(sequence)
        two.settle()
    assert two.stocks == (3 * UNITS, 3 * UNITS)
    assert [end.filling.discarded_bytes for end in two.ends] == [0, 0]


def test_with_enough_in_stock_blocks_wait_for_others_until_the_next_tick() -> None:
    two = Two(stock_units=64 * (UNITS - 1))
    for sequence in range(16):
        two.produce(sequence)
        two.settle()
    assert (two.stocks, two.placements) == ((8 * UNITS, 8 * UNITS), [1] * 16)
    for sequence in range(16, 26):
        two.produce(sequence)
        two.settle()
    assert two.stocks == (8 * UNITS, 8 * UNITS)
    two.tick(0.1)
    two.settle()
    assert (two.stocks, two.placements) == ((13 * UNITS, 13 * UNITS), [1] * 16 + [5, 5])


def test_blocks_that_wait_go_when_they_are_many() -> None:
    two = Two(stock_units=64 * (UNITS - 1))
    for sequence in range(16 + 2 * (MAX_PARTS + 1)):
        two.produce(sequence)
        two.settle()
    assert two.placements[16:] == [MAX_PARTS, MAX_PARTS]


@pytest.mark.parametrize(("size", "parts"), [(8 * MAX_PLACED_UNITS // 3, 3), (8 * MAX_PLACED_UNITS + 8, 1)])
def test_a_placement_of_big_blocks_has_few_of_them(two: Two, size: int, parts: int) -> None:
    for end in two.ends:
        end.filling.interrupted()
    for sequence in range(12):
        two.produce(sequence, size=size)
    for end in two.ends:
        end.filling.synchronised()
    two.settle()
    two.tick(0.1)
    two.settle()
    assert max(two.placements) == parts
    assert sum(two.placements) == 12


def test_direction_follows_demand(two: Two) -> None:
    for sequence in range(6):
        two.produce(sequence)
        two.settle()
    lease = two.bob.owned.lease(3 * UNITS)
    assert lease is not None
    assert two.alice.followed.note_taken(lease.epoch, lease.end)
    for sequence in range(6, 9):
        two.produce(sequence)
        two.settle()
    assert two.stocks == (3 * UNITS, 6 * UNITS)


def test_with_nothing_left_at_either_end_blocks_go_in_turn(two: Two) -> None:
    """A slow link: whatever comes is leased at once, so both stocks look empty all the time."""
    for sequence in range(6):
        two.produce(sequence)
        two.settle()
        for owner, follower in ((two.alice, two.bob), (two.bob, two.alice)):
            lease = owner.owned.lease(UNITS)
            if lease is not None:
                assert follower.followed.note_taken(lease.epoch, lease.end)
    assert two.stocks == (3 * UNITS, 3 * UNITS)


def test_blocks_from_while_bob_was_down_do_not_keep_the_next_from_him(two: Two) -> None:
    for sequence in range(6):
        two.produce(sequence, only=two.alice)
    two.produce(6)
    two.tick(2 * RESEND_S + 1)
    two.settle()
    before = two.bob.owned.produced
    two.produce(7)
    two.settle()
    two.produce(8)
    two.settle()
    assert two.bob.owned.produced > before


def test_the_owner_appends_only_after_the_follower_holds_it(two: Two) -> None:
    two.produce(0)
    (placing,) = two.alice.sent
    assert isinstance(placing, Placing)
    assert two.alice.owned.produced == 0
    two.bob.receive(placing)
    assert (two.alice.owned.produced, two.bob.followed.produced) == (0, UNITS)
    two.alice.receive(Placed(placing.place))
    assert two.alice.owned.produced == UNITS
    assert two.alice.appended == 1


def test_the_bytes_are_the_blocks_without_its_mac_key(two: Two) -> None:
    two.produce(0)
    two.settle()
    data = SeededEntropy(0).token(SIZE)
    lease = two.alice.owned.lease(UNITS)
    assert lease is not None
    two.alice.owned.activate(lease)
    taken = two.alice.owned.take(UNITS * 8 - 64, 1, "delivered")
    assert taken is not None
    assert taken.data == data[32 + 64 :]
    assert two.alice.owned.ledger.mac == 32
    assert two.alice.owned.ledger.produced == SIZE


@pytest.mark.parametrize("sequence", [0, 1])
def test_a_block_that_differs_is_dropped_by_both_and_the_rest_goes_on(two: Two, sequence: int) -> None:
    for other in range(sequence):
        two.produce(other)
    two.produce(sequence, differs=True)
    two.produce(sequence + 1)
    two.produce(sequence + 2)
    two.settle()
    assert [end.filling.discarded_bytes for end in two.ends] == [SIZE, SIZE]
    assert sum(two.stocks) == (sequence + 2) * UNITS
    for differing in (SeededEntropy(sequence).token(SIZE), SeededEntropy(1000 + sequence).token(SIZE)):
        for end in two.ends:
            end.journal.flush()
            assert not any(differing[100:200] in value for value in end.store.values.values())


def test_one_bad_block_in_a_placement_of_many_spoils_only_itself(two: Two) -> None:
    for end in two.ends:
        end.filling.interrupted()
    for sequence in range(8):
        two.produce(sequence, differs=sequence == 4)
    for end in two.ends:
        end.filling.synchronised()
    two.settle()
    assert sum(two.stocks) == 7 * UNITS
    assert [end.filling.discarded_bytes for end in two.ends] == [SIZE, SIZE]


@pytest.mark.parametrize("sequence", range(2))
def test_a_block_that_bob_never_gets_is_dropped_once_he_is_past_it(two: Two, sequence: int) -> None:
    for other in range(sequence):
        two.produce(other)
        two.settle()
    two.produce(sequence, only=two.alice)
    two.settle()
    before = two.stocks
    two.produce(sequence + 1)
    two.settle()
    two.tick(RESEND_S * 1.1)
    two.settle()
    two.tick(PENDING_S * 1.1)
    two.settle()
    two.produce(sequence + 2)
    two.settle()
    assert two.alice.filling.discarded_bytes == SIZE
    assert sum(two.stocks) == sum(before) + 2 * UNITS


def test_a_block_that_only_bob_gets_is_dropped_in_time(two: Two) -> None:
    two.produce(0, only=two.bob)
    two.settle()
    two.produce(1)
    two.settle()
    two.tick(PENDING_S * 1.1)
    two.settle()
    assert two.bob.filling.discarded_bytes == SIZE
    assert sum(two.stocks) == UNITS


def test_a_late_block_is_waited_for(two: Two) -> None:
    two.produce(0, only=two.alice)
    (placing,) = two.alice.sent
    two.settle()
    two.produce(0, only=two.bob)
    two.settle()
    assert two.stocks == (0, 0)
    two.tick(RESEND_S * 1.1)
    assert two.alice.sent == [placing]
    two.settle()
    assert two.stocks == (UNITS, 0)


def test_an_offer_that_comes_before_its_block_is_kept_for_it(two: Two) -> None:
    two.produce(0)
    two.settle()
    two.produce(1, only=two.alice)
    (offer,) = two.alice.sent
    assert offer == Offer(LINK, 1)
    two.settle()
    two.produce(1, only=two.bob)
    two.settle()
    assert two.stocks == (UNITS, UNITS)


def test_a_lost_offer_is_made_again(two: Two) -> None:
    two.produce(0)
    two.settle()
    two.produce(1)
    two.alice.sent.clear()
    two.settle()
    assert two.stocks == (UNITS, 0)
    two.tick(RESEND_S * 1.1)
    two.settle()
    assert two.stocks == (UNITS, UNITS)


def test_repeated_and_late_sequences_are_no_blocks(two: Two) -> None:
    for sequence in (5, 5, 3, 4, 0, 6, 5):
        two.produce(sequence)
        two.settle()
    assert sum(two.stocks) == 2 * UNITS


@pytest.mark.parametrize("link", [LINK, RELAYED])
def test_sequences_are_remembered_over_a_restart(two: Two, link: LinkId) -> None:
    """Also of a link that is called as blocks are that no link brought."""
    two.produce(5, link=link)
    two.settle()
    for end, me, peer in ((two.alice, ALICE, BOB), (two.bob, BOB, ALICE)):
        end.journal.flush()
        again = End(me, peer, two.clock, 1 << 20, end.store)
        assert again.filling.last_seen(link) == 5
        again.filling.synchronised()
        again.filling.link_block(link, 5, KeyMaterial(bytes(SIZE)), 1.0, "test")
        assert again.sent == []


def test_repeated_messages_change_nothing(two: Two) -> None:
    seen: list[tuple[End, Body]] = []
    for sequence in range(4):
        two.produce(sequence)
        while any(end.sent for end in two.ends):
            for end, far in ((two.alice, two.bob), (two.bob, two.alice)):
                sent, end.sent[:] = list(end.sent), []
                for message in sent:
                    seen.append((far, message))
                    far.receive(message)
    before = two.stocks
    for far, message in seen:
        far.receive(message)
    two.settle()
    assert two.stocks == before
    assert sum(before) == 4 * UNITS


def test_with_both_stocks_full_blocks_are_discarded(two: Two) -> None:
    two = Two(stock_units=3 * UNITS)
    for sequence in range(40):
        two.produce(sequence)
        two.settle()
    two.tick(0.1)
    two.settle()
    assert all(3 * UNITS <= stock <= 4 * UNITS for stock in two.stocks)
    lease = two.alice.owned.lease(3 * UNITS)
    assert lease is not None
    two.bob.followed.note_taken(lease.epoch, lease.end)
    before = two.stocks
    two.produce(40)
    two.settle()
    assert two.stocks == (before[0] + UNITS, before[1])


def test_what_waits_is_bounded(two: Two) -> None:
    for end in two.ends:
        end.filling.interrupted()
    for sequence in range(MAX_PENDING + 10):
        two.produce(sequence, size=MIN_BLOCK_BYTES)
    for end in two.ends:
        assert len(end.filling._waiting.blocks) == MAX_PENDING
    for sequence in range(10_000, 10_000 + 2 * MAX_PENDING):
        two.bob.receive(Offer(LINK, sequence))
    assert len(two.bob.filling._deciding._offered) <= MAX_PENDING
    for end in two.ends:
        end.filling.synchronised()
    two.settle()
    assert sum(two.stocks) == MAX_PENDING * ((MIN_BLOCK_BYTES - 32) // 8)


def test_a_block_too_small_to_open_an_epoch_is_discarded(two: Two) -> None:
    two.produce(0, size=MIN_BLOCK_BYTES - 1)
    two.produce(1, size=MIN_BLOCK_BYTES)
    two.settle()
    assert two.stocks == ((MIN_BLOCK_BYTES - 32) // 8, 0)
    assert two.alice.filling.discarded_bytes == MIN_BLOCK_BYTES - 1


def test_placing_where_the_stream_does_not_end_is_a_peer_error(two: Two) -> None:
    two.produce(0)
    two.settle()
    two.produce(1)
    two.settle()
    two.produce(2)
    (placing,) = two.alice.sent
    assert isinstance(placing, Placing)
    for wrong in (
        msgspec.structs.replace(placing, start=placing.start + 1),
        msgspec.structs.replace(placing, start=0),
        msgspec.structs.replace(placing, epoch=0, start=0),
        msgspec.structs.replace(placing, epoch=2),
        msgspec.structs.replace(placing, parts=placing.parts * 2),
    ):
        with pytest.raises(PeerError):
            two.bob.receive(wrong)
    assert two.bob.followed.produced == UNITS
    two.settle()
    assert two.stocks[0] == 2 * UNITS


def test_a_tag_is_worth_nothing_for_another_name(two: Two) -> None:
    two.produce(0)
    two.produce(2)
    placing = two.alice.sent[0]
    assert isinstance(placing, Placing)
    (part,) = placing.parts
    moved = msgspec.structs.replace(placing, parts=(Part(part.link, 2, part.tag),))
    two.bob.receive(moved)
    assert two.bob.sent == [Placed(placing.place, (0,))]
    assert two.bob.followed.produced == 0


def test_a_block_is_never_placed_in_both_directions(two: Two) -> None:
    """Alice offered it, crashed, got it again and kept it; Bob still goes by the offer."""
    two.bob.receive(Offer(LINK, 0))
    two.produce(0)
    (from_alice,), (from_bob,) = list(two.alice.sent), list(two.bob.sent)
    assert isinstance(from_alice, Placing)
    assert isinstance(from_bob, Placing)
    two.settle()
    assert two.stocks == (0, 0)  # both drop it: to give in would put it into both streams, should alice lie
    assert two.alice.followed.produced == 0
    two.produce(1)
    two.produce(2)
    two.settle()
    assert two.stocks == (UNITS, UNITS)


def test_an_unanswered_placement_is_made_again_in_the_next_session(two: Two) -> None:
    two.produce(0)
    two.alice.sent.clear()
    for end in two.ends:
        end.filling.interrupted()
    two.produce(1)
    assert two.alice.sent == []
    for end in two.ends:
        end.filling.synchronised()
    two.settle()
    assert sum(two.stocks) == 2 * UNITS


def test_a_full_epoch_is_followed_by_the_next(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    for sequence in range(4):
        two.produce(sequence)
        two.settle()
    monkeypatch.setattr(OwnedStream, "full", property(lambda stream: stream.epoch == 1))
    two.produce(4)
    two.settle()
    assert (two.alice.owned.epoch, two.bob.followed.epoch) == (2, 2)
    assert two.alice.owned.produced == UNITS
    assert two.alice.owned.available_units == UNITS - 8
    assert two.bob.followed.available_bytes == two.alice.owned.available_bytes


def test_ends_whose_blocks_never_agree_are_told_apart_from_a_slow_link(two: Two) -> None:
    for sequence in range(6):
        two.produce(sequence, differs=True)
        two.settle()
    assert [end.filling.mismatch for end in two.ends] == [True, True]
    for sequence in range(6, 12):
        two.produce(sequence)
        two.settle()
    assert [end.filling.mismatch for end in two.ends] == [False, False]


def test_a_placement_that_is_never_answered_is_a_mismatch(two: Two) -> None:
    two.produce(0, only=two.alice)
    assert not two.alice.filling.mismatch
    two.clock.advance(MISMATCH_S + 0.1)
    assert two.alice.filling.mismatch
