"""A witness on a medium of its own, which no backup of the store reaches."""

from keyhop.core.errors import StoreFailure
from keyhop.core.witness import Statement
from keyhop.testing.simulation.disk import Disk, DiskFault
from keyhop.testing.simulation.power import Power


class SimulatedWitness:
    """A `WitnessKeeper`; a statement is written wholly or not at all, as `FileWitness` sees to."""

    def __init__(self, power: Power, disk: Disk) -> None:
        self._power = power
        self._disk = disk
        self._statement: Statement | None = None

    def read(self) -> Statement | None:
        return self._statement

    def write(self, statement: Statement) -> None:
        self._power.point("before its witness is written")
        if self._disk.fault is DiskFault.WITNESS:
            self._disk.fault = None
            raise StoreFailure("the witness failed: no space is left")
        self._statement = statement
        self._power.point("after its witness was written")

    def close(self) -> None:
        """Nothing is open."""
