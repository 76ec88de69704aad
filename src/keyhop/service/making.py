"""Keys of streams at both ends: their IDs, and, where the policy wants it, more than the bytes of the stream."""

from collections.abc import Iterable, Iterator

from keyhop.core.combiners import Combiner
from keyhop.core.errors import Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.streams import Ages, FollowedStream, Taken, Uses, plain
from keyhop.network.hybrid.combining import COMBINERS, combined, use_of
from keyhop.network.pair import Pair
from keyhop.service.lookup import InStream
from keyhop.service.policy import PairPolicy
from keyhop.service.requests import KeyRun


def make_keys(
    pair: Pair, policy: PairPolicy, master: SaeId, slave: SaeId, taken: Taken, size: int, number: int
) -> KeyRun:
    """The master's keys, out of bytes that were taken for them. Raises Unavailable, and the bytes are lost."""
    key_ids = pair.owned.key_ids
    assert key_ids is not None  # bytes were taken, so the epoch is open
    if policy.hybrid == "none":
        ids = key_ids.pair(master, slave).seal(taken.position, size, number)
        return KeyRun(ids, size, KeyMaterial(taken.data))
    secret, combiner = pair.hybrid.secret, COMBINERS[policy.hybrid]
    if secret is None:
        raise no_secret(pair.peer)
    ids = key_ids.pair(master, slave, use_of(combiner, secret)).seal(taken.position, size, number)
    keys = combined(combiner, secret.shared, master, slave, ids, size, taken.data)
    return KeyRun(ids, size, KeyMaterial(keys), combiner)


class Remaking:
    """The slave's keys, made by one combiner or none, out of streams from the master's KME."""

    def __init__(self, pairs: Iterable[Pair], combiner: Combiner | None) -> None:
        self._pairs = {pair.followed.ref.route: pair for pair in pairs}
        self._combiner = combiner

    def uses(self, stream: FollowedStream) -> Uses:
        """To what the IDs of such keys are bound."""
        combiner = self._combiner
        if combiner is None:
            return plain
        kept = self._pairs[stream.ref.route].hybrid.kept
        return lambda epoch: (use_of(combiner, secret) for secret in kept.of(epoch))

    def take(self, found: InStream, master: SaeId, slave: SaeId, ids: bytes) -> tuple[KeyRun, Ages]:
        """What was found, out of its stream: the keys, and the ages of the stream's bytes."""
        place, combiner = found.place, self._combiner
        data, ages = found.stream.consume(place, "delivered", found.number)
        size = place.located.size_bytes
        if combiner is None:
            return KeyRun(ids, size, KeyMaterial(data)), ages
        kept = self._pairs[found.stream.ref.route].hybrid.kept
        secret = next(each for each in kept.of(place.epoch) if use_of(combiner, each) == place.use)
        keys = combined(combiner, secret.shared, master, slave, ids, size, data)
        return KeyRun(ids, size, KeyMaterial(keys), combiner), ages


def any_use(pair: Pair) -> Uses:
    """To what keys of this stream may be bound, whatever the policy was when they were made."""

    def uses(epoch: int) -> Iterator[bytes]:
        yield from plain(epoch)
        for secret in pair.hybrid.kept.of(epoch):
            yield from (use_of(combiner, secret) for combiner in COMBINERS.values())

    return uses


_AS_THEY_ARE = Remaking((), None)


def remaking(pairs: Iterable[Pair], policy: PairPolicy) -> Remaking:
    """For keys of a policy."""
    return _AS_THEY_ARE if policy.hybrid == "none" else Remaking(pairs, COMBINERS[policy.hybrid])


def no_secret(kme: KmeId) -> Unavailable:
    """Keys are to be combined with a secret, and there is none."""
    return Unavailable(f"no ML-KEM secret is agreed on with KME {kme} yet", retry_after_s=1.0)
