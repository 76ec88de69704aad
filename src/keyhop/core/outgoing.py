"""Records that are on their way to other KMEs, as long as it is not settled that all slaves can have them.

It is noted before they leave, and no more once their master is about to have them: so what a KME finds here when it
starts nobody was given, and nobody will be.
"""

import msgspec

from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.newest import Newest
from keyhop.core.store.base import KeyStore

MAX_OUTGOING = 1 << 12


class Sent(msgspec.Struct, frozen=True):
    """A master's records for slaves at other KMEs; `ids` are those that SAEs show, `since` is wall time.

    They left in `batch`; none: in any.
    """

    master: SaeId
    slaves_at: dict[KmeId, list[SaeId]]
    ids: bytes
    since: float
    batch: bytes = b""


class Outgoing(Newest[Sent]):
    """Of one KME, by a random name. When there are too many, nothing more will be done about the oldest."""

    def __init__(self, store: KeyStore, journal: Journal) -> None:
        super().__init__("outgoing", Sent, lambda sent: sent.since, MAX_OUTGOING, store, journal)
        self.found = tuple(self)
        """What was under way when the process before this one stopped."""

    def forget_stored(self) -> None:
        """The store was an old copy: what it says is under way may have been given to masters since."""
        for name in self.found:
            self.drop(name)
