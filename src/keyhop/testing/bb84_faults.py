"""Everything that can befall both ends of a BB84 link and what they say, drawn at random from a seed.

`wander(seed)` plays one schedule: messages are lost, repeated, altered and overtake each other; either end is killed
at any message and made again from what it had remembered; so are both at once ("power"); the connection is cut;
commits are late; the wall clocks are decades apart. After each step it checks what must hold whatever happens, and at
the end that the link recovers by itself. Raises `Broken`.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from keyhop.core.errors import PeerError
from keyhop.link.adapter import LinkBlock
from keyhop.link.bb84.authentication.transcripts import Authentication
from keyhop.link.bb84.protocol.commands import Command, Deliver
from keyhop.link.bb84.protocol.messages import Bye, Hello, Message, decode
from keyhop.testing.bb84_link import EngineEnd, EnginePair, options

DECADES_S = 5e8
STEP_S = 0.1
RECOVERY_S = 25.0


type Fault = Literal["lost", "repeated", "altered", "overtaken", "power"]
FAULTS: tuple[Fault, ...] = ("lost", "repeated", "altered", "overtaken", "power")


class Broken(AssertionError):
    """A promise that was not kept."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What one schedule came to."""

    shared_bytes: int
    blocks: int
    faults: Counter[str]


@dataclass
class _Wire:
    """What happens to messages on their way to one end; `genuine` is what the far end really said."""

    end: EngineEnd
    random: random.Random
    rate: float
    kinds: tuple[Fault, ...]
    faults: Counter[str]
    dark: list[EngineEnd]
    genuine: set[bytes] = field(default_factory=set)
    connected: bool = True
    held: list[bytes] = field(default_factory=list)

    def fate(self, message: bytes) -> list[bytes]:
        self.genuine.add(message)
        if not self.connected:
            return []
        released, self.held = self.held, []
        if self.random.random() >= self.rate:
            return [message, *released]
        fault = self.random.choice(self.kinds)
        self.faults[fault] += 1
        if fault == "lost":
            return released
        if fault == "power":
            self.dark += [self.end, self.end.far]
            return [message, *released]
        if fault == "repeated":
            return [message, *released, message]
        if fault == "altered":
            return [_altered(message, self.random), *released]
        self.held = [message]
        return released


def _altered(message: bytes, chance: random.Random) -> bytes:
    """Another byte somewhere, in the header as often as in what follows."""
    at = chance.randrange(min(40, len(message)) if chance.random() < 0.5 else len(message))
    return message[:at] + bytes([message[at] ^ chance.randrange(1, 256)]) + message[at + 1 :]


