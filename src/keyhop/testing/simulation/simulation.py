"""A network of machines under simulated faults, with every promise checked as it goes.

What happens is drawn elsewhere (`schedule`) and done through the methods here: links produce, SAEs ask, things break,
and at the end everything heals and must work again.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Literal

from keyhop.core.ids import KmeId
from keyhop.network import wire
from keyhop.network.pair import PairOptions
from keyhop.service.kme import KmeOptions
from keyhop.service.policy import Policy, sae_pairs
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.history import History, Violation
from keyhop.testing.simulation.audit import SimulatedAudit
from keyhop.testing.simulation.connections import Connections
from keyhop.testing.simulation.disk import FastDisk, Image
from keyhop.testing.simulation.loop import Loop
from keyhop.testing.simulation.machine import Machine
from keyhop.testing.simulation.saes import Asked, Saes, ids_of
from keyhop.testing.simulation.sites import NETWORKS, Sites
from keyhop.testing.simulation.sqlite_disk import SqliteDisk
from keyhop.testing.simulation.trace import Trace
from keyhop.testing.simulation.watch import Watch
from keyhop.testing.simulation.wires import FAIR, Message, Wires
from keyhop.testing.simulation.witness import SimulatedWitness

LIFETIME_S = 40.0
CALM_S = 3.0
"""Until what was delivered is known to the owner: a window and its mark."""
HEALED_WITHIN_S = 30.0
"""A connection that only one end has is found out after 8 seconds, and a KME that stopped is up again after 2."""
ANSWERS_WITHIN_S = 0.1
"""What the answer to a second request may take, in a turn and its commit."""
OFFERED_AGAIN_S = 2.5
"""Until both ends have given up blocks that only one of them has: the next block of the link tells them."""
OLD_S = 2.5
"""Longer than a delivery window, and than a step of the witness with the ticks that end it."""
REQUESTS_FOR_OLD_BYTES = 40
"""How many requests it takes until an owner has used up what its follower took for old."""

DiskKind = Literal["fast", "sqlite"]


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run begins with."""

    seed: int = 0
    network: str = "pair"
    disk: DiskKind = "fast"
    tick_s: float = 0.5
    witness: bool = False
    """Whether each KME has a witness outside its store, so that any of them, and all, may be restored at once."""
    redelivery_s: float = 0.0
    reserved_bytes_per_pair: int = 0


@dataclass(frozen=True, slots=True)
class _Copy:
    at: float
    image: Image


def _options(setting: Setting, sites: Sites, name: KmeId) -> KmeOptions:
    policy = Policy(wait_s=1.0, max_keys_per_request=64, redelivery_s=setting.redelivery_s)
    pairs = PairOptions(
        stock_bytes=64 << 10, key_lifetime_s=LIFETIME_S, reserved_bytes_per_pair=setting.reserved_bytes_per_pair
    )
    return KmeOptions(policy, pairs, sae_pairs=sae_pairs(policy, sites.home, name))


