"""A round's key, cut into the blocks of the link."""

from keyhop.core.keys import KeyMaterial
from keyhop.link.adapter import LinkBlock

KIND = "bb84"
BLOCK_BYTES = 1 << 15
UNIT_BYTES = 8
MIN_BLOCK_BYTES = 64
"""What is less is thrown away."""


def block_sizes(size_bytes: int) -> list[int]:
    """Sizes of the blocks: nearly equal, about BLOCK_BYTES each, whole units; none where there is too little."""
    if size_bytes < MIN_BLOCK_BYTES:
        return []
    units = size_bytes // UNIT_BYTES
    number = max(1, round(size_bytes / BLOCK_BYTES))
    each, more = divmod(units, number)
    return [UNIT_BYTES * (each + (1 if index < more else 0)) for index in range(number)]


def last_sequence(first_sequence: int, size_bytes: int) -> int:
    """The last sequence that a round uses up; one at least, blocks or not."""
    return first_sequence + max(1, len(block_sizes(size_bytes))) - 1


def cut(key: bytes, first_sequence: int, qber: float, produced_at: float) -> list[LinkBlock]:
    """The blocks of a key, in order."""
    blocks, start = [], 0
    for index, size in enumerate(block_sizes(len(key))):
        material = KeyMaterial(key[start : start + size])
        blocks.append(LinkBlock(first_sequence + index, material, qber, produced_at, KIND))
        start += size
    return blocks
