"""What the transmitter sends: the state of any pulse, from a secret and the pulse's number.

The state of pulse i is AES-256 of i (as 8 bytes little-endian, then 8 zero bytes), one block per pulse: 32 bits
against a threshold give the basis, 32 against thresholds the intensity, one is the bit. So a transmitter need not
remember a thousand million pulses a second; it computes the states of those that the receiver saw.
"""

from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from keyhop.core.keys import KeyMaterial
from keyhop.link.bb84.optics.options import SourceOptions
from keyhop.link.bb84.optics.photons_kernels import cut_states

_BATCH = 1 << 15
"""Pulses at a time: what the processor's cache holds."""


@dataclass(frozen=True, slots=True)
class PulseStates:
    """States of some pulses: `bits` 0 or 1, `bases` 0 (Z) or 1 (X), `intensities` 0 (signal) and up; all uint8."""

    bits: NDArray[np.uint8]
    bases: NDArray[np.uint8]
    intensities: NDArray[np.uint8]

    def __repr__(self) -> str:  # the bits are the key
        return f"<states of {len(self.bits)} pulses>"


class PulseSource:
    """The states of all pulses of one run. Two runs, or two configurations of the source, have nothing in common."""

    def __init__(self, options: SourceOptions, secret: KeyMaterial, run: bytes) -> None:
        figures = f"{options.intensities}|{options.probabilities}|{options.z_probability!r}"
        info = b"keyhop bb84 pulses v1|" + figures.encode() + b"|" + run
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret.reveal())
        self._cipher = Cipher(algorithms.AES256(key), modes.ECB())  # noqa: S305 - counters, each encrypted once
        self._z_threshold = share_of_2_32(options.z_probability)
        below = np.cumsum(options.probabilities)[:-1]
        self._intensity_thresholds = np.array([share_of_2_32(float(share)) for share in below], np.uint64)

    def states(self, slots: NDArray[np.int64]) -> PulseStates:
        """The states of the pulses with these numbers, in their order."""
        count = len(slots)
        states = PulseStates(np.empty(count, np.uint8), np.empty(count, np.uint8), np.empty(count, np.uint8))
        encryptor = self._cipher.encryptor()
        blocks = np.zeros((min(count, _BATCH), 2), np.int64)
        words = np.empty((len(blocks) + 1, 4), np.uint32)  # update_into wants room for one block more
        for start in range(0, count, _BATCH):
            part = slice(start, start + _BATCH)
            size = len(slots[part])
            blocks[:size, 0] = slots[part]
            encryptor.update_into(blocks[:size].data.cast("B"), words.data.cast("B"))
            cut_states(
                words[:size],
                self._z_threshold,
                self._intensity_thresholds,
                states.bits[part],
                states.bases[part],
                states.intensities[part],
            )
        return states


def share_of_2_32(probability: float) -> np.uint64:
    """A probability as the threshold that a random 32-bit number is below with it."""
    return np.uint64(round(probability * (1 << 32)))
