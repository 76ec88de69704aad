"""The tasks of the initiator's end: device → offers → blocks."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from keyhop.core.keys import KeyMaterial
from keyhop.link.adapter import LinkEnd
from keyhop.link.vendors.attempts import FAULT_FIRST_S, FAULT_LIMIT_S, Attempts, Bell
from keyhop.link.vendors.backoff import Backoff
from keyhop.link.vendors.device import Device, DeviceFault, Piece, StreamEnded
from keyhop.link.vendors.disagreement import Disagreement
from keyhop.link.vendors.health import FAR_END, Health
from keyhop.link.vendors.initiator import Initiator, InitiatorEffects
from keyhop.link.vendors.messages import RUN_BYTES, Message, encode

TICK_S = 0.2
UNANSWERED_OFFERS = 2
"""So many offers in a row may find no copy at the far end before the next ones are held back."""


class InitiatorEnd:
    """One start of the initiator's end; `remember` makes a sequence durable and then calls back."""

    def __init__(
        self,
        device: Device,
        machine_of: Callable[[InitiatorEffects], Initiator],
        end: LinkEnd,
        health: Health,
        max_rate_bps: float | None,
        remember: Callable[[int, Callable[[], None]], None],
        deliver: Callable[[int, KeyMaterial], None],
    ) -> None:
        self._device = device
        self._end = end
        self._health = health
        self._max_rate_bps = max_rate_bps
        self._remember = remember
        self._attempts = Attempts(health, end.sleep)
        self._bell = Bell()
        self._may_produce_at_s = 0.0
        self._deliver = deliver
        self._disagreement = Disagreement(health, end)
        self._machine = machine_of(
            InitiatorEffects(
                send=lambda message: end.channel.send(encode(message)),
                block=self._block,
                lost=self._lost,
                trouble=self._disagreement.differ,
            )
        )

    @property
    def silence(self) -> str:
        """What is amiss while no block comes."""
        return self._machine.unlike or self._machine.waits_for

    def tasks(self) -> list[Coroutine[Any, Any, None]]:
        """What runs from start to stop."""
        return [self._offering(), self._sealing(), self._ticking()]

    def received(self, message: Message) -> None:
        """A message of the far end. Raises PeerError."""
        try:
            self._machine.received(message, self._end.clock.monotonic())
            self._note_unlike()
        finally:
            self._bell.ring()

    async def _offering(self) -> None:
        machine, clock = self._machine, self._end.clock
        restarts = Backoff(FAULT_FIRST_S, FAULT_LIMIT_S)
        while True:
            greeting = await self._attempts.until_done("open", lambda: self._device.open(None))
            machine.begin(self._end.entropy.token(RUN_BYTES), greeting or b"", clock.monotonic())
            try:
                while True:
                    await self._bell.until(lambda: machine.wanted_bytes > 0 or machine.stuck)
                    if machine.stuck:
                        raise StreamEnded("the far end does not get its copies")
                    await self._hold_back()
                    pieces = await self._attempts.until_done(
                        "keys", self._produce, lambda: machine.wanted_bytes > 0, passes=(StreamEnded,)
                    )
                    if pieces:
                        restarts.reset()
                        if not machine.offer(pieces, clock.monotonic()):
                            self._lost([piece.name for piece in pieces])
            except StreamEnded as ended:
                self._health.fault("open", ended.message)
                await self._device.close()
                await self._end.sleep(restarts.wait_s())

    async def _produce(self) -> list[Piece]:
        clock = self._end.clock
        if (wait_s := self._may_produce_at_s - clock.monotonic()) > 0:
            await self._end.sleep(wait_s)
        pieces = await self._device.produce(self._machine.wanted_bytes)
        try:
            self._machine.check(pieces)
        except DeviceFault:
            self._lost([piece.name for piece in pieces])
            raise
        if self._max_rate_bps is not None:
            took_s = 8 * sum(len(piece.material) for piece in pieces) / self._max_rate_bps
            self._may_produce_at_s = max(clock.monotonic(), self._may_produce_at_s) + took_s
        return pieces

    async def _hold_back(self) -> None:
        """Keys that the far end cannot get are wasted: slower, until it gets some."""
        in_vain = self._machine.answers_without_pieces - UNANSWERED_OFFERS
        if in_vain < 0:
            self._health.works("copies")
            return
        self._health.fault("copies", "the far end finds none of the keys at its device: are the two devices a pair?")
        await self._end.sleep(min(FAULT_LIMIT_S, FAULT_FIRST_S * 2 ** min(in_vain, 10)))

    async def _sealing(self) -> None:
        while True:
            await self._bell.until(lambda: self._machine.ready)
            await self._seal(self._machine.pick())

    async def _seal(self, names: Sequence[bytes]) -> None:
        await self._attempts.until_done("spend", lambda: self._device.consume(names))
        sealed = self._machine.seal()
        if sealed is not None:
            self._remember(self._machine.last, lambda: sealed(self._end.clock.monotonic()))

    async def _ticking(self) -> None:
        while True:
            await self._end.sleep(TICK_S)
            self._machine.tick(self._end.clock.monotonic())
            if self._machine.stuck:
                self._bell.ring()

    def _note_unlike(self) -> None:
        if self._machine.unlike:
            self._health.fault(FAR_END, self._machine.unlike)
        else:
            self._health.works(FAR_END)

    def _block(self, sequence: int, material: KeyMaterial) -> None:
        self._disagreement.agree()
        self._deliver(sequence, material)

    def _lost(self, names: Sequence[bytes]) -> None:
        self._health.lost(len(names))
        self._device.lost(names)
