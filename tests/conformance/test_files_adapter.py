"""Links fed by key files, under the suite for links; then everything that a directory may hold."""

import asyncio
import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from keyhop.core.errors import ConfigurationError
from keyhop.link.adapter import LinkEvent
from keyhop.link.vendors.adapter import Role, VendorAdapter
from keyhop.link.vendors.files import OFFER_AGAIN_S, make_files
from keyhop.link.vendors.key_files import KeyDirectory
from keyhop.link.vendors.settings import FilesOptions
from keyhop.testing.link_conformance import LinkConformance
from keyhop.testing.link_end import LinkBench, WireEnd, link_end
from keyhop.testing.virtual_time import VirtualTime

BLOCK_BYTES = 256
FILE_BYTES = 128
TURN_S = 0.05


class Device:
    """Writes the same file into both directories, whole at once."""

    def __init__(self, near: Path, far: Path) -> None:
        self.directories = (near, far)
        self.written = 0
        self.form = "raw"
        for directory in self.directories:
            directory.mkdir(mode=0o700, exist_ok=True)

    def write(self, *directories: Path) -> str:
        self.written += 1
        name, key = f"{self.written:06}.key", random.Random(self.written).randbytes(FILE_BYTES)
        content = key.hex().encode() + b"\n" if self.form == "hex" else key
        for directory in directories or self.directories:
            put(directory / name, content)
        return name


def put(path: Path, content: bytes) -> None:
    unfinished = path.with_suffix(".part")
    unfinished.touch(mode=0o600)
    unfinished.write_bytes(content)
    unfinished.rename(path)


