"""An audit log in memory, with the chain of the real one."""

from collections.abc import Iterator, Sequence, Set
from typing import Any

import msgspec

from keyhop.audit.chain import Chain
from keyhop.core.clock import Clock
from keyhop.core.errors import StoreFailure
from keyhop.core.ids import each_id


class MemoryAudit:
    """An AuditSink that keeps its lines in `written`; it outlives the KMEs that write to it, as files do."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._chain = Chain()
        self._handed: dict[str, set[bytes]] = {}
        self.written = bytearray()
        self.failure: StoreFailure | None = None
        """What the next write raises, as a full disk would."""

    def write(self, records: Sequence[bytes]) -> None:
        if self.failure is not None:
            raise self.failure
        batch = self._chain.batch(records, self._clock.wall())
        self.written += batch
        for record in _records(batch):
            for run in record.get("keys", ()):
                ids = bytes.fromhex(run["ids"])
                handed = self._handed.setdefault(record["sae"], set())
                handed.update(each_id(ids))

    def records(self) -> list[dict[str, Any]]:
        """What was recorded so far."""
        return list(_records(bytes(self.written)))

    def key_ids(self, sae: str) -> Set[bytes]:
        """The IDs of all keys that the log says an SAE was given."""
        return self._handed.get(sae, set())


def _records(lines: bytes) -> Iterator[dict[str, Any]]:
    decoded = map(msgspec.json.decode, lines.splitlines())
    return (line for line in decoded if "seq" in line)
