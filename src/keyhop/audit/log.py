"""The writing end of a log: appends, and never touches again what was written.

A new file begins when one is full, and after a crash that left something unsealed. The first failure is the last call:
what the disk holds then is known only by reading it again.
"""

import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from keyhop.audit.chain import Chain
from keyhop.audit.ending import find_ending
from keyhop.audit.files import FORMAT, Beginning, numbers_in, path_of
from keyhop.core.clock import Clock
from keyhop.core.errors import ConfigurationError, StoreFailure
from keyhop.core.ids import KmeId


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """`sync`: each write reaches the disk before the keys leave. `keep_files` 0 keeps all."""

    sync: bool = False
    rotate_bytes: int = 64 << 20
    keep_files: int = 0


class AuditLog:
    """An AuditSink in a directory of its own, which one process holds at a time."""

    def __init__(self, directory: Path, kme: KmeId, clock: Clock, options: AuditOptions) -> None:
        """Raises ConfigurationError when the directory cannot be used or is another KME's."""
        self._directory = directory
        self._kme = kme
        self._clock = clock
        self._options = options
        self._failed: str | None = None
        self._file: int | None = None
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock: int | None = _locked(directory)
            ending = find_ending(directory)
            if ending.size_bytes and ending.unsealed is None:
                self._file = os.open(path_of(directory, ending.number), os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            raise ConfigurationError(
                f"[audit] directory {directory}: {error.strerror}", hint="the node must be able to write there"
            ) from None
        self._number, self._size = ending.number, ending.size_bytes
        self._chain = Chain(ending.head, ending.records)
        self._unsealed = self.left_unsealed = ending.unsealed
        """What a crash left before this start."""
        if ending.kme not in (None, kme):
            self.close()
            raise ConfigurationError(
                f"{directory} holds the audit log of {ending.kme}", hint="give each node a directory of its own"
            )

    @property
    def records(self) -> int:
        """How many records the log holds, those that were rotated away included."""
        return self._chain.records

    @property
    def head(self) -> str:
        """The last seal, in hexadecimal: kept elsewhere, it proves everything before it."""
        return self._chain.head.hex()

    def write(self, records: Sequence[bytes]) -> None:
        if self._failed is not None:
            raise StoreFailure(self._failed)
        try:
            first = b""
            if self._file is None or self._size >= self._options.rotate_bytes:
                first = self._begin_file()
            assert self._file is not None  # it has just been opened
            batch = self._chain.batch(records, self._clock.wall(), first)
            _write_all(self._file, batch)
            if self._options.sync:
                os.fdatasync(self._file)
            if first and self._options.keep_files:
                self._prune(self._file)
        except OSError as error:
            self._failed = f"the audit log failed: {error.strerror}"
            raise StoreFailure(self._failed, hint="free or repair its disk, and start the node again") from None
        self._size += len(batch)

    def is_in_place(self) -> bool:
        """Whether the file that is written is still the one in the directory, as long as it was left.

        If not, somebody moved, removed or altered it: the next write begins a new one, where it will be looked for.
        """
        if self._file is None or self._failed is not None:
            return True
        try:
            there, ours = path_of(self._directory, self._number).stat(), os.fstat(self._file)
            if (there.st_dev, there.st_ino, there.st_size) == (ours.st_dev, ours.st_ino, self._size):
                return True
        except OSError:
            pass
        os.close(self._file)
        self._file = None
        return False

    def close(self) -> None:
        """Brings the log to the disk, and lets go of it. Idempotent."""
        self._failed = self._failed or "the audit log is closed"
        file, self._file = self._file, None
        lock, self._lock = self._lock, None
        if file is not None:
            with suppress(OSError):  # every write was told already whether it succeeded
                os.fsync(file)
            os.close(file)
        if lock is not None:
            os.close(lock)

    def _begin_file(self) -> bytes:
        """Opens the next file; returns its first line."""
        if self._file is not None:
            os.close(self._file)
        self._number += 1
        path = path_of(self._directory, self._number)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._size = 0
        if self._options.sync and self._lock is not None:
            os.fsync(self._lock)
        unsealed, self._unsealed = self._unsealed, None
        return Beginning(
            FORMAT,
            self._kme,
            self._number,
            self._chain.time(self._clock.wall()).decode(),
            self.head,
            self.records,
            unsealed.size_bytes if unsealed else 0,
            unsealed.sha256 if unsealed else None,
        ).line()

    def _prune(self, newest: int) -> None:
        """Only what is sealed says how far the log has come; so there is some on the disk before the old files go."""
        old = numbers_in(self._directory)[: -self._options.keep_files]
        if old and self._lock is not None:
            os.fsync(newest)
            os.fsync(self._lock)
        for number in old:
            path_of(self._directory, number).unlink()


def _locked(directory: Path) -> int:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigurationError(
            f"another process writes the audit log in {directory}", hint="is the node running already?"
        ) from None
    return descriptor


def _write_all(descriptor: int, data: bytes) -> None:
    """One call, unless the disk takes only part of it: then the next one says why."""
    done = os.write(descriptor, data)
    while done < len(data):
        done += os.write(descriptor, data[done:])
