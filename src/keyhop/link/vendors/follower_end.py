"""The tasks of the follower's end: offers → device → blocks."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from keyhop.core.keys import KeyMaterial
from keyhop.link.adapter import LinkEnd
from keyhop.link.vendors.attempts import Attempts, Bell
from keyhop.link.vendors.device import Device
from keyhop.link.vendors.disagreement import Disagreement
from keyhop.link.vendors.follower import Follower, FollowerEffects
from keyhop.link.vendors.health import FAR_END, Health
from keyhop.link.vendors.messages import Message, Offer, encode


class FollowerEnd:
    """One start of the follower's end; `remember` makes a sequence durable and then calls back."""

    def __init__(
        self,
        device: Device,
        machine_of: Callable[[FollowerEffects], Follower],
        end: LinkEnd,
        health: Health,
        remember: Callable[[int, Callable[[], None]], None],
        deliver: Callable[[int, KeyMaterial], None],
    ) -> None:
        self._device = device
        self._health = health
        self._remember = remember
        self._deliver = deliver
        self._attempts = Attempts(health, end.sleep)
        self._bell = Bell()
        self._disagreement = Disagreement(health, end)
        self._machine = machine_of(
            FollowerEffects(
                send=lambda message: end.channel.send(encode(message)),
                trouble=self._disagreement.differ,
            )
        )

    @property
    def silence(self) -> str:
        """What is amiss while no block comes."""
        return self._machine.unlike or self._machine.waits_for

    def tasks(self) -> list[Coroutine[Any, Any, None]]:
        """What runs from start to stop."""
        return [self._copying(), self._sealing()]

    def received(self, message: Message) -> None:
        """A message of the far end. Raises PeerError."""
        try:
            self._machine.received(message)
            if self._machine.unlike:
                self._health.fault(FAR_END, self._machine.unlike)
            else:
                self._health.works(FAR_END)
        finally:
            self._bell.ring()

    async def _copying(self) -> None:
        machine = self._machine
        while True:
            await self._bell.until(lambda: machine.request is not None)
            request = machine.request
            if request is None:
                continue
            if request.opens:
                await self._open(request.greeting)
            elif request.offer is not None:
                await self._copy(request.offer)

    async def _open(self, greeting: bytes) -> None:
        def wanted() -> bool:
            request = self._machine.request
            return request is not None and request.opens and request.greeting == greeting

        await self._device.close()
        if await self._attempts.until_done("open", lambda: self._device.open(greeting), wanted) is not None:
            self._machine.opened(greeting)

    async def _copy(self, offer: Offer) -> None:
        found: dict[bytes, KeyMaterial] = {}

        async def copies() -> bool:
            await self._device.copies(offer.names, offer.sizes, found)
            return True

        if await self._attempts.until_done("keys", copies, lambda: self._machine.is_current(offer)):
            self._health.lost(len(offer.names) - len(found))
            self._machine.hold(offer, found)

    async def _sealing(self) -> None:
        while True:
            await self._bell.until(lambda: bool(self._machine.sealing()))
            await self._seal(self._machine.sealing())

    async def _seal(self, names: Sequence[bytes]) -> None:
        await self._attempts.until_done("spend", lambda: self._device.consume(names))
        if self._machine.sealing() is not names:
            return  # the initiator has begun anew
        block = self._machine.seal()
        if block is not None:
            self._finish(*block)

    def _finish(self, sequence: int, material: KeyMaterial, answer: Callable[[], None]) -> None:
        def durable() -> None:
            self._disagreement.agree()
            self._deliver(sequence, material)
            answer()

        self._remember(sequence, durable)
