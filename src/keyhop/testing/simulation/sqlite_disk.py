"""The production store on simulated files."""

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

from keyhop.core.errors import StoreFailure
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.base import KeyStore, Kind, Slot
from keyhop.core.store.memory import MemoryStore
from keyhop.core.store.sqlite import SqliteStore
from keyhop.testing.simulation.disk import Committed, Disk, Image
from keyhop.testing.simulation.file_system import Process
from keyhop.testing.simulation.files import SimulatedFile
from keyhop.testing.simulation.power import Power, PowerCut

_KINDS: tuple[Kind, ...] = get_args(Kind)
_KEY = KeyMaterial(bytes(32))
LOOK_EVERY = 4
"""So often what must be on the disk is read from there; else it is what was committed. To read it took a tenth of the
time of all schedules."""


class SqliteDisk(Disk):
    """Its store is the production's."""

    def __init__(self, power: Power, draw: random.Random, committed: Committed) -> None:
        super().__init__(power, draw, committed)
        self.files: dict[str, SimulatedFile] = {}
        self._running: _PoweredStore | None = None
        self._worst: tuple[int, MemoryStore] | None = None
        self._looks = 0

    def start(self) -> KeyStore:
        self._running = _PoweredStore(self)
        self._running.open()
        return self._running

    def stop(self, *, power_cut: bool) -> None:
        if self._running is not None:
            self._running.end()
            self._running = None
        if power_cut:
            for file in self.files.values():
                file.lose_power(self.draw)

    def backup(self) -> Image:
        return {name: bytes(file.cache) for name, file in self.files.items()}

    def restore(self, image: Image) -> None:
        assert isinstance(image, dict)
        self.files = {name: SimulatedFile.holding(data) for name, data in image.items()}
        self.commits += 1

    def worst_case(self) -> MemoryStore:
        if self._worst is None or self._worst[0] != self.commits:
            self._looks += 1
            running = self._running if self._looks % LOOK_EVERY else None
            self._worst = (self.commits, MemoryStore((running or self._on_the_platters()).committed.values))
        return self._worst[1]

    def _on_the_platters(self) -> "_PoweredStore":
        copy = SqliteDisk(Power(), self.draw, lambda slots: None)
        copy.files = {name: SimulatedFile.holding(bytes(file.platter)) for name, file in self.files.items()}
        running = _PoweredStore(copy)
        running.open()
        running.end()
        return running

    def close(self) -> None:
        self.stop(power_cut=False)


class _PoweredStore:
    """The production's store; what it reports as a failed disk while the power goes is a power cut."""

    def __init__(self, disk: SqliteDisk) -> None:
        self._disk = disk
        self._process = Process(disk)
        self._opened: SqliteStore | None = None
        self.committed = MemoryStore()

    @property
    def _store(self) -> SqliteStore:
        assert self._opened is not None
        return self._opened

    def open(self) -> None:
        """Raises StoreFailure, PowerCut."""
        with _PowerIsNoFailure(self._process):
            self._opened = SqliteStore(Path("store.db"), _KEY, self._process.connect)
            self.committed = MemoryStore({slot: value for kind in _KINDS for slot, value in self._store.scan(kind)})

    def end(self) -> None:
        """The process is gone: nothing that SQLite does as it closes reaches the disk."""
        self._process.end()
        if self._opened is not None:
            self._opened.close()
        self._process.forget()

    def commit(self, writes: Mapping[Slot, bytes | None]) -> None:
        self._disk.power.point("before a commit")
        with _PowerIsNoFailure(self._process):
            self._store.commit(writes)
        self._disk.commits += 1
        self.committed.commit(writes)
        self._disk.power.point("between a commit and its effects")
        self._disk.committed(writes)

    def read(self, slot: Slot) -> bytes | None:
        self._disk.power.point("during its start")
        return self._store.read(slot)

    def scan(self, kind: Kind, prefix: str = "") -> Iterator[tuple[Slot, bytes]]:
        self._disk.power.point("during its start")
        return self._store.scan(kind, prefix)

    def close(self) -> None:
        self._store.close()


class _PowerIsNoFailure:
    def __init__(self, process: Process) -> None:
        self._process = process

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is StoreFailure and self._process.dead:
            raise PowerCut
