"""How much comes into a stream and goes out of it, and how long it will last."""

import pytest

from keyhop.core.ids import KmeId
from keyhop.core.journal import Journal
from keyhop.core.store.memory import MemoryStore
from keyhop.core.streams import ID_KEY_UNITS, Block, OwnedStream, StreamRef
from keyhop.network.feeder.water import LOW_S
from keyhop.network.meter import Meter
from keyhop.testing.virtual import VirtualClock


class Metered:
    """A stream from which so many bytes a second are taken, and into which so many come."""

    def __init__(self) -> None:
        store = MemoryStore()
        self.stream = OwnedStream(StreamRef(KmeId("a"), KmeId("b")), store, Journal(store, lambda: None))
        self.clock = VirtualClock()
        self.bring(8 * ID_KEY_UNITS + 80_000)
        self.meter = Meter(self.stream, self.clock)

    def bring(self, size_bytes: int) -> None:
        self.stream.append(Block(bytes(size_bytes), 32, b"tag", 0.0, "test"))

    def take(self, size_bytes: int) -> None:
        lease = self.stream.lease(-(-size_bytes // 8))
        assert lease is not None
        self.stream.activate(lease)
        assert self.stream.take(size_bytes, 1, "delivered")

    def run(self, seconds: float, *, coming: int = 0, going: int = 0, missed: int = 0) -> None:
        for _ in range(round(seconds)):
            if coming:
                self.bring(coming)
            if going:
                self.take(going)
            if missed:
                self.meter.missed(missed)
            self.clock.advance(1.0)
            self.meter.tick()


@pytest.fixture
def metered() -> Metered:
    return Metered()


def test_rates_follow_what_comes_and_goes(metered: Metered) -> None:
    metered.run(120, coming=800, going=400)
    assert metered.meter.going == pytest.approx(400, rel=0.01)
    assert metered.meter.coming == pytest.approx(800, rel=0.01)
    assert metered.meter.runway_s is None


def test_a_stream_that_falls_has_a_runway(metered: Metered) -> None:
    metered.run(100, going=400)
    runway = metered.meter.runway_s
    assert runway is not None
    assert runway == pytest.approx(40_000 / 400, rel=0.05)


def test_what_was_asked_for_in_vain_counts_as_demand(metered: Metered) -> None:
    metered.run(100, going=96, missed=304)
    assert metered.meter.demand == pytest.approx(400, rel=0.01)
    assert metered.meter.satisfied == pytest.approx(0.24, rel=0.01)


def test_a_peak_counts_as_demand_for_a_while_and_is_forgotten(metered: Metered) -> None:
    metered.run(30, going=2000)
    metered.run(5)
    assert metered.meter.demand == pytest.approx(2000, rel=0.1)
    metered.run(600)
    assert metered.meter.demand < 10
    assert metered.meter.runway_s is None


def test_one_large_request_raises_a_stream_by_its_own_size_and_not_by_many(metered: Metered) -> None:
    metered.take(20_000)
    metered.clock.advance(0.5)
    metered.meter.tick()
    assert 0.9 * 20_000 <= LOW_S * metered.meter.demand <= 20_000


def test_nothing_asked_for_is_neither_satisfied_nor_not(metered: Metered) -> None:
    metered.run(10)
    assert metered.meter.satisfied is None
