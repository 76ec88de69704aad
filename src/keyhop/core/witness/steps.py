"""Is the store the one that was last used? And the counting that makes this known at the next start."""

import msgspec

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.errors import ConfigurationError, StoreFailure
from keyhop.core.ids import KmeId
from keyhop.core.journal import Journal
from keyhop.core.store.base import KeyStore, Kind, Slot
from keyhop.core.witness.base import STORE_ID_BYTES, Statement, WitnessKeeper

STEP_S = 1.0
"""How long a step lasts in which the store changed; an older copy of the store is found out."""

_BEYOND = 1 << 32
"""Where a witness was lost: more steps than a store can have made since, so that no other copy of it ever fits."""

_SLOT = Slot("witness", "step")
_KINDS: tuple[Kind, ...] = ("stream", "record", "link", "adapter")


class Witness:
    """Judges a store when it is made, and opens its first step; durable with the journal's next flush.

    `restored` says, for people, why the store cannot be taken for the one that was last used; None when it can.
    Raises ConfigurationError for a witness of somebody else.
    """

    def __init__(
        self, me: KmeId, keeper: WitnessKeeper, store: KeyStore, journal: Journal, clock: Clock, entropy: Entropy
    ) -> None:
        self._keeper = keeper
        self._journal = journal
        self._clock = clock
        self.restored: str | None = None
        self._statement = self._judged(me, store, keeper.read(), entropy)
        self._opened_at = clock.monotonic()
        self._commits = 0
        self._opening = False
        self._open(self._statement)

    @property
    def step(self) -> int:
        """The step that is open or being opened."""
        return self._statement.step

    def tick(self) -> None:
        """Ends a step that has lasted long enough, if the store changed in it. Raises StoreFailure."""
        changed = self._journal.commits != self._commits
        if changed and not self._opening and self._clock.monotonic() >= self._opened_at + STEP_S:
            self.end_step()

    def end_step(self) -> None:
        """Opens the next step: no copy of the store from before is taken for the latest again. Raises StoreFailure."""
        self._open(msgspec.structs.replace(self._statement, step=self._statement.step + 1))

    def close(self) -> None:
        """Lets go of the witness."""
        self._keeper.close()

    def _judged(self, me: KmeId, store: KeyStore, told: Statement | None, entropy: Entropy) -> Statement:
        """What to state next."""
        held = store.read(_SLOT)
        stored = msgspec.msgpack.decode(held, type=Statement) if held else None
        _check_same(me, stored, told)
        if stored is None:
            if told is None:
                return Statement(me, entropy.token(STORE_ID_BYTES), 1)
            if any(any(store.scan(kind)) for kind in _KINDS):  # else it is new, and nothing in it can be old
                self.restored = "it is from before it had a witness"
        elif told is None:
            self.restored = "its witness is missing"
            return msgspec.structs.replace(stored, step=stored.step + _BEYOND)
        elif stored.step < told.step:
            self.restored = f"it is at step {stored.step}, and its witness has seen step {told.step}"
        elif stored.step > told.step + 1:
            self.restored = f"it is at step {stored.step}, and its witness was itself set back, to step {told.step}"
            return msgspec.structs.replace(stored, step=stored.step + _BEYOND)
        return msgspec.structs.replace(told, step=told.step + 1)

    def _open(self, statement: Statement) -> None:
        self._statement = statement
        self._opening = True
        self._journal.save(_SLOT, lambda: msgspec.msgpack.encode(statement))
        self._journal.then(lambda: self._tell(statement))

    def _tell(self, statement: Statement) -> None:
        try:
            self._keeper.write(statement)
        except StoreFailure as failure:
            self._journal.fail(failure)
            return
        self._opening = False
        self._opened_at = self._clock.monotonic()
        self._commits = self._journal.commits


def _check_same(me: KmeId, stored: Statement | None, told: Statement | None) -> None:
    if told is not None and told.node != me:
        raise ConfigurationError(
            f"the witness is of the node {told.node}", hint="[store] witness: each node has a witness of its own"
        )
    if told is not None and stored is not None and told.store != stored.store:
        raise ConfigurationError(
            "the witness is of another store of this node",
            hint="set data_dir and witness so that they belong together; if the store is an old copy and you want it "
            "all the same, move the witness away: the node then discards all keys that the store holds",
        )
