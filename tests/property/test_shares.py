"""What is reserved for pairs of SAEs: nobody can take it from them, nothing is made up, nothing is stuck."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from keyhop.core.ids import SaeId, SaePair
from keyhop.network.leasing.shares import Shares

PAIRS: list[SaePair] = [(SaeId(f"m{i}"), SaeId("s")) for i in range(6)]
pairs = st.sampled_from(PAIRS)
some_pairs = st.lists(pairs, unique=True)


class SharesMachine(RuleBasedStateMachine):
    """A stock that comes, goes and is lost, and pairs that take what they may."""

    @initialize(floor=st.integers(0, 40), known=some_pairs)
    def begin(self, floor: int, known: list[SaePair]) -> None:
        self.shares = Shares()
        self.stock = 0
        self.reserve(floor, known)

    def reserve(self, floor: int, known: list[SaePair]) -> None:
        self.floor, self.known, self.number = floor, known, len(known)
        self.shares.reserve(floor, known)

    @rule(floor=st.integers(0, 40), known=some_pairs)
    def reload(self, floor: int, known: list[SaePair]) -> None:
        self.reserve(floor, known)

    @rule(swap=st.permutations(PAIRS))
    def swap(self, swap: list[SaePair]) -> None:
        self.reserve(self.floor, swap[: self.number])

    @rule(units=st.integers(1, 300))
    def come(self, units: int) -> None:
        before, kept = self.entitled(), self.shares._pads
        self.stock += units
        self.shares.settle(self.stock)
        assert self.shares._pads == min(self.shares._expected, kept + (units + 1) // 2)
        assert all(now >= then for now, then in zip(self.entitled(), before, strict=True)), (
            "more came, and one has less"
        )

    @rule(share=st.floats(0, 1))
    def lose(self, share: float) -> None:
        self.stock -= int(self.stock * share)
        self.shares.settle(self.stock)

    @rule(drawn=st.integers(0, len(PAIRS)), share=st.floats(0, 1))
    def take(self, drawn: int, share: float) -> None:
        pair = self.known[drawn] if drawn < self.number else None
        may = self.shares.entitled(pair)
        units = int(may * share)
        floors = {other: self.shares.entitled(other) - self.shares.common for other in self.known if other != pair}
        self.shares.spend(pair, units)
        self.stock -= units
        assert self.shares.entitled(pair) == may - units
        for other, floor in floors.items():
            assert self.shares.entitled(other) - self.shares.common >= floor, "taken from another's floor"

    @rule(kept_back=st.integers(0, 300), share=st.floats(0, 1))
    def take_sparingly(self, kept_back: int, share: float) -> None:
        shares, before = self.shares, self.shares.common
        shares.kept_back, keeps = kept_back, shares._keeps_back
        may = shares.entitled(None, sparing=True)
        assert may <= shares.entitled(None)
        units = int(may * share)
        shares.spend(None, units, sparing=True)
        self.stock -= units
        if keeps:
            assert shares.common >= min(before, kept_back), "what is kept back was taken"

    @rule(units=st.integers(0, 500))
    def expect(self, units: int) -> None:
        self.shares.expect(units)

    @precondition(lambda self: self.number)
    @rule(drawn=st.integers(0, len(PAIRS)))
    def ask(self, drawn: int) -> None:
        pair = self.known[drawn % self.number]
        before = self.entitled()
        self.shares.ask(pair)
        assert all(now >= then for now, then in zip(self.entitled(), before, strict=True))

    def entitled(self) -> list[int]:
        return [self.shares.entitled(pair) for pair in self.known]

    @invariant()
    def the_books_balance(self) -> None:
        if not hasattr(self, "shares"):
            return
        shares = self.shares
        assert shares.stock == self.stock
        assert 0 <= shares._pads <= shares._expected
        assert shares.entitled(None) == shares.common + shares._pads
        assert shares.common >= 0
        assert shares._others >= 0
        assert shares._asked == sum(shares._asking.values())
        assert all(0 <= floor <= self.floor for floor in shares._asking.values())
        assert shares._asking.keys() <= set(self.known)
        assert all(shares.entitled(pair) == shares.common for pair in PAIRS if pair not in self.known)
        reserved = shares._asked + shares._others
        assert reserved <= self.floor * self.number
        if shares.common:
            assert reserved == self.floor * self.number, "common while a floor has room"
        if self.stock > 2 * self.number:
            assert any(shares.entitled(pair) for pair in (*self.known, None)), "nobody may take what there is"


TestShares = SharesMachine.TestCase
TestShares.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@settings(deadline=None)
@given(
    floor=st.integers(1, 60),
    rounds=st.lists(st.lists(st.tuples(st.integers(1, 100), pairs), min_size=1, max_size=8), min_size=1, max_size=8),
)
def test_who_asks_no_more_than_its_floor_each_time_that_all_floors_came_is_served_whatever_the_others_do(
    floor: int, rounds: list[list[tuple[int, SaePair]]]
) -> None:
    """The others take all that they may after each block. Half of what comes is for those who ask, in equal parts, and
    what cannot be split evenly goes round."""
    honest, number = PAIRS[0], len(PAIRS)
    shares, stock = Shares(), number * floor
    shares.settle(stock)
    shares.reserve(floor, PAIRS)

    def take_all(greedy: SaePair) -> None:
        nonlocal stock
        may = shares.entitled(greedy)
        shares.ask(greedy)
        shares.spend(greedy, may)
        stock -= may

    for blocks in rounds:
        for _, greedy in blocks:
            if greedy != honest:
                take_all(greedy)
        assert shares.entitled(honest) >= floor
        shares.spend(honest, floor)
        stock -= floor
        left = 2 * number * floor + number * (len(blocks) + 1)
        for size, greedy in (*blocks, (left, PAIRS[1])):
            units = min(size, left)
            left -= units
            stock += units
            shares.settle(stock)
            if greedy != honest:
                take_all(greedy)


@pytest.mark.parametrize("block", [1, 5, 6, 7, 60, 6000])
def test_when_all_starve_what_comes_is_shared_equally(block: int) -> None:
    """All ask, one of them a hundred times as often."""
    shares, stock = Shares(), 0
    shares.reserve(100, PAIRS)
    had = dict.fromkeys(PAIRS, 0)
    for turn in range(1200):
        stock += block
        shares.settle(stock)
        for pair in PAIRS[:1] if turn % 100 else PAIRS:
            shares.ask(pair)
            units = min(shares.entitled(pair), 100)
            shares.spend(pair, units)
            stock -= units
            had[pair] += units
    others = [had[pair] for pair in PAIRS[1:]]
    assert min(others) >= min(1100, 1200 * block // 6 - 200)
    assert max(others) - min(others) <= 100


@pytest.mark.parametrize("floor", [0, 100])
@pytest.mark.parametrize("block", [8, 10, 48])
def test_a_pad_that_is_waited_for_and_those_who_ask_have_half_each_of_what_comes(block: int, floor: int) -> None:
    shares, stock, padded, given_out = Shares(), 0, 0, 0
    shares.reserve(floor, PAIRS)
    shares.expect(200)
    for _ in range(2000):
        stock += block
        shares.settle(stock)
        if shares.entitled(None) >= 200:
            shares.spend(None, 200)
            stock -= 200
            padded += 200
        for pair in PAIRS:
            shares.ask(pair)
            units = shares.entitled(pair)
            shares.spend(pair, units)
            stock -= units
            given_out += units
    most = 1.15 if floor else 1.35  # of the last block before a pad is full it takes what it lacks, from what is common
    assert 0.85 <= padded / given_out <= most


def test_who_never_asked_finds_its_floor_although_another_always_asked() -> None:
    shares, stock = Shares(), 0
    shares.reserve(50, PAIRS[:2])
    for _ in range(100):
        stock += 3
        shares.settle(stock)
        shares.ask(PAIRS[0])
        units = shares.entitled(PAIRS[0])
        shares.spend(PAIRS[0], units)
        stock -= units
    assert shares.entitled(PAIRS[1]) == 50
    stock += 3
    shares.settle(stock)
    assert shares.entitled(PAIRS[0]) == 3, "all other floors are full: everything is for who asks"


def test_pairs_are_forgotten_when_all_floors_are_full() -> None:
    shares = Shares()
    shares.reserve(10, PAIRS)
    for pair in PAIRS:
        shares.ask(pair)
    shares.settle(10 * len(PAIRS) - 1)
    assert len(shares._asking) == len(PAIRS)
    shares.settle(10 * len(PAIRS))
    assert not shares._asking
    assert [shares.entitled(pair) for pair in PAIRS] == [10] * len(PAIRS)


def test_what_is_too_little_for_all_is_for_those_who_ask() -> None:
    """A first block is less than a unit for each of many pairs."""
    many: list[SaePair] = [(SaeId(f"m{i}"), SaeId("s")) for i in range(200)]
    shares = Shares()
    shares.reserve(5, many)
    shares.settle(120)
    for number, pair in enumerate(many[:30]):
        shares.ask(pair)
        assert shares.entitled(pair) == (5 if number < 24 else 0)
