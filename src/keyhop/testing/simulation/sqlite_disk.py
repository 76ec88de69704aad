"""The production store on simulated files, through a virtual file system of SQLite.

SQLite calls `_OpenFile` for each read, write and sync, so a fault or a power cut can strike at every one of them. The
store holds its file exclusively, which is why SQLite needs no shared memory for its WAL.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from typing import ClassVar

import apsw

from keyhop.core.errors import StoreFailure
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.base import KeyStore, Kind, Slot
from keyhop.core.store.memory import MemoryStore
from keyhop.core.store.sqlite import SqliteStore
from keyhop.testing.simulation.disk import DiskFault, Image
from keyhop.testing.simulation.files import SimulatedFile
from keyhop.testing.simulation.power import Power, PowerCut

_KINDS: tuple[Kind, ...] = ("stream", "chunk", "record", "link", "adapter")
_KEY = KeyMaterial(bytes(32))
_VFS_NAME = "keyhop-simulated"


class SqliteDisk:
    """A `Disk` whose store is the production's."""

    _numbers = count()

    def __init__(self, power: Power, draw: random.Random, committed: Callable[[], None]) -> None:
        self.fault: DiskFault | None = None
        self.commits = 0
        self.power = power
        self.draw = draw
        self.committed = committed
        self.files: dict[str, SimulatedFile] = {}
        self._process: _Process | None = None
        self._worst: tuple[int, MemoryStore] | None = None

    def start(self) -> KeyStore:
        self._process = _Process(self)
        return _PoweredStore(self, self._process)

    def stop(self, *, power_cut: bool) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None
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
            copy = SqliteDisk(Power(), self.draw, lambda: None)
            copy.files = {name: SimulatedFile.holding(bytes(file.platter)) for name, file in self.files.items()}
            store = copy.start()
            self._worst = (self.commits, MemoryStore({s: v for kind in _KINDS for s, v in store.scan(kind)}))
            copy.close()
        return self._worst[1]

    def close(self) -> None:
        self.stop(power_cut=False)


class _Process:
    """One process's view of the files. When it ends, or its machine does, none of its calls reaches them any more."""

    _by_name: ClassVar[dict[str, "_Process"]] = {}
    _numbers = count()

    def __init__(self, disk: SqliteDisk) -> None:
        self.disk = disk
        self.dead = False
        self.store: SqliteStore | None = None
        self._name = f"/{next(self._numbers)}"
        self._by_name[self._name] = self

    def open(self) -> SqliteStore:
        """Raises StoreFailure."""
        self.store = SqliteStore(Path(self._name) / "store.db", _KEY, partial(apsw.Connection, vfs=_vfs.vfs_name))
        return self.store

    @classmethod
    def of(cls, path: str) -> "_Process":
        """The process that a file of that path belongs to."""
        return cls._by_name[path.rpartition("/")[0]]

    def end(self) -> None:
        """SQLite closes what is open, and what it writes then goes nowhere."""
        self.dead = True
        if self.store is not None:
            self.store.close()
        del self._by_name[self._name]

    def touch(self) -> None:
        """Before anything is changed."""
        self.check()
        try:
            self.disk.power.point("while SQLite writes")
        except PowerCut:
            self.dead = True
            self.check()

    def check(self) -> None:
        """Raises apsw.IOError for a process that is over."""
        if self.dead:
            raise apsw.IOError("the machine is off")


class _PoweredStore:
    """The production's store; what it reports as a failed disk while the power goes is a power cut."""

    def __init__(self, disk: SqliteDisk, process: _Process) -> None:
        self._disk = disk
        self._process = process
        with _PowerIsNoFailure(process):
            self._store = process.open()

    def commit(self, writes: Mapping[Slot, bytes | None]) -> None:
        self._disk.power.point("before a commit")
        with _PowerIsNoFailure(self._process):
            self._store.commit(writes)
        self._disk.commits += 1
        self._disk.power.point("between a commit and its effects")
        self._disk.committed()

    def read(self, slot: Slot) -> bytes | None:
        self._disk.power.point("during its start")
        return self._store.read(slot)

    def scan(self, kind: Kind, prefix: str = "") -> Iterator[tuple[Slot, bytes]]:
        self._disk.power.point("during its start")
        return self._store.scan(kind, prefix)

    def close(self) -> None:
        self._store.close()


class _PowerIsNoFailure:
    def __init__(self, process: _Process) -> None:
        self._process = process

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is StoreFailure and self._process.dead:
            raise PowerCut


class _OpenFile:
    """What SQLite calls. The names are SQLite's."""

    def __init__(self, process: _Process, name: str) -> None:
        self._process = process
        self._file = process.disk.files.setdefault(name, SimulatedFile())

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self._process.check()
        self._strike(DiskFault.READ)
        return self._file.read(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._process.touch()
        self._strike(DiskFault.WRITE)
        self._strike(DiskFault.FULL)
        self._file.write(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._process.touch()
        self._file.truncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._process.touch()
        if self._process.disk.fault is DiskFault.SYNC:
            self._file.fail_to_sync(self._process.disk.draw)
            self._strike(DiskFault.SYNC)
        self._file.sync()

    def xFileSize(self) -> int:  # noqa: N802
        return len(self._file.cache)

    def xLock(self, level: int) -> None:  # noqa: N802
        """Nobody else is there."""

    def xUnlock(self, level: int) -> None:  # noqa: N802
        """Nobody else is there."""

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xFileControl(self, operation: int, pointer: int) -> bool:  # noqa: N802
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return 4096

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return 0

    def xClose(self) -> None:  # noqa: N802
        """The cache stays."""

    def _strike(self, fault: DiskFault) -> None:
        disk = self._process.disk
        if disk.fault is fault:
            disk.fault = None
            raise (apsw.FullError if fault is DiskFault.FULL else apsw.IOError)(fault.value)


class _SimulatedFileSystem(apsw.VFS):
    vfs_name = _VFS_NAME

    def __init__(self) -> None:
        super().__init__(_VFS_NAME, base="")

    def xOpen(self, name: object, flags: list[int]) -> _OpenFile:  # type: ignore[override]  # noqa: N802
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        return _OpenFile(_Process.of(path), Path(path).name)

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802
        return Path(pathname).name in _Process.of(pathname).disk.files

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        process = _Process.of(filename)
        process.touch()
        process.disk.files.pop(Path(filename).name, None)

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        return name


_vfs = _SimulatedFileSystem()