class Simulation:
    """One run. The first broken promise halts it; `run`, and everything that lets time pass, then raises it."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.sites: Sites = NETWORKS[setting.network]
        self.loop = Loop()
        self.trace = Trace()
        self.history = History(setting.redelivery_s + ANSWERS_WITHIN_S if setting.redelivery_s else 0.0)
        self.violation: Violation | None = None
        self.restored: set[KmeId] = set()
        """Who was restored to a copy since the network was last in step."""
        self._draw = random.Random(setting.seed)
        self._sequences = count()
        self._calm_at = 0.0
        self._copies: dict[KmeId, list[_Copy]] = {name: [] for name in self.sites.kmes}
        self.machines = {name: self._machine(name) for name in self.sites.kmes}
        self.wires = Wires(self.loop, self._draw, self.trace, lambda message: self.connections.arrived(message))
        self.connections = Connections(self.loop, self._draw, self.machines, self.wires, self._transmitted)
        self.saes = Saes(self._got, self.violated)
        self.watch = Watch(self.machines, self.sites.home, LIFETIME_S, self.history, self.violated)
        for machine in self.machines.values():
            machine.start()

    def _machine(self, name: KmeId) -> Machine:
        sites, draw = self.sites, self._draw
        options, tick_s = _options(self.setting, sites, name), self.setting.tick_s
        machine = Machine(name, sites.neighbours(name), sites.home.get, options, self.loop, self.trace, draw, tick_s)
        disk = SqliteDisk if self.setting.disk == "sqlite" else FastDisk
        machine.disk = disk(machine.power, draw, lambda: self.watch.forward(machine))
        machine.audit = SimulatedAudit(machine.power, draw, machine.disk, machine.clock)
        if self.setting.witness:
            machine.keeper = SimulatedWitness(machine.power, machine.disk)
        machine.started.append(lambda started: self.watch.forward(started))
        machine.broke = lambda error: self.violated(Violation(0, f"{name} broke: {error!r}"))
        return machine

    def close(self) -> None:
        """Lets go of what the disks hold open."""
        for machine in self.machines.values():
            machine.disk.close()

    # Time

    def run(self, seconds: float) -> None:
        """Lets time pass. Raises Violation."""
        self.loop.run(seconds)
        self.check()

    def check(self) -> None:
        """What must hold at all times. Raises Violation."""
        if self.violation is None:
            self.watch.conservation()
        if self.violation is not None:
            raise self.violation

    def violated(self, violation: Violation) -> None:
        """A promise is broken. It is seen in the middle of a KME's work, so it is raised when that is over."""
        if self.violation is None:
            self.violation = violation
            self.trace.note(self.loop.now, "", "promise broken", violation.promise, str(violation))
            self.loop.halted = True

    # What links and SAEs do

    def produce(self, a: KmeId, b: KmeId, left: bytes | None, right: bytes | None) -> None:
        """The link between two neighbours produces a block, not necessarily the same at both ends."""
        self._noting(partial(self.history.produced, left, right))
        sequence = next(self._sequences)
        what = "block" if left == right else "bad block"
        self.trace.note(self.loop.now, f"{a}-{b}", what, sequence, len(left or right or b""))
        for me, peer, data in ((a, b, left), (b, a, right)):
            if data is not None:
                self.machines[me].link_block(peer, sequence, data)

    def produce_block(self, a: KmeId, b: KmeId, size: int) -> None:
        """A good block."""
        block = self.block(size)
        self.produce(a, b, block, block)

    def block(self, size: int) -> bytes:
        """Bytes that no link has produced before."""
        return self._draw.randbytes(size)

    def get_key(self, request: GetKey) -> Asked:
        """enc_keys, at the master's KME."""
        return self.saes.ask(self.machines[self.sites.home[request.master]], request)

    def get_key_with_ids(self, request: GetKeyWithIds) -> Asked:
        """dec_keys, at the slave's KME."""
        return self.saes.ask(self.machines[self.sites.home[request.slave]], request)

    # Backups

    def copy(self, name: KmeId) -> None:
        """Somebody makes a backup."""
        self._copies[name].append(_Copy(self.loop.now, self.machines[name].disk.backup()))
        self.machines[name].note("backed up")

    def restore(self, name: KmeId, choose: Callable[[int], int]) -> None:
        """Somebody stops a KME and restores a backup that is older than a delivery window.

        A witness finds that out by itself. Without one, what the KME gave out since the network was last calm may be
        given out again, because its peers need not know of it; and two KMEs that are restored at once could not
        remember a common past, so there is calm between.
        """
        old = [copy for copy in self._copies[name] if copy.at < self.loop.now - OLD_S]
        if not old:
            return
        if not self.setting.witness and self.restored - {name}:
            self.calm()
        copy = old[choose(len(old))]
        machine = self.machines[name]
        machine.crash(power_cut=False)
        if self.setting.witness:
            self.history.begins_anew(name)
        else:
            self.history.excuse(lambda sae: self.sites.home[sae] == name, max(copy.at, self._calm_at))
        self.restored.add(name)
        self.saes.may_be_gone.update((key.key_id, sae) for key in self.history.keys.values() for sae in key.slaves)
        self.watch.restored(name)
        machine.disk.restore(copy.image)
        machine.note("restored", round(self.loop.now - copy.at, 3))
        machine.start()

    # Healing

    def heal(self) -> None:
        """Nothing breaks any more."""
        self.wires.weather = FAIR
        self.wires.blocked.clear()
        for machine in self.machines.values():
            machine.power.in_points = machine.power_in_start = machine.disk.fault = None
            machine.frozen_until = 0.0
            machine.thaw()

    def calm(self) -> None:
        """Faults end; within bounded time the network is in step again by itself. Raises Violation."""
        self.heal()
        began = self.loop.now
        self.run(CALM_S)
        while (apart := self.watch.apart()) is not None:
            if self.loop.now - began > HEALED_WITHIN_S:
                self.violated(Violation(0, f"after all faults have ended, {apart}"))
            self.run(1.0)
        self.restored.clear()
        self._calm_at = self.loop.now
        self.trace.note(self.loop.now, "", "calm")

    def works(self) -> None:
        """After calm and new link blocks, keys can be exchanged in all directions. Raises Violation."""
        self.calm()
        for number in range(7):
            for a, b in self.sites.wires:
                self.produce_block(a, b, 2048)
            self.run(0.1 if number else OFFERED_AGAIN_S)
        for a, b in self.sites.wires:
            self._exchange(a, b)
            self._exchange(b, a)
        self.watch.held(self.loop.now, self.saes)
        self.saes.check()
        self.check()

    def _exchange(self, source: KmeId, target: KmeId) -> None:
        master, slave = self.sites.at(source)[0], self.sites.at(target)[0]
        aged = self.watch.aged(master, slave)
        for _ in range(REQUESTS_FOR_OLD_BYTES if aged else 1):
            if aged:
                self.produce_block(min(source, target), max(source, target), 2048)
            asked = self.get_key(GetKey(master, slave, 16 if aged else 3, 1000))
            keys = self._keys_of(asked)
            fetched = self.get_key_with_ids(GetKeyWithIds(slave, master, ids_of(keys))) if keys else asked
            if self._keys_of(fetched) is not None and keys is not None:
                return
        self.violated(Violation(0, f"no keys for {slave} of {master} after healing: {fetched.answers}"))
        self.check()

    def _keys_of(self, asked: Asked) -> Keys | None:
        for _ in range(30):
            if asked.answers:
                break
            self.run(0.1)
        return asked.keys

    # What is seen

    def _transmitted(self, message: Message) -> None:
        self.trace.counts[f"message {type(message.body).__name__}"] += 1
        if isinstance(message.body, wire.Carry):
            self.watch.carried(message.source, message.target, message.body)
            self._noting(partial(self.history.transmitted, message.source, message.target, message.body))

    def _got(self, asked: Asked, keys: Keys) -> None:
        request, now = asked.request, self.loop.now
        receiver = request.master if isinstance(request, GetKey) else request.slave
        if not all(asked.machine.audit.tells(receiver, key_id) for key_id in ids_of(keys)):
            self.violated(Violation(7, f"{receiver} gets keys of which the audit log says nothing"))
        self.watch.got(asked, keys)
        if isinstance(request, GetKeyWithIds):
            self._noting(partial(self.history.slave_got, request, keys, now))
            return
        aged = any(self.watch.aged(request.master, slave) for slave in (request.slave, *request.additional_slaves))
        holds = None if self.restored or aged else self.watch.holds
        self._noting(partial(self.history.master_got, request, keys, now, holds))
        if self.restored:
            slaves = (request.slave, *request.additional_slaves)
            self.saes.may_be_gone.update((key_id, slave) for key_id in ids_of(keys) for slave in slaves)

    def _noting(self, note: Callable[[], None]) -> None:
        try:
            note()
        except Violation as violation:
            self.violated(violation)
