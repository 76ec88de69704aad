"""What has come of one parcel, and which secrets can be made of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce
from itertools import combinations

from keyhop.core.ids import KmeId
from keyhop.core.xor import xor
from keyhop.network.relay.messages import SECRET_HEAD_BYTES, Announce
from keyhop.network.relay.sharing import combined

type Piece = tuple[KmeId, int, tuple[str, ...]]
"""Who brought a share, which one, and the way that it came."""


@dataclass(slots=True, repr=False)
class Assembly:
    """The pieces of a parcel, of which those that are not as the announcement has it count for nothing."""

    began_at: float
    announce: Announce | None = None
    shares: dict[Piece, bytes] = field(default_factory=dict)
    contributions: dict[KmeId, bytes] = field(default_factory=dict)
    last_pad: bytes | None = None
    charged: list[tuple[KmeId, int]] = field(default_factory=list)
    """Who brought how many bytes."""
    _tried: set[frozenset[int]] = field(default_factory=set)

    def secrets(self) -> Iterator[bytes]:
        """Those that have not been looked at yet."""
        announce = self.announce
        if announce is None:
            return
        if announce.strategy == "xor-at-destination":
            yield from self._sum(announce)
            return
        shares = self._shares(announce)
        for chosen in combinations(sorted(shares), announce.threshold):
            if frozenset(chosen) not in self._tried:
                self._tried.add(frozenset(chosen))
                yield combined({share: shares[share] for share in chosen}, len(announce.paths))

    @property
    def complete(self) -> bool:
        """Whether nothing more can come of it."""
        announce = self.announce
        if announce is None:
            return False
        if announce.strategy == "xor-at-destination":
            return any(self._sum(announce))
        return len(self._shares(announce)) == len(announce.paths)

    def _shares(self, announce: Announce) -> dict[int, bytes]:
        size = SECRET_HEAD_BYTES + announce.size
        pieces = ((share, (KmeId(path[-2]), share, path)) for share, path in enumerate(announce.paths))
        return {share: self.shares[p] for share, p in pieces if p in self.shares and len(self.shares[p]) == size}

    def _sum(self, announce: Announce) -> Iterator[bytes]:
        (path,) = announce.paths
        size = SECRET_HEAD_BYTES + announce.size
        parts = [self.contributions.get(KmeId(node)) for node in path[1:-1]]
        pads = [part for part in (announce.masked, self.last_pad, *parts) if part is not None and len(part) == size]
        if len(pads) == len(path):
            yield reduce(xor, pads)
