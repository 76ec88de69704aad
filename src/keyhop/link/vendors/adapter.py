"""The LinkAdapter around any vendor's device.

Devices of these kinds do not tell their QBER: the status shows none, and blocks carry 0.0 because they need a number.
"""

import asyncio
from collections.abc import Callable
from typing import Literal

from keyhop.core.errors import LinkError
from keyhop.core.keys import KeyMaterial
from keyhop.core.watched import watched
from keyhop.link.adapter import LinkBlock, LinkEnd, LinkStatus
from keyhop.link.vendors.device import Device
from keyhop.link.vendors.follower import Follower
from keyhop.link.vendors.follower_end import FollowerEnd
from keyhop.link.vendors.health import Health
from keyhop.link.vendors.initiator import Initiator
from keyhop.link.vendors.initiator_end import InitiatorEnd
from keyhop.link.vendors.messages import RUN_BYTES, Told, decode
from keyhop.link.vendors.telling import keep_telling

type Role = Literal["initiator", "follower"]


class VendorAdapter:
    """One end of a link that a vendor's device feeds. `block_bytes` counts at the initiator, as `max_rate_bps`."""

    physics = None

    def __init__(
        self,
        kind: str,
        role: Role,
        device: Device,
        end: LinkEnd,
        *,
        block_bytes: int,
        max_rate_bps: float | None = None,
    ) -> None:
        self.kind = kind
        self._role = role
        self._device = device
        self._end = end
        self._block_bytes = block_bytes
        self._max_rate_bps = max_rate_bps
        self._health = Health(end.clock)
        self._last = end.after
        self._life: _Life | None = None

    async def start(self, deliver: Callable[[LinkBlock], None]) -> None:
        """Begins to talk to the device and to the far end. Raises LinkError when already started, StoreFailure."""
        if self._life is not None:
            raise LinkError("the link is already started")
        remembered = self._end.memory.load()
        self._last = max(self._last, self._end.after, int.from_bytes(remembered) if remembered else -1)
        self._health.begin()
        life = self._life = _Life(self, deliver)
        self._end.channel.listen(life.received)
        life.begin()

    async def stop(self) -> None:
        """Ends it; nothing is delivered afterwards."""
        life, self._life = self._life, None
        if life is not None:
            self._end.channel.listen(None)
            await life.end()
            await self._device.close()
        self._health.end()

    def status(self) -> LinkStatus:
        """The link as this end sees it now."""
        return self._health.status(self._life.side.silence if self._life else "")

    def _side(self, life: "_Life") -> InitiatorEnd | FollowerEnd:
        end, kind = self._end, self.kind
        if self._role == "follower":
            run = end.entropy.token(RUN_BYTES)
            return FollowerEnd(
                self._device,
                lambda effects: Follower(kind, end.link, run, self._last, effects),
                end,
                self._health,
                life.remember,
                life.deliver,
            )
        return InitiatorEnd(
            self._device,
            lambda effects: Initiator(kind, end.link, self._block_bytes, self._last, effects),
            end,
            self._health,
            self._max_rate_bps,
            life.remember,
            life.deliver,
        )


class _Life:
    """From one start of an adapter to its stop."""

    def __init__(self, adapter: VendorAdapter, deliver: Callable[[LinkBlock], None]) -> None:
        self._adapter = adapter
        self._deliver = deliver
        self._over = False
        self._tasks: list[asyncio.Task[None]] = []
        self.side = adapter._side(self)

    def begin(self) -> None:
        """Its tasks run from here on."""
        telling = keep_telling(self._adapter._health, self._adapter._end)
        self._tasks = [watched(work, self._failed) for work in (*self.side.tasks(), telling)]

    def received(self, data: bytes) -> None:
        """A message of the far end. Raises PeerError."""
        message = decode(data)
        if isinstance(message, Told):
            self._adapter._health.far_end_says(message)
        else:
            self.side.received(message)

    async def end(self) -> None:
        """None of its tasks runs any more, and what waits for the store has no effect."""
        self._over = True
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    def remember(self, sequence: int, then: Callable[[], None]) -> None:
        """Makes it durable that a sequence is used."""
        adapter = self._adapter
        adapter._last = max(adapter._last, sequence)
        adapter._end.memory.save(sequence.to_bytes(8))
        adapter._end.memory.then(lambda: None if self._over else then())

    def deliver(self, sequence: int, material: KeyMaterial) -> None:
        """A block that both ends have."""
        if self._over:
            return
        adapter = self._adapter
        adapter._health.delivered(len(material))
        self._deliver(LinkBlock(sequence, material, 0.0, adapter._end.clock.wall(), adapter.kind))

    def _failed(self, failure: Exception) -> None:
        self._adapter._health.fault("adapter", f"the adapter failed ({type(failure).__name__})")
        asyncio.get_running_loop().call_exception_handler({"message": "a vendor link failed", "exception": failure})
