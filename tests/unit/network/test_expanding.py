"""Seeds, and the pads that they give: each once, at both ends the same."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhop.core.ids import KmeId
from keyhop.core.journal import Journal
from keyhop.core.store.memory import MemoryStore
from keyhop.core.streams import FollowedStream, OwnedStream, StreamRef
from keyhop.core.streams.base import Block
from keyhop.network.expanding import own
from keyhop.network.expanding.held import MAX_HELD, HeldSeeds
from keyhop.network.expanding.messages import SeedHeld, SeedMessage, SeedTaken
from keyhop.network.expanding.own import OwnSeed
from keyhop.network.expanding.pads import expanded
from keyhop.network.leasing import Leasing
from keyhop.network.wire import Body, Leased, LeaseNoted
from keyhop.testing.virtual import SeededEntropy, VirtualClock

ALICE, BOB = KmeId("alice"), KmeId("bob")


def hkdf_expand(seed: bytes, info: bytes, size: int) -> bytes:
    """RFC 5869, clause 2.3, over Python's own HMAC."""
    pad, block = b"", b""
    for number in range(1, -(-size // 32) + 1):
        block = hmac.digest(seed, block + info + bytes([number]), hashlib.sha256)
        pad += block
    return pad[:size]


@pytest.mark.parametrize("size", [1, 32, 64, 8160, 8161, 20_000])
@pytest.mark.parametrize("number", [1, 2, 1 << 40])
def test_a_pad_is_what_rfc_5869_gives(size: int, number: int) -> None:
    seed, made = bytes(range(32)), b""
    for piece, start in enumerate(range(0, size, 8160)):
        info = b"keyhop expanded pad v1" + number.to_bytes(8) + size.to_bytes(8) + piece.to_bytes(4)
        made += hkdf_expand(seed, info, min(8160, size - start))
    assert expanded(seed, number, size) == made


@given(st.integers(1, 99), st.integers(1, 99), st.integers(1, 99), st.integers(1, 99))
def test_no_two_pads_begin_alike(number: int, size: int, other_number: int, other_size: int) -> None:
    one, other = expanded(bytes(32), number, size + 31), expanded(bytes(32), other_number, other_size + 31)
    assert (one[:32] == other[:32]) == ((number, size) == (other_number, other_size))


class Ends:
    """An owner at alice and a follower at bob."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.said: list[SeedMessage] = []
        self.alice = Journal(MemoryStore(), lambda: None)
        self.store = MemoryStore()
        self.bob = Journal(self.store, lambda: None)
        ref = StreamRef(ALICE, BOB)
        self.owned = OwnedStream(ref, MemoryStore(), self.alice)
        self.followed = FollowedStream(ref, self.store, self.bob)
        self.leasing = Leasing(self.owned, self.clock, self.noted)
        self.leasing.synchronised()
        self.held = HeldSeeds(self.followed, self.store, self.bob)
        self.seed = OwnSeed(self.owned, self.leasing, self.clock, self.said.append)
        self.seed.wanted = True

    def noted(self, body: Body) -> None:
        if isinstance(body, Leased):
            self.followed.note_taken(body.epoch, body.taken)
            self.lease = body

    def produce(self, source: str = "bb84") -> None:
        block = Block(SeededEntropy(self.owned.produced).token(4096), 32, b"tag", 0.0, source)
        self.followed.append(1, [block])
        self.owned.append(block)
        self.leasing.stock_changed()

    def pass_time(self, seconds: float = 1.0) -> None:
        self.clock.advance(seconds)
        self.seed.tick()
        self.leasing.tick()
        if hasattr(self, "lease"):
            self.leasing.noted(LeaseNoted(self.lease.epoch, self.lease.taken))

    def agree(self) -> None:
        self.produce()
        self.seed.synchronised()
        self.pass_time()
        taken = self.said[-1]
        assert isinstance(taken, SeedTaken)
        self.seed.held(SeedHeld(taken.epoch, taken.position, self.held.keep(taken)))


@pytest.fixture
def ends() -> Ends:
    return Ends()


def test_both_ends_make_the_same_pads_each_once(ends: Ends) -> None:
    ends.agree()
    assert ends.seed.sources == ("bb84",)
    for size in (64, 64, 100):
        pad = ends.seed.take(size)
        assert pad is not None
        place = (pad.epoch, pad.position, pad.number)
        assert ends.held.pad(*place, size) == pad.pad
        ends.held.used(*place)
        assert ends.held.pad(*place, size) is None
    assert ends.owned.ledger.seed == ends.followed.ledger.seed == 32
    for stream in (ends.owned, ends.followed):
        assert stream.ledger.balances(stream.available_bytes)


def test_a_seed_is_of_all_sources_that_its_bytes_have_and_is_given_up_with_any_of_them(ends: Ends) -> None:
    ends.produce("rate")
    ends.produce()
    ends.pass_time()
    while ends.owned.stock_units > 512 + 2:
        ends.leasing.wait(8, 1, "pad", ends.clock.monotonic() + 9.0, lambda taken: None)
        ends.pass_time()
    ends.agree()
    assert ends.seed.sources == ("rate", "bb84")
    ends.seed.give_up(lambda source: source == "virtual")
    assert ends.seed.take(64) is not None
    ends.seed.give_up(lambda source: source == "bb84")
    assert ends.seed.take(64) is None


def test_a_used_number_stays_used_over_a_start_of_the_follower(ends: Ends) -> None:
    ends.agree()
    pad = ends.seed.take(64)
    assert pad is not None
    ends.held.used(pad.epoch, pad.position, pad.number)
    ends.bob.flush()
    anew = HeldSeeds(ends.followed, ends.store, ends.bob)
    assert anew.pad(pad.epoch, pad.position, pad.number, 64) is None
    assert anew.pad(pad.epoch, pad.position, pad.number + 1, 64) is not None
    anew.forget_done()
    assert len(anew) == 1
    ends.followed.forget_all(1)
    anew.forget_done()
    ends.bob.flush()
    assert len(HeldSeeds(ends.followed, ends.store, ends.bob)) == 0


def test_an_owner_tells_again_until_it_is_answered_and_uses_nothing_before(ends: Ends) -> None:
    ends.produce()
    ends.seed.synchronised()
    for _ in range(3):
        ends.pass_time()
    assert ends.said == ends.said[:1] * len(ends.said)
    assert len(ends.said) > 1
    assert ends.seed.take(64) is None


def test_a_follower_without_the_bytes_says_so_and_the_owner_takes_others(ends: Ends) -> None:
    assert not ends.held.keep(SeedTaken(1, 1 << 20))
    ends.produce()
    ends.seed.synchronised()
    ends.pass_time()
    (first,) = ends.said
    assert isinstance(first, SeedTaken)
    ends.seed.held(SeedHeld(first.epoch, first.position, False))
    assert not ends.seed.sources
    ends.pass_time(10.0)
    assert ends.said[-1] != first


def test_a_worn_seed_is_replaced_and_what_is_beyond_it_is_not_given(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own, "MOST_BYTES", 100)
    monkeypatch.setattr(own, "WORN_BYTES", 50)
    ends.agree()
    assert ends.seed.take(60) is not None
    assert ends.seed.take(60) is None
    for _ in range(3):
        ends.pass_time(10.0)
        taken = ends.said[-1]
        assert isinstance(taken, SeedTaken)
        ends.seed.held(SeedHeld(taken.epoch, taken.position, ends.held.keep(taken)))
        assert ends.seed.take(60) is not None
    assert len(ends.held) == MAX_HELD


def test_a_seed_is_of_its_epoch_only(ends: Ends) -> None:
    ends.agree()
    ends.owned.close_epoch(2)
    assert not ends.seed.sources
    assert ends.seed.take(64) is None
