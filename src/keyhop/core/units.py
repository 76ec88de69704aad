"""Streams are counted in units of eight bytes, so that a position fits into a key ID.

A key occupies whole units; what it leaves of its last unit is voided.
"""

UNIT_BYTES = 8
POSITION_BITS = 36
MAX_POSITION = 1 << POSITION_BITS
"""An epoch holds at most this many units (512 GiB); then the owner opens the next one."""


def units_for(size_bytes: int) -> int:
    """How many units a run of `size_bytes` occupies."""
    return -(-size_bytes // UNIT_BYTES)
