"""A database and a WAL of two times are never taken for one store."""

import random
import shutil
from itertools import combinations
from pathlib import Path

import pytest

from keyhop.core.errors import ConfigurationError
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.base import Slot
from keyhop.core.store.sqlite import SqliteStore

KEY = KeyMaterial(bytes(range(32)))
CHUNKS = [Slot("chunk", str(number)) for number in range(200)]
ROUND = Slot("stream", "round")
COMMITS, COPIED = 240, 12
"""So many that the WAL begins anew some times, and each how many a copy is made."""

type Values = dict[Slot, bytes]


def values_of(store: SqliteStore) -> Values:
    return {slot: value for kind in ("chunk", "stream") for slot, value in store.scan(kind)}


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Values]]:
    """What a kill would leave at some moments of one life: a directory each, and the values that it should hold."""
    random_ = random.Random(1)
    living = tmp_path_factory.mktemp("living")
    store = SqliteStore(living / "store.db", KEY)
    values: Values = dict.fromkeys(CHUNKS, bytes(20_000))
    store.commit(values)
    made: list[tuple[Path, Values]] = []
    for number in range(COMMITS):
        writes = {slot: str(number).encode() * 5_000 for slot in random_.sample(CHUNKS[: 20 + number % 100], 3)}
        writes[ROUND] = str(number).encode()
        store.commit(writes)
        values = values | writes
        if number % COPIED == 0:
            copy = tmp_path_factory.mktemp("copy")
            shutil.copytree(living, copy, dirs_exist_ok=True)
            made.append((copy, values))
    store.close()
    return made


def put_together(path: Path, database: Path, wal: Path) -> Path:
    shutil.copy(database / "store.db", path / "store.db")
    shutil.copy(wal / "store.db-wal", path / "store.db-wal")
    return path / "store.db"


def test_what_a_kill_leaves_is_taken(copies: list[tuple[Path, Values]], tmp_path: Path) -> None:
    databases = {(copy / "store.db").read_bytes() for copy, _ in copies}
    assert len(databases) > 3, "the WAL has gone into the database some times"
    for copy, values in copies:
        store = SqliteStore(put_together(tmp_path, copy, copy), KEY)
        assert values_of(store) == values
        store.commit({ROUND: b"on"})
        store.close()
        store = SqliteStore(tmp_path / "store.db", KEY)
        assert values_of(store) == values | {ROUND: b"on"}
        store.close()


def test_an_old_database_is_refused_under_a_later_wal_unless_that_has_all_that_came_since(
    copies: list[tuple[Path, Values]], tmp_path: Path
) -> None:
    refused = 0
    for (old, _), (late, values) in combinations(copies, 2):
        path = put_together(tmp_path, old, late)
        try:
            store = SqliteStore(path, KEY)
        except ConfigurationError:
            refused += 1
        else:
            assert values_of(store) == values
            store.close()
    assert refused > len(copies)


def test_who_is_refused_leaves_all_as_it_was(copies: list[tuple[Path, Values]], tmp_path: Path) -> None:
    (old, values), (late, _) = copies[0], copies[-1]
    path = put_together(tmp_path, old, late)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="do not belong together"):
            SqliteStore(path, KEY)
    assert path.read_bytes() == (old / "store.db").read_bytes()
    wal = path.with_name("store.db-wal")
    assert wal.read_bytes() == (late / "store.db-wal").read_bytes()
    wal.unlink()
    store = SqliteStore(path, KEY)
    found = values_of(store)
    store.close()
    assert found.keys() <= values.keys()
    assert found[CHUNKS[0]] == bytes(20_000)
