"""Records that are on their way to other KMEs, as long as it is not settled that all slaves can have them.

It is noted before they leave, and no more once their master is about to have them: so what a KME finds here when it
starts nobody was given, and nobody will be.
"""

from collections.abc import Iterator

import msgspec

from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.store.base import KeyStore, Slot

MAX_OUTGOING = 1 << 12


class Sent(msgspec.Struct, frozen=True):
    """A master's records for slaves at other KMEs; `ids` are those that SAEs show, `since` is wall time."""

    master: SaeId
    slaves_at: dict[KmeId, list[SaeId]]
    ids: bytes
    since: float


class Outgoing:
    """Of one KME, by a random name."""

    def __init__(self, store: KeyStore, journal: Journal) -> None:
        self._journal = journal
        stored = [
            (bytes.fromhex(slot.name), msgspec.msgpack.decode(value, type=Sent))
            for slot, value in store.scan("outgoing")
        ]
        self._sent = dict(sorted(stored, key=lambda each: each[1].since))
        self.found = tuple(self._sent)
        """What was under way when the process before this one stopped."""

    def __len__(self) -> int:
        return len(self._sent)

    def __iter__(self) -> Iterator[bytes]:
        return iter(tuple(self._sent))

    def __contains__(self, name: bytes) -> bool:
        return name in self._sent

    def __getitem__(self, name: bytes) -> Sent:
        return self._sent[name]

    def add(self, name: bytes, sent: Sent) -> None:
        """It leaves; durable with the journal. When there are too many, nothing more will be done about the oldest."""
        if len(self._sent) >= MAX_OUTGOING:
            self.drop(next(iter(self._sent)))
        self._sent[name] = sent
        self._journal.save(_slot(name), lambda: msgspec.msgpack.encode(sent))

    def drop(self, name: bytes) -> None:
        """It is settled. Idempotent."""
        if self._sent.pop(name, None) is not None:
            self._journal.delete(_slot(name))

    def forget_stored(self) -> None:
        """The store was an old copy: what it says is under way may have been given to masters since."""
        for name in self.found:
            self.drop(name)


def _slot(name: bytes) -> Slot:
    return Slot("outgoing", name.hex())
