"""What a disk does to the store on it.

A start finds what the disk holds; a power cut takes what was never synced; a fault is drawn beforehand and strikes
the next commit. After a failed commit the store refuses everything, and only a start finds out what became of it.

    FastDisk      here: a transactional map with these rules, and nothing else
    SqliteDisk    `sqlite_disk`: the production store on simulated files, which proves that the rules are right
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import Enum

from keyhop.core.errors import StoreFailure
from keyhop.core.store.base import KeyStore, Kind, Slot
from keyhop.core.store.memory import MemoryStore
from keyhop.testing.simulation.power import Power, PowerCut

type Committed = Callable[[Collection[Slot]], None]
"""Hears which slots were made durable."""

type Image = object
"""A backup, as the disk that made it can read it."""


class DiskFault(Enum):
    """What can befall the next commit, or the next start."""

    FULL = "no space is left"
    WRITE = "a write fails"
    SYNC = "a sync fails: nobody knows what is on the disk"
    READ = "the disk cannot be read at the next start"
    AUDIT = "the audit log cannot be written"
    WITNESS = "the witness cannot be written"


class Disk(ABC):
    """One machine's disk. `fault` strikes once; `commits` counts what was made durable, `committed` hears of it."""

    def __init__(self, power: Power, draw: random.Random, committed: Committed) -> None:
        self.fault: DiskFault | None = None
        self.commits = 0
        self.power = power
        self.draw = draw
        self.committed = committed

    @abstractmethod
    def start(self) -> KeyStore:
        """The store as a new process finds it. Raises StoreFailure, PowerCut."""

    @abstractmethod
    def stop(self, *, power_cut: bool) -> None:
        """The process is gone, and with the power also what was not synced."""

    @abstractmethod
    def backup(self) -> Image:
        """A consistent copy of what is there now."""

    @abstractmethod
    def restore(self, image: Image) -> None:
        """Puts a copy in the place of everything. The process is not running."""

    @abstractmethod
    def worst_case(self) -> MemoryStore:
        """What is there even if the power goes now."""

    @abstractmethod
    def close(self) -> None:
        """The simulation is over."""


class FastDisk(Disk):
    """A map whose commits are there wholly or not at all."""

    def __init__(self, power: Power, draw: random.Random, committed: Committed) -> None:
        super().__init__(power, draw, committed)
        self.values: dict[Slot, bytes] = {}
        self.uncertain: Mapping[Slot, bytes | None] = {}

    def start(self) -> KeyStore:
        if self.uncertain and self.draw.random() < 0.5:
            self.apply(self.uncertain)
        self.uncertain = {}
        return _FastStore(self)

    def stop(self, *, power_cut: bool) -> None:
        """Whatever was committed is synced."""

    def backup(self) -> Image:
        return dict(self.values)

    def restore(self, image: Image) -> None:
        assert isinstance(image, dict)
        self.values, self.uncertain = dict(image), {}
        self.commits += 1

    def worst_case(self) -> MemoryStore:
        return MemoryStore(self.values)

    def close(self) -> None:
        """Nothing is open."""

    def apply(self, writes: Mapping[Slot, bytes | None]) -> None:
        """These writes are durable now."""
        self.commits += 1
        for slot, value in writes.items():
            if value is None:
                self.values.pop(slot, None)
            else:
                self.values[slot] = value


class _FastStore:
    """The store of one process on a fast disk."""

    def __init__(self, disk: FastDisk) -> None:
        self._disk = disk
        self._failed: str | None = None

    def commit(self, writes: Mapping[Slot, bytes | None]) -> None:
        self._check()
        disk = self._disk
        disk.power.point("before a commit")
        if disk.fault in (DiskFault.FULL, DiskFault.WRITE):
            self._fail()
        if disk.fault is DiskFault.SYNC:
            disk.uncertain = dict(writes)
            self._fail()
        try:
            disk.power.point("in a commit")
        except PowerCut:
            disk.uncertain = dict(writes)
            raise
        disk.apply(writes)
        disk.power.point("between a commit and its effects")
        disk.committed(writes)

    def read(self, slot: Slot) -> bytes | None:
        self._check_readable()
        return self._disk.values.get(slot)

    def scan(self, kind: Kind, prefix: str = "") -> Iterator[tuple[Slot, bytes]]:
        self._check_readable()
        values = self._disk.values
        slots = sorted(slot for slot in values if slot.kind == kind and slot.name.startswith(prefix))
        return iter([(slot, values[slot]) for slot in slots])

    def close(self) -> None:
        self._failed = "the store is closed"

    def _check_readable(self) -> None:
        self._check()
        self._disk.power.point("during its start")
        if self._disk.fault is DiskFault.READ:
            self._fail()

    def _check(self) -> None:
        if self._failed is not None:
            raise StoreFailure(self._failed)

    def _fail(self) -> None:
        fault, self._disk.fault = self._disk.fault, None
        assert fault is not None
        self._failed = f"the store failed: {fault.value}"
        raise StoreFailure(self._failed)
