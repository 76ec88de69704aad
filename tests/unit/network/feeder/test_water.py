"""How much a relayed stream is to hold."""

from hypothesis import given
from hypothesis import strategies as st

from keyhop.network.feeder.water import HIGH_S, LEAST_BLOCK_BYTES, LOW_S, MOST_BLOCK_BYTES, block_bytes, marks


def test_a_stream_of_which_nobody_asks_anything_holds_little() -> None:
    assert marks(0.0, 0, 8192, 1 << 24) == (8192, 16384)


def test_the_marks_follow_demand_and_those_who_wait() -> None:
    low, high = marks(100_000.0, 5000, 8192, 1 << 24)
    assert low == LOW_S * 100_000 + 5000
    assert high == HIGH_S * 100_000 + 5000


@given(st.floats(0, 1e12), st.integers(0, 1 << 40), st.integers(0, 1 << 20), st.integers(1 << 16, 1 << 34))
def test_no_mark_is_over_what_a_stream_may_hold(demand: float, waiting: int, least: int, most: int) -> None:
    low, high = marks(demand, waiting, least, most)
    assert 0 <= low <= high <= most


@given(st.floats(0, 1e12), st.integers(-1000, 1 << 40), st.integers(0, 1 << 30))
def test_a_block_is_worth_its_overhead_and_holds_no_link_for_long(demand: float, lacking: int, low: int) -> None:
    size = block_bytes(demand, lacking, low)
    assert LEAST_BLOCK_BYTES <= size <= MOST_BLOCK_BYTES
    assert size <= max(LEAST_BLOCK_BYTES, demand, low / 8)
