"""Whatever comes, is asked for, cancelled or late: nobody is forgotten or served twice, nothing is lost, and what is
kept back is had by those for whom it is kept as soon as it is enough."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from padded import Padded, flow

from keyhop.core.units import units_for
from keyhop.network.leasing import Cancel
from keyhop.network.sealing import MAC_KEY_BYTES


class Asker:
    """One that waits for a pad."""

    def __init__(self, padded: Padded, source: str, priority: int, size: int, within_s: float, asked_for: bool) -> None:
        self.units = units_for(MAC_KEY_BYTES + size)
        self.asked_for = asked_for
        self.answers: list[bool] = []
        self.cancelled = False
        deadline = padded.clock.monotonic() + within_s
        self.cancel: Cancel = padded.pads.take(
            flow(source, priority), size, deadline, lambda taken: self.answers.append(bool(taken)), asked_for=asked_for
        )

    @property
    def waits(self) -> bool:
        return not self.answers and not self.cancelled


class PadsMachine(RuleBasedStateMachine):
    """A link that lacks now and then, whose far end takes its time to note leases."""

    def __init__(self) -> None:
        super().__init__()
        self.padded = Padded()
        self.padded.leasing.reserve(0, (), 1 << 20)
        self.padded.bring(4)
        self.used_before = self.padded.stream.used_units
        self.askers: list[Asker] = []

    @rule(
        source=st.sampled_from("xyz"),
        priority=st.integers(3, 6),
        size=st.integers(1, 600),
        within_s=st.sampled_from([0.5, 3.0, 1e6]),
        asked_for=st.booleans(),
        number=st.integers(1, 8),
    )
    def ask(self, source: str, priority: int, size: int, within_s: float, asked_for: bool, number: int) -> None:
        for _ in range(number):
            self.askers.append(Asker(self.padded, source, priority, size, within_s, asked_for))

    @rule(units=st.integers(4, 200))
    def bring(self, units: int) -> None:
        self.padded.leasing.demand.brought(units)
        self.padded.stream_grows(units)

    @rule()
    def note(self) -> None:
        self.padded.note()
        first = self.padded.pads._first
        waiting = [asker.units for asker in self.askers if asker.waits and asker.asked_for]
        if waiting and (first is None or first.is_sparing):
            assert max(waiting) > self.padded.leasing.common_units, "it is enough for those for whom it is kept"

    @rule(seconds=st.sampled_from([0.1, 1.0]))
    def tick(self, seconds: float) -> None:
        self.padded.clock.advance(seconds)
        self.padded.leasing.tick()
        self.padded.pads.tick()

    @precondition(lambda self: self.askers)
    @rule(drawn=st.integers(0, 1 << 20))
    def cancel(self, drawn: int) -> None:
        asker = self.askers[drawn % len(self.askers)]
        asker.cancelled = not asker.answers
        asker.cancel()

    @invariant()
    def each_is_answered_once_and_nothing_is_lost(self) -> None:
        for asker in self.askers:
            assert len(asker.answers) + asker.cancelled <= 1
        had = sum(asker.units for asker in self.askers if asker.answers == [True])
        assert self.padded.stream.used_units - self.used_before == had

    def teardown(self) -> None:
        self.padded.stream_grows(1 << 16)
        self.padded.leasing.demand.took(1 << 16)
        for _ in range(4):
            self.padded.note()
            self.tick(0.1)
        assert not any(asker.waits for asker in self.askers)
        self.each_is_answered_once_and_nothing_is_lost()


TestPads = PadsMachine.TestCase
TestPads.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
