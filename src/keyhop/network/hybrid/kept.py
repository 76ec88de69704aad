"""The secrets that the follower of a stream holds."""

from collections.abc import Iterator

import msgspec

from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial, Stored
from keyhop.core.store.base import KeyStore, Slot
from keyhop.core.streams import FollowedStream
from keyhop.core.units import MAX_POSITION
from keyhop.network.hybrid.secret import Secret

SETTLED_S = 60.0
"""So long after the next secret has come, its owner surely makes no more keys with the one before."""

MAX_KEPT = 64
"""Of one stream. With another one the oldest goes, and keys that were made with it are not found any more."""


class _Stored(Stored):
    epoch: int
    shared: bytes
    number: int
    replaced_at: float | None = None
    below: int = 0


class _Kept:
    __slots__ = ("secret", "slot", "stored")

    def __init__(self, slot: Slot, stored: _Stored) -> None:
        self.slot = slot
        self.stored = stored
        self.secret = Secret(stored.epoch, KeyMaterial(stored.shared))


class KeptSecrets:
    """Of one stream. The newest of an epoch comes first."""

    def __init__(self, stream: FollowedStream, store: KeyStore, journal: Journal) -> None:
        self._stream = stream
        self._journal = journal
        self._prefix = stream.ref.slot("follower").name + "/"
        found = (_Kept(slot, msgspec.msgpack.decode(v, type=_Stored)) for slot, v in store.scan("hybrid", self._prefix))
        self._kept = sorted(found, key=lambda kept: -kept.stored.number)

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, epoch: int) -> Iterator[Secret]:
        """Those of an epoch."""
        return (kept.secret for kept in self._kept if kept.stored.epoch == epoch)

    def takes(self, epoch: int) -> bool:
        """Whether there are keys of that epoch, or may be some later."""
        return self._stream.holds_epoch(epoch) or epoch >= self._stream.epoch

    def named(self, check: bytes) -> Secret | None:
        """The one with that check, if it is here."""
        return next((kept.secret for kept in self._kept if kept.secret.check == check), None)

    def add(self, secret: Secret, now: float) -> None:
        """A new one, from the wall time `now` on; one that is here already changes nothing."""
        if any(kept.secret.check == secret.check for kept in self._kept):
            return
        for kept in self._kept:
            if kept.stored.replaced_at is None:
                same = kept.stored.epoch == secret.epoch
                kept.stored.replaced_at, kept.stored.below = now, self._stream.produced if same else MAX_POSITION
                self._save(kept)
        number = self._kept[0].stored.number + 1 if self._kept else 0
        slot = Slot("hybrid", f"{self._prefix}{number:016x}")
        self._kept.insert(0, _Kept(slot, _Stored(secret.epoch, secret.shared.reveal(), number)))
        self._save(self._kept[0])
        for oldest in self._kept[MAX_KEPT:]:
            self._forget(oldest)

    def forget_done(self, now: float, lifetime_s: float) -> None:
        """Forgets those of which no key can be fetched any more: bytes live for `lifetime_s`."""
        for kept in [each for each in self._kept if self._is_done(each.stored, now, lifetime_s)]:
            self._forget(kept)

    def forget_all(self) -> None:
        """None of them may be used."""
        for kept in list(self._kept):
            self._forget(kept)

    def _is_done(self, stored: _Stored, now: float, lifetime_s: float) -> bool:
        replaced = stored.replaced_at is not None and now - stored.replaced_at >= SETTLED_S
        if not self._stream.holds_epoch(stored.epoch):
            return replaced or stored.epoch < self._stream.epoch
        if stored.replaced_at is None or not replaced:
            return False
        lowest = self._stream.lowest_live(stored.epoch)
        return lowest is None or lowest >= stored.below or now - stored.replaced_at > lifetime_s

    def _forget(self, kept: _Kept) -> None:
        self._kept.remove(kept)
        self._journal.delete(kept.slot)

    def _save(self, kept: _Kept) -> None:
        self._journal.save(kept.slot, lambda: msgspec.msgpack.encode(kept.stored))
