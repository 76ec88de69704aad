"""One other KME of the network: the streams that this one shares with it, over one connection.

There is a pair of streams for each route: `direct`, if QKD links join the two, and `relayed`. Which one a message is
about stands in its envelope.
"""

from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.network import wire
from keyhop.network.hybrid.secret import Secret
from keyhop.network.pair import Pair, Transmit
from keyhop.network.psk.generations import PskGenerations
from keyhop.network.psk.refreshing import Fetch, Refreshing


class Peer:
    """The state machine for one peer. `received` raises PeerError for what the protocol does not allow."""

    def __init__(self, peer: KmeId, relayed: Pair, direct: Pair | None) -> None:
        """`direct` is None for a KME that no link joins with this one."""
        self.id = peer
        self.relayed = relayed
        self.direct = direct
        self.pairs = (relayed,) if direct is None else (direct, relayed)
        """In the order in which they are spent."""
        self._first, self._last = self.pairs[:1], self.pairs[-1:]
        self.psk: PskGenerations | None = None
        """The key that authenticates it; None when certificates do."""
        self.refreshing: Refreshing | None = None
        """Of that key."""
        self.trouble: str | None = None
        """Why there is no connection, in the words of whoever keeps it."""

    def refresh(self, psk: PskGenerations, fetch: Fetch, interval_s: float) -> None:
        """The key that authenticates the peer gets another generation every `interval_s` seconds."""
        self.psk = psk
        self.refreshing = self.pairs[0].refresh(psk, fetch, interval_s)

    def brought(self, check: bytes, fresh: KeyMaterial) -> bool:
        """The peer has had bytes relayed for that. Whether they may be any."""
        return self.refreshing is not None and self.refreshing.brought(check, fresh)

    @property
    def neighbour(self) -> Pair:
        """The pair that links fill. Raises LookupError for a KME that is no neighbour."""
        if self.direct is None:
            raise LookupError(f"no link joins this KME and {self.id}")
        return self.direct

    @property
    def fetched_within(self) -> tuple[Pair, ...]:
        """The pairs within whose windows slaves here fetch keys: those of the streams that hold any, one at least.

        Records are of no stream; they go through one of some pair, so that they are covered.
        """
        if not self.relayed.followed.available_bytes:
            return self._first
        return self.pairs if self.direct and self.direct.followed.available_bytes else self._last

    @property
    def marks_compared(self) -> bool:
        """Whether this has happened for every stream since this process began, or was last in doubt (`windows`)."""
        return self.relayed.windows.ready and (self.direct is None or self.direct.windows.ready)

    @property
    def connected(self) -> bool:
        """Whether there is a connection, synchronised or not."""
        return self.relayed.session.connected

    @property
    def synchronised(self) -> bool:
        """Whether both ends agree on what they remember, of every stream."""
        return all(pair.synchronised for pair in self.pairs)

    @property
    def since(self) -> float | None:
        """Since when, in wall seconds; None when they do not agree."""
        if not self.synchronised:
            return None
        return max(pair.session.since for pair in self.pairs if pair.session.since is not None)

    @property
    def secret(self) -> Secret | None:
        """An ML-KEM secret that is agreed on, for records to that KME."""
        return next((pair.hybrid.secret for pair in self.pairs if pair.hybrid.secret), None)

    def secret_named(self, check: bytes) -> Secret | None:
        """The one with which records from that KME come, if it is here."""
        return next(filter(None, (pair.hybrid.kept.named(check) for pair in self.pairs)), None)

    @property
    def doubted(self) -> bool:
        """Whether the peer has met another node that claims to be this one, and has not agreed with us since."""
        return any(pair.session.doubted for pair in self.pairs)

    def connect(self, transmit: Transmit) -> None:
        """There is a connection now."""
        for pair in self.pairs:
            pair.session.connect(transmit)

    def move(self, transmit: Transmit) -> None:
        """Another connection goes on where the present one ends: the sessions are the same."""
        for pair in self.pairs:
            pair.session.move(transmit)

    def replaced(self) -> None:
        """Another connection takes the place of this one, whose end may live all the same: it is told."""
        for pair in self.pairs:
            pair.session.replaced()

    def disconnect(self) -> None:
        """The connection is gone."""
        for pair in self.pairs:
            pair.session.disconnect()

    def received(self, data: bytes) -> None:
        """A message from the peer."""
        envelope = wire.decode(data)
        if envelope.route == "relayed":
            self.relayed.received(envelope)
        elif self.direct is not None:
            self.direct.received(envelope)
        else:
            raise PeerError("a message about a link that does not exist")
