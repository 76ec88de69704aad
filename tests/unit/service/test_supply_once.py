"""Whoever waits at two streams gets bytes once, in whatever order these come to have some."""

from typing import cast

from keyhop.core.clock import Clock
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.store.memory import MemoryStore
from keyhop.core.streams import ID_KEY_UNITS, Block, OwnedStream, StreamRef, Taken
from keyhop.core.units import UNIT_BYTES
from keyhop.network.leasing import Leasing
from keyhop.network.pair import Pair
from keyhop.network.wire import Body, Leased, LeaseNoted
from keyhop.service import supply
from keyhop.testing.virtual import VirtualClock

SAES = (SaeId("a"), SaeId("b"))


class OneOfTwo:
    """A pair of streams, as far as supply sees it. Its follower notes leases when a test lets it."""

    def __init__(self, clock: Clock) -> None:
        store = MemoryStore()
        self.owned = OwnedStream(StreamRef(KmeId("alice"), KmeId("bob")), store, Journal(store, lambda: None))
        self.leasing = Leasing(self.owned, clock, self._hear)
        self._told: list[Leased] = []
        self.leasing.synchronised()

    def _hear(self, body: Body) -> None:
        assert isinstance(body, Leased)
        self._told.append(body)

    def produce(self, units: int) -> None:
        """A block with so many units for keys."""
        opens = 0 if self.owned.produced else ID_KEY_UNITS
        self.owned.append(Block(bytes((units + opens) * UNIT_BYTES), 32, b"tag", 0.0, "test"))
        self.leasing.stock_changed()

    def note(self) -> None:
        """The follower notes what was leased."""
        while self._told:
            told = self._told.pop()
            self.leasing.noted(LeaseNoted(told.epoch, told.taken))


def test_a_stream_that_comes_free_while_another_one_serves_does_not_serve_the_same_again() -> None:
    clock = VirtualClock()
    late, first = OneOfTwo(clock), OneOfTwo(clock)
    first.produce(4)
    first.note()
    first.produce(32)
    assert first.leasing.entitled_units(SAES) == 36
    pairs = [cast("Pair", late), cast("Pair", first)]
    got: dict[str, list[Taken | None]] = {"large": [], "small": []}

    def ask(name: str, units: int) -> None:
        def supplied(pair: Pair, taken: Taken | None) -> None:
            got[name].append(taken)

        supply.wait(pairs, units * UNIT_BYTES, 1, SAES, None, 10.0, supplied)

    ask("large", 34)  # needs a lease of `first`, and holds up all others until it has come
    ask("small", 4)
    assert got == {"large": [], "small": []}
    late.leasing.demand.took(64)
    late.produce(64)
    late.note()
    assert [len(taken) for taken in got.values()] == [1, 1]
    assert all(taken for (taken,) in got.values())
    assert late.owned.ledger.delivered + first.owned.ledger.delivered == (34 + 4) * UNIT_BYTES
