"""What both ends of a run have in common: they talk, watch the line, and turn finished rounds into blocks."""

from typing import Protocol

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.errors import KeyhopError, LinkError, PeerError
from keyhop.core.keys import KeyMaterial
from keyhop.link.bb84.authentication.tag_keys import TagKey, TagKeys
from keyhop.link.bb84.key_length.count_statistics import finding_of_bases
from keyhop.link.bb84.protocol import line_health
from keyhop.link.bb84.protocol.blocks import cut, last_sequence
from keyhop.link.bb84.protocol.commands import Command, Deliver, Remember, Send
from keyhop.link.bb84.protocol.condition import Condition
from keyhop.link.bb84.protocol.lost_keys import LostKeys
from keyhop.link.bb84.protocol.messages import Body
from keyhop.link.bb84.protocol.round_rules import Outcome, configured, starting_qber
from keyhop.link.bb84.protocol.run import Run
from keyhop.link.bb84.protocol.statistics import Statistics
from keyhop.link.bb84.reconciliation import Bits, Reconciliation, Side
from keyhop.link.bb84.reconciliation.cascade import Cascade
from keyhop.link.bb84.reconciliation.ldpc import Ldpc
from keyhop.link.bb84.settings import Bb84Options
from keyhop.link.bb84.sifting.rounds import ByBasis, SiftedRound
from keyhop.link.bb84.sifting.sides import Sifting

MAX_SHORT_IN_A_ROW = 2
"""Collections that make no round before an operator is told."""


class LineUnfit(LinkError):
    """The test basis shows too many errors: the run is over, and an operator must know. `qber` is how many."""

    def __init__(self, qber: float, max_qber: float) -> None:
        super().__init__(f"QBER about {qber:.0%} in the test basis is over the limit of {max_qber:.1%}")
        self.qber = qber


class Reconciliations(Protocol):
    """Makes one side of a round's reconciliation."""

    def __call__(self, side: Side, bits: Bits, qber_estimate: float, seed: bytes) -> Reconciliation: ...


METHODS: dict[str, Reconciliations] = {"cascade": Cascade, "ldpc": Ldpc}


class Parts:
    """What outlives the runs of one end; `clock` and `entropy` come from outside."""

    def __init__(self, options: Bb84Options, pool: TagKeys, clock: Clock, entropy: Entropy) -> None:
        self.options, self.pool = options, pool
        self.clock, self.entropy = clock, entropy
        self.condition = Condition()
        self.lost_keys = LostKeys()
        self.statistics = Statistics()
        detectors = options.detectors
        noise_per_slot = 2 * detectors.dark_count_probability / (1 - detectors.afterpulse_probability)
        self.light = line_health.LightLevel(line_health.WINDOW_S * options.source.clock_hz, noise_per_slot)


