"""Keys that are to be voided at another KMS, by the SAEs that they are for, and when it is to be asked for them.

There may be as many as are remembered at all, while the other KMS voids none: so nobody looks through all of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count, islice

from keyhop.core.ids import SaeId
from keyhop.service.etsi020.models import MAX_KEYS
from keyhop.service.etsi020.transfer import Saes


@dataclass(slots=True, eq=False)
class Void:
    """Those of the same SAEs. One call at a time asks for some of them."""

    saes: Saes
    were_relayed: bool
    """Then somebody may have been given them, before the other KMS forgot them."""
    missing: dict[bytes, set[SaeId]] = field(default_factory=dict)
    """Each with those of its targets that may still have it."""
    fresh: dict[bytes, None] = field(default_factory=dict)
    """Those that no call has asked for."""
    most: int = MAX_KEYS
    """So many are asked for at once."""
    attempts: int = 0
    asking: bool = False
    next_at: float | None = None
    """When the next call is due; None while there is one, or nothing to ask for."""

    def take_next(self) -> tuple[bytes, ...]:
        """Those for the next call: the fresh ones first, then those that were asked for longest ago."""
        keys = list(islice(self.fresh, self.most))
        others = (key_id for key_id in self.missing if key_id not in self.fresh)
        keys += islice(others, self.most - len(keys))
        for key_id in keys:
            self.fresh.pop(key_id, None)
            self.missing[key_id] = self.missing.pop(key_id)
        return tuple(keys)


class Voids:
    """All of them."""

    def __init__(self) -> None:
        self._of_saes: dict[tuple[Saes, bool], Void] = {}
        self._of_keys: dict[bytes, Void] = {}
        self._due: list[tuple[float, int, Void]] = []
        """Also times that no longer hold."""
        self._sequence = count()

    def __len__(self) -> int:
        return len(self._of_keys)

    def __iter__(self) -> Iterator[bytes]:
        return iter(tuple(self._of_keys))

    def concern(self, ids: frozenset[bytes]) -> bool:
        """Whether one of these keys is to be voided."""
        return not self._of_keys.keys().isdisjoint(ids)

    def add(self, saes: Saes, ids: Sequence[bytes], now: float, *, were_relayed: bool) -> None:
        """These are to be voided from now on."""
        if not ids:
            return
        self.done(ids)
        void = self._of_saes.setdefault((saes, were_relayed), Void(saes, were_relayed))
        for key_id in ids:
            void.missing[key_id], void.fresh[key_id] = set(saes.targets), None
            self._of_keys[key_id] = void
        if not void.asking:
            self.schedule(void, now)

    def schedule(self, void: Void, at: float) -> None:
        """Its next call is due then, or earlier."""
        if void.missing and (void.next_at is None or at < void.next_at):
            void.next_at = at
            heappush(self._due, (at, next(self._sequence), void))

    def next_due(self, now: float) -> Void | None:
        """The one whose call has been due for longest; then it is due no more."""
        while self._due and self._due[0][0] <= now:
            at, _, void = heappop(self._due)
            if void.missing and void.next_at == at:
                void.next_at = None
                return void
        return None

    def of(self, ids: Iterable[bytes]) -> list[tuple[Void, list[bytes]]]:
        """These keys, as far as they are to be voided, those of the same SAEs together."""
        found: dict[Void, list[bytes]] = {}
        for key_id in ids:
            void = self._of_keys.get(key_id)
            if void is not None:
                found.setdefault(void, []).append(key_id)
        return list(found.items())

    def done(self, ids: Iterable[bytes]) -> None:
        """Nothing more is to be done about these keys."""
        for key_id in ids:
            void = self._of_keys.pop(key_id, None)
            if void is not None:
                del void.missing[key_id]
                void.fresh.pop(key_id, None)
                if not void.missing and self._of_saes.get((void.saes, void.were_relayed)) is void:
                    del self._of_saes[void.saes, void.were_relayed]
