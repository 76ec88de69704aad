"""What every `KeyStore` must do, as tests: subclass `StoreConformance`, say how a store is opened, run pytest.

class TestMyStore(StoreConformance):
    def open_store(self, directory, before):
        return MyStore(directory / "store")
"""

from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from keyhop.core.errors import StoreFailure
from keyhop.core.store.base import KeyStore, Kind, Slot

KINDS: tuple[Kind, ...] = ("stream", "chunk", "record", "link")
ODD_NAMES = (
    "a b",
    "a/b",
    "a%2Fb",
    "ä",
    "ß",
    "名",
    "🔑",
    "'; DROP TABLE slots; --",
    "%",
    "_",
    "*",
    "\\",
    "\t",
    "x" * 500,
)


class StoreConformance(ABC):
    """The suite. Directories are fresh for each test."""

    big_value_bytes = 8 << 20

    @abstractmethod
    def open_store(self, directory: Path, before: KeyStore | None) -> KeyStore:
        """Opens the store of a directory. `before` is the closed store that was open there, if any: the new one
        holds what that one held."""

    def reopen(self, directory: Path, store: KeyStore) -> KeyStore:
        """The same store after a restart."""
        store.close()
        return self.open_store(directory, store)

    def test_an_empty_store_holds_nothing(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path, None)
        assert store.read(Slot("stream", "a")) is None
        assert [list(store.scan(kind)) for kind in KINDS] == [[], [], [], []]
        store.close()

    def test_values_are_read_as_they_were_written(self, tmp_path: Path) -> None:
        values = [b"", b"\0", bytes(range(256)), b"\xff" * 4096, b"text", b"a\0b"]
        store = self.open_store(tmp_path, None)
        slots = {Slot("chunk", f"{i}"): value for i, value in enumerate(values)}
        store.commit(slots)
        assert {slot: store.read(slot) for slot in slots} == slots
        store = self.reopen(tmp_path, store)
        assert {slot: store.read(slot) for slot in slots} == slots
        store.close()

    def test_what_was_committed_survives_a_restart(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path, None)
        for i in range(20):
            store.commit({Slot("chunk", f"{i:02}"): bytes([i]), Slot("stream", "state"): bytes([i])})
        store = self.reopen(tmp_path, store)
        assert store.read(Slot("stream", "state")) == bytes([19])
        assert list(store.scan("chunk")) == [(Slot("chunk", f"{i:02}"), bytes([i])) for i in range(20)]
        store.close()

    def test_a_value_can_be_replaced_and_deleted(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path, None)
        kept, gone = Slot("stream", "kept"), Slot("stream", "gone")
        store.commit({kept: b"old", gone: b"x"})
        store.commit({kept: b"new", gone: None})
        assert (store.read(kept), store.read(gone)) == (b"new", None)
        store = self.reopen(tmp_path, store)
        assert (store.read(kept), store.read(gone)) == (b"new", None)
        store.commit({gone: b"back"})
        assert store.read(gone) == b"back"
        store.close()

    def test_deleting_what_is_not_there_is_harmless(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path, None)
        store.commit({Slot("record", "never"): None, Slot("record", "other"): b"x"})
        assert list(store.scan("record")) == [(Slot("record", "other"), b"x")]
        store.close()

    def test_an_empty_commit_is_harmless(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path, None)
        store.commit({})
        store.commit({Slot("link", "a"): b"1"})
        assert store.read(Slot("link", "a")) == b"1"
        store.close()

    def test_kinds_are_apart(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path, None)
        store.commit({Slot(kind, "same"): kind.encode() for kind in KINDS})
        for kind in KINDS:
            assert list(store.scan(kind)) == [(Slot(kind, "same"), kind.encode())]
        store.commit({Slot("chunk", "same"): None})
        assert store.read(Slot("record", "same")) == b"record"
        store.close()

    def test_a_scan_is_in_the_order_of_names_whatever_the_order_of_writing(self, tmp_path: Path) -> None:
        names = ["b", "a", "ab", "a/b", "B", "10", "9", "ä", "a\t", "~"]
        store = self.open_store(tmp_path, None)
        for name in names:
            store.commit({Slot("chunk", name): name.encode()})
        expected = [(Slot("chunk", name), name.encode()) for name in sorted(names)]
        assert list(store.scan("chunk")) == expected
        store = self.reopen(tmp_path, store)
        assert list(store.scan("chunk")) == expected
        store.close()

    @pytest.mark.parametrize("prefix", ["", "a", "a/", "A", "%", "_", "*", "[a]", "ä", "a/b/0", "zz"])
    def test_a_scan_finds_exactly_the_names_with_its_prefix(self, tmp_path: Path, prefix: str) -> None:
        names = ["a", "a/", "a/b", "a/b/0", "a/b/01", "A/b", "ab", "%", "%a", "_a", "*", "[a]", "ä/1", "äb", "z"]
        store = self.open_store(tmp_path, None)
        store.commit({Slot("chunk", name): b"" for name in names})
        found = [slot.name for slot, _ in store.scan("chunk", prefix)]
        assert found == sorted(name for name in names if name.startswith(prefix))
        store.close()

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_odd_names_are_names(self, tmp_path: Path, name: str) -> None:
        store = self.open_store(tmp_path, None)
        store.commit({Slot("record", name): b"here", Slot("record", name + "x"): b"there"})
        store = self.reopen(tmp_path, store)
        assert store.read(Slot("record", name)) == b"here"
        assert [slot.name for slot, _ in store.scan("record", name)] == [name, name + "x"]
        store.commit({Slot("record", name): None})
        assert [slot.name for slot, _ in store.scan("record")] == [name + "x"]
        store.close()

    def test_a_big_value_and_many_values(self, tmp_path: Path) -> None:
        big = bytes(range(256)) * (self.big_value_bytes // 256)
        many = {Slot("chunk", f"{i:05}"): bytes([i % 256]) * 64 for i in range(2000)}
        store = self.open_store(tmp_path, None)
        store.commit({Slot("stream", "big"): big, **many})
        store = self.reopen(tmp_path, store)
        assert store.read(Slot("stream", "big")) == big
        assert dict(store.scan("chunk")) == many
        store.close()

    def test_a_closed_store_refuses_everything(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path, None)
        store.commit({Slot("stream", "a"): b"1"})
        store.close()
        store.close()
        with pytest.raises(StoreFailure):
            store.commit({Slot("stream", "a"): b"2"})
        with pytest.raises(StoreFailure):
            store.read(Slot("stream", "a"))
        with pytest.raises(StoreFailure):
            list(store.scan("stream"))
        store = self.open_store(tmp_path, store)
        assert store.read(Slot("stream", "a")) == b"1"
        store.close()

    def test_what_a_caller_does_to_its_mapping_later_changes_nothing(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path, None)
        slot = Slot("stream", "a")
        writes: dict[Slot, bytes | None] = {slot: b"1"}
        store.commit(writes)
        writes[slot] = b"2"
        assert store.read(slot) == b"1"
        store.close()
