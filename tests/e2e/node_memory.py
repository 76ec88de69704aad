"""The complete memory of a node at one moment, and what of it an attacker could put together."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

READABLE = """
import keyhop.node.process
keyhop.node.process.keep_memory_private = lambda: None
"""
"""A `sitecustomize`: nodes keep others from looking into their memory; these ones let their parent."""
_WORD = 8


@contextmanager
def readable_nodes(directory: Path) -> Iterator[None]:
    """Nodes that are started while the block runs let their parent read their memory."""
    (directory / "sitecustomize.py").write_text(READABLE)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(directory), before)))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def memory_of(pid: int) -> bytes:
    """Everything that the process can write to, while it stands still."""
    os.kill(pid, signal.SIGSTOP)
    try:
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
            return b"".join(_read(memory.fileno(), begin, end) for begin, end in _writable(pid))
    finally:
        os.kill(pid, signal.SIGCONT)


def _writable(pid: int) -> Iterator[tuple[int, int]]:
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        (
            region,
            permissions,
            *_,
        ) = line.split(maxsplit=5)
        if permissions.startswith("rw"):
            begin, end = region.split("-")
            yield int(begin, 16), int(end, 16)


def _read(memory: int, begin: int, end: int) -> bytes:
    parts = []
    while begin < end:
        part = os.pread(memory, min(end - begin, 1 << 20), begin)
        if not part:
            break
        parts.append(part)
        begin += len(part)
    return b"".join(parts)


class Pairings:
    """What the XOR of any two pieces of a memory may be: a share and the other share, a pad and what is under it.

    Looked at are pieces of a word, wherever they begin, that can be random: no byte is zero, and not all are ASCII. Of
    random ones that leaves out one in thirty, so a word that is there may be missed, and sixteen words are not.
    """

    _BUCKET_BITS = 28

    def __init__(self, memory: bytes) -> None:
        found = (self._random(memory, shift) for shift in range(_WORD))
        self._words = np.sort(np.concatenate(list(found)))
        self._buckets = np.zeros(1 << self._BUCKET_BITS, np.bool_)
        self._buckets[self._bucket(self._words)] = True

    def give(self, secret: bytes) -> bool:
        """Whether two pieces give any word of the secret."""
        wanted = np.frombuffer(secret, "<u8", len(secret) // _WORD)
        return any(self._gives(word) for word in wanted)

    def _gives(self, wanted: np.uint64) -> bool:
        others = self._words ^ wanted
        likely = others[self._buckets[self._bucket(others)]]
        at = np.searchsorted(self._words, likely)
        return bool(np.any(self._words[np.minimum(at, len(self._words) - 1)] == likely))

    def _bucket(self, words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        return words & np.uint64((1 << self._BUCKET_BITS) - 1)

    @staticmethod
    def _random(memory: bytes, shift: int) -> npt.NDArray[np.uint64]:
        words = np.frombuffer(memory, "<u8", max(len(memory) - shift, 0) // _WORD, shift)
        low, high = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
        has_zero = ((words - low) & ~words & high) != 0
        random: npt.NDArray[np.uint64] = words[~has_zero & ((words & high) != 0)]
        return random
