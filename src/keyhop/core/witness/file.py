"""A witness in a file: two slots, written in turn, each with a digest.

A write that is cut short spoils one slot and leaves the other, which holds the step before. The file is locked while
it is in use, so that two processes on one machine cannot take it for theirs.
"""

import errno
import fcntl
import hashlib
import os
import tempfile
from pathlib import Path

import msgspec

from keyhop.core.directories import sync_directory
from keyhop.core.errors import ConfigurationError, StoreFailure
from keyhop.core.witness.base import Statement

_SLOT_BYTES = 4096
"""A sector or page, so that writing one slot does not touch the other."""

_DIGEST_BYTES = 32
_MAGIC = b"keyhop witness v1\n"


class FileWitness:
    """A WitnessKeeper in the file `path`, which is made with mode 0600 at the first write."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def read(self) -> Statement | None:
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(self._path, error) from None
        self._lock(self._file)
        try:
            slots = [os.pread(self._file, _SLOT_BYTES, _SLOT_BYTES * i) for i in range(2)]
        except OSError as error:
            raise _unreadable(self._path, error) from None
        found = [statement for slot in slots if (statement := _decoded(slot))]
        if not found:
            raise ConfigurationError(
                f"the witness {self._path} is damaged, or it is not a witness",
                hint="move it away to begin with a new one: the node then discards all keys that its store holds",
            )
        return max(found, key=lambda statement: statement.step)

    def write(self, statement: Statement) -> None:
        try:
            if self._file is None:
                self._file = self._made(statement)
            _put(self._file, _encoded(statement), _SLOT_BYTES * (statement.step % 2))
            os.fdatasync(self._file)
        except OSError as error:
            raise StoreFailure(
                f"the witness {self._path} failed: {error.strerror}", hint="check the disk that holds [store] witness"
            ) from None

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _made(self, statement: Statement) -> int:
        """The new file, which nobody finds before it holds a statement. An open file, locked."""
        file, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        try:
            self._lock(file)
            _put(file, _encoded(statement) * 2, 0)
            os.fsync(file)
            os.link(name, self._path)
        except BaseException:
            os.close(file)
            raise
        finally:
            Path(name).unlink()
        sync_directory(self._path.parent)
        return file

    def _lock(self, file: int) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"another process uses the witness {self._path}",
                hint="does this node run already, or a copy of it? Every node has a witness of its own",
            ) from None


def _put(file: int, data: bytes, at: int) -> None:
    """Writes it whole. Raises OSError."""
    if os.pwrite(file, data, at) != len(data):
        raise OSError(errno.EIO, "a write was cut short")


def _encoded(statement: Statement) -> bytes:
    content = _MAGIC + msgspec.json.encode(statement) + b"\n"
    return (hashlib.sha256(content).digest() + content).ljust(_SLOT_BYTES, b"\0")


def _decoded(slot: bytes) -> Statement | None:
    digest, content = slot[:_DIGEST_BYTES], slot[_DIGEST_BYTES:].rstrip(b"\0")
    if not content.startswith(_MAGIC) or hashlib.sha256(content).digest() != digest:
        return None
    try:
        return msgspec.json.decode(content.removeprefix(_MAGIC), type=Statement)
    except msgspec.MsgspecError:
        return None


def _unreadable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"the witness {path} cannot be read: {error.strerror}",
        hint="look at its disk, and whether the user who runs the node may read and write it",
    )
