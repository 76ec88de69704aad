"""A machine's audit log: the production's lines and seals on a simulated file.

It is written after the store's commit and before any key leaves. A power cut in between leaves what no seal vouches
for; the next life goes on behind the last seal that fits.
"""

import random
from collections.abc import Sequence

import msgspec

from keyhop.audit.chain import Chain, Follower
from keyhop.core.clock import Clock
from keyhop.core.errors import StoreFailure
from keyhop.core.ids import each_id
from keyhop.testing.simulation.disk import Disk, DiskFault
from keyhop.testing.simulation.power import Power, PowerCut


class _Run(msgspec.Struct):
    ids: str


class _Record(msgspec.Struct):
    sae: str = ""
    keys: list[_Run] = []


_decode = msgspec.json.Decoder(_Record).decode


class SimulatedAudit:
    """What survives of the log: sealed lines, each write synced before the keys leave."""

    def __init__(self, power: Power, draw: random.Random, disk: Disk, clock: Clock) -> None:
        self._power = power
        self._draw = draw
        self._disk = disk
        self._clock = clock
        self._failed = False
        self._chain = Chain()
        self._recorded: set[tuple[str, bytes]] = set()
        self.file = bytearray()

    def start(self) -> None:
        """A new process reads what is there. Raises ValueError if a line behind which keys have left is gone."""
        self._failed = False
        follower = Follower()
        records = sealed = at = 0
        seen = 0
        for line in bytes(self.file).splitlines(keepends=True):
            at += len(line)
            if follower.feed(line):
                sealed, records = at, seen
            seen += line.startswith(b'{"seq":')
        if follower.head != self._chain.head:
            raise ValueError("the audit log does not end where it was written last")
        del self.file[sealed:]
        self._chain = Chain(follower.head, records)

    def write(self, records: Sequence[bytes]) -> None:
        """As `AuditSink`."""
        self._power.point("between a commit and its audit record")
        if self._failed or self._disk.fault is DiskFault.AUDIT:
            self._disk.fault, self._failed = None, True
            raise StoreFailure("the audit log failed: no space is left")
        chain = Chain(self._chain.head, self._chain.records)
        lines = chain.batch(records, self._clock.wall())
        try:
            self._power.point("while it writes its audit record")
        except PowerCut:
            self.file += lines[: self._draw.randrange(len(lines))]
            raise
        self.file += lines
        self._chain = chain
        for record in records:
            told = _decode(b"{%s}" % record)
            self._recorded.update((told.sae, key_id) for run in told.keys for key_id in each_id(bytes.fromhex(run.ids)))
        self._power.point("between its audit record and its effects")

    def tells(self, sae: str, key_id: bytes) -> bool:
        """Whether the log says that the SAE was given that key."""
        return (sae, key_id) in self._recorded
