"""One durable commit for everything that one turn of the event loop decided, and what may happen only after it.

State machines change their memory at once and note here which slots changed. The owner of the journal (the node's
loop, or a simulation) flushes it: one store commit, then one write of the audit log, then the effects, in the order in
which they were noted. When commit or write fail, no effect runs; the journal is dead, and tells everyone who asked to
be told.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress

from keyhop.core.audit import AuditSink, NoAudit
from keyhop.core.errors import StoreFailure
from keyhop.core.store.base import KeyStore, Slot

type _Effect = tuple[Callable[[], None], Callable[[StoreFailure], None] | None]
"""What happens once a commit is durable, and what happens when it fails."""


class Journal:
    """Collects writes and effects. A slot that is noted several times is written once, as it is at the flush.

    Once it has failed it raises StoreFailure for whatever should be noted, and has then noted nothing of it.
    """

    def __init__(self, store: KeyStore, wake: Callable[[], None], audit: AuditSink | None = None) -> None:
        """`wake` is called when there is something to flush; it shall arrange for a `flush` soon."""
        self._store = store
        self._audit = audit or NoAudit()
        self._wake = wake
        self._writes: dict[Slot, Callable[[], bytes] | None] = {}
        self._records: list[bytes] = []
        self._effects: list[_Effect] = []
        self._awake = False
        self.failure: StoreFailure | None = None
        self.on_failure: list[Callable[[StoreFailure], None]] = []
        self.commits = 0

    def save(self, slot: Slot, encode: Callable[[], bytes]) -> None:
        """Notes that the slot shall hold what `encode` gives at the flush."""
        self._stir()
        self._writes[slot] = encode

    def delete(self, slot: Slot) -> None:
        """Notes that the slot shall be empty."""
        self._stir()
        self._writes[slot] = None

    def record(self, record: bytes) -> None:
        """Notes a record for the audit log: it is written before any effect of this turn happens."""
        self._stir()
        self._records.append(record)

    def then(self, effect: Callable[[], None], otherwise: Callable[[StoreFailure], None] | None = None) -> None:
        """Notes what may happen once all that was noted so far is durable, and what happens if that fails."""
        self._stir()
        self._effects.append((effect, otherwise))

    @property
    def dirty(self) -> bool:
        """Whether a flush would write anything."""
        return bool(self._writes) and self.failure is None

    def flush(self) -> None:
        """Commits and lets the effects happen. Effects may note more: that waits for the next flush.

        Whatever effects raise is raised together, once all of them have had their turn.
        """
        self._awake = False
        writes, self._writes = self._writes, {}
        records, self._records = self._records, []
        effects, self._effects = self._effects, []
        if self.failure is None:
            try:
                if writes:
                    self._store.commit({slot: encode and encode() for slot, encode in writes.items()})
                    self.commits += 1
                if records:
                    self._audit.write(records)
            except StoreFailure as failure:
                self.fail(failure)
            except Exception as error:  # noqa: BLE001 - the writes are lost: memory is ahead of the store for good
                self.fail(StoreFailure(f"a commit could not be made: {type(error).__name__}"))
        self._happen(effects)

    def _happen(self, effects: Iterable[_Effect]) -> None:
        """Unless the commit has failed, or as long as none of them finds out that something else has: then the rest is
        told instead."""
        broken: list[Exception] = []
        for happens, otherwise in effects:
            if self.failure is not None:
                _tell([otherwise] if otherwise else [], self.failure)
                continue
            try:
                happens()
            except Exception as error:  # noqa: BLE001 - raised below
                broken.append(error)
        if broken:
            raise ExceptionGroup("effects of the journal", broken)

    def fail(self, failure: StoreFailure) -> None:
        """Stops everything: called for a failed commit, and by whoever finds that the store cannot be read."""
        if self.failure is None:
            self.failure = failure
            _tell(self.on_failure, failure)

    def _stir(self) -> None:
        if self.failure is not None:
            raise self.failure
        if not self._awake:
            self._awake = True
            self._wake()


def _tell(those: Iterable[Callable[[StoreFailure], None]], failure: StoreFailure) -> None:
    for tell in those:
        with suppress(StoreFailure):  # what it would note in turn is refused, and the next one is told all the same
            tell(failure)
