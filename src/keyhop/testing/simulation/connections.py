"""The connections between machines, as `network.connections` keeps them: the lower name dials, silence ends them, and
another one takes over when there is a newer generation of a peer's key."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count

from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId
from keyhop.network import wire
from keyhop.network.connections import OVERDUE_S, SILENCE_S
from keyhop.network.lines import Lines
from keyhop.network.psk.generations import PskGenerations
from keyhop.testing.simulation.lines import SimulatedLine
from keyhop.testing.simulation.loop import Loop
from keyhop.testing.simulation.machine import Machine
from keyhop.testing.simulation.meetings import Meetings, Shown, shown_by
from keyhop.testing.simulation.wires import Message, Wires

REDIAL_S = (0.1, 1.0)
STRAGGLERS = 0.5
"""How many of the messages of a connection that has ended arrive all the same, where wires are not reliable."""


@dataclass(slots=True)
class _End:
    """What one machine knows of its connections to a peer; nothing while it is down."""

    lines: Lines[SimulatedLine] | None = None
    dial_at: float = 0.0
    over_since: float | None = None

    def line(self, number: int) -> SimulatedLine | None:
        """The one with this number, if it is open here."""
        for line in (self.lines.heard, self.lines.next) if self.lines else ():
            if line is not None and line.number == number:
                return line
        return None


class Connections:
    """Both ends of every wire. `transmitted` is told of each message that a KME sends, lost or not."""

    def __init__(
        self,
        loop: Loop,
        draw: random.Random,
        machines: dict[KmeId, Machine],
        wires: Wires,
        transmitted: Callable[[Message], None],
        meetings: Meetings,
    ) -> None:
        self.transmitted = transmitted
        self._loop = loop
        self._draw = draw
        self._machines = machines
        self._wires = wires
        self._meetings = meetings
        self._numbers = count(1)
        self._dead: set[int] = set()
        """Connections that have lost something, on reliable wires: nothing more comes out of them."""
        wires.broken = self._broken
        self._ends = {(m.name, peer): _End() for m in machines.values() for peer in m.peers}
        for machine in machines.values():
            machine.gone.append(self._gone)
            machine.started.append(self._started)
            machine.ticked.append(self._look)

    def lose(self, a: KmeId, b: KmeId, *, told: tuple[KmeId, ...]) -> None:
        """What connects two machines breaks, and these ends notice it at once."""
        for me, peer in ((a, b), (b, a)):
            lines = self._ends[me, peer].lines
            for line in lines.open if lines and me in told else ():
                self._dead.add(line.number)
                self._closed(me, peer, line.number)

    def _broken(self, message: Message) -> None:
        """A message was lost on a reliable wire, so its connection is."""
        if message.connection in self._dead:
            return
        self._dead.add(message.connection)
        for me, peer in ((message.source, message.target), (message.target, message.source)):
            self._loop.after(self._wires.weather.latency_s, partial(self._closed, me, peer, message.connection))

    def arrived(self, message: Message) -> None:
        """A message comes out of the wire."""
        machine = self._machines[message.target]
        end = self._ends[message.target, message.source]
        if machine.kme is None or end.lines is None:
            return
        line, heard = end.line(message.connection), end.lines.heard
        if line is not None and self._wires.reliable and line.number in self._dead:
            return
        strange = line is None and not isinstance(message.body, wire.Replaced) and not self._wires.reliable
        straggles = strange and self._draw.random() < STRAGGLERS
        if straggles and heard is None:
            self._wires.delay(message, self._draw.uniform(0.1, 1.2))
            return
        if heard is None or (line is None and not straggles):
            self._hang_up(message.source, message.target, message.connection)
            return
        if straggles:
            machine.note("received a straggler", message.source, message.data)
        self._take(machine, message.source, line or heard, (message.data,))

    def _take(self, machine: Machine, peer: KmeId, line: SimulatedLine, frames: Sequence[bytes]) -> None:
        lines = self._ends[machine.name, peer].lines
        assert lines is not None
        refuse = partial(self._refuse, machine.name, peer, line.number)
        for frame in frames:
            received = partial(lines.received, line, frame)
            machine.when_awake(machine.life, partial(machine.receive, peer, received, refuse))

    def _started(self, machine: Machine) -> None:
        assert machine.kme is not None
        for peer in machine.peers:
            self._ends[machine.name, peer].lines = Lines(machine.kme.peers[peer], machine.entropy)
        self._look(machine)

    def _look(self, machine: Machine) -> None:
        """Once per tick: dials, and ends what is silent. A peer that is up is heard of every two seconds."""
        now, me = self._loop.now, machine.name
        for peer in machine.peers:
            end, theirs = self._ends[me, peer], self._ends[peer, me]
            if end.lines is None:
                continue
            wants = end.lines.heard is None or (end.lines.is_over and end.lines.next is None)
            if wants and me < peer and now >= end.dial_at:
                self._dial(machine, peer, end)
            for line in end.lines.open:
                if theirs.line(line.number) and self._speaks(peer) and self._wires.passes(peer, me):
                    line.last_heard = now
                elif now - line.last_heard > SILENCE_S:
                    machine.note("found silent", peer)
                    self._refuse(me, peer, line.number)
            self._end_overdue(machine, peer, end)

    def _end_overdue(self, machine: Machine, peer: KmeId, end: _End) -> None:
        lines, now = end.lines, self._loop.now
        if lines is None or lines.heard is None or not lines.is_over:
            end.over_since = None
        elif end.over_since is None:
            end.over_since = now
        elif now - end.over_since > OVERDUE_S:
            self._refuse(machine.name, peer, lines.heard.number)

    def _speaks(self, name: KmeId) -> bool:
        machine = self._machines[name]
        return machine.kme is not None and not machine.frozen

    def _dial(self, machine: Machine, peer: KmeId, end: _End) -> None:
        me, latency = machine.name, self._wires.weather.latency_s
        end.dial_at = self._loop.now + 3 * latency + self._draw.uniform(*REDIAL_S)
        if self._speaks(peer) and self._wires.passes(me, peer) and self._wires.passes(peer, me):
            number, shown = next(self._numbers), shown_by(_psk_of(machine, peer))
            self._loop.after(latency, partial(self._accept, peer, me, number, self._machines[peer].life, shown))
            self._loop.after(2 * latency, partial(self._reached, me, peer, number, machine.life, shown))

    def _accept(self, me: KmeId, peer: KmeId, number: int, life: int, shown: Shown | None) -> None:
        """The end that was dialled has seen all of a handshake."""
        machine = self._machines[me]
        if machine.kme is None or machine.life != life or not self._wires.passes(peer, me):
            return
        try:
            generation = self._meetings.meet(_psk_of(machine, peer), shown)
        except PeerError as error:
            machine.note("refused to meet", peer, error.message)
        else:
            self._open(machine, peer, number, generation, dialled=False)

    def _reached(self, me: KmeId, peer: KmeId, number: int, life: int, shown: Shown | None) -> None:
        """The end that has dialled has: with a key only after the other one."""
        machine = self._machines[me]
        if machine.kme is None or machine.life != life or not self._wires.passes(peer, me):
            return
        if shown is None:
            self._open(machine, peer, number, None, dialled=True)
        elif self._ends[peer, me].line(number) is not None:
            self._open(machine, peer, number, shown.generation, dialled=True)

    def _open(self, machine: Machine, peer: KmeId, number: int, generation: int | None, *, dialled: bool) -> None:
        lines = self._ends[machine.name, peer].lines
        assert lines is not None  # the machine is up
        line = SimulatedLine(
            number,
            generation,
            dialled=dialled,
            opened_at=self._loop.now,
            send=partial(self._transmit, machine, machine.life, peer),
            hear=partial(self._take, machine, peer),
            ended=lambda line: self._refuse_later(machine, peer, line.number),
        )

        def opened() -> None:
            psk = _psk_of(machine, peer)
            if psk is not None and generation is not None:
                psk.used(generation)
            before = lines.heard
            lines.opened(line)
            if lines.heard is line:
                if before is not None:
                    machine.note("found half-open", peer)
                machine.note("connected", peer)

        machine.act(opened)

    def _transmit(self, machine: Machine, life: int, peer: KmeId, number: int, data: bytes) -> None:
        if machine.life == life and machine.kme is not None:
            machine.power.point("before a message leaves")
            self.transmitted(self._wires.send(machine.name, peer, number, data))

    def _refuse_later(self, machine: Machine, peer: KmeId, number: int) -> None:
        """It is in the midst of something."""
        self._loop.after(0.0, partial(self._refuse, machine.name, peer, number))

    def _refuse(self, me: KmeId, peer: KmeId, number: int) -> None:
        """We end a connection; the other end hears of it if it can."""
        self._hang_up(peer, me, number)
        self._closed(me, peer, number)

    def _hang_up(self, who: KmeId, by: KmeId, number: int) -> None:
        if self._wires.passes(by, who):
            self._loop.at(self._wires.after_all(by, who, number), partial(self._closed, who, by, number))

    def _closed(self, me: KmeId, peer: KmeId, number: int) -> None:
        machine = self._machines[me]
        machine.when_awake(machine.life, partial(self._lost, machine, peer, number))

    def _lost(self, machine: Machine, peer: KmeId, number: int) -> None:
        end = self._ends[machine.name, peer]
        line, lines = end.line(number), end.lines

        def lost() -> None:
            assert line is not None and lines is not None  # noqa: PT018
            if lines.lost(line):
                machine.note("disconnected", peer)

        if line is not None:
            machine.act(lost)

    def _gone(self, machine: Machine, power_cut: bool) -> None:
        """The kernel of a killed process closes its connections; a machine without power says nothing."""
        for peer in machine.peers:
            end = self._ends[machine.name, peer]
            for line in end.lines.open if end.lines and not power_cut else ():
                self._hang_up(peer, machine.name, line.number)
            end.lines, end.dial_at, end.over_since = None, 0.0, None


def _psk_of(machine: Machine, peer: KmeId) -> PskGenerations | None:
    return machine.kme.peers[peer].psk if machine.kme else None
