"""The transmitter's states: the same for everybody who has the secret, as often as configured."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keyhop.core.keys import KeyMaterial
from keyhop.link.bb84.optics.options import SourceOptions
from keyhop.link.bb84.optics.pulses import PulseSource, PulseStates, share_of_2_32

SECRET = KeyMaterial(bytes(range(32)))
TWO_DECOYS = SourceOptions(intensities=(0.5, 0.1, 0.0), probabilities=(0.6, 0.3, 0.1), z_probability=0.7)
ONE_DECOY = SourceOptions()
PULSES = 1_000_000


def _same(left: PulseStates, right: PulseStates) -> bool:
    return (
        np.array_equal(left.bits, right.bits)
        and np.array_equal(left.bases, right.bases)
        and np.array_equal(left.intensities, right.intensities)
    )


def _agreement(left: PulseStates, right: PulseStates) -> float:
    return float((left.bits == right.bits).mean())


@pytest.mark.parametrize("options", [ONE_DECOY, TWO_DECOYS])
def test_states_are_as_often_as_configured(options: SourceOptions) -> None:
    states = PulseSource(options, SECRET, b"run").states(np.arange(PULSES, dtype=np.int64))
    shares = [(states.bits == 1, 0.5), (states.bases == 0, options.z_probability)]
    shares += [(states.intensities == k, share) for k, share in enumerate(options.probabilities)]
    for chosen, share in shares:
        assert abs(chosen.mean() - share) < 4.5 * np.sqrt(share * (1 - share) / PULSES)


@pytest.mark.parametrize("options", [ONE_DECOY, TWO_DECOYS])
def test_bit_basis_and_intensity_know_nothing_of_each_other(options: SourceOptions) -> None:
    states = PulseSource(options, SECRET, b"run").states(np.arange(PULSES, dtype=np.int64))
    columns = np.array([states.bits, states.bases, states.intensities], float)
    correlations = np.corrcoef(np.vstack([columns, np.roll(columns, 1, axis=1)]))  # with the next pulse as well
    assert np.abs(correlations - np.eye(6)).max() < 4.5 / np.sqrt(PULSES)


def test_a_state_does_not_depend_on_the_others_that_are_asked_for() -> None:
    source = PulseSource(TWO_DECOYS, SECRET, b"run")
    slots = np.cumsum(np.random.default_rng(1).integers(1, 1000, 100_000))
    together = source.states(slots)
    order = np.random.default_rng(2).permutation(len(slots))
    shuffled = source.states(slots[order])
    assert np.array_equal(shuffled.bits, together.bits[order])
    assert np.array_equal(shuffled.intensities, together.intensities[order])
    for index in (0, 32_767, 32_768, 99_999):  # around the size of a batch
        alone = source.states(slots[index : index + 1])
        assert (alone.bits[0], alone.bases[0], alone.intensities[0]) == (
            together.bits[index],
            together.bases[index],
            together.intensities[index],
        )


def test_no_slots_have_no_states() -> None:
    assert len(PulseSource(ONE_DECOY, SECRET, b"run").states(np.empty(0, np.int64)).bits) == 0


def test_states_are_what_the_documentation_says() -> None:
    info = b"keyhop bb84 pulses v1|(0.5, 0.1, 0.0)|(0.6, 0.3, 0.1)|0.7|run"
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(SECRET.reveal())
    slots = [0, 1, 2**40 + 5, 2**62]
    states = PulseSource(TWO_DECOYS, SECRET, b"run").states(np.array(slots, np.int64))
    for index, slot in enumerate(slots):
        block = Cipher(algorithms.AES256(key), modes.ECB()).encryptor().update(slot.to_bytes(8, "little") + bytes(8))
        basis, intensity, bit = (int.from_bytes(block[at : at + 4], "little") for at in (0, 4, 8))
        assert states.bases[index] == (basis >= 0.7 * 2**32)
        assert states.intensities[index] == (intensity >= 0.6 * 2**32) + (intensity >= 0.9 * 2**32)
        assert states.bits[index] == bit & 1


def test_another_run_secret_or_configuration_has_other_bits() -> None:
    slots = np.arange(100_000, dtype=np.int64)
    states = PulseSource(ONE_DECOY, SECRET, b"run").states(slots)
    assert _same(states, PulseSource(ONE_DECOY, SECRET, b"run").states(slots))
    for other in (
        PulseSource(ONE_DECOY, SECRET, b"another"),
        PulseSource(ONE_DECOY, KeyMaterial(bytes(32)), b"run"),
        PulseSource(SourceOptions(z_probability=0.9), SECRET, b"run"),
    ):
        assert abs(_agreement(states, other.states(slots)) - 0.5) < 4.5 * 0.5 / np.sqrt(len(slots))


def test_states_do_not_print_themselves() -> None:
    states = PulseSource(ONE_DECOY, SECRET, b"run").states(np.arange(3, dtype=np.int64))
    assert repr(states) == "<states of 3 pulses>"


def test_shares_of_all_and_nothing_are_exact() -> None:
    assert share_of_2_32(0.0) == 0
    assert share_of_2_32(1.0) == 1 << 32
