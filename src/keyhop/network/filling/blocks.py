"""Link blocks on their way into a stream: what both ends hold until it is decided where they go."""

from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.hazmat.primitives.poly1305 import Poly1305

from keyhop.core.ids import LinkId
from keyhop.core.keys import KeyMaterial
from keyhop.core.streams import Block

MAC_KEY_BYTES = 32

type BlockName = tuple[LinkId, int]
"""The link, and the block's sequence; or RELAYED, and a random number."""

RELAYED = LinkId("relayed")
"""Stands for the link of blocks that were relayed."""


@dataclass(slots=True)
class PendingBlock:
    """A block from a link. Its first 32 bytes authenticate it between the ends, the rest goes into a stream."""

    material: KeyMaterial
    produced_at: float
    source: str
    arrived: float
    offered: bool = False
    """Whether it is left to the other end, which has to be told so."""

    def tag(self, name: BlockName) -> bytes:
        """Always over the same message, because the key may be used for one message only."""
        return self._poly(name).finalize()

    def verify(self, name: BlockName, tag: bytes) -> None:
        """Raises InvalidSignature."""
        self._poly(name).verify(tag)

    def _poly(self, name: BlockName) -> Poly1305:
        data = self.material.reveal()
        poly = Poly1305(data[:MAC_KEY_BYTES])
        link = name[0].encode()
        poly.update(b"keyhop block v1" + len(link).to_bytes(2) + link + name[1].to_bytes(8))
        poly.update(data[MAC_KEY_BYTES:])
        return poly

    def block(self, name: BlockName) -> Block:
        """What goes into a stream."""
        data = self.material.reveal()[MAC_KEY_BYTES:]
        return Block(data, MAC_KEY_BYTES, self.tag(name), self.produced_at, self.source)


class BlockQueue:
    """Blocks in their order, and how many units they have together."""

    def __init__(self) -> None:
        self.units = 0
        self._blocks: dict[BlockName, int] = {}

    def __contains__(self, name: BlockName) -> bool:
        return name in self._blocks

    def __len__(self) -> int:
        return len(self._blocks)

    def __iter__(self) -> Iterator[BlockName]:
        return iter(self._blocks)

    def units_of(self, name: BlockName) -> int:
        """Of one that is here."""
        return self._blocks[name]

    def add(self, name: BlockName, units: int) -> None:
        """Behind all others."""
        self._blocks[name] = units
        self.units += units

    def discard(self, name: BlockName) -> None:
        """If it is here."""
        self.units -= self._blocks.pop(name, 0)
