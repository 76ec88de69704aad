"""The embedded store: SQLite through apsw, one durable transaction per commit, encrypted at rest.

Each value is sealed with AES-256-GCM, bound to its slot, so that values can be neither read, altered nor moved
between slots (`sealing`). The key is not in the database.
"""

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import apsw

from keyhop.core.directories import sync_directory
from keyhop.core.errors import ConfigurationError, StoreFailure
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.base import Kind, Slot
from keyhop.core.store.sealing import Sealing
from keyhop.core.store.wal import Wal

_SCHEMA = """
CREATE TABLE IF NOT EXISTS slots(
    kind TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY(kind, name)) STRICT;
"""
_DAMAGED = "look at the disk; move the store away to begin anew, without the keys that it held"
_WRITE = (
    "INSERT INTO slots(kind, name, value) VALUES(?, ?, ?) ON CONFLICT(kind, name) DO UPDATE SET value = excluded.value"
)
_PRAGMAS = (
    "page_size = 16384",  # three chunks of 4 KiB a page: half the work for each of the default, whose rows overflow
    "locking_mode = EXCLUSIVE",
    "journal_mode = WAL",
    "synchronous = FULL",
    "secure_delete = ON",
    "trusted_schema = OFF",
    "cache_size = -65536",
)


def _private_file(path: str) -> apsw.Connection:
    """The database in a file that only this user can read."""
    connection = apsw.Connection(path)
    Path(path).chmod(0o600)
    return connection


class SqliteStore:
    """A KeyStore in one file. Held exclusively: a second process that opens it gets a StoreFailure."""

    def __init__(self, path: Path, key: KeyMaterial, connect: Callable[[str], apsw.Connection] = _private_file) -> None:
        self._sealing = Sealing(key)
        self._failed: str | None = None
        try:
            self._db = connect(str(path))
        except apsw.Error as error:
            raise self._failure(error) from None
        try:
            self._wal = Wal(self._db)
            for pragma in _PRAGMAS:
                self._db.execute(f"PRAGMA {pragma}")
            self._db.execute(_SCHEMA)
            self._wal.open()
            self._check_key()
        except apsw.Error as error:
            self.close()
            raise self._failure(error) from None
        except ConfigurationError:
            self.close()
            raise

    def commit(self, writes: Mapping[Slot, bytes | None]) -> None:
        self._check()
        kept = [(*slot, self._sealing.seal(value, _name(slot))) for slot, value in writes.items() if value is not None]
        gone = [slot for slot, value in writes.items() if value is None]
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._wal.committing()
            if kept:
                self._db.executemany(_WRITE, kept)
            if gone:
                self._db.executemany("DELETE FROM slots WHERE kind = ? AND name = ?", gone)
            self._db.execute("COMMIT")
            self._wal.committed()
        except apsw.Error as error:
            raise self._failure(error) from None

    def read(self, slot: Slot) -> bytes | None:
        self._check()
        try:
            row = self._db.execute("SELECT value FROM slots WHERE kind = ? AND name = ?", slot).fetchone()
        except apsw.Error as error:
            raise self._failure(error) from None
        return None if row is None else self._opened(slot, row[0])

    def scan(self, kind: Kind, prefix: str = "") -> Iterator[tuple[Slot, bytes]]:
        self._check()
        query = "SELECT name, value FROM slots WHERE kind = ? AND substr(name, 1, ?) = ? ORDER BY name"
        try:
            for name, value in self._db.execute(query, (kind, len(prefix), prefix)):
                slot = Slot(kind, name)
                yield slot, self._opened(slot, value)
        except apsw.Error as error:
            raise self._failure(error) from None

    def close(self) -> None:
        self._failed = self._failed or "the store is closed"
        with suppress(apsw.Error):  # whatever was committed is in the WAL, also on a disk that fails now
            self._db.close(True)

    def _check_key(self) -> None:
        """Another key opens nothing at all; a single value that was altered is found out when it is read."""
        empty = True
        for kind, name, sealed in self._db.execute("SELECT kind, name, value FROM slots"):
            if self._sealing.open(sealed, _name(Slot(kind, name))) is not None:
                return
            empty = False
        if not empty:
            raise ConfigurationError(
                "the store was written under another key",
                hint="restore the key file that belongs to this store",
            )

    def _opened(self, slot: Slot, sealed: bytes) -> bytes:
        value = self._sealing.open(sealed, _name(slot))
        if value is None:
            self._failed = f"the stored value {slot.kind} {slot.name} was altered"
            raise StoreFailure(self._failed, hint=_DAMAGED)
        return value

    def _check(self) -> None:
        if self._failed is not None:
            raise StoreFailure(self._failed)

    def _failure(self, error: apsw.Error) -> StoreFailure:
        self._failed = f"the store failed: {error}"
        hint = "check the disk; the node recovers what is on it when it starts again"
        if isinstance(error, apsw.BusyError):
            hint = "another process holds this store: is the node running already?"
        elif isinstance(error, apsw.CorruptError | apsw.NotADBError):
            hint = _DAMAGED
        return StoreFailure(self._failed, hint=hint)


def _name(slot: Slot) -> bytes:
    return f"{slot.kind}\0{slot.name}".encode()


def check_key_is_not_lost(key_file: Path, store: Path) -> None:
    """A store that is there needs the key that it was written under. Raises ConfigurationError."""
    if store.exists() and not key_file.exists():
        raise ConfigurationError(
            f"{key_file} is missing, without which {store} cannot be read",
            hint="restore the key file; or, to begin anew without the keys in stock, move the store away",
        )


def load_store_key(path: Path) -> KeyMaterial:
    """The key that seals the store: 32 bytes in hexadecimal, made with mode 0600 when the file is missing."""
    if not path.exists():
        _make_store_key(path)
    return _read_store_key(path)


def _make_store_key(path: Path) -> None:
    """Nobody finds it before it is whole, and one that somebody else has made meanwhile stays."""
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.") as file:  # made 0600
        file.write(secrets.token_hex(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(file.name, path)
    sync_directory(path.parent)


def _read_store_key(path: Path) -> KeyMaterial:
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(f"{path} can be read by others", hint=f"chmod 600 {path}")
    try:
        key = bytes.fromhex(path.read_text().strip())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ConfigurationError(f"{path} shall hold 32 bytes in hexadecimal")
    return KeyMaterial(key)
