"""Two KMEs and their SAEs under random faults, with every promise checked after every step.

`ACTIONS` are what can happen next. Each draws its details from `choose(n)`, a number below n, so that a seeded
generator and a shrinking property test can drive the same actions.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.records import RecordBook
from keyhop.core.store.base import Slot
from keyhop.core.store.memory import MemoryStore
from keyhop.core.streams import FollowedStream, StreamRef
from keyhop.network import wire
from keyhop.network.filling import PENDING_S
from keyhop.network.pair import PairOptions
from keyhop.service.policy import Policy
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.history import History, Seen, Violation
from keyhop.testing.network import VirtualNetwork

type Choose = Callable[[int], int]

ALICE, BOB = KmeId("alice"), KmeId("bob")
HOME = {
    SaeId("a1"): ALICE,
    SaeId("a2"): ALICE,
    SaeId("a3"): ALICE,
    SaeId("b1"): BOB,
    SaeId("b2"): BOB,
}
SAES = tuple(HOME)
LIFETIME_S = 40.0
CALM_S = 4.0
OLD_S = 1.0
SIZES = (256, 64, 128, 72, 1000, 512)
BLOCK_BYTES = (1024, 1501, 2048, 3000, 104, 100)
WATCHED = 24


class _Copy(NamedTuple):
    at: float
    values: dict[Slot, bytes]


class Simulation(VirtualNetwork):
    """The network, the SAEs, and the history that they see."""

    def __init__(self, seed: int) -> None:
        self.history = History()
        self._violations: list[Violation] = []
        options = PairOptions(stock_bytes=64 << 10, key_lifetime_s=LIFETIME_S)
        super().__init__(HOME, seed + 1, policy=Policy(wait_s=1.0, max_keys_per_request=64), options=options)
        self._copies: dict[KmeId, list[_Copy]] = {ALICE: [], BOB: []}
        self._restored: set[KmeId] = set()
        self._calm_at = self.clock.monotonic()
        self._may_be_gone = Counter[tuple[bytes, SaeId]]()
        self.settle()

    def settle(self, limit: int = 10_000) -> None:
        try:
            super().settle(limit)
        except AssertionError as error:
            raise self._violations[0] if self._violations else Violation(0, str(error)) from None

    def _send(self, source: KmeId, target: KmeId, data: bytes) -> None:
        body = wire.decode(data).body
        if isinstance(body, wire.Carry):
            with self._noting():
                self.history.transmitted(source, body)
        super()._send(source, target, data)

    # What link devices do

    def produce_block(self, left: bytes | None, right: bytes | None) -> None:
        """The link produces a block, not necessarily the same at both ends."""
        self.history.produced(left, right)
        sequence = next(self._sequence)
        for me, peer, data in ((ALICE, BOB, left), (BOB, ALICE, right)):
            if data is not None:
                self.kmes[me].link_block(peer, sequence, data)

    # What SAEs do

    def ask_for_keys(self, request: GetKey) -> list[Keys | KeyhopError]:
        """enc_keys, at the master's KME."""
        answers: list[Keys | KeyhopError] = []

        def reply(answer: Keys | KeyhopError) -> None:
            self._once(answers, answer)
            if isinstance(answer, Keys):
                holds = None if self._restored else self._held
                with self._noting():
                    self.history.master_got(request, answer, self.clock.monotonic(), holds)
                if self._restored:
                    slaves = (request.slave, *request.additional_slaves)
                    self._may_be_gone.update((key_id, slave) for key_id in _ids(answer) for slave in slaves)

        self.kmes[HOME[request.master]].delivery.get_key(request, reply)
        return answers

    def ask_by_id(self, request: GetKeyWithIds) -> list[Keys | KeyhopError]:
        """dec_keys, at the slave's KME. A key that was asked for may be gone unless the answer is an error."""
        answers: list[Keys | KeyhopError] = []
        asked = [(key_id, request.slave) for key_id in request.key_ids]
        self._may_be_gone.update(asked)

        def reply(answer: Keys | KeyhopError) -> None:
            self._once(answers, answer)
            if isinstance(answer, Keys):
                with self._noting():
                    self.history.slave_got(request, answer, self.clock.monotonic())
            else:
                self._may_be_gone.subtract(asked)

        self.kmes[HOME[request.slave]].delivery.get_key_with_ids(request, reply)
        return answers

    def _once(self, answers: list[Keys | KeyhopError], answer: Keys | KeyhopError) -> None:
        if answers:
            self._violations.append(Violation(0, "a request was answered twice"))
        answers.append(answer)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """What is seen in the middle of a KME's work is raised by `check`, not into the KME."""
        try:
            yield
        except Violation as violation:
            self._violations.append(violation)

    # What befalls KMEs

    def deliver_one(self) -> bool:
        """One message arrives; what it causes is not durable yet."""
        if not self._on_the_way:
            return False
        index = self.random.randrange(len(self._on_the_way)) if self.reorder else 0
        source, target, data = self._on_the_way.pop(index)
        self.kmes[target].received(source, data)
        return True

    def copy(self, name: KmeId) -> None:
        """Somebody makes a backup."""
        self._copies[name].append(_Copy(self.clock.monotonic(), dict(self.kmes[name].store.values)))

    def restore(self, name: KmeId, choose: Choose) -> None:
        """Somebody restores a backup that is older than a delivery window.

        What the KME gave out since the two were last calm may be given out again: its peer need not know of it.
        Two KMEs restored at once could not remember a common past, so there is calm between.
        """
        old = [copy for copy in self._copies[name] if copy.at < self.clock.monotonic() - OLD_S]
        if not old:
            return
        if self._restored - {name}:
            self.recover()
        copy = old[choose(len(old))]
        self.history.excuse(lambda sae: HOME[sae] == name, max(copy.at, self._calm_at))
        self._restored.add(name)
        self._may_be_gone.update((seen.key_id, slave) for seen in self.history.keys.values() for slave in seen.slaves)
        self.kmes[name].start(copy.values)

    def disconnect(self) -> None:
        """The connection is lost, and what was on it."""
        self._on_the_way.clear()
        for kme in self.kmes.values():
            for pair in kme.pairs.values():
                pair.disconnect()

    def connect(self) -> None:
        """There is a connection again."""
        for kme in self.kmes.values():
            for peer, pair in kme.pairs.items():
                if not pair.connected:
                    kme.connect(peer)

    def alter(self, choose: Choose) -> None:
        """Somebody alters a Carry message on its way; the true one may come too."""
        carries = [
            (i, envelope)
            for i, (_, _, data) in enumerate(self._on_the_way)
            if isinstance((envelope := wire.decode(data)).body, wire.Carry)
        ]
        if not carries:
            return
        index, envelope = carries[choose(len(carries))]
        assert isinstance(envelope.body, wire.Carry)
        message = _alterations(envelope.body)[choose(8)]
        self.history.altered(message)
        source, target, _ = self._on_the_way[index]
        altered = wire.encode(msgspec.structs.replace(envelope, body=message))
        if choose(2):
            del self._on_the_way[index]
        self._on_the_way.insert(index, (source, target, altered))

    def recover(self) -> None:
        """Faults end; the network settles by itself and both ends remember the same."""
        self.loss = self.repeat = 0.0
        self.reorder = False
        self.connect()
        self.pass_time(CALM_S)
        for kme in self.kmes.values():
            for pair in kme.pairs.values():
                if not pair.synchronised or not pair.windows.ready:
                    raise Violation(0, f"{kme.name} does not synchronise")
        self._restored.clear()
        self._calm_at = self.clock.monotonic()

    def works(self) -> None:
        """After recovery and new link blocks, keys can be exchanged in both directions.

        Blocks that one end offered and the other lost count as stock until they are given up.
        """
        self.recover()
        self.pass_time(PENDING_S)
        for _ in range(8):
            block = self.random.randbytes(2048)
            self.produce_block(block, block)
            self.settle()
        self.pass_time(CALM_S)
        for master, slave in ((SaeId("a1"), SaeId("b1")), (SaeId("b1"), SaeId("a1"))):
            ids = _ids(self._answer(self.ask_for_keys(GetKey(master, slave, 3))))
            self._answer(self.ask_by_id(GetKeyWithIds(slave, master, ids)))
        self.check()

    def _answer(self, answers: list[Keys | KeyhopError]) -> Keys:
        self.pass_time(CALM_S)
        if not answers or isinstance(answers[0], KeyhopError):
            raise Violation(0, f"no keys after recovery: {answers}")
        return answers[0]

    # What must hold

    def check(self) -> None:
        """Every ledger balances; keys that nobody asked for are still where they were given out for."""
        if self._violations:
            raise self._violations[0]
        for kme in self.kmes.values():
            for pair in kme.pairs.values():
                for stream in (pair.owned, pair.followed):
                    if not stream.ledger.balances(stream.available_bytes):
                        raise Violation(2, f"the ledger of {stream.ref} at {kme.name} does not balance")
        for seen in self._watched():
            for slave in seen.slaves:
                if (
                    not self._may_be_gone[seen.key_id, slave]
                    and self._held(seen.key_id, seen.master, slave) != seen.key
                ):
                    raise Violation(5, f"a key was lost to {slave}")

    def _watched(self) -> list[Seen]:
        fresh = self.clock.monotonic() - LIFETIME_S / 2
        return [seen for seen in list(self.history.keys.values())[-WATCHED:] if seen.got_at > fresh]

    def _held(self, key_id: bytes, master: SaeId, slave: SaeId) -> bytes | None:
        """What the slave's KME could give the slave if it started afresh from its disk now."""
        store = MemoryStore(self.kmes[HOME[slave]].store.values)
        journal = Journal(store, lambda: None)
        records = RecordBook(store, journal)
        if key_id in records:
            return records.deliver(key_id, slave) if records.entitles(key_id, master, slave) else None
        if HOME[master] == HOME[slave]:
            return None
        stream = FollowedStream(StreamRef(HOME[master], HOME[slave]), store, journal)
        place = stream.find(key_id, master, slave)
        return stream.consume(place, "delivered")[0] if place and stream.has(place) else None


