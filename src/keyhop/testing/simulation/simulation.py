"""A network of machines under simulated faults, with every promise checked as it goes.

What happens is drawn elsewhere (`schedule`) and done to what is here: links produce, SAEs ask, machines, disks, clocks
and wires break (`faults`), and at the end everything heals and must work again (`healing`).
"""

import random
from collections.abc import Callable
from functools import partial
from itertools import count
from math import inf

from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.network.psk.generations import Psks
from keyhop.service.requests import GetKey, GetKeyWithIds, InsertKeys, VoidKeys
from keyhop.testing.history import History
from keyhop.testing.simulation.audit import SimulatedAudit
from keyhop.testing.simulation.connections import Connections
from keyhop.testing.simulation.crossing import Crossing
from keyhop.testing.simulation.disk import FastDisk, Image
from keyhop.testing.simulation.loop import Loop
from keyhop.testing.simulation.machine import Machine
from keyhop.testing.simulation.meetings import Meetings
from keyhop.testing.simulation.saes import Asked, Saes
from keyhop.testing.simulation.seeing import Seeing
from keyhop.testing.simulation.setting import LIFETIME_S, Setting, options_of
from keyhop.testing.simulation.sites import NETWORKS, Sites, Wire
from keyhop.testing.simulation.sqlite_disk import SqliteDisk
from keyhop.testing.simulation.trace import Trace
from keyhop.testing.simulation.watch import Watch
from keyhop.testing.simulation.wires import Wires
from keyhop.testing.simulation.witness import SimulatedWitness
from keyhop.testing.violation import Violation


class Simulation:
    """One run. The first broken promise halts it; `run`, and everything that lets time pass, then raises it."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.sites: Sites = NETWORKS[setting.network]
        self.loop = Loop()
        self.trace = Trace()
        self.history = History(setting.redelivery_s, self.sites.home)
        self.violation: Violation | None = None
        self.restored: set[KmeId] = set()
        """Who was restored to a copy since the network was last in step."""
        self.restored_at = -inf
        """When somebody was, last."""
        self._draw = random.Random(setting.seed)
        self._sequences = count()
        self.calm_at = 0.0
        """When it was last in step."""
        self.copies: dict[KmeId, list[tuple[float, Image]]] = {name: [] for name in self.sites.kmes}
        """Backups of each KME, and when they were made."""
        self.machines = {name: self._machine(name) for name in self.sites.kmes}
        self.wires = Wires(self.loop, self._draw, self.trace, lambda message: self.connections.arrived(message))
        handed_over = self.history.handed_over
        self.crossing = Crossing(self.loop, self._draw, self.machines, self.wires, handed_over, self.noting)
        self._seeing = Seeing(self)
        transmitted = self._seeing.transmitted
        self.wires.reliable = setting.psk_refresh_s is not None
        meetings = Meetings(self.violated)
        self.connections = Connections(self.loop, self._draw, self.machines, self.wires, transmitted, meetings)
        if setting.psk_refresh_s is not None:
            for pair in self.sites.wires:
                self.give_psk(pair)
        self.saes = Saes(self._seeing.got, self.violated)
        self.watch = Watch(self.machines, self.sites, LIFETIME_S, self.history, self.violated)
        for machine in self.machines.values():
            if self.sites.joint:
                machine.abroad = self.crossing.abroad(machine, self.sites, setting.manners)
            machine.start()

    def _machine(self, name: KmeId) -> Machine:
        sites, draw = self.sites, self._draw
        options, tick_s = options_of(self.setting, sites, name), self.setting.tick_s
        drew = partial(self.history.material.drew, name)
        peers, neighbours, home = sites.peers(name), sites.neighbours(name), sites.home_as_seen_from(name).get
        machine = Machine(name, peers, neighbours, home, options, self.loop, self.trace, draw, tick_s, drew)
        disk = SqliteDisk if self.setting.disk == "sqlite" else FastDisk
        machine.disk = disk(machine.power, draw, lambda slots: self.watch.forward(machine, slots))
        machine.audit = SimulatedAudit(machine.power, draw, machine.disk, machine.clock)
        if self.setting.witness:
            machine.keeper = SimulatedWitness(machine.power, machine.disk)
        machine.started.append(lambda started: self.watch.started(started))
        machine.broke = lambda error: self.violated(Violation(0, f"{name} broke: {error!r}"))
        return machine

    def give_psk(self, pair: Wire) -> None:
        """Operators give another key to two KMEs, from their next start on."""
        assert self.setting.psk_refresh_s is not None
        key = KeyMaterial(self._draw.randbytes(32))
        for me, peer in (pair, pair[::-1]):
            machine = self.machines[me]
            machine.psks = Psks({**machine.psks.configured, peer: key}, self.setting.psk_refresh_s)

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

    def noting(self, note: Callable[[], None]) -> None:
        """Tells a checker something, which may find a promise broken there."""
        try:
            note()
        except Violation as violation:
            self.violated(violation)

    # What links and SAEs do

    def produce(self, a: KmeId, b: KmeId, left: bytes | None, right: bytes | None) -> None:
        """The link between two neighbours produces a block, not necessarily the same at both ends, unless it has
        stopped."""
        if b in self.machines[a].dark:
            return
        self.noting(partial(self.history.material.produced, left, right))
        sequence = next(self._sequences)
        what = "block" if left == right else "bad block"
        self.trace.note(self.loop.now, f"{a}-{b}", what, sequence, len(left or right or b""))
        for me, peer, data in ((a, b, left), (b, a, right)):
            if data is not None:
                self.machines[me].link_block(peer, sequence, data)

    def produce_everywhere(self, size: int) -> None:
        """Every link produces a good block."""
        for a, b in self.sites.links:
            self.produce_block(a, b, size)

    def stop_link(self, a: KmeId, b: KmeId) -> None:
        """A link stops, and its devices say so."""
        if b not in self.machines[a].dark:
            self._turn_link(a, b, "link stopped", set.add)

    def start_link(self, a: KmeId, b: KmeId) -> None:
        """It generates key again."""
        if b in self.machines[a].dark:
            self._turn_link(a, b, "link started", set.discard)

    def _turn_link(self, a: KmeId, b: KmeId, what: str, turn: Callable[[set[KmeId], KmeId], None]) -> None:
        self.trace.note(self.loop.now, f"{a}-{b}", what)
        for me, peer in ((a, b), (b, a)):
            turn(self.machines[me].dark, peer)
            self.machines[me].see_links()

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

    def insert_keys(self, request: InsertKeys) -> Asked:
        """At the master's KME."""
        self.history.offers(request)
        return self.saes.ask(self.machines[self.sites.home[request.master]], request)

    def void_keys(self, request: VoidKeys) -> Asked:
        """At the master's KME."""
        return self.saes.ask(self.machines[self.sites.home[request.master]], request)
