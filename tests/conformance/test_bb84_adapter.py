"""The BB84 adapter under the suite for links, on virtual time, and what is particular to its shell."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from keyhop.core.clock import SystemClock
from keyhop.core.errors import ConfigurationError
from keyhop.link.adapter import DisturbableLink, Disturbance, Eavesdropper, LinkAdapter, LinkBlock, LinkEnd, LinkEvent
from keyhop.link.bb84 import adapter as adapter_module
from keyhop.link.bb84.adapter import Bb84Adapter
from keyhop.link.bb84.authentication.enrolment import make_enrolment
from keyhop.link.bb84.authentication.tag_keys import Role
from keyhop.link.bb84.settings import Bb84Options
from keyhop.link.bb84.worker import InlineWorker, Worker
from keyhop.testing.bb84_link import SeededEntropy, options
from keyhop.testing.link_conformance import LinkConformance
from keyhop.testing.link_end import LinkWire, link_end
from keyhop.testing.virtual_time import VirtualTime


def inline(name: str) -> Worker:
    return InlineWorker()


def secret_file(path: Path, content: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(content)
    return path


def files(directory: Path) -> Bb84Options:
    return replace(
        options(block_bits=10_000, visibility=0.99),
        enrolment_file=secret_file(directory / "enrolment", make_enrolment(SeededEntropy("enrolment"), 128)),
        pulses_file=secret_file(directory / "pulses", "ab" * 32),
    )


class Ends:
    """Both ends of one link on one wire; `make` makes them, again after a restart."""

    def __init__(self, directory: Path, time: VirtualTime) -> None:
        self.wire, self.time, self.directory = LinkWire(), time, directory
        self.events: list[LinkEvent] = []
        self.options = files(directory)
        self.received: list[LinkBlock] = []
        self.sent: list[LinkBlock] = []

    def make(self) -> tuple[Bb84Adapter, Bb84Adapter]:
        make = partial(Bb84Adapter, new_worker=inline, compile_all=lambda progress: None)
        seeds = SeededEntropy("transmitter"), SeededEntropy("receiver")
        near = link_end(self.wire.near, self.directory / "near", self.time, entropy=seeds[0], report=self.events.append)
        far = link_end(self.wire.far, self.directory / "far", self.time, me="bob", peer="alice", entropy=seeds[1])
        return make(replace(self.options, role="transmitter"), near), make(replace(self.options, role="receiver"), far)


class Bb84Conformance(LinkConformance):
    seconds = 6.0

    @pytest.fixture(autouse=True)
    def _links(self) -> None:
        self.links: dict[Path, Ends] = {}

    def both(self, time: VirtualTime, directory: Path) -> tuple[Bb84Adapter, Bb84Adapter]:
        if directory not in self.links:
            self.links[directory] = Ends(directory, time)
        return self.links[directory].make()


class TestBb84Transmitter(Bb84Conformance):
    def make_ends(self, time: VirtualTime, directory: Path) -> tuple[LinkAdapter, LinkAdapter]:
        return self.both(time, directory)


class TestBb84Receiver(Bb84Conformance):
    def make_ends(self, time: VirtualTime, directory: Path) -> tuple[LinkAdapter, LinkAdapter]:
        transmitter, receiver = self.both(time, directory)
        return receiver, transmitter


del Bb84Conformance, LinkConformance  # pytest would collect them here


@pytest.fixture
def ends(tmp_path: Path) -> Ends:
    return Ends(tmp_path, VirtualTime())


def test_neither_compiling_nor_aligning_counts_in_the_rate(ends: Ends) -> None:
    """The first round's rate is what it is later, however late the link began."""
    ends.options = replace(ends.options, alignment_s=30.0)

    async def scenario() -> None:
        transmitter, receiver = ends.make()
        await transmitter.start(ends.sent.append)
        await receiver.start(ends.received.append)
        while not ends.received:
            await ends.time.advance(0.05)
        first_bps = [end.status().sbr_bps for end in (transmitter, receiver)]
        await ends.time.advance(20)
        for end, early_bps in zip((transmitter, receiver), first_bps, strict=True):
            assert early_bps == pytest.approx(end.status().sbr_bps, rel=0.5)
            await end.stop()

    asyncio.run(scenario())


def test_a_link_that_compiles_says_so_and_can_be_stopped(ends: Ends) -> None:
    seen, going, told = threading.Event(), threading.Event(), list[str | None]()

    def compile_all(progress: Callable[[str], None]) -> None:
        progress("compiling, once on this machine: 3 of 8")
        told.append(adapter.status().reason)
        seen.set()
        going.wait()
        progress("compiling, once on this machine: 4 of 8")
        told.append("went on")

    async def scenario() -> None:
        await adapter.start(ends.sent.append)
        await asyncio.to_thread(seen.wait)
        assert adapter.status().state == "starting"
        await adapter.stop()
        going.set()

    end = link_end(LinkWire().near, ends.directory / "near", VirtualTime())
    adapter = Bb84Adapter(ends.options, end, compile_all=compile_all)
    asyncio.run(scenario())
    for thread in threading.enumerate():
        if thread.name.startswith("alice-bob engine"):
            thread.join()
    assert told == ["compiling, once on this machine: 3 of 8"]


def test_a_link_whose_protocol_cannot_begin_stops(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, object]] = []

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        monkeypatch.setattr(adapter_module, "Engine", broken)
        transmitter, _ = ends.make()
        await transmitter.start(ends.sent.append)
        await ends.time.advance(1.0)
        status = transmitter.status()
        assert (status.state, status.reason) == ("stopped", "the link failed (ZeroDivisionError)")
        await transmitter.stop()

    asyncio.run(scenario())
    assert [context["message"] for context in told] == ["a BB84 link failed"]