def _ids(keys: Keys) -> tuple[bytes, ...]:
    return tuple(run.ids[i : i + 16] for run in keys.runs for i in range(0, len(run.ids), 16))


def _flipped(data: bytes, at: int = 0) -> bytes:
    # this bit counts everywhere; Poly1305 ignores some others of its key, in which blocks may differ unnoticed
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


def _alterations(message: wire.Carry) -> tuple[wire.Carry, ...]:
    replace = msgspec.structs.replace
    others = tuple(sae for sae in SAES if HOME[sae] == HOME[SaeId(message.slaves[0])] and sae not in message.slaves)
    masters = tuple(sae for sae in SAES if HOME[sae] == HOME[SaeId(message.master)] and sae != message.master)
    return (
        replace(message, sealed=_flipped(message.sealed)),
        replace(message, ids=_flipped(message.ids, 1)),
        replace(message, tag=_flipped(message.tag)),
        replace(message, slaves=others or message.slaves[:1], tag=message.tag if others else bytes(16)),
        replace(message, master=masters[0]),
        replace(message, pad=message.pad + 1),
        replace(message, created_at=message.created_at + 1000),
        replace(message, ids=message.ids + _flipped(message.ids, 2), sealed=message.sealed * 2),
    )


# What can happen next


def _enc(sim: Simulation, choose: Choose) -> None:
    master = SAES[choose(len(SAES))]
    others = [sae for sae in SAES if sae != master]
    # mostly a slave at the other site
    others.sort(key=lambda sae: HOME[sae] == HOME[master])
    slave = others[choose(2) if choose(4) else choose(len(others))]
    extra: tuple[SaeId, ...] = ()
    if not choose(3):
        more = [sae for sae in others if sae != slave]
        extra = tuple(more[: 1 + choose(len(more))])
    sim.ask_for_keys(GetKey(master, slave, 1 + choose(5), SIZES[choose(len(SIZES))], extra))


