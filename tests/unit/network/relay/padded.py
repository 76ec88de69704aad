"""A direct stream, and pads of it."""

from keyhop.core.ids import KmeId
from keyhop.core.journal import Journal
from keyhop.core.store.memory import MemoryStore
from keyhop.core.streams import ID_KEY_UNITS, Block, OwnedStream, StreamRef
from keyhop.core.units import UNIT_BYTES
from keyhop.network.leasing import Cancel, Leasing
from keyhop.network.relay.pads import Pads, Standing
from keyhop.network.relay.parcels import Flow
from keyhop.network.sealing import MAC_KEY_BYTES
from keyhop.network.wire import Body, Leased, LeaseNoted
from keyhop.testing.virtual import VirtualClock

PADDED = 800
"""What a share takes, in bytes; it is too large to be a key that somebody waits for."""
PAD = PADDED - MAC_KEY_BYTES


def flow(source: str, priority: int = 4) -> Flow:
    return Flow(KmeId(source), KmeId(source), KmeId("z"), priority)


def standing(flow: Flow) -> Standing:
    return Standing(min(flow.priority, 5 if flow.source == "foreign" else 7), {"heavy": 3.0}.get(flow.source, 1.0))


class Padded:
    """A direct stream whose follower notes every lease at once."""

    def __init__(self) -> None:
        store = MemoryStore()
        self.stream = OwnedStream(StreamRef(KmeId("a"), KmeId("b")), store, Journal(store, lambda: None))
        self.clock = VirtualClock()
        self._told: list[Leased] = []
        self.leasing = Leasing(self.stream, self.clock, self._hear)
        self.leasing.synchronised()
        self.pads = Pads(self.leasing, self.clock, standing)
        self.served: list[str] = []
        self.produce(8 * ID_KEY_UNITS)

    def _hear(self, body: Body) -> None:
        assert isinstance(body, Leased)
        self._told.append(body)

    def produce(self, size_bytes: int) -> None:
        self.stream_grows(size_bytes // UNIT_BYTES)
        self.note()

    def stream_grows(self, units: int) -> None:
        self.stream.append(Block(bytes(units * UNIT_BYTES), 32, b"tag", 0.0, "test"))
        self.leasing.stock_changed()

    def note(self) -> None:
        while self._told:
            told = self._told.pop()
            self.leasing.noted(LeaseNoted(told.epoch, told.taken))

    def bring(self, seconds: int) -> None:
        """The link brings four kilobytes a second."""
        for _ in range(seconds):
            self.clock.advance(1.0)
            self.leasing.demand.brought(4096 // UNIT_BYTES)
            self.produce(4096)

    def ask(
        self, name: str, of: Flow, within_s: float = 1e9, *, asked_for: bool = False, size_bytes: int = PAD
    ) -> Cancel:
        cancel = self.ask_ahead_of_a_lease(name, of, within_s, asked_for=asked_for, size_bytes=size_bytes)
        self.note()
        return cancel

    def ask_ahead_of_a_lease(
        self, name: str, of: Flow, within_s: float = 1e9, *, asked_for: bool = False, size_bytes: int = PAD
    ) -> Cancel:
        """The follower notes the lease later, if one is needed."""

        def use(taken: object) -> None:
            self.served.append(name if taken else f"no {name}")

        return self.pads.take(of, size_bytes, self.clock.monotonic() + within_s, use, asked_for=asked_for)


def flowing() -> Padded:
    """A link that has brought 80 kB, at four a second."""
    padded = Padded()
    padded.leasing.reserve(0, (), 1 << 20)
    padded.bring(20)
    return padded


def burst(padded: Padded) -> int:
    """What keys of others that are relayed ahead get at once; as many as would empty the link ask."""
    before = len(padded.served)
    for _ in range(200):
        padded.ask("burst", flow("others"))
    return len(padded.served) - before