class FaultyPair:
    """Two ends, the wires to them, and the promises. With `only`, messages suffer that and often, and nothing else."""

    def __init__(self, seed: int, only: Fault | None = None) -> None:
        self.random = chance = random.Random(seed)
        self._only = only
        method = "ldpc" if only else chance.choice(("cascade", "cascade", "cascade", "cascade", "ldpc"))
        apart_s = chance.choice((0.0, -DECADES_S, DECADES_S))
        self.pair = EnginePair(options(block_bits=10_000, method=method), seed=seed, clocks_apart_s=apart_s)
        self.faults: Counter[str] = Counter()
        # Error correction with LDPC codes takes few messages, with Cascade many.
        rate = 0.03 if only else chance.choice((0.0005, 0.002, 0.01)) * (5 if method == "ldpc" else 1)
        self._dark: list[EngineEnd] = []
        kinds = (only,) if only else FAULTS
        self.wires = {end.role: _Wire(end, chance, rate, kinds, self.faults, self._dark) for end in self.pair.ends}
        self._spoilt: dict[str, set[bytes]] = {end.role: set() for end in self.pair.ends}
        self._seen = {end.role: 0 for end in self.pair.ends}
        self._by_sequence: dict[int, LinkBlock] = {}
        self._at_receiver: set[int] = set()
        for end in self.pair.ends:
            end.fate = self.wires[end.role].fate

    def step(self) -> None:
        """Something happens."""
        chance = self.random
        end = chance.choice(self.pair.ends)
        drawn = chance.uniform(0.25, 1.0) if self._only else chance.random()
        if drawn < 0.012:
            self.faults["killed"] += 1
            self._kill(end)
        elif drawn < (0.02 if self.wires["receiver"].connected else 0.2):
            self.faults["cut"] += 1
            self._cut()
        elif drawn < 0.25:
            end.commits = not end.commits
            if end.commits:
                end.commit()
        elif drawn < 0.55:
            self._pass_time(chance.uniform(0.01, 0.4))
        else:
            # Often few messages, so that whatever comes next comes in the middle of something.
            self._talk(chance.choice((2, 20, 1000, 1000)))
        self.check()

    def calm(self) -> None:
        """From now on nothing goes wrong any more."""
        for end in self.pair.ends:
            wire = self.wires[end.role]
            wire.rate, wire.connected = 0.0, True
            end.commits = True
            end.commit()

    def recover(self) -> None:
        """Time passes calmly until both ends have delivered something new; not for ever."""
        before = {end.role: len(end.blocks) for end in self.pair.ends}
        for _ in range(round(RECOVERY_S / STEP_S)):
            self._pass_time(STEP_S)
            self._talk(100_000)
            self.check()
            if all(len(end.blocks) > before[end.role] and end.state == "generating" for end in self.pair.ends):
                return
        raise Broken(f"the link does not recover: {[(end.state, end.reason) for end in self.pair.ends]}")

    def check(self) -> None:
        """What must hold at any time."""
        self._at_receiver |= {block.sequence for block in self.pair.receiver.blocks[self._seen["receiver"] :]}
        for end in self.pair.ends:
            new = end.blocks[self._seen[end.role] :]
            last = end.blocks[self._seen[end.role] - 1].sequence if self._seen[end.role] else -1
            self._seen[end.role] = len(end.blocks)
            for block in new:
                if block.sequence <= last:
                    raise Broken(f"the {end.role} emits sequence {block.sequence} after {last}")
                last = block.sequence
                if end.role == "transmitter" and last not in self._at_receiver:
                    raise Broken(f"the transmitter emits sequence {last}, which the receiver has not confirmed")
                known = self._by_sequence.setdefault(block.sequence, block)
                if known.material != block.material or known.qber != block.qber:
                    raise Broken(f"block {block.sequence} differs between the two ends")

    def _pass_time(self, seconds: float) -> None:
        for end in self.pair.ends:
            end.time.stall(seconds)
            end.tick()
        self.pair.receiver.look(int(seconds * self.pair.options.source.clock_hz))

    @staticmethod
    def _kill(end: EngineEnd) -> None:
        end.revive()
        end.inbox.clear()

    def _cut(self) -> None:
        for wire in self.wires.values():
            wire.connected = not wire.connected
            wire.end.inbox.clear()

    def _talk(self, most: int) -> None:
        for _ in range(most):
            waiting = [end for end in self.pair.ends if end.inbox]
            if not waiting:
                return
            self._take(self.random.choice(waiting))
            for end in self._dark:
                self._kill(end)
            self._dark.clear()

    def _take(self, end: EngineEnd) -> None:
        """The end takes a message; nothing that was altered may lead to a block."""
        message = end.inbox.popleft()
        wire, spoilt = self.wires[end.role], self._spoilt[end.role]
        before = end.engine.view.run
        commands = end.engine.received(message)
        run = end.engine.view.run
        if message not in wire.genuine and not _stands_alone(message):
            spoilt |= {run_ for run_ in (before, run) if run_ is not None}
        if run is not None and run != before and not self._met(end):
            spoilt.add(run)
        self._refuse_spoilt(end, run, commands)
        end.do(commands)

    def _met(self, end: EngineEnd) -> bool:
        """Whether the greeting that began the run is one that the far end really sent."""
        session = end.engine._session
        assert session is not None
        return any(_same(session.run.far, genuine) for genuine in self.wires[end.role].genuine)

    def _refuse_spoilt(self, end: EngineEnd, run: bytes | None, commands: list[Command]) -> None:
        delivers = any(isinstance(command, Deliver) for command in commands) or end.engine.has_work
        if delivers and run in self._spoilt[end.role]:
            raise Broken(f"the {end.role} delivers what was said in a conversation with an altered message")


def _stands_alone(message: bytes) -> bool:
    """Whether it is a greeting or a farewell: no part of a run under way. `_met` sees what it leads to."""
    return isinstance(_decoded(message), Hello | Bye)


def _decoded(message: bytes) -> Message | None:
    try:
        return decode(message)
    except PeerError:
        return None


def _same(heard: Hello, message: bytes) -> bool:
    said = _decoded(message)
    return isinstance(said, Hello) and msgspec.structs.replace(said, echo=heard.echo) == heard


class TagSpy:
    """Sees every tag that is made, over all lives of all ends: it raises Broken when a key makes its second one."""

    def __init__(self) -> None:
        self.made: Counter[bytes] = Counter()

    def seal(self, authentication: Authentication) -> bytes:
        """In place of `Authentication.seal`."""
        key = authentication._key
        tag = _REAL_SEAL(authentication)
        assert key is not None
        self.made[key.sending.reveal()] += 1
        if self.made[key.sending.reveal()] > 1:
            raise Broken("one key makes two tags")
        return tag


_REAL_SEAL = Authentication.seal


def wander(seed: int, steps: int = 120, only: Fault | None = None) -> Walk:
    """One schedule. Raises Broken."""
    faulty = FaultyPair(seed, only)
    for _ in range(steps):
        faulty.step()
    faulty.calm()
    faulty.recover()
    pair = faulty.pair
    return Walk(pair.shared(), sum(len(end.blocks) for end in pair.ends), faulty.faults)