def _enc_much(sim: Simulation, choose: Choose) -> None:
    master, slave = (("a1", "b1"), ("b1", "a1"))[choose(2)]
    sim.ask_for_keys(GetKey(SaeId(master), SaeId(slave), 16 + choose(32), 1000))


def _recent(sim: Simulation, choose: Choose) -> Seen | None:
    keys = list(sim.history.keys.values())
    return keys[-1 - choose(min(len(keys), 16))] if keys else None


def _dec(sim: Simulation, choose: Choose) -> None:
    seen = _recent(sim, choose)
    if seen:
        sim.ask_by_id(GetKeyWithIds(seen.slaves[choose(len(seen.slaves))], seen.master, (seen.key_id,)))


def _dec_again(sim: Simulation, choose: Choose) -> None:
    fetched = [(seen, slave) for seen in sim.history.keys.values() for slave in seen.fetched]
    for _ in range(min(len(fetched), 4)):
        seen, slave = fetched[-1 - choose(min(len(fetched), 12))]
        sim.ask_by_id(GetKeyWithIds(slave, seen.master, (seen.key_id,)))


def _dec_wrong(sim: Simulation, choose: Choose) -> None:
    seen = _recent(sim, choose)
    if seen:
        slave, master = SAES[choose(len(SAES))], SAES[choose(len(SAES))] if choose(2) else seen.master
        if slave not in seen.slaves or master != seen.master:
            sim.ask_by_id(GetKeyWithIds(slave, master, (seen.key_id,)))


def _dec_altered(sim: Simulation, choose: Choose) -> None:
    altered = sim.history.altered_ids
    if altered:
        sim.ask_by_id(GetKeyWithIds(SAES[choose(len(SAES))], SAES[choose(len(SAES))], (altered[choose(len(altered))],)))


