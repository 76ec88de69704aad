"""The re-delivery window against a model: what was sent, to whom, when, and how often."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from keyhop.core.ids import SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.service.policy import Policy
from keyhop.service.redelivery import OVERHEAD_BYTES, Redelivery
from keyhop.service.requests import KeyRun
from keyhop.testing.virtual import VirtualClock

SAES = tuple(SaeId(name) for name in ("m1", "m2", "s1", "s2"))
SIZE = 32
ROOM = 6
saes = st.sampled_from(SAES)


class RedeliveryMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        self.window_s = 3.0
        self.redelivery = Redelivery(self.clock, self.policy())
        self.count = 0
        self.until: dict[tuple[bytes, SaeId, SaeId], float] = {}
        self.sent_at: dict[bytes, float] = {}
        self.keys: dict[bytes, bytes] = {}
        self.sent: list[tuple[bytes, SaeId, SaeId]] = []

    def policy(self) -> Policy:
        return Policy(redelivery_s=self.window_s, redelivery_bytes=ROOM * (SIZE + OVERHEAD_BYTES))

    @rule(master=saes, slave=saes, count=st.integers(1, ROOM + 2))
    def send(self, master: SaeId, slave: SaeId, count: int) -> None:
        numbers = range(self.count, self.count + count)
        self.count += count
        ids, keys = [n.to_bytes(16) for n in numbers], [n.to_bytes(SIZE) for n in numbers]
        self.redelivery.keep(master, slave, KeyRun(b"".join(ids), SIZE, KeyMaterial(b"".join(keys))))
        self.keys.update(zip(ids, keys, strict=True))
        self.sent_at.update(dict.fromkeys(ids, self.clock.monotonic()))
        self.sent.extend((key_id, master, slave) for key_id in ids)
        if self.window_s:
            self.until.update(((key_id, master, slave), self.clock.monotonic() + self.window_s) for key_id in ids)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        self.ask(*data.draw(st.sampled_from(self.sent[-2 * ROOM :])))

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), master=saes, slave=saes)
    def ask_as_somebody(self, data: st.DataObject, master: SaeId, slave: SaeId) -> None:
        self.ask(data.draw(st.sampled_from(self.sent[-2 * ROOM :]))[0], master, slave)

    def ask(self, key_id: bytes, master: SaeId, slave: SaeId) -> None:
        until = self.until.get((key_id, master, slave), 0.0)
        if self.redelivery.holds(master, slave, key_id):
            assert until > self.clock.monotonic(), "to another SAE, a third time, or too late"
            assert self.redelivery.take(master, slave, key_id).material.reveal() == self.keys[key_id]
            del self.until[key_id, master, slave]

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.9, 3.0, 3.5]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        late = [name for name, until in self.until.items() if until <= self.clock.monotonic()]
        assert not any(self.redelivery.holds(master, slave, key_id) for key_id, master, slave in late)
        self.redelivery.tick()

    @rule(window_s=st.sampled_from([0.0, 1.0, 3.0]))
    def reload(self, window_s: float) -> None:
        self.window_s = window_s
        self.redelivery.limit(self.policy())
        self.until = {name: min(until, self.sent_at[name[0]] + window_s) for name, until in self.until.items()}

    @rule()
    def fail(self) -> None:
        self.redelivery.clear()
        self.until.clear()
        assert self.redelivery.kept_bytes == 0

    @invariant()
    def the_newest_are_held_and_no_others(self) -> None:
        now = self.clock.monotonic()
        self.until = dict([name for name in self.until.items() if name[1] > now][-ROOM:])
        assert all(self.redelivery.holds(master, slave, key_id) for key_id, master, slave in self.until)
        assert not any(self.redelivery.holds(m, s, i) for i, m, s in self.sent if (i, m, s) not in self.until)
        assert self.redelivery.kept_bytes == len(self.until) * (SIZE + OVERHEAD_BYTES)


TestRedelivery = RedeliveryMachine.TestCase
TestRedelivery.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
