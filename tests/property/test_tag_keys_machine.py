"""Two ends that use up their keys, lose messages, crash, and are restored from backups: no key makes two tags.

The machine keeps to what `tag_keys` asks of its users: a key is used once the pool without it is durable, and a run
ends with its connection. An end is restored only while the other one is not itself restored and still unreconciled.
"""

import hashlib
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from keyhop.core.errors import LinkError, PeerError
from keyhop.core.ids import LinkId
from keyhop.core.keys import KeyMaterial
from keyhop.link.bb84.authentication.enrolment import ENTRY_BYTES, IDENTIFIER_BYTES, Enrolment
from keyhop.link.bb84.authentication.tag_keys import Role, TagKey, TagKeys
from keyhop.link.bb84.authentication.transcripts import Authentication

SIDES = st.sampled_from([0, 1])
ROLES: tuple[Role, Role] = ("transmitter", "receiver")


def material(label: str, entries: int) -> KeyMaterial:
    return KeyMaterial(hashlib.shake_256(label.encode()).digest(entries * ENTRY_BYTES))


FILES = [Enrolment(bytes([i + 1]) * IDENTIFIER_BYTES, material(f"file {i}", 4)) for i in range(3)]


@dataclass
class Stretch:
    """One end's part in one connection, and what is on its way to it: lost as soon as the connection is."""

    authentication: Authentication
    inbox: list[tuple[str, bytes]] = field(default_factory=list)
    waiting: TagKey | None = None
    """Taken, and not durably so yet."""
    open: set[str] = field(default_factory=set)
    """What is still to be done with the key: to seal, to verify."""
    verified: bool = False


class End:
    def __init__(self, role: Role) -> None:
        self.role = role
        self.pool = TagKeys(role)
        self.durable = self.pool.to_bytes()
        self.backups = [self.durable]
        self.stretch: Stretch | None = None
        self.reconciled = True
        self.forgot = False

    def load(self, saved: bytes) -> None:
        self.durable = saved
        self.pool = TagKeys.from_bytes(saved, self.role)
        self.forgot = False

    def save(self) -> None:
        self.durable = self.pool.to_bytes()
        if self.durable not in self.backups:
            self.backups.append(self.durable)
        if self.forgot:
            self.reconciled = True


class TagKeysMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ends = End("transmitter"), End("receiver")
        self.tagged: set[bytes] = set()
        self.connections = 0

    @initialize()
    def start(self) -> None:
        for side in (0, 1):
            self.enrol(side, FILES[0])

    def disconnect(self) -> None:
        for end in self.ends:
            end.stretch = None

    @rule(side=SIDES, file=st.sampled_from(FILES))
    def enrol(self, side: int, file: Enrolment) -> None:
        end = self.ends[side]
        end.pool.enrol(file)
        end.save()

    @rule(hears=st.sampled_from([(0, 1), (0, 1), (0, 1), (0,), (1,), ()]))
    def connect(self, hears: tuple[int, ...]) -> None:
        self.disconnect()
        self.connections += 1
        names = [end.pool.names() for end in self.ends]
        for side in hears:
            end = self.ends[side]
            end.pool.agree_on(names[1 - side])
            end.forgot = False
            run = self.connections.to_bytes(8)
            end.stretch = Stretch(Authentication(LinkId("link"), run, ROLES[side]))

    def propose(self) -> None:
        """The transmitter takes its oldest key. It says so by its receipt, in `flush`."""
        end = self.ends[0]
        if end.stretch is None or end.stretch.waiting is not None or end.stretch.open:
            return
        try:
            name = end.pool.next_name()
        except LinkError:
            return
        end.stretch.waiting = end.pool.take(name)

    def flush(self, side: int) -> None:
        end, stretch = self.ends[side], self.ends[side].stretch
        end.save()
        if stretch is not None and stretch.waiting is not None:
            key, stretch.waiting, stretch.open = stretch.waiting, None, {"seal", "verify"}
            receipt = stretch.authentication.open(key)
            self.tell(1 - side, "name", key.name)
            self.tell(1 - side, "receipt", receipt)

    def tell(self, side: int, kind: str, value: bytes) -> None:
        stretch = self.ends[side].stretch
        if stretch is not None:
            stretch.inbox.append((kind, value))

    def deliver(self, side: int) -> None:
        end, stretch = self.ends[side], self.ends[side].stretch
        if stretch is None or not stretch.inbox or (side == 1 and stretch.waiting is not None):
            return
        kind, value = stretch.inbox.pop(0)
        try:
            if kind == "name" and side == 1:
                stretch.waiting = end.pool.take(value)
            elif kind == "receipt":
                stretch.authentication.confirm(value)
            elif kind == "tag":
                stretch.authentication.verify(value)
                stretch.open.discard("verify")
                stretch.verified = True
        except (LinkError, PeerError):
            self.disconnect()

    def seal(self, side: int) -> None:
        stretch = self.ends[side].stretch
        if stretch is None or "seal" not in stretch.open:
            return
        key = stretch.authentication._key
        assert key is not None
        try:
            tag = stretch.authentication.seal()
        except LinkError:
            return
        secret = key.sending.reveal()
        assert secret not in self.tagged, "a key has made two tags"
        self.tagged.add(secret)
        stretch.open.discard("seal")
        self.tell(1 - side, "tag", tag)

    @precondition(lambda self: any(end.stretch is not None for end in self.ends))
    @rule(step=st.sampled_from(["propose", "flush", "deliver", "seal"]), side=SIDES)
    def one_step(self, step: str, side: int) -> None:
        match step:
            case "propose":
                self.propose()
            case "flush":
                self.flush(side)
            case "deliver":
                self.deliver(side)
            case "seal":
                self.seal(side)

    @rule(turns=st.lists(SIDES, min_size=1, max_size=8))
    def go_on(self, turns: list[int]) -> None:
        """What the ends do when nothing happens to them, up to some point of a stretch."""
        if self.ends[0].stretch is None:
            self.connect((0, 1))
        self.propose()
        for side in turns:
            self.turn(side)

    def turn(self, side: int) -> None:
        self.flush(side)
        stretch = self.ends[side].stretch
        while stretch is not None and stretch.inbox and not stretch.waiting:
            self.deliver(side)
            stretch = self.ends[side].stretch
        self.seal(side)

    @rule(side=SIDES)
    def forget_the_rest(self, side: int) -> None:
        end = self.ends[side]
        if end.stretch is not None and end.stretch.verified:
            end.pool.forget_the_rest()
            end.forgot = True

    @precondition(lambda self: all(end.stretch is not None for end in self.ends))
    @rule(entries=st.integers(0, 3), adds=st.sampled_from([(0, 1), (0, 1), (0,), (1,)]))
    def finish_a_round(self, entries: int, adds: tuple[int, ...]) -> None:
        sequence = 1 + max(end.pool.last_sequence for end in self.ends)
        fresh = material(f"connection {self.connections}, round {sequence}", entries)
        for side in adds:
            self.ends[side].pool.add(sequence, fresh)
        if len(adds) == 1:
            self.disconnect()

    @rule()
    def lose_the_connection(self) -> None:
        self.disconnect()

    @rule(side=SIDES)
    def crash(self, side: int) -> None:
        self.disconnect()
        self.ends[side].load(self.ends[side].durable)

    @rule(side=SIDES, data=st.data())
    def restore(self, side: int, data: st.DataObject) -> None:
        if not self.ends[1 - side].reconciled:
            return
        end = self.ends[side]
        self.disconnect()
        end.load(data.draw(st.sampled_from(end.backups)))
        end.reconciled = False


TestTagKeys = TagKeysMachine.TestCase
TestTagKeys.settings = settings(max_examples=400, stateful_step_count=60, deadline=None)


def test_two_ends_that_nothing_happens_to_use_up_every_key() -> None:
    """The machine's steps do lead to tags: otherwise it would prove nothing."""
    machine = TagKeysMachine()
    machine.start()
    machine.connect((0, 1))
    machine.finish_a_round(3, (0, 1))
    for _ in range(8):
        machine.go_on([0, 1] * 4)
    assert len(machine.tagged) == 2 * (4 + 3)
    assert not machine.ends[0].pool.names()
    assert not machine.ends[1].pool.names()