def _dec_several(sim: Simulation, choose: Choose) -> None:
    seen = _recent(sim, choose)
    if not seen:
        return
    slave = seen.slaves[choose(len(seen.slaves))]
    alike = [s.key_id for s in sim.history.keys.values() if s.master == seen.master and slave in s.slaves][-8:]
    ids = alike[choose(len(alike)) :][: 1 + choose(6)]
    if choose(2):
        bad = sorted(sim.history.keys)[choose(len(sim.history.keys))] if choose(2) else bytes(16)
        ids = [*ids, bad] if bad not in ids else ids
    sim.ask_by_id(GetKeyWithIds(slave, seen.master, tuple(ids)))


def _produce(sim: Simulation, choose: Choose) -> None:
    for _ in range(1 + choose(4)):
        block = sim.random.randbytes(BLOCK_BYTES[choose(len(BLOCK_BYTES))])
        sim.produce_block(block, block)


def _produce_badly(sim: Simulation, choose: Choose) -> None:
    left = sim.random.randbytes(BLOCK_BYTES[choose(3)])
    right = (None, sim.random.randbytes(len(left)), _flipped(left, choose(len(left))))[choose(3)]
    sim.produce_block(*((left, right) if choose(2) else (right, left)))


def _deliver(sim: Simulation, choose: Choose) -> None:
    for _ in range(1 + choose(6)):
        sim.step()


def _settle(sim: Simulation, choose: Choose) -> None:
    sim.settle()


def _wait(sim: Simulation, choose: Choose) -> None:
    sim.pass_time((0.5, 1.0, 2.5, 5.0)[choose(4)])


def _wait_long(sim: Simulation, choose: Choose) -> None:
    sim.pass_time((15.0, LIFETIME_S + 1, 2 * LIFETIME_S + 1)[choose(3)])


def _crash(sim: Simulation, choose: Choose) -> None:
    how = choose(4)
    if how == 1:
        sim.flush()
    elif how >= 2:
        sim.flush()
        sim.deliver_one()
        if how == 3:
            sim.flush()
    sim.kmes[(ALICE, BOB)[choose(2)]].crash()


def _copy(sim: Simulation, choose: Choose) -> None:
    sim.copy((ALICE, BOB)[choose(2)])


def _restore(sim: Simulation, choose: Choose) -> None:
    if choose(2):
        sim.recover()
    sim.restore((ALICE, BOB)[choose(2)], choose)


def _relapse(sim: Simulation, choose: Choose) -> None:
    """A backup, some deliveries, calm, the backup again, and the same requests."""
    name = (ALICE, BOB)[choose(2)]
    sim.recover()
    if choose(2):
        _dec(sim, choose)
        sim.settle()
    sim.copy(name)
    for _ in range(1 + choose(3)):
        _dec(sim, choose)
    sim.recover()
    sim.restore(name, lambda n: n - 1)
    if choose(2):
        sim.recover()
    _dec_again(sim, choose)


def _weather(sim: Simulation, choose: Choose) -> None:
    sim.loss, sim.repeat = (0.0, 0.1, 0.3)[choose(3)], (0.0, 0.1, 0.3)[choose(3)]
    sim.reorder = bool(choose(2))


def _disconnect(sim: Simulation, choose: Choose) -> None:
    sim.disconnect()


def _connect(sim: Simulation, choose: Choose) -> None:
    sim.connect()


def _alter(sim: Simulation, choose: Choose) -> None:
    sim.flush()
    sim.alter(choose)


def _recover(sim: Simulation, choose: Choose) -> None:
    sim.recover()


ACTIONS: dict[Callable[[Simulation, Choose], None], int] = {
    _enc: 10,
    _enc_much: 2,
    _dec: 8,
    _dec_again: 4,
    _dec_wrong: 3,
    _dec_altered: 1,
    _dec_several: 5,
    _produce: 8,
    _produce_badly: 3,
    _deliver: 8,
    _settle: 6,
    _wait: 4,
    _wait_long: 1,
    _crash: 4,
    _copy: 4,
    _restore: 3,
    _relapse: 2,
    _weather: 2,
    _disconnect: 1,
    _connect: 2,
    _alter: 3,
    _recover: 2,
}
"""What can happen next, and how often."""


def wander(seed: int, steps: int) -> None:
    """Lets things happen at random, and ends with a recovery. Raises Violation."""
    choose = random.Random(seed).randrange
    sim = Simulation(seed)
    actions, weights = list(ACTIONS), list(ACTIONS.values())
    for action in random.Random(~seed).choices(actions, weights, k=steps):
        action(sim, choose)
        sim.check()
    sim.works()
