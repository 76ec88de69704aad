"""Where a log ends: its last seal, and what a crash left behind it.

A write that a crash cuts short leaves lines without their seal. They are evidence and stay where they are; a new file
begins, and says how much there is and its hash.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

from keyhop.audit.chain import GENESIS, Follower
from keyhop.audit.files import MAX_LINE_BYTES, Beginning, numbers_in, path_of

_READ_BYTES = 1 << 20


class Unsealed(NamedTuple):
    """What no seal vouches for. `misfits` counts the seals in it: with any, more than one write was damaged."""

    size_bytes: int
    sha256: str
    misfits: int


class Ending(NamedTuple):
    """The end of a log. `number` and `size_bytes` are the newest file's, 0 when there is none."""

    kme: str | None
    number: int
    size_bytes: int
    head: bytes
    records: int
    unsealed: Unsealed | None


class _FileEnd(NamedTuple):
    kme: str | None
    head: bytes | None
    records: int
    sealed_bytes: int
    misfits: int


def find_ending(directory: Path) -> Ending:
    """Reads the newest file, and older ones only as long as no seal is found. Raises OSError."""
    numbers = numbers_in(directory)
    loose: list[tuple[Path, int]] = []
    kme, head, records, misfits = None, GENESIS, 0, 0
    for number in reversed(numbers):
        path = path_of(directory, number)
        end = _read(path)
        misfits += end.misfits
        kme = kme or end.kme
        if path.stat().st_size > end.sealed_bytes:
            loose.insert(0, (path, end.sealed_bytes))
        if end.head is not None:
            head, records = end.head, end.records
            break
    newest = numbers[-1] if numbers else 0
    size = path_of(directory, newest).stat().st_size if newest else 0
    return Ending(kme, newest, size, head, records, unsealed(loose, misfits) if loose else None)


def _read(path: Path) -> _FileEnd:
    head: bytes | None = None
    with path.open("rb") as file:
        first = file.readline(MAX_LINE_BYTES)
        beginning = Beginning.of(first)
        if beginning is None:
            return _FileEnd(None, None, 0, 0, 0)
        follower = Follower(bytes.fromhex(beginning.previous))
        records = seen = beginning.records
        line, sealed = first, 0
        while line:
            if follower.feed(line):
                head, sealed, records = follower.head, file.tell(), seen
            seen += line.startswith(b'{"seq":')
            line = file.readline(MAX_LINE_BYTES)
    return _FileEnd(beginning.kme, head, records, sealed, follower.misfits)


def unsealed(loose: list[tuple[Path, int]], misfits: int) -> Unsealed:
    """Files, each from a byte on, in their order, as what no seal vouches for. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    for path, start in loose:
        with path.open("rb") as file:
            file.seek(start)
            while part := file.read(_READ_BYTES):
                digest.update(part)
                size += len(part)
    return Unsealed(size, digest.hexdigest(), misfits)
