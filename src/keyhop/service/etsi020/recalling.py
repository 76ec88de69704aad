"""Keys that this domain has handed over, and takes back: before their master had them, or because it voids them."""

from collections.abc import Iterable

from keyhop.core.errors import StoreFailure
from keyhop.core.journal import Journal
from keyhop.service.etsi020.memory import KeyMemory
from keyhop.service.etsi020.sending import Sending
from keyhop.service.etsi020.transfer import Saes, Voided
from keyhop.service.etsi020.voiding import Voiding


class Recalling:
    """From one other KMS."""

    def __init__(self, memory: KeyMemory, sending: Sending, voiding: Voiding, journal: Journal) -> None:
        self._memory = memory
        self._sending = sending
        self._voiding = voiding
        self._journal = journal

    def recall(self, ids: Iterable[bytes]) -> None:
        """Nobody was given these keys and nobody shall be."""
        ids = tuple(ids)
        self._sending.give_up(ids, "they were recalled")
        by_saes: dict[Saes, list[bytes]] = {}
        for key_id in ids:
            if (entry := self._memory.get(key_id)) is not None and entry.fate == "relayed":
                by_saes.setdefault(entry.saes, []).append(key_id)
        for saes, keys in by_saes.items():
            self._memory.settle(keys, "under way")
            self._voiding.void(saes, tuple(keys))

    def void(self, saes: Saes, ids: tuple[bytes, ...], deadline: float, done: Voided) -> None:
        """Takes keys of these SAEs back, which the master may have been given; calls `done` once, by `deadline`
        (monotonic seconds) or soon after it. To ask again does no harm."""
        known = [k for k in ids if (entry := self._memory.get(k)) and entry.saes.are(saes)]
        self._sending.give_up(known, "they were voided")
        relayed = tuple(key_id for key_id in known if self._memory[key_id].fate == "relayed")
        self._memory.settle(relayed, "voiding")
        self._voiding.void(saes, relayed, were_relayed=True)

        def told(in_time: bool) -> None:
            gone = frozenset(k for k in known if (e := self._memory.get(k)) and e.fate in ("failed", "voided"))
            try:
                self._journal.then(lambda: done(gone if in_time else None), lambda failure: done(None))
            except StoreFailure:
                done(None)

        self._voiding.when_answered(known, deadline, told)