class Bench(LinkBench[VendorAdapter]):
    """Two ends and their directories."""

    def __init__(self, directory: Path, time: VirtualTime, **others: Any) -> None:
        self._directory = directory
        self._others = others
        super().__init__(time)
        self.device = Device(directory / "near files", directory / "far files")
        self.events: list[LinkEvent] = []
        self.writes = True
        self._loop: asyncio.AbstractEventLoop | None = None

    def ends(self) -> tuple[VendorAdapter, VendorAdapter]:
        near, far = self.device.directories
        return self._end("initiator", self.wire.near, near), self._end("follower", self.wire.far, far)

    def _end(self, role: Role, channel: WireEnd, directory: Path) -> VendorAdapter:
        options = FilesOptions(role=role, directory=directory, block_bytes=BLOCK_BYTES, **self._others)
        return make_files(options, link_end(channel, self._directory / role, self.time, report=self.events.append))

    async def pass_time(self, seconds: float) -> None:
        """Disks are used in threads, which virtual time does not know of: they get to run between its turns."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            loop.set_default_executor(ThreadPoolExecutor(1))
        for turn in range(round(seconds / TURN_S)):
            if self.writes and turn % 2 == 0:
                self.device.write()
            await self.time.advance(TURN_S)
            await threads_done()

    async def pass_time_until(self, enough: int) -> None:
        for _ in range(200):
            if self.shared() >= enough:
                return
            await self.pass_time(1.0)
        raise AssertionError(f"{self.shared()} blocks instead of {enough}")

    def left(self) -> tuple[list[str], list[str]]:
        near, far = (sorted(path.name for path in directory.iterdir()) for directory in self.device.directories)
        return near, far


async def threads_done() -> None:
    """What is on its way through the default executor, of one thread, comes back before this does."""
    for _ in range(6):
        await asyncio.to_thread(lambda: None)


class TestFilesAdapter(LinkConformance):
    tells_qber = False

    def make_ends(self, time: VirtualTime, directory: Path) -> tuple[VendorAdapter, VendorAdapter]:
        self._bench = bench = getattr(self, "_bench", None) or Bench(directory, time)
        return bench.ends()

    async def pass_time(self, time: VirtualTime, seconds: float) -> None:
        await self._bench.pass_time(seconds)


@pytest.mark.parametrize("after_use", ["erase", "move"])
def test_used_files_are_gone(tmp_path: Path, after_use: str) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime(), after_use=after_use)
        ends = await bench.start()
        await bench.pass_time_until(5)
        bench.writes = False
        await bench.pass_time(15.0)
        used = sum(len(block.material) + 32 for block in bench.near) // FILE_BYTES
        near, far = bench.left()
        assert set(near) == set(far)
        kept = [name for name in near if name != "used"]
        assert len(kept) == bench.device.written - used
        for directory in bench.device.directories:
            moved = list((directory / "used").iterdir()) if after_use == "move" else []
            assert len(moved) == (used if after_use == "move" else 0)
        for end in ends:
            await end.stop()

    asyncio.run(scenario())


def test_files_in_hex(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime(), format="hex")
        bench.device.form = "hex"
        ends = await bench.start()
        await bench.pass_time_until(3)
        assert bench.near[0].material.reveal()[:8] == random.Random(1).randbytes(FILE_BYTES)[32:40]
        for end in ends:
            await end.stop()

    asyncio.run(scenario())


def test_nothing_but_finished_key_files_of_ours_is_taken(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime(), wait_s=0.0)
        outside = tmp_path / "outside.key"
        put(outside, bytes(range(128)))
        told = {
            "00 link.key": "cannot open it",
            "00 folder.key": "not a regular file",
            "00 pipe.key": "not a regular file",
            "00 two names.key": "has 2 names",
            "00 open.key": "others may read or write it (mode 0644)",
            "00 large.key": "not 1 to 65536",
            "00 empty.key": "has 0 bytes",
        }
        for directory in bench.device.directories:
            (directory / "00 link.key").symlink_to(outside)
            (directory / "00 folder.key").mkdir()
            os.mkfifo(directory / "00 pipe.key", 0o600)
            put(directory / "00 two names.key", bytes(64))
            os.link(directory / "00 two names.key", directory / "second name")
            put(directory / "00 open.key", bytes(range(100)))
            (directory / "00 open.key").chmod(0o644)
            put(directory / "00 large.key", bytes(65_537))
            put(directory / "00 empty.key", b"")
            for name in ("00 growing.part", "00 growing.key.tmp", ".00 hidden.key", "00 other.txt"):
                put(directory / name, bytes(range(128)))
        before = {*bench.left()[0]}
        ends = await bench.start()
        await bench.pass_time_until(5)
        assert before <= {*bench.left()[0]}
        assert outside.read_bytes() == bytes(range(128))
        texts = [event.text for event in bench.events]
        for name, reason in told.items():
            assert any(name in text and reason in text for text in texts), name
        assert len(texts) == len(set(texts)) == len(told)
        for end in ends:
            await end.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o707])
def test_a_directory_that_others_may_write_in_is_refused(tmp_path: Path, mode: int) -> None:
    bench = Bench(tmp_path, VirtualTime())
    bench.device.directories[0].chmod(mode)
    with pytest.raises(ConfigurationError, match="others may write in the directory"):
        bench.ends()


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701])
def test_a_directory_that_others_may_look_into_is_refused(tmp_path: Path, mode: int) -> None:
    bench = Bench(tmp_path, VirtualTime())
    bench.device.directories[0].chmod(mode)
    with pytest.raises(ConfigurationError, match="others may look into the directory"):
        bench.ends()


@pytest.mark.parametrize(("which", "mode"), [(0, 0o777), (1, 0o777), (0, 0o755)])
def test_the_mode_is_looked_at_while_the_link_runs(tmp_path: Path, which: int, mode: int) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime())
        ends = await bench.start()
        await bench.pass_time_until(3)
        bench.device.directories[which].chmod(mode)
        await bench.pass_time(1.5)
        assert ends[which].status().state == "stopped"
        assert f"(mode {mode:04o})" in (ends[which].status().reason or "")
        bench.device.directories[which].chmod(0o700)
        await bench.pass_time_until(bench.shared() + 5)
        for end in ends:
            await end.stop()

    asyncio.run(scenario())


def test_an_empty_directory_is_told_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime())
        bench.writes = False
        ends = await bench.start()
        await bench.pass_time(2.5)
        told = f"waiting for key files in {bench.device.directories[0]}"
        assert [(end.status().state, end.status().reason) for end in ends] == [
            ("starting", told),
            ("starting", f"the far end says: {told}"),
        ]
        for end in ends:
            await end.stop()

    asyncio.run(scenario())


def test_a_refused_file_is_told_once_and_left_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime(), wait_s=0.0, unmatched_s=10.0)
        near, far = bench.device.directories
        for directory in (near, far):
            put(directory / "77.key", b"")
            os.utime(directory / "77.key", (0, bench.time.wall() - 100.0))
        ends = await bench.start()
        await bench.pass_time(1.5 * OFFER_AGAIN_S)
        (near / "77.key").chmod(0o644)
        await bench.pass_time(1.5 * OFFER_AGAIN_S)
        assert [event.text for event in bench.events if "77.key" in event.text] == [
            "a key file is refused: 77.key: has 0 bytes, not 1 to 65536"
        ]
        assert "77.key" in bench.left()[0]
        for end in ends:
            await end.stop()

    asyncio.run(scenario())


def test_a_directory_that_is_a_link_or_missing_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, VirtualTime())
    near = bench.device.directories[0]
    near.rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="cannot open the directory"):
        bench.ends()
    near.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="cannot open the directory"):
        bench.ends()


def test_a_directory_that_changes_while_the_link_runs_stops_it_until_it_is_good_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime())
        one, other = await bench.start()
        await bench.pass_time_until(3)
        await one.stop()
        near = bench.device.directories[0]
        near.chmod(0o777)
        await one.start(bench.near.append)
        await bench.pass_time(1.0)
        status = one.status()
        assert status.state == "stopped"
        assert "others may write" in (status.reason or "")
        near.chmod(0o700)
        await bench.pass_time_until(bench.shared() + 5)
        await one.stop()
        await other.stop()

    asyncio.run(scenario())


def test_a_file_that_one_end_only_has_delays_nothing_and_is_removed_in_the_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime(), wait_s=0.0, unmatched_s=3600.0)
        near, far = bench.device.directories
        lonely = [bench.device.write(near), bench.device.write(far)]
        ends = await bench.start()
        await bench.pass_time_until(5)
        assert {lonely[0]} <= {*bench.left()[0]}
        assert {lonely[1]} <= {*bench.left()[1]}
        for name, directory in zip(lonely, (near, far), strict=True):
            os.utime(directory / name, (0, bench.time.wall() - 4000.0))
        await bench.pass_time(3 * OFFER_AGAIN_S)
        assert lonely[0] not in bench.left()[0]
        assert lonely[1] not in bench.left()[1]
        for end in ends:
            await end.stop()

    asyncio.run(scenario())


def test_the_follower_waits_for_a_device_that_is_late(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime(), wait_s=5.0)
        near, far = bench.device.directories
        bench.writes = False
        ends = await bench.start()
        for _ in range(4):
            name = bench.device.write(near)
            await bench.pass_time(1.0)
            put(far / name, (near / name).read_bytes())
            await bench.pass_time(1.0)
        assert bench.shared() == 1
        for end in ends:
            await end.stop()

    asyncio.run(scenario())


def test_a_device_that_cannot_rename_is_waited_for(tmp_path: Path) -> None:
    """It writes a file in pieces under its final name."""

    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime(), settle_s=2.0, wait_s=20.0)
        bench.writes = False
        ends = await bench.start()
        content = random.Random(7).randbytes(512)
        for part in range(4):
            for directory in bench.device.directories:
                path = directory / "slow.key"
                path.touch(mode=0o600)
                with path.open("ab") as file:
                    file.write(content[128 * part : 128 * part + 128])
                os.utime(path, (0, bench.time.wall()))
            await bench.pass_time(1.0)
        assert not bench.near
        await bench.pass_time(10.0)
        (block,) = bench.near
        assert block.material.reveal() == content[32:]
        for end in ends:
            await end.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "name", ["../secret.key", "..", ".", "/etc/passwd", "a/b", "", "x\0y", "x\ny", "a" * 300, "\ud800.key", "a.part"]
)
def test_names_from_the_far_end_cannot_leave_the_directory(tmp_path: Path, name: str) -> None:
    tmp_path.chmod(0o700)
    directory = KeyDirectory(tmp_path, "*")
    assert directory.is_key_file("a")
    assert not directory.is_key_file(name)
    directory.close()


def test_a_file_that_cannot_be_removed_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path, VirtualTime())
        one, other = await bench.start()
        await bench.pass_time_until(3)
        with monkeypatch.context() as patch:

            def refuse(*arguments: Any, **others: Any) -> None:
                raise PermissionError(1, "Operation not permitted")

            patch.setattr(os, "unlink", refuse)
            before = len(bench.near)
            await bench.pass_time(5.0)
            assert len(bench.near) <= before + 1
            assert "cannot remove it" in (one.status().reason or "")
        await bench.pass_time_until(before + 5)
        await one.stop()
        await other.stop()

    asyncio.run(scenario())