class Session:
    """One end of one run; see TransmitterSession and ReceiverSession. Raises PeerError, and LinkError without keys."""

    def __init__(self, run: Run, parts: Parts, sifting: Sifting) -> None:
        self.run = run
        self._matched = sifting
        self.sealed_rounds = 0
        """Rounds that both ends are known to have authenticated, whatever they yielded."""
        self.opened_s = 0.0
        """When the present stretch got its key."""
        self.commands: list[Command] = []
        self._parts = parts
        self._pool = parts.pool
        self._known_qber: float | None = None
        self._last_sequence = max(run.near.last_sequence, run.far.last_sequence)
        self._rate = line_health.SiftingRate()
        self._was_fine = False
        self._short_in_a_row = 0
        self._pool.agree_on(run.far.names)
        self._pool.next_name()  # without a key all else would be in vain

    @property
    def key_in_use(self) -> bool:
        """Whether a key would be lost with the run."""
        return self.run.key is not None

    def say(self, *bodies: Body) -> None:
        """To the far end, in order."""
        for body in bodies:
            self.commands += [Send(message) for message in self.run.say(body)]

    def watch(self) -> None:
        """Looks at the line after each batch. Raises LineUnfit."""
        options, condition, sample = self._parts.options, self._parts.condition, self._matched.recent_x
        self._parts.statistics.sifted_bps = self._rate.add(self._parts.clock.monotonic(), self._matched.sifted_bits)
        if line_health.excessive(sample, options.max_qber):
            raise LineUnfit(sample.newest_errors / sample.newest_events, options.max_qber)
        if not self._was_fine and line_health.is_fine(sample, options.max_qber):
            self._was_fine = True
            condition.sample_is_fine()
        while (detections := self._matched.take_short()) is not None:
            self.fell_short(detections)

    def fell_short(self, detections: ByBasis) -> None:
        """A collection, of these detections, made no round; both ends know."""
        condition = self._parts.condition
        self.discard()
        self._short_in_a_row += 1
        odd = list(finding_of_bases(detections, configured(self._parts.options)))
        if odd:
            condition.stopped("suspicion", "; ".join(odd), alarm=True, needs_key=True)
        elif self._short_in_a_row > MAX_SHORT_IN_A_ROW:
            condition.stopped("yield", "collections of detections fall short of a round", needs_key=True)

    def light(self, *, dark: bool) -> None:
        """Tells the operator when it is gone, and when it is back."""
        condition = self._parts.condition
        if dark:
            condition.stopped("light", "the light is gone: hardly anything is detected any more", alarm=True)
        elif condition.kind == "light":
            condition.starting("looking at the light")
            self._matched.forget_x()
            self._was_fine = False

    def reconciliation(self, side: Side, sifted: SiftedRound, seed: bytes) -> Reconciliation:
        """Of a round, with a public seed that was drawn when its bits stood."""
        make: Reconciliations = METHODS[self._parts.options.method]
        return make(side, sifted.bits, starting_qber(sifted, self._known_qber), seed)

    def set_aside(self, name: bytes, receipt: bytes | None = None) -> TagKey:
        """Takes a key out of the pool for good; `receipt` as in `TagKeys.take`. Raises PeerError and LinkError."""
        key = self._pool.take(name, receipt)
        self.commands.append(Remember(self._pool.to_bytes()))
        self._parts.statistics.tag_keys_used += 1
        self.opened_s = self._parts.clock.monotonic()
        return key

    def next_sequence(self) -> int:
        """Of the next round's first block; the same at both ends."""
        return self._last_sequence + 1

    def close_stretch(self) -> None:
        """Both tags are verified or on their way: the far end's names are believed, and the next stretch begins."""
        self._pool.forget_the_rest()
        self.commands.append(Remember(self._pool.to_bytes()))
        self.run.close()

    def finish(self, outcome: Outcome) -> None:
        """Delivers what a round yielded, once the pool remembers it."""
        condition = self._parts.condition
        self._short_in_a_row = 0
        self._known_qber = outcome.qber
        self._parts.statistics.round_is_over(outcome)
        if not outcome.key:
            condition.stopped(
                "suspicion" if outcome.alarm else "yield",
                outcome.reason or "",
                alarm=outcome.alarm,
                needs_key=True,
                qber=outcome.qber,
            )
            return
        pool, rest = outcome.key[: outcome.pool_bytes], outcome.key[outcome.pool_bytes :]
        self._last_sequence = last_sequence(outcome.first_sequence, len(rest))
        self._pool.add(self._last_sequence, KeyMaterial(pool))
        self.commands.append(Remember(self._pool.to_bytes()))
        condition.recovered()
        self._parts.light.is_enough()
        qber = outcome.qber or 0.0
        blocks = cut(rest, outcome.first_sequence, qber, self._parts.clock.wall())
        self.commands += [Deliver(block) for block in blocks]

    def discard(self) -> None:
        """A round's errors could not be corrected; both ends know."""
        self._parts.statistics.discarded_rounds += 1


class _Numbered(Protocol):
    @property
    def number(self) -> int: ...


def due[R: _Numbered](body: Body, round_: R | None) -> R:
    """The round under way, which the body shall be about. Raises PeerError."""
    if round_ is None or getattr(body, "round", None) != round_.number:
        raise PeerError(f"the far end says {type(body).__name__} when it is not due")
    return round_


def reason_of(failure: KeyhopError) -> str:
    """What went wrong and what to do, for an operator."""
    return f"{failure.message} ({failure.hint})" if failure.hint else failure.message
