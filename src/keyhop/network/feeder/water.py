"""The marks between which a relayed stream is kept, and how large the blocks are that raise it."""

from typing import NamedTuple

from keyhop.network.relay.pads import SMALL_BYTES

LOW_S = 5.0
HIGH_S = 20.0
"""A stream holds what is asked for in so many seconds."""
BLOCK_S = 1.0
LEAST_BLOCK_BYTES = SMALL_BYTES
MOST_BLOCK_BYTES = 32 << 10


class Marks(NamedTuple):
    """Bytes: under `low` a stream is fed, until it has `high`."""

    low: int
    high: int


def marks(demand: float, waiting: int, least: int, most: int) -> Marks:
    """Of a stream from which `demand` bytes a second are asked for, `waiting` of them in vain by now."""
    low = min(max(least, int(LOW_S * demand) + waiting), most)
    high = min(max(2 * least, int(HIGH_S * demand) + waiting), most)
    return Marks(low, high)


def block_bytes(demand: float, lacking: int, low: int) -> int:
    """Of one block for a stream that lacks so much: a second's use, so that scarce links are not held for long; or an
    eighth of its low mark, which whoever set that thinks his links worth."""
    wanted = max(int(BLOCK_S * demand), low // 8)
    return min(max(min(lacking, wanted), LEAST_BLOCK_BYTES), MOST_BLOCK_BYTES)