def test_has_physics_and_can_be_disturbed(ends: Ends) -> None:
    for adapter in ends.make():
        assert (adapter.kind, adapter.physics) == ("bb84", True)
        assert isinstance(adapter, DisturbableLink)


def test_is_refused_outside_a_lab_unless_forced(ends: Ends) -> None:
    end = link_end(LinkWire().near, ends.directory / "x", VirtualTime(), lab=False)
    with pytest.raises(ConfigurationError, match="for labs only"):
        Bb84Adapter(ends.options, end)
    Bb84Adapter(replace(ends.options, force=True), end)


@pytest.mark.parametrize("name", ["enrolment_file", "pulses_file"])
def test_a_missing_file_is_a_configuration_error(ends: Ends, name: str) -> None:
    (ends.directory / name.removesuffix("_file")).unlink()
    with pytest.raises(ConfigurationError, match="cannot read"):
        ends.make()


def test_keys_in_the_store_that_are_unreadable_stop_the_link_and_not_the_node(ends: Ends) -> None:
    (ends.directory / "near").write_bytes(b"\xc1")
    transmitter, _ = ends.make()
    asyncio.run(transmitter.start(ends.sent.append))
    assert transmitter.status().state == "stopped"
    assert "enrol the link again" in (transmitter.status().reason or "")
    asyncio.run(transmitter.stop())
    assert transmitter.status().state == "off"


def test_a_cut_connection_is_noticed_and_the_link_comes_back(ends: Ends) -> None:
    async def scenario() -> None:
        transmitter, receiver = ends.make()
        await transmitter.start(ends.sent.append)
        await receiver.start(ends.received.append)
        await ends.time.advance(6)
        before = len(ends.received)
        assert before > 0
        ends.wire.connected = False
        await ends.time.advance(10)
        for end in (transmitter, receiver):
            assert end.status().state == "stopped"
            assert end.status().reason == "the far end does not answer"
        ends.wire.connected = True
        await ends.time.advance(8)
        assert transmitter.status().state == receiver.status().state == "generating"
        assert len(ends.received) > before + 1
        await transmitter.stop()
        await receiver.stop()

    asyncio.run(scenario())


def test_it_says_that_the_far_end_was_stopped(ends: Ends) -> None:
    async def scenario() -> None:
        transmitter, receiver = ends.make()
        await transmitter.start(ends.sent.append)
        await receiver.start(ends.received.append)
        await ends.time.advance(3)
        await receiver.stop()
        await ends.time.advance(1)
        assert (transmitter.status().state, transmitter.status().reason) == ("stopped", "the far end was stopped")
        await transmitter.stop()

    asyncio.run(scenario())


def test_a_failing_taker_of_blocks_stops_the_link_with_a_reason(ends: Ends) -> None:
    reported: list[dict[str, object]] = []

    def full(block: LinkBlock) -> None:
        raise RuntimeError("full")

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
        transmitter, receiver = ends.make()
        await transmitter.start(full)
        await receiver.start(ends.received.append)
        await ends.time.advance(6)
        assert transmitter.status().state == "stopped"
        assert "RuntimeError" in (transmitter.status().reason or "")
        await transmitter.stop()
        await receiver.stop()

    asyncio.run(scenario())
    assert len(reported) == 1


def test_what_a_line_cannot_suffer_is_refused(ends: Ends) -> None:
    _, receiver = ends.make()
    with pytest.raises(ConfigurationError):
        receiver.disturb(Disturbance(extra_loss_db=-1.0))
    assert receiver.disturbance == Disturbance()


def test_a_disturbance_lasts_over_a_restart_of_the_link(ends: Ends) -> None:
    async def scenario() -> None:
        transmitter, receiver = ends.make()
        receiver.disturb(Disturbance(eavesdropper=Eavesdropper()))
        for _ in range(2):
            await transmitter.start(ends.sent.append)
            await receiver.start(ends.received.append)
            await ends.time.advance(6)
            assert receiver.status().state == transmitter.status().state == "stopped"
            assert "QBER" in (receiver.status().reason or "")
            await transmitter.stop()
            await receiver.stop()

    asyncio.run(scenario())
    assert ends.sent == ends.received == []


def test_nobody_waits_on_the_event_loop_for_what_is_computed(tmp_path: Path) -> None:
    """With threads and real time: the engines and the device run elsewhere, and keys come out at both ends."""
    made = replace(files(tmp_path), source=replace(options().source, clock_hz=1e7))
    compiled_in: set[str] = set()

    async def scenario() -> None:
        wire, sent, received = LinkWire(), asyncio.Queue[LinkBlock](), asyncio.Queue[LinkBlock]()
        near = link_end(wire.near, tmp_path / "near", VirtualTime())
        far = link_end(wire.far, tmp_path / "far", VirtualTime(), me="bob", peer="alice")

        def make(role: Role, end: LinkEnd) -> Bb84Adapter:
            really = replace(end, clock=SystemClock(), sleep=asyncio.sleep)
            return Bb84Adapter(replace(made, role=role), really, compile_all=note)

        def note(progress: Callable[[str], None]) -> None:
            compiled_in.add(threading.current_thread().name)

        transmitter, receiver = make("transmitter", near), make("receiver", far)
        await receiver.start(received.put_nowait)
        await transmitter.start(sent.put_nowait)
        async with asyncio.timeout(60):
            one, other = await sent.get(), await received.get()
        assert one.sequence == other.sequence
        assert one.material == other.material
        await transmitter.stop()
        await receiver.stop()

    asyncio.run(scenario())
    assert compiled_in == {"alice-bob engine_0"}
