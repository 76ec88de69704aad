"""The rate adapter under the suite for links, and what is particular to it."""

import asyncio
import hashlib
import hmac
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from keyhop.core.clock import SteadyClock
from keyhop.core.errors import ConfigurationError, LinkError
from keyhop.core.ids import LinkId
from keyhop.core.keys import KeyMaterial
from keyhop.link.adapter import Disturbance, Eavesdropper, LinkAdapter, LinkBlock
from keyhop.link.rate import QBER_SPREAD, RateAdapter, RateOptions, RateSource, read_secret
from keyhop.testing.link_conformance import LinkConformance
from keyhop.testing.link_end import LinkWire, link_end
from keyhop.testing.virtual_time import VirtualTime

LINK = LinkId("alice-bob")
SECRET = bytes(range(32))


def secret_file(directory: Path, content: str = SECRET.hex() + "\n") -> Path:
    path = directory / "link.secret"
    path.touch(mode=0o600)
    path.write_text(content)
    return path


class TestRateAdapter(LinkConformance):
    def make_ends(self, time: VirtualTime, directory: Path) -> tuple[LinkAdapter, LinkAdapter]:
        options = RateOptions(secret_file(directory), rate_bps=20_000, block_bytes=512)

        return rate_end(options, time), rate_end(options, time)


def rate_end(options: RateOptions, time: VirtualTime, *, lab: bool = True, after: int = -1) -> RateAdapter:
    """It neither talks to the far end nor remembers anything by itself."""
    return RateAdapter(options, link_end(LinkWire().near, Path("/none"), time, lab=lab, after=after))


def test_says_that_it_has_no_physics(tmp_path: Path) -> None:
    adapter = rate_end(RateOptions(secret_file(tmp_path)), VirtualTime())
    assert (adapter.kind, adapter.physics) == ("rate", False)


def test_is_refused_outside_a_lab_unless_forced(tmp_path: Path) -> None:
    path = secret_file(tmp_path)
    with pytest.raises(ConfigurationError, match="no physics") as refusal:
        rate_end(RateOptions(path), VirtualTime(), lab=False)
    assert refusal.value.hint is not None
    assert "lab = true" in refusal.value.hint
    rate_end(RateOptions(path, force=True), VirtualTime(), lab=False)


def test_blocks_are_what_the_module_says(tmp_path: Path) -> None:
    """HKDF of RFC 5869 and AES-CTR spelt out with HMAC and AES-ECB."""
    options = RateOptions(tmp_path / "unread", rate_bps=20_000.0, block_bytes=256)
    extracted = hmac.digest(bytes(32), SECRET, hashlib.sha256)
    key = hmac.digest(extracted, b"keyhop rate link v1|20000.0|256|alice-bob\x01", hashlib.sha256)
    ecb = Cipher(algorithms.AES256(key), modes.ECB()).encryptor()
    by_hand = b"".join(ecb.update((7).to_bytes(8) + counter.to_bytes(8)) for counter in range(16))

    assert RateSource(LINK, options, KeyMaterial(SECRET)).material(7).reveal() == by_hand


@pytest.mark.parametrize(
    ("link", "rate_bps", "block_bytes"), [("other", 1e6, 512), ("alice-bob", 2e6, 512), ("alice-bob", 1e6, 256)]
)
def test_other_links_have_other_bytes(tmp_path: Path, link: str, rate_bps: float, block_bytes: int) -> None:
    path = secret_file(tmp_path)
    ours = RateSource(LINK, RateOptions(path, rate_bps=1e6, block_bytes=512), read_secret(path)).material(1)
    options = RateOptions(path, rate_bps=rate_bps, block_bytes=block_bytes)
    theirs = RateSource(LinkId(link), options, read_secret(path)).material(1)
    assert ours.reveal()[:256] != theirs.reveal()[:256]


def test_qber_varies_around_what_is_configured(tmp_path: Path) -> None:
    path = secret_file(tmp_path)
    source = RateSource(LINK, RateOptions(path, qber=0.0322), read_secret(path))
    values = [source.qber(sequence) for sequence in range(500)]
    assert all(abs(value - 0.0322) <= QBER_SPREAD for value in values)
    assert max(values) - min(values) > QBER_SPREAD
    assert sum(values) / len(values) == pytest.approx(0.0322, abs=QBER_SPREAD / 5)


def test_qber_of_a_perfect_link_is_zero(tmp_path: Path) -> None:
    path = secret_file(tmp_path)
    assert RateSource(LINK, RateOptions(path, qber=0.0), read_secret(path)).qber(3) == 0.0


def test_over_the_qber_limit_nothing_is_delivered_and_the_link_stops(tmp_path: Path) -> None:
    time, blocks = VirtualTime(), list[LinkBlock]()
    adapter = rate_end(RateOptions(secret_file(tmp_path), qber=0.2), time)

    async def scenario() -> None:
        await adapter.start(blocks.append)
        await time.advance(5)
        status = adapter.status()
        assert status.state == "stopped"
        assert "over the limit" in (status.reason or "")
        await adapter.stop()

    asyncio.run(scenario())
    assert blocks == []


def test_a_line_that_is_cut_brings_nothing_until_it_is_mended(tmp_path: Path) -> None:
    time, blocks = VirtualTime(), list[LinkBlock]()
    adapter = rate_end(RateOptions(secret_file(tmp_path), rate_bps=20_000, block_bytes=512), time)

    async def scenario() -> None:
        await adapter.start(blocks.append)
        await time.advance(5)
        adapter.disturb(Disturbance(cut=True))
        before = len(blocks)
        await time.advance(30)
        assert len(blocks) == before > 0
        assert (adapter.status().state, adapter.status().reason) == ("stopped", "the line is cut")
        adapter.disturb(Disturbance())
        mended_at = time.wall()
        await time.advance(5)
        assert adapter.status().state == "generating"
        assert blocks[before].produced_at >= mended_at
        await adapter.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("physical", [Disturbance(extra_loss_db=3.0), Disturbance(True, eavesdropper=Eavesdropper())])
