"""SQLite's view of simulated files: a virtual file system that it calls for each read, write and sync.

So a fault or a power cut can strike at every one of them. The store holds its file exclusively, which is why SQLite
needs no shared memory for its WAL.
"""

import random
from itertools import count
from pathlib import Path
from typing import ClassVar, Protocol

import apsw

from keyhop.testing.simulation.disk import DiskFault
from keyhop.testing.simulation.files import SimulatedFile
from keyhop.testing.simulation.power import Power, PowerCut

_VFS_NAME = "keyhop-simulated"


class Platter(Protocol):
    """The disk that the files are on."""

    fault: DiskFault | None
    power: Power
    draw: random.Random
    files: dict[str, SimulatedFile]


class Process:
    """One process's view of the files. When it ends, or its machine does, none of its calls reaches them any more."""

    _by_name: ClassVar[dict[str, "Process"]] = {}
    _numbers = count()

    def __init__(self, disk: Platter) -> None:
        self.disk = disk
        self.dead = False
        self._name = f"/{next(self._numbers)}"
        self._by_name[self._name] = self

    def connect(self, name: str) -> apsw.Connection:
        """Opens a database of that name on the disk. Raises apsw.Error."""
        return apsw.Connection(f"{self._name}/{name}", vfs=_VFS_NAME)

    @classmethod
    def of(cls, path: str) -> "Process":
        """The process that a file of that path belongs to."""
        return cls._by_name[path.rpartition("/")[0]]

    def end(self) -> None:
        """Whatever SQLite writes from now on goes nowhere."""
        self.dead = True

    def forget(self) -> None:
        """Everything is closed."""
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


class _OpenFile:
    """What SQLite calls. The names are SQLite's."""

    def __init__(self, process: Process, name: str) -> None:
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
    def __init__(self) -> None:
        super().__init__(_VFS_NAME, base="")

    def xOpen(self, name: object, flags: list[int]) -> _OpenFile:  # type: ignore[override]  # noqa: N802
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        return _OpenFile(Process.of(path), Path(path).name)

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802
        return Path(pathname).name in Process.of(pathname).disk.files

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        process = Process.of(filename)
        process.touch()
        process.disk.files.pop(Path(filename).name, None)

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        return name


_registered = _SimulatedFileSystem()  # as long as it lives
