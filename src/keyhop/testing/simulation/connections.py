"""The connections between machines, as `network.connections` keeps them: the lower name dials, silence ends them."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count

from keyhop.core.ids import KmeId
from keyhop.network import wire
from keyhop.network.connections import SILENCE_S
from keyhop.testing.simulation.loop import Loop
from keyhop.testing.simulation.machine import Machine
from keyhop.testing.simulation.wires import Message, Wires

REDIAL_S = (0.1, 1.0)
STRAGGLERS = 0.5
"""How many of the messages of a connection that has ended arrive all the same."""


@dataclass(slots=True)
class _End:
    """What one machine knows of its connection to a peer."""

    number: int | None = None
    last_heard: float = 0.0
    dial_at: float = 0.0


class Connections:
    """Both ends of every wire. `transmitted` is told of each message that a KME sends, lost or not."""

    def __init__(
        self,
        loop: Loop,
        draw: random.Random,
        machines: dict[KmeId, Machine],
        wires: Wires,
        transmitted: Callable[[Message], None],
    ) -> None:
        self.transmitted = transmitted
        self._loop = loop
        self._draw = draw
        self._machines = machines
        self._wires = wires
        self._numbers = count(1)
        self._ends = {(m.name, peer): _End() for m in machines.values() for peer in m.peers}
        for machine in machines.values():
            machine.gone.append(self._gone)
            machine.started.append(self._look)
            machine.ticked.append(self._look)

    def lose(self, a: KmeId, b: KmeId, *, told: tuple[KmeId, ...]) -> None:
        """A connection breaks, and these ends notice it at once."""
        for me, peer in ((a, b), (b, a)):
            if me in told:
                self._closed(me, peer, self._ends[me, peer].number)

    def arrived(self, message: Message) -> None:
        """A message comes out of the wire."""
        machine = self._machines[message.target]
        end = self._ends[message.target, message.source]
        if machine.kme is None:
            return
        strange = end.number != message.connection and not isinstance(message.body, wire.Replaced)
        straggles = strange and self._draw.random() < STRAGGLERS
        if straggles and end.number is None:
            self._wires.delay(message, self._draw.uniform(0.1, 1.2))
            return
        if end.number is None or (end.number != message.connection and not straggles):
            self._hang_up(message.source, message.target, message.connection)
            return
        if straggles:
            machine.note("received a straggler", message.source, message.data)
        refuse = partial(self._refuse, message.target, message.source, end.number)
        machine.when_awake(machine.life, lambda: machine.receive(message.source, message.data, refuse))

    def _look(self, machine: Machine) -> None:
        """Once per tick: dials, and ends what is silent. A peer that is up is heard of every two seconds."""
        now, me = self._loop.now, machine.name
        for peer in machine.peers:
            end, theirs = self._ends[me, peer], self._ends[peer, me]
            if end.number is None:
                if me < peer and now >= end.dial_at:
                    self._dial(me, peer, end)
            elif end.number == theirs.number and self._speaks(peer) and self._wires.passes(peer, me):
                end.last_heard = now
            elif now - end.last_heard > SILENCE_S:
                machine.note("found silent", peer)
                self._refuse(me, peer, end.number)

    def _speaks(self, name: KmeId) -> bool:
        machine = self._machines[name]
        return machine.kme is not None and not machine.frozen

    def _dial(self, me: KmeId, peer: KmeId, end: _End) -> None:
        latency = self._wires.weather.latency_s
        end.dial_at = self._loop.now + 3 * latency + self._draw.uniform(*REDIAL_S)
        if self._speaks(peer) and self._wires.passes(me, peer) and self._wires.passes(peer, me):
            number = next(self._numbers)
            self._loop.after(latency, partial(self._open, peer, me, number, self._machines[peer].life))
            self._loop.after(2 * latency, partial(self._open, me, peer, number, self._machines[me].life))

    def _open(self, me: KmeId, peer: KmeId, number: int, life: int) -> None:
        machine, end = self._machines[me], self._ends[me, peer]
        kme = machine.kme
        if kme is None or machine.life != life or not self._wires.passes(peer, me):
            return

        def opened() -> None:
            state = kme.peers[peer]
            if end.number is not None:
                machine.note("found half-open", peer)
                state.replaced()
            end.number, end.last_heard = number, self._loop.now
            machine.note("connected", peer)
            state.connect(partial(self._transmit, machine, life, peer, number))

        machine.act(opened)

    def _transmit(self, machine: Machine, life: int, peer: KmeId, number: int, data: bytes) -> None:
        if machine.life == life and machine.kme is not None:
            machine.power.point("before a message leaves")
            self.transmitted(self._wires.send(machine.name, peer, number, data))

    def _refuse(self, me: KmeId, peer: KmeId, number: int) -> None:
        """We end a connection; the other end hears of it if it can."""
        self._hang_up(peer, me, number)
        self._closed(me, peer, number)

    def _hang_up(self, who: KmeId, by: KmeId, number: int) -> None:
        if self._wires.passes(by, who):
            self._loop.after(self._wires.weather.latency_s, partial(self._closed, who, by, number))

    def _closed(self, me: KmeId, peer: KmeId, number: int | None) -> None:
        machine, end = self._machines[me], self._ends[me, peer]
        kme = machine.kme
        if kme is not None and end.number is not None and end.number == number:
            end.number = None
            machine.note("disconnected", peer)
            machine.act(kme.peers[peer].disconnect)

    def _gone(self, machine: Machine, power_cut: bool) -> None:
        """The kernel of a killed process closes its connections; a machine without power says nothing."""
        for peer in machine.peers:
            end = self._ends[machine.name, peer]
            if end.number is not None and not power_cut:
                self._hang_up(peer, machine.name, end.number)
            end.number, end.dial_at = None, 0.0
