"""What became of keys, counted for metrics and status, and written into the audit log."""

from collections import Counter
from collections.abc import Iterator

from keyhop.core.audit import event_record
from keyhop.core.ids import KmeId
from keyhop.core.journal import Journal
from keyhop.service.etsi020.memory import Way
from keyhop.service.etsi020.transfer import Saes


class Accounts:
    """Of one other KMS; counts since the start."""

    def __init__(self, peer: KmeId, journal: Journal) -> None:
        self._peer = peer
        self._journal = journal
        self._keys: Counter[tuple[Way, str]] = Counter()

    def note(self, way: Way, outcome: str, saes: Saes, ids: tuple[bytes, ...], reason: str = "") -> None:
        """That has happened to these keys. Raises StoreFailure."""
        self._keys[way, outcome] += len(ids)
        why = {"reason": reason} if reason else {}
        self._journal.record(
            event_record(
                f"etsi020 keys {way}: {outcome}",
                peer=self._peer,
                initiator=saes.initiator,
                targets=" ".join(saes.targets),
                ids=b"".join(ids).hex(),
                **why,
            )
        )

    def refused(self) -> None:
        """A request that was not met."""
        self._keys["received", "refused"] += 1

    def __iter__(self) -> Iterator[tuple[Way, str, int]]:
        for (way, outcome), keys in sorted(self._keys.items()):
            yield way, outcome, keys
