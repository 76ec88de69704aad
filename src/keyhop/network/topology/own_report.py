"""What this node says of its own links: when it says so, and under which version.

It is said at once when something has changed that matters to others, but not more often than `LEAST_S`; and every
`LIFE_S` in any case, as a sign of life.

Versions begin with the time of the start, so that a new life outranks the one before. A clock that was set back, or
somebody who lies, makes others hold a newer version than ours. We hear of it, and go on from there: ours is the newer
one again.
"""

from math import inf

from keyhop.core.clock import Clock
from keyhop.core.ids import KmeId
from keyhop.network.topology.edges import available_bytes
from keyhop.network.topology.reports import MAX_NUMBER, LinkReport, NodeReport, Order

LEAST_S = 0.2
LIFE_S = 0.5

type Links = tuple[LinkReport, ...]


class OwnReport:
    """`latest` is what was said last."""

    def __init__(self, me: KmeId, clock: Clock) -> None:
        self._clock = clock
        self._said_at = -inf
        self._outbid = False
        self.latest = NodeReport(me, int(clock.wall() * 1000), 0, ())

    def update(self, links: Links) -> bool:
        """These are our links now. Whether `latest` is something new, for all peers."""
        now = self._clock.monotonic()
        news = self._outbid or _matters(self.latest.links, links)
        if now - self._said_at < (LEAST_S if news else LIFE_S):
            return False
        self._outbid = False
        self._said_at = now
        self._say((self.latest.started, self.latest.version + 1), links)
        return True

    def heard(self, report: NodeReport) -> None:
        """Others hold this for our word. If it seems to be newer, the next that we say is newer still."""
        if report.order < self.latest.order or report == self.latest:
            return
        after = _after(report.order)
        if after is not None:  # else it is forgotten, because nothing newer follows
            self._outbid = True
            self._say(after, self.latest.links)

    def _say(self, order: Order, links: Links) -> None:
        self.latest = NodeReport(self.latest.node, *order, links)


def _after(order: Order) -> Order | None:
    """The next order, from which as many as anybody needs are left to say; None when there is none."""
    started, version = order
    if version < MAX_NUMBER // 2:
        return started, version + 1
    return (started + 1, 0) if started < MAX_NUMBER else None


def _matters(before: Links, now: Links) -> bool:
    """Whether a path could be another one: an edge comes or goes, or has a quarter more or less."""
    if len(before) != len(now):
        return True
    for old, new in zip(before, now, strict=True):
        if (old.peer, old.up, old.priority) != (new.peer, new.up, new.priority):
            return True
        had, has = available_bytes(old), available_bytes(new)
        if 4 * abs(had - has) > max(had, has) + 4096 or (had == 0) != (has == 0):
            return True
    return False
