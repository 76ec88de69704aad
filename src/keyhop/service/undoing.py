"""Records that did not come together are taken back from the KMEs that may have them: until these say that they have
none, or would have none any more because of its age.

What left may still be under way when it is taken back: over relays that wait for pads, for example. So each KME is
asked at once and, until it answers, once more when nothing can arrive any longer. It is the same after a restart,
for all that was not settled before (`core.outgoing`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import msgspec

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.ids import KEY_ID_BYTES, KmeId, SaeId
from keyhop.core.outgoing import Outgoing, Sent
from keyhop.network.peer import Peer
from keyhop.network.reclaiming import Gone, Keys

LATE_S = 45.0
"""A parcel whose source has given up comes together within 30 seconds, if ever (`relay.places.WAIT_S`)."""


@dataclass(slots=True)
class _Failed:
    """`ask_at` is when nothing can arrive any longer, in monotonic seconds."""

    ask_at: float
    waiting: set[KmeId] = field(default_factory=set)
    asked: bool = False
    stops: list[Callable[[], None]] = field(default_factory=list)
    """What keeps its questions from being asked again."""


class Undoing:
    """Of one KME."""

    def __init__(
        self,
        peers: Mapping[KmeId, Peer],
        outgoing: Outgoing,
        lifetime_s: Callable[[], float],
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """`lifetime_s` is how long other KMEs may keep records."""
        self._peers = peers
        self._outgoing = outgoing
        self._lifetime_s = lifetime_s
        self._clock = clock
        self._entropy = entropy
        self._failed: dict[bytes, _Failed] = {}

    def begin(
        self, master: SaeId, slaves_at: Mapping[KmeId, tuple[SaeId, ...]], ids: bytes, batch: bytes = b""
    ) -> bytes:
        """Records are about to leave in that batch, or have left in any; returns what they are called here."""
        name = self._entropy.token(KEY_ID_BYTES)
        slaves = {kme: list(saes) for kme, saes in sorted(slaves_at.items())}
        self._outgoing.add(name, Sent(master, slaves, ids, self._clock.wall(), batch))
        return name

    def settle(self, name: bytes) -> None:
        """All slaves can have them, and the master may know."""
        self._outgoing.drop(name)

    def spare(self, name: bytes, kme: KmeId) -> None:
        """That KME has kept nothing of them, and what it has under one of their IDs stays."""
        if name not in self._outgoing:
            return
        sent = self._outgoing[name]
        rest = {each: slaves for each, slaves in sent.slaves_at.items() if each != kme}
        if rest:
            self._outgoing.add(name, msgspec.structs.replace(sent, slaves_at=rest))
        else:
            self._outgoing.drop(name)

    def undo(self, name: bytes) -> None:
        """Nothing more of them leaves, and nobody was given them or will be."""
        if name not in self._outgoing:
            return
        sent, ask_at = self._outgoing[name], self._clock.monotonic() + LATE_S
        failed = self._failed[name] = _Failed(ask_at, set(sent.slaves_at))
        for kme in sent.slaves_at:
            self._ask(name, kme, failed, ask_at, lambda ids: None)

    def resume(self) -> None:
        """Once, after a start; what was undone since may have made the oldest go."""
        for name in self._outgoing.found:
            if name in self._outgoing:
                kmes = set(self._outgoing[name].slaves_at) & self._peers.keys()
                self._failed[name] = _Failed(self._clock.monotonic() + LATE_S, kmes)

    def tick(self) -> None:
        """Time has passed: asks what is still to be asked."""
        now = self._clock.monotonic()
        for name, failed in list(self._failed.items()):
            if name not in self._outgoing:  # others came instead, or the store was an old copy
                del self._failed[name]
                for stop in failed.stops:
                    stop()
            elif not failed.asked and failed.ask_at <= now:
                failed.asked = True
                self._ask_again(name, failed)

    def _ask_again(self, name: bytes, failed: _Failed) -> None:
        now = self._clock.monotonic()
        until = now + self._outgoing[name].since + 2 * self._lifetime_s() - self._clock.wall()

        def told(kme: KmeId, _ids: bytes | None) -> None:
            failed.waiting.discard(kme)
            if not failed.waiting:
                self._outgoing.drop(name)

        for kme in sorted(failed.waiting):
            self._ask(name, kme, failed, until, partial(told, kme))
        if not failed.waiting:
            self._outgoing.drop(name)

    def _ask(self, name: bytes, kme: KmeId, failed: _Failed, until: float, told: Gone) -> None:
        sent = self._outgoing[name]
        keys = Keys(sent.master, tuple(sent.slaves_at[kme]), sent.ids, spare_fetched=False, batch=sent.batch)
        failed.stops.append(self._peers[kme].relayed.reclaiming.reclaim(keys, until, told))
