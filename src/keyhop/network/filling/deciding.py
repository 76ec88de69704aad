"""Whose stream a block of a link goes to: the node with the lower name decides, and tells the other of its share."""

from collections.abc import Callable

from keyhop.core.clock import Clock
from keyhop.core.ids import LinkId
from keyhop.network.filling.blocks import BlockName
from keyhop.network.filling.levels import Levels
from keyhop.network.filling.waiting import MAX_PENDING, PENDING_S, Waiting
from keyhop.network.wire import Body, Offer

RESEND_S = 1.0
OFFER_COUNTS_S = 2.0
"""How long an offer counts as stock of the other end, which may have been down when the block came."""


class Deciding:
    """On one of the two ends, of which one decides."""

    def __init__(self, levels: Levels, waiting: Waiting, clock: Clock, send: Callable[[Body], None]) -> None:
        self._levels = levels
        self._waiting = waiting
        self._clock = clock
        self._send = send
        self.decides = levels.owned.ref.owner < levels.owned.ref.follower
        """Whether this end is the one."""
        self._ours_last = False
        self._synchronised = False
        self._offered: dict[BlockName, float] = {}

    def came(self, name: BlockName) -> None:
        """A block has come from a link."""
        if self.decides:
            self._decide(name)
        elif name in self._offered:
            del self._offered[name]
            self._accept(name)

    def offer(self, message: Offer) -> bool:
        """The other end leaves a block to us; whether it is here, and ours now."""
        name = (LinkId(message.link), message.sequence)
        if self.decides or name in self._waiting.ours:
            return False
        if name in self._waiting.blocks:
            self._accept(name)
            return True
        if message.sequence > self._waiting.last_seen(name[0]) and len(self._offered) < MAX_PENDING:
            self._offered[name] = self._clock.monotonic()
        return False

    def synchronised(self) -> None:
        """A session begins: offers are made again."""
        self._synchronised = True
        self._offered.clear()
        self._offer_again(float("inf"))

    def interrupted(self) -> None:
        """The session is over."""
        self._synchronised = False

    def tick(self) -> None:
        """Offers again what was not placed; forgets offers of what did not come."""
        now = self._clock.monotonic()
        self._offered = {n: at for n, at in self._offered.items() if at >= now - PENDING_S}
        if self._synchronised:
            self._offer_again(now - RESEND_S)

    def _offer_again(self, before: float) -> None:
        for name, pending in self._waiting.blocks.items():
            if pending.offered and pending.arrived < before:
                self._send(Offer(*name))

    def _decide(self, name: BlockName) -> None:
        levels, waiting = self._levels, self._waiting
        ours = levels.ours + waiting.ours.units
        self._forget_late_offers()
        theirs = levels.theirs + waiting.theirs.units
        if min(ours, theirs) >= levels.stock_units:
            waiting.discard(name)
            return
        # With equal stock in turn, for a slow link whose blocks are all leased at once: both ends have nothing left.
        self._ours_last = not self._ours_last if ours == theirs else ours < theirs
        if self._ours_last:
            waiting.assign(name, waiting.ours)
        else:
            waiting.blocks[name].offered = True
            waiting.assign(name, waiting.theirs)
            if self._synchronised:
                self._send(Offer(*name))

    def _forget_late_offers(self) -> None:
        recent = self._clock.monotonic() - OFFER_COUNTS_S
        theirs, blocks = self._waiting.theirs, self._waiting.blocks
        while theirs and blocks[name := next(iter(theirs))].arrived < recent:
            theirs.discard(name)

    def _accept(self, name: BlockName) -> None:
        """Takes a block that the decider leaves to us, unless that would heap up what nobody asks for."""
        if self._levels.we_heap_up:
            self._waiting.discard(name)
        else:
            self._waiting.assign(name, self._waiting.ours)