def test_a_line_without_physics_can_be_cut_and_nothing_else(tmp_path: Path, physical: Disturbance) -> None:
    adapter = rate_end(RateOptions(secret_file(tmp_path)), VirtualTime())
    with pytest.raises(LinkError, match="no physics"):
        adapter.disturb(physical)
    assert adapter.disturbance == Disturbance()


def test_measured_sbr_is_the_configured_one(tmp_path: Path) -> None:
    time = VirtualTime()
    adapter = rate_end(RateOptions(secret_file(tmp_path)), time)

    async def scenario() -> None:
        await adapter.start(lambda block: None)
        await time.advance(30)
        assert adapter.status().sbr_bps == pytest.approx(726_000, rel=0.02)
        assert adapter.status().qber == pytest.approx(0.0322, abs=QBER_SPREAD / 2)
        await adapter.stop()
        assert (adapter.status().sbr_bps, adapter.status().qber) == (0.0, None)

    asyncio.run(scenario())


def test_what_the_node_remembers_is_not_emitted_again(tmp_path: Path) -> None:
    """The clock stepped back while the node was down: only its store knows how far the link had come."""
    time, blocks = VirtualTime(), list[LinkBlock]()
    options = RateOptions(secret_file(tmp_path), rate_bps=20_000, block_bytes=512)
    remembered = int(time.wall() * 20_000 / (512 * 8)) + 30
    adapter = rate_end(options, time, after=remembered)

    async def scenario() -> None:
        await adapter.start(blocks.append)
        await time.advance(1)
        assert adapter.status().state == "stopped"
        reason = adapter.status().reason
        assert "stepped back" in (reason or "")
        await time.advance(2.5)
        assert adapter.status().reason == reason
        await time.advance(6.5)
        assert adapter.status().state == "generating"
        await adapter.stop()

    asyncio.run(scenario())
    assert blocks[0].sequence == remembered + 1


class MachineClock:
    """Of a machine whose wall clock is wrong until somebody sets it."""

    def __init__(self, time: VirtualTime, ahead_s: float) -> None:
        self._time = time
        self.ahead_s = ahead_s

    def wall(self) -> float:
        return self._time.wall() + self.ahead_s

    def monotonic(self) -> float:
        return self._time.monotonic()


@pytest.mark.parametrize("ahead_s", [-60.0, 60.0])
def test_a_node_that_starts_with_a_wrong_clock_has_blocks_in_common_once_it_is_set(
    tmp_path: Path, ahead_s: float
) -> None:
    """The ages of keys go on by the clock as it began."""
    time = VirtualTime()
    machine = MachineClock(time, ahead_s)
    steady = SteadyClock(machine)
    options = RateOptions(secret_file(tmp_path), rate_bps=20_000, block_bytes=512)
    end = replace(link_end(LinkWire().near, Path("/none"), time), clock=steady, machine=machine)
    near, far = RateAdapter(options, end), rate_end(options, time)
    blocks, theirs = list[LinkBlock](), list[LinkBlock]()

    async def scenario() -> None:
        await near.start(blocks.append)
        await far.start(theirs.append)
        await time.advance(5.0)
        assert blocks
        assert theirs
        assert blocks[-1].sequence != theirs[-1].sequence
        machine.ahead_s = 0.0
        await time.advance(65.0)
        assert blocks[-1].sequence == theirs[-1].sequence
        assert blocks[-1].produced_at == pytest.approx(steady.wall(), abs=1.0)
        assert theirs[-1].produced_at == pytest.approx(time.wall(), abs=1.0)
        await near.stop()
        await far.stop()

    asyncio.run(scenario())


def test_a_failing_receiver_stops_the_link_with_a_reason(tmp_path: Path) -> None:
    time, reported = VirtualTime(), list[dict[str, object]]()
    adapter = rate_end(RateOptions(secret_file(tmp_path)), time)

    def deliver(block: LinkBlock) -> None:
        raise RuntimeError("full")

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
        await adapter.start(deliver)
        await time.advance(5)
        assert adapter.status().state == "stopped"
        assert "RuntimeError" in (adapter.status().reason or "")
        await adapter.stop()

    asyncio.run(scenario())
    assert len(reported) == 1


@pytest.mark.parametrize("content", ["", "00" * 31, "00" * 33, "zz" * 32, "é" * 64, "00" * 32 + "\n" * 3 + "00"])
def test_malformed_secrets_are_refused_without_showing_them(tmp_path: Path, content: str) -> None:
    with pytest.raises(ConfigurationError, match="32 bytes in hex") as refusal:
        read_secret(secret_file(tmp_path, content))
    assert "0000" not in refusal.value.message


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = secret_file(tmp_path)
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="0640") as refusal:
        read_secret(path)
    assert refusal.value.hint == f"chmod 600 {path}"


def test_a_missing_secret_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read the secret_file"):
        read_secret(tmp_path / "none")


def test_the_option_that_names_the_secret_is_told(tmp_path: Path) -> None:
    (tmp_path / "open").write_text("00" * 32)
    (tmp_path / "open").chmod(0o644)
    for path in (tmp_path / "none", tmp_path / "open", secret_file(tmp_path, "")):
        with pytest.raises(ConfigurationError, match="the pulses_file "):
            read_secret(path, "pulses_file")
