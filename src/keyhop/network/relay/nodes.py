"""Whom the relay of this KME can reach: any KME for a few words, neighbours also under a pad."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.streams import FollowedStream, OwnedStream
from keyhop.network.relay.messages import RelayMessage, Stuck
from keyhop.network.relay.pads import Pads


class Session(Protocol):
    """With another KME. What is told while it is not `synchronised` is lost; the rest is sent once all that was noted
    in the journal before is durable."""

    @property
    def synchronised(self) -> bool: ...

    def tell(self, message: RelayMessage, /) -> None: ...


class Direct(Session, Protocol):
    """With a neighbour, and the streams that the links to it fill."""

    @property
    def owned(self) -> OwnedStream: ...

    @property
    def followed(self) -> FollowedStream: ...

    @property
    def pads(self) -> Pads: ...


class Blocks(Protocol):
    """Of the relayed streams between this KME and another."""

    def own_block(self, number: int, material: KeyMaterial, produced_at: float, source: str) -> None: ...

    def their_block(self, number: int, material: KeyMaterial, produced_at: float, source: str) -> bool: ...


class Relayed(Session, Protocol):
    """With any KME, and the streams that parcels fill."""

    @property
    def filling(self) -> Blocks: ...


class Node(Protocol):
    """Another KME."""

    @property
    def direct(self) -> Direct | None: ...

    @property
    def relayed(self) -> Relayed: ...


class Nodes:
    """All other KMEs."""

    def __init__(self, me: KmeId, others: Mapping[KmeId, Node]) -> None:
        self.me = me
        self._others = others

    def knows(self, kme: KmeId) -> bool:
        """Whether there is such a KME."""
        return kme in self._others

    def know_all(self, path: Iterable[str]) -> bool:
        """Whether all on a path are KMEs."""
        return all(node == self.me or node in self._others for node in path)

    def reaches(self, kme: KmeId) -> bool:
        """Whether it can be told something now."""
        return kme in self._others and self._others[kme].relayed.synchronised

    def tell(self, kme: KmeId, message: RelayMessage) -> None:
        """Tells it, if it can be reached."""
        if kme in self._others:
            self._others[kme].relayed.tell(message)

    def neighbour(self, kme: KmeId) -> Direct | None:
        """The neighbour, if it can take something under a pad now."""
        direct = self._others[kme].direct if kme in self._others else None
        return direct if direct is not None and direct.synchronised else None

    def followed(self, neighbour: KmeId) -> FollowedStream:
        """The stream whose bytes pad what that neighbour sends. Raises PeerError when it is none."""
        direct = self._others[neighbour].direct
        if direct is None:
            raise PeerError("a share of one who is no neighbour")
        return direct.followed

    def blocks(self, kme: KmeId) -> Blocks:
        """The relayed streams between this KME and another."""
        return self._others[kme].relayed.filling

    def stuck(self, source: KmeId, parcel: bytes, share: int, came_from: KmeId, reason: str) -> None:
        """Tells the source that a share goes no further than here."""
        self.tell(source, Stuck(parcel, share, came_from, reason))
