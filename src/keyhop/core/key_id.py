"""The key ID: a position in a key stream, sealed into a UUID (version 8), so that no message need carry it.

122 bits are free in a UUID. 76 of them are a tag over (position, size, master SAE, slave SAE); 46 are
(position, size) masked by a function of the tag. It is deterministic authenticated encryption in the manner of SIV
(Rogaway and Shrimpton 2006), with one AES-256 block for each of the two functions:

    tag  = first 76 bits of AES(K_pair, head)          K_pair = HMAC-SHA-256(K_id[0:32], master ‖ slave)
    mask = 46 bits of AES(K_id[32:64], tag)            K_id   = the first 64 bytes of the epoch

Layout, as bytes of the UUID (the version is byte 6's high half, the variant byte 8's two high bits):

    0 1 2 3 4 5 | 6 low half | 7 | 9 10        tag, 76 bits
    8 low six bits | 11 12 13 14 15            head, 46 bits: ten of size in bytes less one, 36 of position in units

Many keys are sealed or opened by two AES calls over all of them and a few operations on one large integer.
"""

import hmac
from functools import lru_cache
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

from keyhop.core.ids import KEY_ID_BYTES, SaeId
from keyhop.core.units import MAX_POSITION, POSITION_BITS, units_for

ID_KEY_BYTES = 64
MAX_KEY_BYTES = 1 << 10

_TAG = bytes.fromhex("ffffffffffff 0fff 00ffff 0000000000")
_HEAD = bytes.fromhex("000000000000 0000 3f0000 ffffffffff")
_UUID = bytes.fromhex("000000000000 8000 800000 0000000000")
_LOW_BITS = 40
_LOW = (1 << _LOW_BITS) - 1
_ONE_TAG, _ONE_HEAD, _ONE_UUID = (int.from_bytes(bits) for bits in (_TAG, _HEAD, _UUID))
_ONE_FIXED = (1 << 8 * KEY_ID_BYTES) - 1 - _ONE_TAG - _ONE_HEAD

MAX_PAIRS = 1 << 12
"""Of this many pairs of SAEs an epoch keeps the ciphers; those of others are derived again when they are needed."""


class Located(NamedTuple):
    """Where a key ID points if it belongs to this epoch; says nothing yet of who may have it."""

    position: int
    size_bytes: int

    @property
    def end(self) -> int:
        """The unit after the key's last."""
        return self.position + units_for(self.size_bytes)


_SAME = bytes(KEY_ID_BYTES)


class PairKeyIds:
    """Seals the key IDs of one ordered pair of SAEs in one epoch, and recognises them."""

    def __init__(self, tag: CipherContext, mask: CipherContext) -> None:
        self._tag = tag
        self._mask = mask

    def seal(self, position: int, size_bytes: int, count: int = 1) -> bytes:
        """The IDs (16 bytes each) of `count` keys of `size_bytes`, the first at `position`, one after the other.

        Raises ValueError outside 1 to 1,024 bytes or when the keys would leave the epoch.
        """
        units = units_for(size_bytes)
        if not 1 <= size_bytes <= MAX_KEY_BYTES or position < 0 or position + units * count > MAX_POSITION:
            raise ValueError("a key ID cannot express that size or position")
        if count == 1:
            return self._seal_one(_head(position, size_bytes))
        total = KEY_ID_BYTES * count
        ones, steps = _progression(count, units)
        heads = _head(position, size_bytes) * ones + steps  # no head is near the end of its 16 bytes
        tag_bits, head_bits, uuid_bits = _patterns(count)
        tags = int.from_bytes(self._tag.update(heads.to_bytes(total))) & tag_bits
        masks = int.from_bytes(self._mask.update(tags.to_bytes(total))) & head_bits
        return (tags | (masks ^ heads) | uuid_bits).to_bytes(total)

    def _seal_one(self, head: int) -> bytes:
        tag = int.from_bytes(self._tag.update(head.to_bytes(KEY_ID_BYTES))) & _ONE_TAG
        mask = int.from_bytes(self._mask.update(tag.to_bytes(KEY_ID_BYTES))) & _ONE_HEAD
        return (tag | (mask ^ head) | _ONE_UUID).to_bytes(KEY_ID_BYTES)

    def recognises(self, key_id: bytes, located: Located) -> bool:
        """Whether `key_id`, which was `located` there, was sealed for this pair: only then its tag is ours."""
        head = _head(located.position, located.size_bytes)
        tag = int.from_bytes(self._tag.update(head.to_bytes(KEY_ID_BYTES)))
        difference = (tag ^ int.from_bytes(key_id)) & _ONE_TAG
        return hmac.compare_digest(difference.to_bytes(KEY_ID_BYTES), _SAME)


