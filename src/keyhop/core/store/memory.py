"""A store that forgets everything when the process ends."""

from collections.abc import Iterator, Mapping

from keyhop.core.errors import StoreFailure
from keyhop.core.store.base import Kind, Slot


class MemoryStore:
    """Keeps values in a dict. `values` may be handed to another instance: that is a restart, or a restored copy."""

    def __init__(self, values: Mapping[Slot, bytes] | None = None) -> None:
        self.values: dict[Slot, bytes] = dict(values or {})
        self._open = True

    def commit(self, writes: Mapping[Slot, bytes | None]) -> None:
        self._check()
        for slot, value in writes.items():
            if value is None:
                self.values.pop(slot, None)
            else:
                self.values[slot] = value

    def read(self, slot: Slot) -> bytes | None:
        self._check()
        return self.values.get(slot)

    def scan(self, kind: Kind, prefix: str = "") -> Iterator[tuple[Slot, bytes]]:
        self._check()
        names = sorted(s for s in self.values if s.kind == kind and s.name.startswith(prefix))
        return iter([(slot, self.values[slot]) for slot in names])

    def close(self) -> None:
        self._open = False

    def _check(self) -> None:
        if not self._open:
            raise StoreFailure("the store is closed")
