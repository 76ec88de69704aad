"""What every `LinkAdapter` must do, as tests: subclass `LinkConformance`, say how a link is made, run pytest.

    class TestMyAdapter(LinkConformance):
        def make_ends(self, time, directory):
            wire = LinkWire()
            near = link_end(wire.near, directory / "near", time)
            far = link_end(wire.far, directory / "far", time, me="bob", peer="alice")
            return MyAdapter(options, near), MyAdapter(options, far)

An adapter that cannot run on virtual time overrides `pass_time`, and its tests take real seconds.
"""

import asyncio
from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from keyhop.core.errors import LinkError
from keyhop.link.adapter import MAX_QBER, LinkAdapter, LinkBlock
from keyhop.testing.virtual_time import VirtualTime


class LinkConformance(ABC):
    """The suite. `seconds` must be enough for several blocks; `max_burst` bounds what one stall may bring.

    `tells_qber` is False for a link that never learns its QBER.
    """

    seconds = 5.0
    max_burst = 64
    tells_qber = True

    @abstractmethod
    def make_ends(self, time: VirtualTime, directory: Path) -> tuple[LinkAdapter, LinkAdapter]:
        """Both ends of one link. A second call with the same directory gives the same link after a restart."""

    async def pass_time(self, time: VirtualTime, seconds: float) -> None:
        """Lets the adapters run for a while."""
        await time.advance(seconds)

    def test_same_sequence_means_same_bytes(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            time = VirtualTime()
            near, far = await self._run_both(time, tmp_path)
            shared = _by_sequence(near).keys() & _by_sequence(far).keys()
            assert len(shared) >= 3
            for sequence in shared:
                one, other = _by_sequence(near)[sequence], _by_sequence(far)[sequence]
                assert one.material == other.material
                assert one.qber == other.qber

        asyncio.run(scenario())

    def test_sequences_rise_and_bytes_never_repeat(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            near, far = await self._run_both(VirtualTime(), tmp_path)
            for blocks in (near, far):
                _assert_rising(blocks)
                assert len({block.material.reveal() for block in blocks}) == len(blocks)

        asyncio.run(scenario())

    def test_blocks_are_well_formed(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            time = VirtualTime()
            (end, far), blocks = self.make_ends(time, tmp_path), list[LinkBlock]()
            await _start_both(end, far, blocks)
            await self.pass_time(time, self.seconds)
            await _stop_both(end, far)
            for block in blocks:
                assert 0 <= block.sequence < 1 << 63
                assert len(block.material) >= 64
                assert 0 <= block.qber <= MAX_QBER
                assert block.source == end.kind
                assert abs(block.produced_at - time.wall()) <= 2 * self.seconds
                secret = block.material.reveal()
                assert repr(secret)[2:-1] not in repr(block)
                assert secret.hex() not in repr(block)

        asyncio.run(scenario())

    def test_nothing_is_delivered_after_stop(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            time = VirtualTime()
            (end, far), blocks = self.make_ends(time, tmp_path), list[LinkBlock]()
            await _start_both(end, far, blocks)
            await self.pass_time(time, self.seconds)
            await end.stop()
            before = len(blocks)
            assert before
            await self.pass_time(time, self.seconds)
            assert len(blocks) == before
            await _stop_both(end, far)

        asyncio.run(scenario())

    def test_started_again_it_goes_on_and_repeats_nothing(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            time = VirtualTime()
            (end, far), blocks = self.make_ends(time, tmp_path), list[LinkBlock]()
            for runs in range(1, 4):
                await _start_both(end, far, blocks)
                await self.pass_time(time, self.seconds)
                await _stop_both(end, far)
                assert len(blocks) >= runs
            _assert_rising(blocks)

        asyncio.run(scenario())

    def test_a_restarted_process_repeats_nothing(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            time, blocks = VirtualTime(), list[LinkBlock]()
            for runs in range(1, 4):
                end, far = self.make_ends(time, tmp_path)
                await _start_both(end, far, blocks)
                await self.pass_time(time, self.seconds)
                await _stop_both(end, far)
                assert len(blocks) >= runs
            _assert_rising(blocks)

        asyncio.run(scenario())

    def test_the_far_end_may_come_back_as_another_process(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            time, near, far = VirtualTime(), list[LinkBlock](), list[LinkBlock]()
            end, first_life = self.make_ends(time, tmp_path)
            await end.start(near.append)
            await first_life.start(far.append)
            await self.pass_time(time, self.seconds)
            await first_life.stop()
            await self.pass_time(time, self.seconds)
            before = len(far)
            _, second_life = self.make_ends(time, tmp_path)
            await second_life.start(far.append)
            await self.pass_time(time, self.seconds)
            await _stop_both(end, second_life)
            assert len(far) > before
            _assert_rising(far)
            late = [block for block in far[before:] if block.sequence in _by_sequence(near)]
            assert late
            assert all(block.material == _by_sequence(near)[block.sequence].material for block in late)

        asyncio.run(scenario())

    def test_a_clock_that_steps_back_repeats_nothing(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            time = VirtualTime()
            (end, far), blocks = self.make_ends(time, tmp_path), list[LinkBlock]()
            await _start_both(end, far, blocks)
            await self.pass_time(time, self.seconds)
            before = len(blocks)
            time.step_wall(-self.seconds)
            await self.pass_time(time, 2 * self.seconds)
            await _stop_both(end, far)
            assert len(blocks) > before
            _assert_rising(blocks)

        asyncio.run(scenario())

    def test_a_stall_is_not_made_up_for_without_bound(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            time = VirtualTime()
            (end, far), blocks = self.make_ends(time, tmp_path), list[LinkBlock]()
            await _start_both(end, far, blocks)
            await self.pass_time(time, self.seconds)
            before = len(blocks)
            time.stall(3600.0)
            await time.advance(0.0)
            assert len(blocks) - before <= self.max_burst
            await self.pass_time(time, self.seconds)
            await _stop_both(end, far)
            assert len(blocks) > before
            _assert_rising(blocks)

        asyncio.run(scenario())

    def test_status_follows_its_life(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            time = VirtualTime()
            (end, far), blocks = self.make_ends(time, tmp_path), list[LinkBlock]()
            assert end.status().state == "off"
            assert (end.status().blocks, end.status().qber) == (0, None)
            await _start_both(end, far, blocks)
            assert end.status().state in ("starting", "generating")
            await self.pass_time(time, self.seconds)
            status = end.status()
            assert (status.state, status.reason) == ("generating", None)
            assert status.blocks == len(blocks)
            assert status.sbr_bps > 0
            assert (status.qber is not None) == self.tells_qber
            assert status.qber is None or 0 <= status.qber <= MAX_QBER
            await _stop_both(end, far)
            assert end.status().state == "off"

        asyncio.run(scenario())

    def test_start_twice_is_refused_and_stop_is_always_harmless(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            (end, far), blocks = self.make_ends(VirtualTime(), tmp_path), list[LinkBlock]()
            await end.stop()
            await _start_both(end, far, blocks)
            with pytest.raises(LinkError):
                await end.start(blocks.append)
            await _stop_both(end, far)
            await end.stop()

        asyncio.run(scenario())

    async def _run_both(self, time: VirtualTime, directory: Path) -> tuple[list[LinkBlock], list[LinkBlock]]:
        near, far = list[LinkBlock](), list[LinkBlock]()
        one, other = self.make_ends(time, directory)
        await one.start(near.append)
        await other.start(far.append)
        await self.pass_time(time, self.seconds)
        await _stop_both(one, other)
        return near, far


async def _start_both(end: LinkAdapter, far: LinkAdapter, blocks: list[LinkBlock]) -> None:
    await end.start(blocks.append)
    await far.start(lambda block: None)


async def _stop_both(one: LinkAdapter, other: LinkAdapter) -> None:
    await one.stop()
    await other.stop()


def _by_sequence(blocks: list[LinkBlock]) -> dict[int, LinkBlock]:
    return {block.sequence: block for block in blocks}


def _assert_rising(blocks: list[LinkBlock]) -> None:
    sequences = [block.sequence for block in blocks]
    assert sequences == sorted(set(sequences))
