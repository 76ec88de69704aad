"""Simulated disks are disks: the stores on them do what every store does, and power cuts take what they may take."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from keyhop.core.errors import StoreFailure
from keyhop.core.store.base import KeyStore, Slot
from keyhop.testing.simulation.disk import Disk, DiskFault, FastDisk
from keyhop.testing.simulation.files import SECTOR_BYTES, SimulatedFile
from keyhop.testing.simulation.power import Power, PowerCut
from keyhop.testing.simulation.sqlite_disk import SqliteDisk
from keyhop.testing.store_conformance import StoreConformance

ONE, TWO = Slot("chunk", "1"), Slot("chunk", "2")

type MakeDisk = Callable[[Power], Disk]


def fast(power: Power) -> Disk:
    return FastDisk(power, random.Random(1), lambda slots: None)


def sqlite(power: Power) -> Disk:
    return SqliteDisk(power, random.Random(1), lambda slots: None)


class _OnADisk(StoreConformance):
    big_value_bytes = 1 << 20

    def setup_method(self) -> None:
        self.disks: dict[Path, Disk] = {}

    def disk(self) -> Disk:
        raise NotImplementedError

    def open_store(self, directory: Path, before: KeyStore | None) -> KeyStore:
        if directory not in self.disks:
            self.disks[directory] = self.disk()
        disk = self.disks[directory]
        disk.stop(power_cut=True)
        return disk.start()


class TestFastDisk(_OnADisk):
    def disk(self) -> Disk:
        return fast(Power())


class TestSqliteDisk(_OnADisk):
    def disk(self) -> Disk:
        return sqlite(Power())


@pytest.mark.parametrize("make", [fast, sqlite])
@pytest.mark.parametrize("fault", [DiskFault.FULL, DiskFault.WRITE, DiskFault.SYNC])
def test_after_a_fault_the_store_refuses_until_the_next_start(make: MakeDisk, fault: DiskFault) -> None:
    disk = make(Power())
    store = disk.start()
    store.commit({ONE: b"1"})
    disk.fault = fault
    for _ in range(2):
        with pytest.raises(StoreFailure):
            store.commit({ONE: b"2", TWO: b"2"})
    disk.stop(power_cut=True)
    store = disk.start()
    found = (store.read(ONE), store.read(TWO))
    assert found in ((b"1", None), (b"2", b"2")) if fault is DiskFault.SYNC else ((b"1", None),)
    disk.close()


@pytest.mark.parametrize("make", [fast, sqlite])
def test_a_commit_that_the_power_cuts_short_is_there_wholly_or_not_at_all(make: MakeDisk) -> None:
    """At whichever of its points."""
    outcomes = set()
    for points in range(40):
        power = Power()
        disk = make(power)
        store = disk.start()
        store.commit({ONE: b"1"})
        power.in_points = points
        try:
            store.commit({ONE: b"2", TWO: b"2"})
        except PowerCut:
            disk.stop(power_cut=True)
            store = disk.start()
        power.in_points = None
        outcomes.add((store.read(ONE), store.read(TWO)))
        disk.close()
    assert outcomes == {(b"1", None), (b"2", b"2")}


@pytest.mark.parametrize("make", [fast, sqlite])
def test_a_backup_is_what_was_there(make: MakeDisk) -> None:
    disk = make(Power())
    store = disk.start()
    store.commit({ONE: b"1"})
    image = disk.backup()
    store.commit({ONE: b"2"})
    assert disk.worst_case().read(ONE) == b"2"
    disk.stop(power_cut=False)
    disk.restore(image)
    assert disk.start().read(ONE) == b"1"
    assert disk.worst_case().read(ONE) == b"1"
    disk.close()


def test_what_was_synced_survives_and_nothing_else_is_sure() -> None:
    survived = set()
    for seed in range(60):
        file = SimulatedFile()
        file.write(b"a" * 4 * SECTOR_BYTES, 0)
        file.sync()
        file.write(b"b" * 4 * SECTOR_BYTES, 0)
        assert file.read(2, 0) == b"bb"
        file.lose_power(random.Random(seed))
        content = file.read(4 * SECTOR_BYTES, 0)
        new = content.count(b"b")
        assert content == b"b" * new + b"a" * (4 * SECTOR_BYTES - new)
        assert new % SECTOR_BYTES == 0
        survived.add(new // SECTOR_BYTES)
    assert survived == {0, 1, 2, 3, 4}


def test_no_later_sync_writes_what_a_failed_one_left_in_the_cache() -> None:
    lost = 0
    for seed in range(20):
        file = SimulatedFile()
        file.write(b"a", 0)
        file.fail_to_sync(random.Random(seed))
        assert file.read(1, 0) == b"a"
        file.sync()
        lost += file.platter != b"a"
        file.write(file.read(1, 0), 0)
        file.sync()
        assert file.platter == b"a"
    assert lost
