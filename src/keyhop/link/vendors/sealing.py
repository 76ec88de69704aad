"""Pieces → the bytes of a block, and the tag by which both ends find out whether they have the same.

The first 32 bytes of the joined pieces are a one-time Poly1305 key and never leave: without them the tag says nothing
about the rest, whatever the computing power (forgery probability about 8·⌈L/16⌉/2^106; Bernstein, 2005).
"""

from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.poly1305 import Poly1305

from keyhop.core.ids import LinkId
from keyhop.core.keys import KeyMaterial

TAG_KEY_BYTES = 32
MIN_BLOCK_BYTES = 64


class CopiesDiffer(Exception):
    """Both ends have other bytes under the same names."""


class Joined:
    """Pieces in their order. ValueError when they are too few for a block."""

    def __init__(self, pieces: Iterable[KeyMaterial]) -> None:
        self._bytes = b"".join(piece.reveal() for piece in pieces)
        if len(self._bytes) < TAG_KEY_BYTES + MIN_BLOCK_BYTES:
            raise ValueError("too few bytes for a block")

    def material(self) -> KeyMaterial:
        """What is delivered."""
        return KeyMaterial(self._bytes[TAG_KEY_BYTES:])

    def tag(self, link: LinkId, sequence: int) -> bytes:
        """For one sequence only: the key may be used once."""
        return self._poly(link, sequence).finalize()

    def check(self, link: LinkId, sequence: int, tag: bytes) -> None:
        """Raises CopiesDiffer."""
        try:
            self._poly(link, sequence).verify(tag)
        except InvalidSignature:
            raise CopiesDiffer from None

    def _poly(self, link: LinkId, sequence: int) -> Poly1305:
        name = link.encode()
        poly = Poly1305(self._bytes[:TAG_KEY_BYTES])
        poly.update(b"keyhop vendor block v1" + len(name).to_bytes(2) + name + sequence.to_bytes(8))
        poly.update(self._bytes[TAG_KEY_BYTES:])
        return poly
