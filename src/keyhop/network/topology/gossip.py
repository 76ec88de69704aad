"""Who tells whom what: each node tells peers of its own links, and they tell those who do not hear it themselves.

- What a peer says of itself counts, whatever others say of it. It says also whom it hears; of those it is not told.
- Of what others say the newest counts, and is passed on once. It has an age, so that nothing is passed round for ever.
- Of nodes that are not configured here nothing is taken: there may be none, and no path would lead over them anyway.
- Whoever tells us something older than we know is told what we know. And when somebody seems to know something newer of
  a peer than the peer itself says, the peer is told: it outbids that (`own_report`), and so its own word gets to those
  who do not hear it.
- Of a node from which nothing new comes for `GONE_S` nothing is known any more: then any version is a new one. So a
  version that nobody can outbid holds for that long, and no longer.

Messages may be lost, repeated or reordered. What waits for a peer is names of nodes, not messages, so it stays small.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from keyhop.core.clock import Clock
from keyhop.core.ids import KmeId
from keyhop.network.topology.own_report import Links, OwnReport
from keyhop.network.topology.reports import LinkReport, NodeReport, Order, Report
from keyhop.network.topology.view import View

SILENT_S = 1.6
"""So long after its last word a peer is not heard any more: three signs of life."""
GONE_S = 5.0
STALL_S = 1.0
"""Ticks so far apart: we did not listen, which is nobody else's silence."""
AT_ONCE = 256
"""So many reports of others are told to a peer from one tick to the next."""

type Send = Callable[[KmeId, Report], None]


class _Entry(NamedTuple):
    """`source` is the peer that told us, `said_at` when the node itself said it (monotonic), by what we were told."""

    report: NodeReport
    source: KmeId
    said_at: float


@dataclass(slots=True)
class _Listener:
    """A peer in a session."""

    said: Order | None = None
    """Its own word, the newest of this session."""
    heard_at: float = -inf
    hears: frozenset[KmeId] = frozenset()
    owed: dict[KmeId, None] = field(default_factory=dict)
    """Of which nodes it has to be told, in this order."""
    budget: int = AT_ONCE


class Gossip:
    """Keeps `view` up to date. `send` tells a peer something that may be lost."""

    def __init__(self, me: KmeId, clock: Clock, send: Send, view: View) -> None:
        self._me = me
        self._clock = clock
        self._send = send
        self._view = view
        self._own = OwnReport(me, clock)
        self._known: dict[KmeId, _Entry] = {}
        self._listeners: dict[KmeId, _Listener] = {}
        self._ticked_at = clock.monotonic()
        self._missed_s = 0.0

    def connected(self, peer: KmeId) -> None:
        """A session with a peer begins."""
        self._listeners[peer] = _Listener()
        self._send(peer, self._own_word())

    def disconnected(self, peer: KmeId) -> None:
        """It is over."""
        self._listeners.pop(peer, None)

    def hears(self, peer: KmeId) -> bool:
        """Whether the peer itself has said something just now."""
        listener = self._listeners.get(peer)
        return listener is not None and self._now() - listener.heard_at < SILENT_S

    def known(self) -> dict[KmeId, float]:
        """The other nodes that are heard of, and how many seconds ago they said what is known of them."""
        now = self._now()
        return {node: now - entry.said_at for node, entry in self._known.items()}

    def received(self, peer: KmeId, message: Report) -> None:
        """From a peer."""
        listener, report = self._listeners.get(peer), message.report
        if listener is None or report.node not in self._view.members:
            return
        if report.node == self._me:
            self._own.heard(report)
        elif report.node == peer:
            self._hear(listener, message)
        else:
            self._hearsay(peer, message)
        self._pass_on()

    def tick(self, links: Links) -> None:
        """Time has passed, and these are our links now, `up` as far as the caller knows."""
        self._forgive_stall()
        links = tuple(self._judged(link) for link in links)
        self._view.say(self._me, links)
        if self._own.update(links):
            word = self._own_word()
            for peer in self._listeners:
                self._send(peer, word)
        now = self._now()
        for node in [node for node, entry in self._known.items() if now - entry.said_at >= GONE_S]:
            del self._known[node]
            self._view.say(node, ())
        for listener in self._listeners.values():
            listener.budget = AT_ONCE
        self._pass_on()

    def _judged(self, link: LinkReport) -> LinkReport:
        """A link is up while its other end is heard."""
        if link.up and not self.hears(link.peer):
            return LinkReport(link.peer, False, link.stock_bytes, link.rate_bps, link.priority)
        return link

    def _now(self) -> float:
        """Monotonic, without the time in which we did not listen."""
        return self._clock.monotonic() - self._missed_s

    def _forgive_stall(self) -> None:
        ticked_at, self._ticked_at = self._ticked_at, self._clock.monotonic()
        if self._ticked_at - ticked_at >= STALL_S:
            self._missed_s += self._ticked_at - ticked_at

    def _own_word(self) -> Report:
        return Report(self._own.latest, 0, tuple(sorted(filter(self.hears, self._listeners))))

    def _hear(self, listener: _Listener, message: Report) -> None:
        report, peer = message.report, message.report.node
        if listener.said is not None and report.order <= listener.said:
            return
        before = self._known.get(peer)
        if before is not None and before.report.order > report.order:
            self._tell(peer, before)
        hears = frozenset(message.hears)
        newly = self._known.keys() if listener.said is None else listener.hears - hears
        listener.owed.update(dict.fromkeys(sorted(newly)))
        listener.said, listener.heard_at, listener.hears = report.order, self._now(), hears
        self._accept(_Entry(report, peer, self._now()))

    def _hearsay(self, peer: KmeId, message: Report) -> None:
        report, now = message.report, self._now()
        entry = _Entry(report, peer, now - message.age_ms / 1000)
        known = self._known.get(report.node)
        if known is not None and report.order < known.report.order:
            self._tell(peer, known)
        elif self.hears(report.node):
            if known is not None and report != known.report:
                self._tell(report.node, entry)
        elif (known is None or report.order > known.report.order) and now - entry.said_at < GONE_S:
            self._accept(entry)

    def _accept(self, entry: _Entry) -> None:
        report = entry.report
        self._known[report.node] = entry
        self._view.say(report.node, report.links)
        for listener in self._listeners.values():
            listener.owed[report.node] = None

    def _pass_on(self) -> None:
        for peer, listener in self._listeners.items():
            while listener.owed and listener.budget:
                node = next(iter(listener.owed))
                del listener.owed[node]
                entry = self._known.get(node)
                if entry is not None and peer not in (node, entry.source) and node not in listener.hears:
                    self._tell(peer, entry)

    def _tell(self, peer: KmeId, entry: _Entry) -> None:
        """Unless it has been told so much since the last tick that somebody must be lying."""
        listener = self._listeners.get(peer)
        if listener is not None and listener.budget:
            listener.budget -= 1
            age_s = self._now() - entry.said_at
            self._send(peer, Report(entry.report, max(0, int(age_s * 1000))))