class EpochKeyIds:
    """The key IDs of one epoch, keyed by its first 64 bytes."""

    def __init__(self, id_key: bytes) -> None:
        if len(id_key) != ID_KEY_BYTES:
            raise ValueError(f"an epoch's ID key is {ID_KEY_BYTES} bytes")
        self._pair_root = id_key[:32]
        self._mask = _block_cipher(id_key[32:])
        self._pairs: dict[tuple[SaeId, SaeId, bytes], PairKeyIds] = {}

    def pair(self, master: SaeId, slave: SaeId, use: bytes = b"") -> PairKeyIds:
        """The sealer of this ordered pair; with a `use`, of IDs that are bound to that too."""
        known = self._pairs.get((master, slave, use))
        if known is None:
            names = [name.encode() for name in (master, slave)]
            message = b"keyhop key-ID v1" + b"".join(len(name).to_bytes(2) + name for name in names) + use
            key = hmac.digest(self._pair_root, message, "sha256")
            if len(self._pairs) == MAX_PAIRS:
                del self._pairs[next(iter(self._pairs))]
            known = self._pairs[master, slave, use] = PairKeyIds(_block_cipher(key), self._mask)
        return known

    def locate(self, key_id: bytes) -> Located | None:
        """Unmasks the place that `key_id` names, or None when no epoch can hold it, or its version is not ours."""
        value = int.from_bytes(key_id)
        if value & _ONE_FIXED != _ONE_UUID:
            return None
        mask = int.from_bytes(self._mask.update((value & _ONE_TAG).to_bytes(KEY_ID_BYTES)))
        head = (value ^ mask) & _ONE_HEAD
        position, size_bytes = head & (MAX_POSITION - 1), (head >> 56 << 4 | (head >> POSITION_BITS & 15)) + 1
        return Located(position, size_bytes) if position + units_for(size_bytes) <= MAX_POSITION else None


def _block_cipher(key: bytes) -> CipherContext:
    # One block at a time as a pseudo-random function: no mode is involved although the library calls it ECB.
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305


def _head(position: int, size_bytes: int) -> int:
    """A block of 16 bytes, as a number, with (size, position) in the head's bits."""
    size_code = size_bytes - 1
    high = size_code >> (_LOW_BITS - POSITION_BITS)
    low = (size_code << POSITION_BITS) & _LOW
    return (high << 56) | low | position


@lru_cache(maxsize=64)
def _patterns(count: int) -> tuple[int, int, int]:
    """Which bits of `count` IDs in a row hold tag, head, and the UUID's version and variant."""
    return int.from_bytes(_TAG * count), int.from_bytes(_HEAD * count), int.from_bytes(_UUID * count)


@lru_cache(maxsize=64)
def _progression(count: int, step: int) -> tuple[int, int]:
    """1, 1, 1 … and 0, `step`, 2 `step` …, `count` numbers in 16 bytes each, one after the other."""
    rows = [1] * count, range(0, count * step, step)
    ones, steps = (int.from_bytes(b"".join([n.to_bytes(KEY_ID_BYTES) for n in row])) for row in rows)
    return ones, steps
