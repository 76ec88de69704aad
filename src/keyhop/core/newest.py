"""So many values under names of bytes, in memory and in the store: when there are too many the oldest go."""

from collections.abc import Callable, Iterator

import msgspec

from keyhop.core.journal import Journal
from keyhop.core.store.base import KeyStore, Kind, Slot


class Newest[T: msgspec.Struct]:
    """Of one KME and one kind of slot. What is added or dropped is durable with the journal."""

    def __init__(
        self, kind: Kind, value: type[T], since: Callable[[T], float], most: int, store: KeyStore, journal: Journal
    ) -> None:
        """`since` tells the age of a value that is found in the store, in wall time."""
        self._kind = kind
        self.most = most
        self._journal = journal
        stored = [(bytes.fromhex(slot.name), msgspec.msgpack.decode(v, type=value)) for slot, v in store.scan(kind)]
        self._values = dict(sorted(stored, key=lambda each: since(each[1])))

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[bytes]:
        return iter(tuple(self._values))

    def __contains__(self, name: bytes) -> bool:
        return name in self._values

    def __getitem__(self, name: bytes) -> T:
        return self._values[name]

    def get(self, name: bytes) -> T | None:
        """The value, if it is there."""
        return self._values.get(name)

    def add(self, name: bytes, value: T) -> None:
        """The newest from now on; it takes the place of an older one."""
        self._values.pop(name, None)
        if len(self._values) >= self.most:
            self.drop(next(iter(self._values)))
        self._values[name] = value
        self._journal.save(self._slot(name), lambda: msgspec.msgpack.encode(value))

    def drop(self, name: bytes) -> None:
        """It is there no more. Idempotent."""
        if self._values.pop(name, None) is not None:
            self._journal.delete(self._slot(name))

    def _slot(self, name: bytes) -> Slot:
        return Slot(self._kind, name.hex())
