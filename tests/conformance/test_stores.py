"""Both stores of the node pass the suite that is shipped."""

from pathlib import Path

from keyhop.core.keys import KeyMaterial
from keyhop.core.store.base import KeyStore
from keyhop.core.store.memory import MemoryStore
from keyhop.core.store.sqlite import SqliteStore
from keyhop.testing.store_conformance import StoreConformance


class TestMemoryStore(StoreConformance):
    def open_store(self, directory: Path, before: KeyStore | None) -> MemoryStore:
        assert before is None or isinstance(before, MemoryStore)
        return MemoryStore(before.values if before else None)


class TestSqliteStore(StoreConformance):
    def open_store(self, directory: Path, before: KeyStore | None) -> SqliteStore:
        return SqliteStore(directory / "store.db", KeyMaterial(bytes(range(32))))
