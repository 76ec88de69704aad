"""Trying again what a device could not do, for as long as it takes, and telling the operator meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable

from keyhop.link.adapter import Sleep
from keyhop.link.vendors.backoff import Backoff
from keyhop.link.vendors.device import DeviceFault, NoKeysNow
from keyhop.link.vendors.health import Health

FAULT_FIRST_S, FAULT_LIMIT_S = 0.5, 30.0
IDLE_FIRST_S, IDLE_LIMIT_S = 0.05, 1.0


class Bell:
    """Wakes those who wait for something to change."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Something has changed."""
        self._event.set()
        self._event = asyncio.Event()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Returns once that holds; it is looked at whenever the bell rings."""
        while not holds():
            await self._event.wait()


class Attempts:
    """Of one end of a link."""

    def __init__(self, health: Health, sleep: Sleep) -> None:
        self._health = health
        self._sleep = sleep

    async def until_done[T](
        self,
        activity: str,
        attempt: Callable[[], Awaitable[T]],
        while_wanted: Callable[[], bool] = lambda: True,
        passes: tuple[type[DeviceFault], ...] = (),
    ) -> T | None:
        """The result of the first attempt that works; None once it is no longer wanted. Raises what `passes`."""
        faults, idle = Backoff(FAULT_FIRST_S, FAULT_LIMIT_S), Backoff(IDLE_FIRST_S, IDLE_LIMIT_S)
        while while_wanted():
            try:
                result = await attempt()
            except passes:
                raise
            except NoKeysNow as reason:
                self._health.waiting(activity, reason.message)
                faults.reset()
                await self._sleep(idle.wait_s(reason.retry_after_s))
            except DeviceFault as fault:
                self._health.fault(activity, fault.message)
                await self._sleep(faults.wait_s())
            else:
                self._health.works(activity)
                return result
        self._health.works(activity)
        return None
