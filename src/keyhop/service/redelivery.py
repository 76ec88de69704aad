"""The re-delivery window: a slave whose answer was lost may have the same keys once more, for a few seconds.

Off unless the policy names a window. What was sent is then kept in memory and nowhere else, until it was sent again,
its time is over, or newer keys need its room. The rules:

 1. Only the slave that was sent a key, asking for it as that master's, gets it again.
 2. It gets it again once, within `redelivery_s` of the first time.
 3. At most `redelivery_bytes` are kept; the oldest go first.
"""

from typing import NamedTuple

from keyhop.core.clock import Clock
from keyhop.core.ids import KEY_ID_BYTES, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.service.policy import Policy
from keyhop.service.requests import KeyRun, Mark

OVERHEAD_BYTES = 512
"""What a kept key costs beside its own bytes, as it is counted here."""

type _Name = tuple[bytes, SaeId, SaeId]


class _Sent(NamedTuple):
    key: KeyMaterial
    at: float
    until: float
    mark: Mark | None


class Redelivery:
    """What was sent a moment ago, oldest first."""

    def __init__(self, clock: Clock, policy: Policy) -> None:
        self._clock = clock
        self._policy = policy
        self._sent: dict[_Name, _Sent] = {}
        self._bytes = 0

    @property
    def on(self) -> bool:
        """Whether the policy has a window."""
        return self._policy.redelivery_s > 0

    @property
    def kept_bytes(self) -> int:
        """How much of `redelivery_bytes` is in use."""
        return self._bytes

    def limit(self, policy: Policy) -> None:
        """Takes over another policy. A shorter window holds at once, also for what is kept."""
        window_s = policy.redelivery_s
        self._sent = {n: sent._replace(until=min(sent.until, sent.at + window_s)) for n, sent in self._sent.items()}
        self._policy = policy
        self.tick()

    def keep(self, master: SaeId, slave: SaeId, run: KeyRun) -> None:
        """Notes keys that are sent for the first time, while the policy has a window."""
        if not self.on:
            return
        now = self._clock.monotonic()
        until = now + self._policy.redelivery_s
        ids, size, secret = run.ids, run.size_bytes, run.material.reveal()
        for index in range(run.count):
            name = (ids[KEY_ID_BYTES * index : KEY_ID_BYTES * (index + 1)], master, slave)
            self._forget(name)
            self._sent[name] = _Sent(KeyMaterial(secret[size * index : size * (index + 1)]), now, until, run.mark)
            self._bytes += size + OVERHEAD_BYTES
        self._make_room()

    def holds(self, master: SaeId, slave: SaeId, key_id: bytes) -> bool:
        """Whether this slave may have the key once more."""
        sent = self._sent.get((key_id, master, slave))
        return sent is not None and sent.until > self._clock.monotonic()

    def take(self, master: SaeId, slave: SaeId, key_id: bytes) -> KeyRun:
        """The key, for the second and last time. The caller has asked `holds`."""
        sent = self._sent[key_id, master, slave]
        self._forget((key_id, master, slave))
        return KeyRun(key_id, len(sent.key), sent.key, sent.mark)

    def tick(self) -> None:
        """Forgets what is too old, or too much."""
        now = self._clock.monotonic()
        while self._sent and (name := next(iter(self._sent))) and self._sent[name].until <= now:
            self._forget(name)
        self._make_room()

    def clear(self) -> None:
        """Forgets everything."""
        self._sent.clear()
        self._bytes = 0

    def _make_room(self) -> None:
        while self._bytes > self._policy.redelivery_bytes:
            self._forget(next(iter(self._sent)))

    def _forget(self, name: _Name) -> None:
        sent = self._sent.pop(name, None)
        if sent is not None:
            self._bytes -= len(sent.key) + OVERHEAD_BYTES
