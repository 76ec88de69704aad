"""Files with keys in one directory: opened so that nobody can make us read, or believe in, anything else.

Everything is done through one descriptor of the directory, and judged by what the opened file itself says: a regular
file under one name, ours or the device's, that nobody else can write and not everybody read. Blocking calls; small.
"""

import base64
import binascii
import contextlib
import fnmatch
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from keyhop.core.errors import KeyhopError
from keyhop.core.keys import KeyMaterial

MAX_ENTRIES = 4096
"""Of a directory, that one look takes in."""

MAX_NAME_BYTES = 255
USED_FOLDER = "used"
UNFINISHED = (".part", ".tmp")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class FileRefused(KeyhopError):
    """A file, or the directory, that cannot be trusted or read; `message` says why and never what is in it."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells whether a file was touched since; `modified_s` counts from 1970."""

    inode: int
    size: int
    modified_ns: int

    @property
    def modified_s(self) -> float:
        """When it was last written to."""
        return self.modified_ns / 1e9


class KeyDirectory:
    """One directory, open. Raises FileRefused where it is not one, or others may write or look in it."""

    def __init__(self, path: Path, pattern: str, device_uid: int | None = None) -> None:
        self._path = path
        self._pattern = pattern
        self._owners = {os.geteuid()} if device_uid is None else {os.geteuid(), device_uid}
        try:
            self._fd = os.open(path, _DIRECTORY)
        except OSError as failure:
            raise FileRefused(f"cannot open the directory {path}: {failure.strerror}") from None
        self._shared = device_uid is not None
        try:
            self.check()
        except FileRefused:
            os.close(self._fd)
            raise

    def close(self) -> None:
        """Harmless when closed."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def check(self) -> None:
        """Whether the directory is still one that can be trusted; cheap. Raises FileRefused."""
        status = os.fstat(self._fd)
        mode = stat.S_IMODE(status.st_mode)
        if not status.st_nlink:
            raise FileRefused(f"the directory {self._path} was removed")
        if status.st_uid not in self._owners | {0}:
            raise FileRefused(f"the directory {self._path} belongs to another user (UID {status.st_uid})")
        if mode & (0o002 if self._shared else 0o022):
            raise FileRefused(f"others may write in the directory {self._path} (mode {mode:04o})")
        if mode & (0o007 if self._shared else 0o077):
            raise FileRefused(f"others may look into the directory {self._path} (mode {mode:04o})")

    def is_key_file(self, name: str) -> bool:
        """Whether a name is final and one that we look at; it may come from the far end."""
        return (
            name.isprintable()
            and 0 < len(os.fsencode(name)) <= MAX_NAME_BYTES
            and "/" not in name
            and not name.startswith(".")
            and not name.endswith(UNFINISHED)
            and fnmatch.fnmatchcase(name, self._pattern)
        )

    def names(self) -> list[str]:
        """Key files in lexical order, out of the first MAX_ENTRIES entries. Raises FileRefused."""
        return sorted(name for name in self._entries() if self.is_key_file(name))

    def stamp(self, name: str) -> Stamp | None:
        """Of what stands under a name, itself; None when there is nothing."""
        try:
            return _stamp(os.stat(name, dir_fd=self._fd, follow_symlinks=False))
        except OSError:
            return None

    def read(self, name: str, form: Literal["raw", "hex", "base64"], max_bytes: int) -> KeyMaterial:
        """The key in a file. FileRefused, or FileNotFoundError when there is none."""
        with self._opened(name) as fd:
            before = os.fstat(fd)
            self._check_file(name, before, max_bytes)
            content = bytearray()
            while len(content) <= max_bytes and (part := os.read(fd, max_bytes + 1 - len(content))):
                content += part
            if len(content) != before.st_size or _stamp(os.fstat(fd)) != _stamp(before):
                raise FileRefused(f"{name}: it is being written to")
        return KeyMaterial(_decoded(name, bytes(content), form))

    def erase(self, name: str) -> None:
        """Overwrites a file where we may, and removes it. Raises FileRefused when it is still there afterwards.

        On most of today's disks and file systems overwriting is no promise: copies, journals, snapshots and flash
        keep old blocks. It costs little and helps on plain ones; a directory in memory (tmpfs) needs no promise.
        """
        with contextlib.suppress(OSError):
            self._overwrite(name)
        try:
            os.unlink(name, dir_fd=self._fd)
        except FileNotFoundError:
            return
        except OSError as failure:
            raise FileRefused(f"{name}: cannot remove it: {failure.strerror}") from None
        self._sync()

    def move_to_used(self, name: str) -> None:
        """Into the folder for used files. Raises FileRefused."""
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(USED_FOLDER, 0o700, dir_fd=self._fd)
            os.rename(name, f"{USED_FOLDER}/{name}", src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except FileNotFoundError:
            return
        except OSError as failure:
            raise FileRefused(f"{name}: cannot move it to {USED_FOLDER}: {failure.strerror}") from None
        self._sync()

    def _entries(self) -> list[str]:
        try:
            with os.scandir(self._fd) as entries:
                return [entry.name for entry in islice(entries, MAX_ENTRIES)]
        except OSError as failure:
            raise FileRefused(f"cannot look into {self._path}: {failure.strerror}") from None

    def _check_file(self, name: str, status: os.stat_result, max_bytes: int) -> None:
        mode = stat.S_IMODE(status.st_mode)
        if not stat.S_ISREG(status.st_mode):
            raise FileRefused(f"{name}: not a regular file")
        if status.st_uid not in self._owners:
            raise FileRefused(f"{name}: belongs to another user (UID {status.st_uid})")
        if mode & 0o027:
            raise FileRefused(f"{name}: others may read or write it (mode {mode:04o})")
        if status.st_nlink != 1:
            raise FileRefused(f"{name}: has {status.st_nlink} names")
        if not 0 < status.st_size <= max_bytes:
            raise FileRefused(f"{name}: has {status.st_size} bytes, not 1 to {max_bytes}")

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        try:
            fd = os.open(name, _READ, dir_fd=self._fd)
        except FileNotFoundError:
            raise
        except OSError as failure:  # a symbolic link is ELOOP
            raise FileRefused(f"{name}: cannot open it: {failure.strerror}") from None
        try:
            yield fd
        finally:
            os.close(fd)

    def _overwrite(self, name: str) -> None:
        fd = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._fd)
        try:
            status = os.fstat(fd)
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                left = status.st_size
                while left > 0:
                    left -= os.write(fd, bytes(min(left, 1 << 16)))
                os.fsync(fd)
        finally:
            os.close(fd)

    def _sync(self) -> None:
        """Otherwise a file that was used could stand there again after a crash."""
        try:
            os.fsync(self._fd)
        except OSError as failure:
            raise FileRefused(f"cannot make changes in {self._path} durable: {failure.strerror}") from None


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_ino, status.st_size, status.st_mtime_ns)


def _decoded(name: str, content: bytes, form: Literal["raw", "hex", "base64"]) -> bytes:
    try:
        match form:
            case "raw":
                return content
            case "hex":
                key = bytes.fromhex(content.decode("ascii"))
            case "base64":
                key = base64.b64decode(b"".join(content.split()), validate=True)
    except (ValueError, binascii.Error):  # the content must not be shown
        key = b""
    if not key:
        raise FileRefused(f"{name}: not {form}")
    return key
