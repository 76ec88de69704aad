"""Both ends of a BB84 link without asyncio, for tests: production engines, a simulated line, and a wire between them
whose every message a test can lose, repeat, alter or hold back.

pair = EnginePair(options(block_bits=20_000))
pair.generate(seconds=2.0)
assert pair.transmitter.blocks == pair.receiver.blocks
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from keyhop.core.ids import LinkId
from keyhop.core.keys import KeyMaterial
from keyhop.link.adapter import LinkBlock, LinkEvent
from keyhop.link.bb84.authentication.enrolment import ENTRY_BYTES, IDENTIFIER_BYTES, Enrolment
from keyhop.link.bb84.authentication.tag_keys import Role, TagKeys
from keyhop.link.bb84.devices import SimulatedReceiver, SimulatedTransmitter
from keyhop.link.bb84.optics.options import ChannelOptions, DetectorOptions, SourceOptions
from keyhop.link.bb84.protocol.commands import Command, Deliver, Remember, Report, Send
from keyhop.link.bb84.protocol.engine import Engine
from keyhop.link.bb84.protocol.session import Parts
from keyhop.link.bb84.settings import Bb84Options
from keyhop.testing.virtual_time import VirtualTime

LINK = LinkId("alice-bob")
ENTRIES = 64


def options(*, block_bits: int = 20_000, method: str = "cascade", visibility: float = 0.98) -> Bb84Options:
    """A short, bright line whose small rounds yield keys: both bases alike, few photons per pulse."""
    return Bb84Options(
        role="transmitter",
        enrolment_file=Path("unread"),
        pulses_file=Path("unread"),
        block_bits=block_bits,
        method="ldpc" if method == "ldpc" else "cascade",
        alignment_s=0.0,
        source=SourceOptions(clock_hz=1e6, intensities=(0.3, 0.1), probabilities=(0.3, 0.7), z_probability=0.5),
        channel=ChannelOptions(loss_db=0.0),
        detectors=DetectorOptions(
            efficiency=0.5, dark_count_probability=1e-6, visibility=visibility, z_probability=0.5
        ),
    )


class SeededEntropy:
    """The same bytes for the same seed."""

    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(seed)

    def token(self, size: int) -> bytes:
        """Fit for tests only."""
        return self._random.randbytes(size)


class EngineEnd:
    """One end, over all its lives. `durable` is what a next life finds; `inbox` what the wire still brings."""

    def __init__(self, role: Role, options: Bb84Options, seed: int | str, wall_s: float) -> None:
        self.role: Role = role
        self.options = replace(options, role=role)
        self.time = VirtualTime(wall_s)
        self.entropy = SeededEntropy(f"{seed} {role}")
        nature = SeededEntropy(f"nature {seed}")
        self.enrolment = Enrolment(nature.token(IDENTIFIER_BYTES), KeyMaterial(nature.token(ENTRIES * ENTRY_BYTES)))
        secret = KeyMaterial(nature.token(32))
        self.transmitter = SimulatedTransmitter(options.source, secret) if role == "transmitter" else None
        optics = (options.source, options.channel, options.detectors)
        self.receiver = SimulatedReceiver(*optics, secret, self.entropy) if role == "receiver" else None
        self.durable: bytes | None = None
        self.inbox: deque[bytes] = deque()
        self.blocks: list[LinkBlock] = []
        self.events: list[LinkEvent] = []
        self.far: EngineEnd
        self.commits = True
        self._uncommitted: list[Command] = []
        self._begun: bytes | None = None
        self.revive()

    def revive(self) -> None:
        """Killed and made again, with what was durable."""
        self._uncommitted = []
        pool = TagKeys(self.role) if self.durable is None else TagKeys.from_bytes(self.durable, self.role)
        pool.enrol(self.enrolment)
        self.durable = pool.to_bytes()
        self.parts = Parts(self.options, pool, self.time, self.entropy)
        self.engine = Engine(LINK, self.parts, self.transmitter, -1)

    def take(self) -> None:
        """Takes the next message that the wire brings."""
        self.do(self.engine.received(self.inbox.popleft()))

    def tick(self) -> None:
        """Some time has passed."""
        self.do(self.engine.tick())

    def look(self, slots: int) -> None:
        """The receiver's device looks at so many slots, if there is a run."""
        view = self.engine.view
        if self.receiver is None or view.run is None or not view.wants:
            return
        if view.run != self._begun:
            self._begun = view.run
            self.receiver.begin(view.run)
        self.do(self.engine.detected(view.run, self.receiver.detect(slots)))

    def do(self, commands: list[Command]) -> None:
        """As the shell does; with `commits` off, what follows a Remember waits until `commit`."""
        for command in commands:
            if self._uncommitted or isinstance(command, Remember):
                self._uncommitted.append(command)
            else:
                self._perform(command)
        if self.commits:
            self.commit()
        while self.engine.has_work:
            self.do(self.engine.work())

    def commit(self) -> None:
        """Everything that was to be remembered is durable now."""
        commands, self._uncommitted = self._uncommitted, []
        for command in commands:
            self._perform(command)

    def _perform(self, command: Command) -> None:
        match command:
            case Send(message=message):
                self.far.arrive(message)
            case Remember(pool=pool):
                self.durable = pool
            case Deliver(block=block):
                self.blocks.append(block)
            case Report(event=event):
                self.events.append(event)

    def arrive(self, message: bytes) -> None:
        """At this end, unless the test wants something else to happen to it."""
        self.inbox.extend(self.fate(message))

    fate: Callable[[bytes], list[bytes]] = staticmethod(lambda message: [message])

    @property
    def state(self) -> str:
        """As in `LinkStatus`."""
        return self.engine.view.state

    @property
    def reason(self) -> str:
        """As in `LinkStatus`, empty when there is none."""
        return self.engine.view.reason or ""


class EnginePair:
    """Two ends. Their wall clocks may be years apart; their monotonic clocks go alike."""

    def __init__(self, options: Bb84Options, *, seed: int | str = 1, clocks_apart_s: float = 0.0) -> None:
        self.options = options
        self.transmitter = EngineEnd("transmitter", options, seed, 1.7e9)
        self.receiver = EngineEnd("receiver", options, seed, 1.7e9 + clocks_apart_s)
        self.transmitter.far, self.receiver.far = self.receiver, self.transmitter

    @property
    def ends(self) -> tuple[EngineEnd, EngineEnd]:
        """The transmitter's first."""
        return self.transmitter, self.receiver

    def converse(self, most: int = 1_000_000) -> None:
        """Until nobody has anything to say."""
        for _ in range(most):
            waiting = [end for end in self.ends if end.inbox]
            if not waiting:
                return
            for end in waiting:
                end.take()
        raise AssertionError("the two ends talk without end")

    def step(self, step_s: float = 0.05) -> None:
        """Some time passes: ticks, detections, and all that follows."""
        for end in self.ends:
            end.time.stall(step_s)
            end.tick()
        self.receiver.look(int(step_s * self.options.source.clock_hz))
        self.converse()

    def generate(self, seconds: float, step_s: float = 0.05) -> None:
        """So many seconds go by."""
        for _ in range(round(seconds / step_s)):
            self.step(step_s)

    def shared(self) -> int:
        """Bytes of blocks that both ends have. AssertionError where a sequence does not mean the same bytes."""
        near = {block.sequence: block for block in self.transmitter.blocks}
        both = [(near[block.sequence], block) for block in self.receiver.blocks if block.sequence in near]
        for ours, theirs in both:
            assert ours.material == theirs.material
            assert ours.qber == theirs.qber
        return sum(len(ours.material) for ours, _ in both)
