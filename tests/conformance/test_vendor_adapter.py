"""The adapter around any vendor's device, under the suite for links; then lost messages, crashes and device faults."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest

from keyhop.link.adapter import LinkBlock, LinkEvent
from keyhop.link.vendors.adapter import Role, VendorAdapter
from keyhop.link.vendors.device import DeviceFault, NoKeysNow, StreamEnded
from keyhop.link.vendors.health import QUIET_S
from keyhop.testing.link_conformance import LinkConformance
from keyhop.testing.link_end import FileMemory, LinkWire, WireEnd, link_end
from keyhop.testing.vendor_device import DevicePair, FakeDevice
from keyhop.testing.virtual_time import VirtualTime

BLOCK_BYTES = 512


class TestVendorAdapter(LinkConformance):
    tells_qber = False

    def make_ends(self, time: VirtualTime, directory: Path) -> tuple[VendorAdapter, VendorAdapter]:
        # The wire and the devices outlive the processes at their ends.
        self._bench = bench = getattr(self, "_bench", None) or Bench(directory, time=time)
        return bench.initiator(), bench.follower()


class MortalMemory(FileMemory):
    """Of a process that may die: then nothing is durable any more, and nothing happens after it."""

    def __init__(self, path: Path, alive: Callable[[], bool]) -> None:
        super().__init__(path)
        self._alive = alive

    def save(self, value: bytes) -> None:
        if self._alive():
            super().save(value)

    def then(self, effect: Callable[[], None]) -> None:
        super().then(lambda: effect() if self._alive() else None)


@dataclass
class Bench:
    """Two ends on one wire, that a test starts, kills and starts again."""

    directory: Path
    time: VirtualTime = field(default_factory=VirtualTime)
    wire: LinkWire = field(default_factory=LinkWire)
    pair: DevicePair = None  # type: ignore[assignment]
    near: list[LinkBlock] = field(default_factory=list)
    far: list[LinkBlock] = field(default_factory=list)
    events: list[LinkEvent] = field(default_factory=list)
    lives: dict[str, int] = field(default_factory=dict)
    dead: set[tuple[str, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.pair = self.pair or DevicePair(self.time)

    def initiator(self, *, max_rate_bps: float | None = None, role: Role = "initiator") -> VendorAdapter:
        return self._end(role, self.pair.near, self.wire.near, "near", max_rate_bps)

    def follower(self, *, role: Role = "follower", kind: str = "fake") -> VendorAdapter:
        return self._end(role, self.pair.far, self.wire.far, "far", None, kind)

    def _end(
        self,
        role: Role,
        device: FakeDevice,
        channel: WireEnd,
        memory: str,
        max_rate_bps: float | None,
        kind: str = "fake",
    ) -> VendorAdapter:
        end = link_end(channel, self.directory / memory, self.time, report=self.events.append)
        # A process that died stays dead; the next one at that end lives.
        life = self.lives[memory] = self.lives.get(memory, 0) + 1
        alive = partial(self._is_alive, memory, life)
        end = replace(end, memory=MortalMemory(self.directory / memory, alive))
        return VendorAdapter(kind, role, device, end, block_bytes=BLOCK_BYTES, max_rate_bps=max_rate_bps)

    def _is_alive(self, memory: str, life: int) -> bool:
        return (memory, life) not in self.dead

    def die(self, memory: str) -> None:
        """The process at that end is gone from here on, in the middle of whatever it does."""
        self.dead.add((memory, self.lives[memory]))

    async def run(self, seconds: float) -> tuple[VendorAdapter, VendorAdapter]:
        one, other = self.initiator(), self.follower()
        await one.start(self.near.append)
        await other.start(self.far.append)
        await self.time.advance(seconds)
        return one, other

    def check(self) -> list[int]:
        """The sequences that both have, after what always holds."""
        for blocks in (self.near, self.far):
            sequences = [block.sequence for block in blocks]
            assert sequences == sorted(set(sequences))
            assert len({block.material.reveal() for block in blocks}) == len(blocks)
        theirs = {block.sequence: block.material for block in self.far}
        shared = [block for block in self.near if block.sequence in theirs]
        assert all(block.material == theirs[block.sequence] for block in shared)
        return [block.sequence for block in shared]


async def stop(*ends: VendorAdapter) -> None:
    for end in ends:
        await end.stop()


def test_blocks_are_as_large_as_configured_and_nothing_is_lost(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        ends = await bench.run(10.0)
        await stop(*ends)
        assert all(len(block.material) >= BLOCK_BYTES for block in bench.near)
        assert len(bench.check()) == len(bench.near) == len(bench.far)
        used = sum(len(block.material) + 32 for block in bench.near)
        assert used >= 0.9 * 10.0 * bench.pair.rate_bps / 8
        assert bench.pair.near.consumed == bench.pair.far.consumed

    asyncio.run(scenario())


@pytest.mark.parametrize("seed", range(6))
def test_a_channel_that_loses_repeats_and_reorders_does_no_harm(tmp_path: Path, seed: int) -> None:
    async def scenario() -> None:
        rng = random.Random(seed)
        bench = Bench(tmp_path)
        late: list[bytes] = []

        def fate(message: bytes) -> list[bytes]:
            kind = rng.random()
            if kind < 0.25:
                late.append(message)
                return []
            arriving = [message, message] if kind < 0.4 else [message]
            if late and rng.random() < 0.3:
                arriving.insert(rng.randrange(2), late.pop(rng.randrange(len(late))))
            return arriving

        bench.wire.fate = fate
        ends = await bench.run(120.0)
        assert len(bench.check()) >= 20
        assert not bench.wire.errors
        bench.wire.fate = lambda message: [message]
        before = len(bench.check())
        await bench.time.advance(10.0)
        assert len(bench.check()) > before + 10
        await stop(*ends)

    asyncio.run(scenario())


@pytest.mark.parametrize("victim", ["near", "far", "both"])
@pytest.mark.parametrize("message", range(1, 40))
def test_either_end_may_crash_between_any_two_messages(tmp_path: Path, victim: str, message: int) -> None:
    """The process is gone at that moment: what it held in memory is too, its store is not."""

    async def scenario() -> None:
        bench = Bench(tmp_path)
        sent = 0

        def fate(each: bytes) -> list[bytes]:
            nonlocal sent
            sent += 1
            if sent == message:
                bench.wire.connected = False
                for end in ("near", "far"):
                    if victim in (end, "both"):
                        bench.die(end)
            return [each]

        bench.wire.fate = fate
        one, other = await bench.run(10.0)
        assert not bench.wire.connected
        if victim in ("near", "both"):
            await one.stop()
            one = bench.initiator()
        if victim in ("far", "both"):
            await other.stop()
            other = bench.follower()
        before = len(bench.check())
        bench.wire.connected = True
        if victim in ("near", "both"):
            await one.start(bench.near.append)
        if victim in ("far", "both"):
            await other.start(bench.far.append)
        await bench.time.advance(20.0)
        assert len(bench.check()) > before + 10
        await stop(one, other)

    asyncio.run(scenario())


@pytest.mark.parametrize("seed", range(8))
def test_everything_at_once_does_no_harm(tmp_path: Path, seed: int) -> None:
    """Lost, late and repeated messages, devices that fail, lack keys or differ, processes that die: in any order."""

    async def scenario() -> None:
        rng = random.Random(seed)
        bench = Bench(tmp_path)
        late: list[bytes] = []

        def fate(message: bytes) -> list[bytes]:
            if rng.random() < 0.15:
                late.append(message)
                return []
            again = [late.pop(0)] if late and rng.random() < 0.2 else []
            return [message] * rng.choice((1, 1, 1, 2)) + again

        bench.wire.fate = fate
        bench.pair.missing = {f"key {n}".encode() for n in range(0, 100_000, rng.randrange(20, 200))}
        bench.pair.differing = {f"key {n}".encode() for n in range(5, 100_000, rng.randrange(100, 400))}
        ends = dict(zip(("near", "far"), await bench.run(3.0), strict=True))
        for _ in range(25):
            which = rng.choice(("near", "far"))
            device = bench.pair.near if which == "near" else bench.pair.far
            match rng.randrange(4):
                case 0:
                    device.faults = [rng.choice((DeviceFault, NoKeysNow))("broken") for _ in range(rng.randrange(4))]
                case 1:
                    bench.wire.connected = not bench.wire.connected
                case _:
                    bench.die(which)
                    await bench.time.advance(rng.choice((0.0, 0.2, 3.0)))
                    await ends[which].stop()
                    ends[which] = bench.initiator() if which == "near" else bench.follower()
                    await ends[which].start((bench.near if which == "near" else bench.far).append)
            await bench.time.advance(rng.uniform(0.0, 5.0))
            bench.check()
        bench.wire.connected, bench.wire.fate = True, lambda message: [message]
        bench.pair.near.faults, bench.pair.far.faults = [], []
        before = len(bench.check())
        await bench.time.advance(120.0)
        assert len(bench.check()) > before + 20
        assert not bench.wire.errors
        await stop(*ends.values())

    asyncio.run(scenario())


def test_a_sequence_that_one_end_forgot_is_not_used_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        await stop(*await bench.run(5.0))
        before = bench.near[-1].sequence
        for forgetful in ("near", "far"):
            (tmp_path / forgetful).unlink()
            await stop(*await bench.run(5.0))
        assert bench.near[-1].sequence > before
        bench.check()

    asyncio.run(scenario())


def test_keys_that_the_far_end_lacks_are_left_out(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        bench.pair.missing = {f"key {n}".encode() for n in range(0, 10_000, 3)}
        one, other = await bench.run(10.0)
        assert len(bench.check()) >= 10
        assert all(len(block.material) >= BLOCK_BYTES for block in bench.near)
        assert set(bench.pair.near.not_used) <= bench.pair.missing
        assert one.status().details["keys_lost"] == len(bench.pair.near.not_used)
        await stop(one, other)

    asyncio.run(scenario())


def test_a_far_end_without_any_of_the_keys_does_not_drain_the_device(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        bench.pair.missing = {f"key {n}".encode() for n in range(100_000)}
        one, other = await bench.run(60.0)
        status = one.status()
        assert status.state == "stopped"
        assert status.reason is not None
        assert "the far end finds none of the keys" in status.reason
        assert len(bench.pair.near.not_used) < 0.1 * 60.0 * bench.pair.rate_bps / 8 / bench.pair.key_bytes
        bench.pair.missing = set()
        await bench.time.advance(60.0)
        assert one.status().state == other.status().state == "generating"
        await stop(one, other)

    asyncio.run(scenario())


def test_bytes_that_differ_under_one_name_never_become_a_block(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        bench.pair.differing = {f"key {n}".encode() for n in range(10, 10_000, 40)}
        ends = await bench.run(20.0)
        assert len(bench.check()) >= 5
        assert any(event.alarm and "different bytes" in event.text for event in bench.events)
        await stop(*ends)

    asyncio.run(scenario())


def test_devices_that_never_agree_stop_both_ends_with_one_alarm_each(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        bench.pair.differing = {f"key {n}".encode() for n in range(100_000)}
        one, other = await bench.run(20.0)
        for end in (one, other):
            assert end.status().state == "stopped"
            assert "different bytes" in (end.status().reason or "")
        assert len(bench.events) == 2
        assert not bench.near
        bench.pair.differing = set()
        await bench.time.advance(5.0)
        assert one.status().state == other.status().state == "generating"
        assert len(bench.events) == 2
        await stop(one, other)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("side", "fault"),
    [("near", DeviceFault), ("near", NoKeysNow), ("near", StreamEnded), ("far", DeviceFault), ("far", NoKeysNow)],
)
def test_a_device_that_fails_now_and_then_is_tried_again(
    tmp_path: Path, side: str, fault: Callable[[str], Exception]
) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        one, other = await bench.run(5.0)
        device, adapter = (bench.pair.near, one) if side == "near" else (bench.pair.far, other)
        for _ in range(4):
            device.faults = [fault("it is on fire")]
            await bench.time.advance(0.3)
            if fault is not NoKeysNow:
                assert adapter.status().state in ("stopped", "generating")
            await bench.time.advance(10.0)
            assert adapter.status().state == "generating"
        device.faults = [fault("it is on fire")] * 1000
        before = len(bench.check())
        await bench.time.advance(QUIET_S + 10.0)
        status = adapter.status()
        assert (status.state, "it is on fire" in (status.reason or "")) == ("stopped", True)
        assert len(bench.check()) <= before + 2
        device.faults = []
        await bench.time.advance(60.0)
        assert adapter.status().state == "generating"
        assert len(bench.check()) > before + 10
        await stop(one, other)

    asyncio.run(scenario())


def test_the_rate_is_limited(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        one, other = bench.initiator(max_rate_bps=4_000), bench.follower()
        await one.start(bench.near.append)
        await other.start(bench.far.append)
        await bench.time.advance(60.0)
        assert 0.8 * 4_000 <= len(bench.pair.near.consumed) * 8 * bench.pair.key_bytes / 60.0 <= 1.1 * 4_000
        await stop(one, other)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("near", "far", "kind", "told"),
    [
        ("initiator", "initiator", "fake", "both ends have the role initiator"),
        ("initiator", "follower", "other", "the far end has kind 'other'"),
        ("follower", "follower", "fake", "is it the initiator?"),
    ],
)
def test_ends_that_do_not_fit_say_so(tmp_path: Path, near: Role, far: Role, kind: str, told: str) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        one, other = bench.initiator(role=near), bench.follower(role=far, kind=kind)
        await one.start(bench.near.append)
        await other.start(bench.far.append)
        await bench.time.advance(QUIET_S + 5.0)
        status = one.status()
        assert status.state == "stopped"
        assert told in (status.reason or "")
        both = (status.reason, other.status().reason)
        for _ in range(5):
            await bench.time.advance(1.0)
            assert (one.status().reason, other.status().reason) == both
        assert not bench.near
        assert not bench.far
        await stop(one, other)

    asyncio.run(scenario())


def test_a_far_end_that_is_away_is_named_after_a_while(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        one, other = await bench.run(5.0)
        await other.stop()
        await bench.time.advance(QUIET_S - 5.0)
        assert one.status().state == "generating"
        await bench.time.advance(10.0)
        assert one.status().state == "stopped"
        reason = one.status().reason
        assert reason is not None
        assert "the far end" in reason
        await bench.time.advance(10.0)
        assert one.status().reason == reason
        await one.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("side", ["near", "far"])
def test_a_fault_is_told_at_the_far_end_too(tmp_path: Path, side: str) -> None:
    """From the first second, when the ends have not yet greeted each other, and until it is over."""

    async def scenario() -> None:
        bench = Bench(tmp_path)
        device = bench.pair.near if side == "near" else bench.pair.far
        device.faults = [DeviceFault("certificate verify failed: \x1b[31m" + "x" * 500)] * 1000
        one, other = await bench.run(3.0)
        broken, well = (one, other) if side == "near" else (other, one)
        assert broken.status().state == well.status().state == "stopped"
        reason = well.status().reason or ""
        assert reason.startswith("the far end says: certificate verify failed: ")
        assert reason.isprintable()
        assert len(reason) < 250
        await bench.time.advance(20.0)
        assert well.status().reason == reason
        device.faults = []
        await bench.time.advance(40.0)
        assert broken.status().state == well.status().state == "generating"
        await stop(one, other)

    asyncio.run(scenario())


def test_what_an_end_waits_for_is_told_while_it_starts_at_both(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        bench.pair.near.faults = [NoKeysNow("the drawer is empty")] * 1000
        one, other = await bench.run(3.0)
        assert (one.status().state, one.status().reason) == ("starting", "the drawer is empty")
        assert (other.status().state, other.status().reason) == ("starting", "the far end says: the drawer is empty")
        await bench.time.advance(QUIET_S)
        assert other.status().state == "stopped"
        assert "no block for more than 30 s: the far end says: the drawer" in (other.status().reason or "")
        await stop(one, other)

    asyncio.run(scenario())


def test_what_a_far_end_said_that_is_gone_since_does_not_count_for_ever(tmp_path: Path) -> None:
    async def scenario() -> None:
        bench = Bench(tmp_path)
        bench.pair.far.faults = [DeviceFault("it is on fire")] * 1000
        one, other = await bench.run(5.0)
        await other.stop()
        await bench.time.advance(QUIET_S)
        assert one.status().reason == "no block for more than 30 s: the far end has not got its copies yet"
        await one.stop()

    asyncio.run(scenario())
