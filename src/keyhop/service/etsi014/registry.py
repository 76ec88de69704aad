"""The open connections of one server, and who may have another one."""

from collections import Counter
from collections.abc import Callable

from keyhop.core.ids import SaeId
from keyhop.service.etsi014.connection import SaeConnection
from keyhop.service.etsi014.surroundings import Limits, Peer
from keyhop.service.identity import SaeDirectory


class Registry:
    """Counts connections from `admit` to `release`; `on_release` is told of each that ends."""

    def __init__(self, limits: Limits, directory: SaeDirectory) -> None:
        self.directory = directory
        self.open: set[SaeConnection] = set()
        self.on_release: Callable[[], None] = lambda: None
        self._limits = limits
        self._per_sae: Counter[SaeId | None] = Counter()

    @property
    def is_full(self) -> bool:
        """Whether no connection more is taken."""
        return len(self.open) >= self._limits.max_connections

    def identify(self, peer: Peer) -> SaeId | None:
        """The one SAE that this peer is, or None."""
        if peer.certificate is not None:
            return self.directory.identify(peer.certificate)
        return self.directory.identify_common_name(peer.common_name or "")

    def admit(self, connection: SaeConnection) -> str | None:
        """Counts a connection; the reason why it is one too many, or None."""
        self.open.add(connection)
        self._per_sae[connection.sae] += 1
        if len(self.open) > self._limits.max_connections:
            return "too many connections to this KME"
        if self._per_sae[connection.sae] > self._limits.max_connections_per_sae:
            return "too many connections of this SAE"
        return None

    def is_flooded_by(self, sae: SaeId | None) -> bool:
        """Whether it has so many that one more is not even told why: who is told takes a place until it has gone."""
        return self._per_sae[sae] > 2 * self._limits.max_connections_per_sae

    def release(self, connection: SaeConnection) -> None:
        """Forgets a connection that `admit` counted. Idempotent."""
        if connection not in self.open:
            return
        self.open.discard(connection)
        self._per_sae[connection.sae] -= 1
        if not self._per_sae[connection.sae]:
            del self._per_sae[connection.sae]
        self.on_release()
