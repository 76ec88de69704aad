"""Lines of the log, and the hash chain over them.

Each batch, the records of one turn of the event loop, ends with a seal: SHA-256 over the seal before it and all bytes
of the batch. So each seal vouches for every line before it, and costs one hash per turn.
"""

import hashlib
import re
from collections.abc import Sequence
from time import gmtime, strftime

SEAL_BYTES = 32
GENESIS = bytes(SEAL_BYTES)
"""What the first batch of a log follows."""
_SEAL_LINE = re.compile(rb'\{"seal":"([0-9a-f]{64})"\}\n')


class Chain:
    """The writing end: numbers, times and seals records."""

    def __init__(self, head: bytes = GENESIS, records: int = 0) -> None:
        """`head` is the last seal of the log, `records` how many it holds."""
        self.head = head
        self.records = records
        self._second, self._until_second = -1, b""

    def batch(self, records: Sequence[bytes], wall_s: float, first: bytes = b"") -> bytes:
        """The bytes to append: `first` (a whole line or nothing), a line per record, the seal. Moves the head on."""
        moment = self.time(wall_s)
        lines = first + b"".join(
            [b'{"seq":%d,"time":"%s",%s}\n' % (seq, moment, record) for seq, record in enumerate(records, self.records)]
        )
        self.records += len(records)
        self.head = hashlib.sha256(self.head + lines).digest()
        return b'%s{"seal":"%s"}\n' % (lines, self.head.hex().encode())

    def time(self, wall_s: float) -> bytes:
        """RFC 3339 in UTC, with microseconds."""
        second, micro = divmod(round(wall_s * 1e6), 1_000_000)
        if second != self._second:
            self._second, self._until_second = second, strftime("%Y-%m-%dT%H:%M:%S", gmtime(second)).encode()
        return b"%s.%06dZ" % (self._until_second, micro)


class Follower:
    """The reading end: told line by line, it knows the last seal that fits and how much lies behind it."""

    def __init__(self, head: bytes = GENESIS) -> None:
        self.head = head
        self.unsealed_bytes = 0
        """How much was read since the last seal that fits."""
        self.misfits = 0
        """How many of those lines are seals, of batches that were altered or lost some of their bytes."""
        self._hash = hashlib.sha256(head)

    def feed(self, line: bytes) -> bool:
        """Takes one line, its end included; True for a seal that fits."""
        seal = _SEAL_LINE.fullmatch(line)
        if seal is not None and bytes.fromhex(seal[1].decode()) == self._hash.digest():
            self.head = self._hash.digest()
            self._hash = hashlib.sha256(self.head)
            self.unsealed_bytes = self.misfits = 0
            return True
        self.misfits += seal is not None
        self.unsealed_bytes += len(line)
        self._hash.update(line)
        return False
