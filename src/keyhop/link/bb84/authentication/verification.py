"""Whether both ends have the same bits after reconciliation, and if not, in which frames they differ.

A universal hash with a fresh random key, which the transmitter draws once the receiver's bits stand and which is then
public: Poly1305's polynomial with the key as r and no mask. Two different strings of up to L bytes get the same digest
with probability at most 8 * ceil(L / 16) / 2^106 (Bernstein, "The Poly1305-AES message-authentication code", 2005,
section 3, with difference zero): 2e-26 for 2.4e7 bits. That is epsilon_cor; it rests on nothing but the key being
independent of the bits. Every digest tells Eve up to DIGEST_BITS about the key, which privacy amplification must take
off, in place of the log2(2 / epsilon_cor) of the usual formula.

Digests are not shortened: the theorem bounds each difference modulo 2^128, so that what it still says of the first 64
bits is worth 2^-29 for a frame of 2^17 bits only.
"""

import hmac
from collections.abc import Buffer, Sequence

import numpy as np
from cryptography.hazmat.primitives.poly1305 import Poly1305
from numpy.typing import NDArray

from keyhop.core.errors import PeerError

KEY_BYTES = 16
DIGEST_BYTES = 16
DIGEST_BITS = 8 * DIGEST_BYTES

_NO_MASK = bytes(16)


def failure_probability(size_bits: int) -> float:
    """The probability at most that two given strings of that size differ and their digests do not."""
    return 8 * -(-size_bits // 128) / 2.0**106


def digest(packed_bits: Buffer, key: bytes) -> bytes:
    """DIGEST_BYTES of the packed bits, whose unused last bits are zero. PeerError when the key has the wrong size."""
    if len(key) != KEY_BYTES:
        raise PeerError(f"a verification key has {KEY_BYTES} bytes, not {len(key)}")
    return Poly1305.generate_tag(key + _NO_MASK, memoryview(packed_bits).cast("B"))


def agrees(packed_bits: Buffer, key: bytes, other: bytes) -> bool:
    """Whether the far end's digest of its bits is that of ours. PeerError when either has the wrong size."""
    if len(other) != DIGEST_BYTES:
        raise PeerError(f"a verification digest has {DIGEST_BYTES} bytes, not {len(other)}")
    return hmac.compare_digest(digest(packed_bits, key), other)


def frame_digests(bits: NDArray[np.uint8], frames: Sequence[int], key: bytes) -> bytes:
    """One digest after the other, of each frame by itself; `frames` are their sizes in bits.

    The key is another one than that of the whole. ValueError when the sizes do not add up to the bits.
    """
    if sum(frames) != len(bits) or any(size < 1 for size in frames):
        raise ValueError(f"{len(frames)} frames do not make up {len(bits)} bits")
    ends = np.cumsum(frames, dtype=np.int64)
    return b"".join(
        digest(np.packbits(bits[end - size : end], bitorder="little"), key)
        for size, end in zip(frames, ends, strict=True)
    )


def differing_frames(bits: NDArray[np.uint8], frames: Sequence[int], key: bytes, others: bytes) -> tuple[int, ...]:
    """Which frames are not the same at the far end, by its digests. PeerError when these have the wrong size."""
    if len(others) != DIGEST_BYTES * len(frames):
        raise PeerError(f"{len(others)} bytes are not the digests of {len(frames)} frames")
    ours = np.frombuffer(frame_digests(bits, frames, key), np.uint8).reshape(-1, DIGEST_BYTES)
    theirs = np.frombuffer(others, np.uint8).reshape(-1, DIGEST_BYTES)
    return tuple(np.flatnonzero((ours != theirs).any(axis=1)).tolist())
