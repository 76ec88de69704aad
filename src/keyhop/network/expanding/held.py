"""The seeds of a followed stream."""

import msgspec

from keyhop.core.journal import Journal
from keyhop.core.key_id import Located
from keyhop.core.keys import Stored
from keyhop.core.store.base import KeyStore, Slot
from keyhop.core.streams import FollowedStream, Place
from keyhop.network.expanding.messages import SeedTaken
from keyhop.network.expanding.pads import SEED_BYTES, expanded

MAX_HELD = 2
"""The one in use, and the one that its owner may not know to be here."""


class _Seed(Stored):
    epoch: int
    position: int
    seed: bytes
    sources: tuple[str, ...]
    used: int = 0


class HeldSeeds:
    """Newest last."""

    def __init__(self, stream: FollowedStream, store: KeyStore, journal: Journal) -> None:
        self._stream = stream
        self._journal = journal
        self._prefix = stream.ref.slot("follower").name + "/"
        stored = (msgspec.msgpack.decode(value, type=_Seed) for _, value in store.scan("seed", self._prefix))
        self._seeds = sorted(stored, key=lambda seed: (seed.epoch, seed.position))

    def __len__(self) -> int:
        return len(self._seeds)

    def keep(self, message: SeedTaken) -> bool:
        """Whether the seed is here, for good with the journal's next commit."""
        if self._find(message.epoch, message.position):
            return True
        place = Place(message.epoch, Located(message.position, SEED_BYTES))
        if not self._stream.has(place):
            return False
        seed, ages = self._stream.consume(place, "seed")
        sources = tuple(dict.fromkeys(age.source for _, age in ages))
        self._seeds.append(_Seed(message.epoch, message.position, seed, sources))
        self._save(self._seeds[-1])
        for oldest in self._seeds[:-MAX_HELD]:
            self._forget(oldest)
        return True

    def sources(self, epoch: int, position: int) -> tuple[str, ...]:
        """What made the bytes of a seed; nothing when it is not here."""
        seed = self._find(epoch, position)
        return seed.sources if seed else ()

    def pad(self, epoch: int, position: int, number: int, size_bytes: int) -> bytes | None:
        """The pad of a number that was not used yet; None for any other."""
        seed = self._find(epoch, position)
        return expanded(seed.seed, number, size_bytes) if seed is not None and number > seed.used else None

    def used(self, epoch: int, position: int, number: int) -> None:
        """The pad of this number is used, and so are those before it."""
        seed = self._find(epoch, position)
        assert seed is not None  # its pad was asked for
        seed.used = number
        self._save(seed)

    def forget_done(self) -> None:
        """Forgets those of epochs of which nothing is left here: their owner has closed them, or we have forgotten what
        we used."""
        for seed in [each for each in self._seeds if not self._stream.holds_epoch(each.epoch)]:
            self._forget(seed)

    def _find(self, epoch: int, position: int) -> _Seed | None:
        return next((seed for seed in self._seeds if (seed.epoch, seed.position) == (epoch, position)), None)

    def _forget(self, seed: _Seed) -> None:
        self._seeds.remove(seed)
        self._journal.delete(self._slot(seed))

    def _save(self, seed: _Seed) -> None:
        self._journal.save(self._slot(seed), lambda: msgspec.msgpack.encode(seed))

    def _slot(self, seed: _Seed) -> Slot:
        return Slot("seed", f"{self._prefix}{seed.epoch:016x}/{seed.position:09x}")
