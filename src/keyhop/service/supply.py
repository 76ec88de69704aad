"""Which stream the bytes of a key come from: the first that has them, or else the one that gets them first."""

from collections.abc import Callable, Sequence
from functools import partial

from keyhop.core.ids import SaePair
from keyhop.core.streams import Admission, Taken
from keyhop.network.leasing import Cancel
from keyhop.network.pair import Pair

type Supplied = Callable[[Pair, Taken | None], None]
"""Gets the bytes and the pair that they are of; or the first pair, and None when the wait is over without them."""


def at_once(
    pairs: Sequence[Pair], size: int, number: int, saes: SaePair, admission: Admission | None = None
) -> tuple[Pair, Taken] | None:
    """`number` keys of `size` bytes for a master and a slave, of the first pair that has them.

    The pairs are of one peer, in the order in which they are to be spent.
    """
    for pair in pairs:
        taken = pair.leasing.take(size, number, "delivered", saes, admission)
        if taken is not None:
            return pair, taken
    return None


def wait(
    pairs: Sequence[Pair],
    size: int,
    number: int,
    saes: SaePair,
    admission: Admission | None,
    deadline: float,
    supplied: Supplied,
) -> None:
    """The same, of the first pair that gets them before the deadline (monotonic seconds)."""
    _Wait(pairs, supplied).begin(size, number, saes, admission, deadline)


class _Wait:
    """For the first of several streams; the others are told when it is over."""

    def __init__(self, pairs: Sequence[Pair], supplied: Supplied) -> None:
        self._pairs = pairs
        self._supplied = supplied
        self._empty = 0
        self._over = False
        self._cancels: list[Cancel] = []

    def begin(self, size: int, number: int, saes: SaePair, admission: Admission | None, deadline: float) -> None:
        for pair in self._pairs:
            came = partial(self._came, pair)
            self._cancels.append(pair.leasing.wait(size, number, "delivered", deadline, came, saes, admission))
            if self._over:
                return

    def _came(self, pair: Pair, taken: Taken | None) -> None:
        if self._over:  # a stream serves several at once, and the first of them made way for us in the other stream
            if taken is not None:
                pair.owned.ledger.rebook("delivered", "voided", len(taken.data))
            return
        self._empty += taken is None
        if taken is None and self._empty < len(self._pairs):
            return
        self._over = True
        for cancel in self._cancels:
            cancel()
        self._supplied(self._pairs[0] if taken is None else pair, taken)
