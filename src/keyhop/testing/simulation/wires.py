"""What is between the machines: latency, loss, repetition, reordering, partitions, connections that only one end has.

A message belongs to a connection, which is a number. Production never sees a message of a connection that ended, but
promises more than it needs: here some come late all the same.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from keyhop.core.ids import KmeId
from keyhop.network import wire
from keyhop.network.relay.messages import OfRelay
from keyhop.network.wire.words import Word, word_of
from keyhop.testing.simulation.loop import Loop
from keyhop.testing.simulation.trace import Trace


@dataclass(frozen=True, slots=True)
class Weather:
    """Probabilities of losing and of repeating a message; whether messages overtake each other; how long they take."""

    loss: float = 0.0
    repeat: float = 0.0
    reorder: bool = False
    latency_s: float = 0.001


FAIR = Weather()


@dataclass(slots=True, eq=False)
class Message:
    """One message on its way. `lost` is set by whoever takes it off the wire."""

    source: KmeId
    target: KmeId
    connection: int
    data: bytes
    said: wire.Envelope | Word
    body: wire.Body | Word = field(init=False)
    """What it says."""
    lost: bool = False

    def __post_init__(self) -> None:
        self.body = self.said.body if isinstance(self.said, wire.Envelope) else self.said

    @property
    def envelope(self) -> wire.Envelope:
        """Of what is no word about connections."""
        assert isinstance(self.said, wire.Envelope)
        return self.said


class Wires:
    """All wires of a network. `arrive` is told of each message that comes through."""

    def __init__(self, loop: Loop, draw: random.Random, trace: Trace, arrive: Callable[[Message], None]) -> None:
        self._loop = loop
        self._draw = draw
        self._trace = trace
        self._arrive = arrive
        self._last: dict[tuple[KmeId, KmeId, int], float] = {}
        self.reliable = False
        """Whether connections give everything in its order, or break: `broken` hears of what is lost."""
        self.broken: Callable[[Message], None] = lambda message: None
        self.weather = FAIR
        self.blocked: set[tuple[KmeId, KmeId]] = set()
        self.on_the_way: list[Message] = []
        self.ambushes: list[tuple[type[OfRelay], Callable[[Message], None]]] = []
        """For the next message of a kind, which is altered then."""

    def passes(self, source: KmeId, target: KmeId) -> bool:
        """Whether anything gets from one to the other at all."""
        return (source, target) not in self.blocked

    def send(self, source: KmeId, target: KmeId, connection: int, data: bytes) -> Message:
        """Puts a message on its way, more than once or not at all."""
        message = Message(source, target, connection, data, word_of(data) or wire.decode(data))
        weather = self.weather
        fate = self._draw.random() if weather.loss or weather.repeat else 1.0
        if (source, target) in self.blocked:
            self._lost("lost in a partition", message)
        elif fate < weather.loss:
            self._lost("lost", message)
        else:
            self._note("sent", message)
            self.put(message)
            if self.ambushes:
                self._spring(message)
            if fate > 1.0 - weather.repeat and not self.reliable and not isinstance(message.body, wire.Replaced):
                self._note("repeated", message)
                self.put(Message(source, target, connection, data, message.said), again=True)
        return message

    def _lost(self, how: str, message: Message) -> None:
        self._note(how, message)
        if self.reliable:
            self.broken(message)

    def _spring(self, message: Message) -> None:
        for ambush in self.ambushes:
            kind, alters = ambush
            if isinstance(message.body, kind):
                self.ambushes.remove(ambush)
                alters(message)
                return

    def put(self, message: Message, *, again: bool = False) -> None:
        """A message that will arrive."""
        weather, direction = self.weather, self._direction(message.source, message.target, message.connection)
        latency = weather.latency_s * (1.0 + self._draw.random() * (30.0 if weather.reorder or again else 0.2))
        when = self._loop.now + latency
        if self.reliable or not (weather.reorder or again):
            when = max(when, self._last.get(direction, 0.0))
            self._last[direction] = when
        self.on_the_way.append(message)
        self._loop.at(when, lambda: self._arrived(message))

    def after_all(self, source: KmeId, target: KmeId, connection: int) -> float:
        """When its end is heard of, if one end hangs up now: on reliable wires after everything that was sent."""
        when = self._loop.now + self.weather.latency_s
        return max(when, self._last.get((source, target, connection), 0.0)) if self.reliable else when

    def _direction(self, source: KmeId, target: KmeId, connection: int) -> tuple[KmeId, KmeId, int]:
        return (source, target, connection if self.reliable else 0)

    def delay(self, message: Message, seconds: float) -> None:
        """A message that has arrived where nobody takes it may be told again."""
        self.on_the_way.append(message)
        self._loop.after(seconds, lambda: self._arrived(message))

    def _arrived(self, message: Message) -> None:
        self.on_the_way.remove(message)
        if message.lost:
            return
        if (message.source, message.target) in self.blocked:
            self._lost("lost in a partition", message)
        else:
            self._arrive(message)

    def _note(self, what: str, message: Message) -> None:
        self._trace.note(self._loop.now, message.source, what, message.target, message.data)
