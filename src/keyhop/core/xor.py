"""Bytes under a pad, and out again."""


def xor(left: bytes, right: bytes) -> bytes:
    """Of two strings of one length."""
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))
