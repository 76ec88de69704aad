"""Blocks → streams.

Both ends of a link get the same blocks from their adapters. The node with the lower name decides for each block
whose stream it goes to (the one with less left to take: stock follows demand) and offers the other its share. The
owner then places blocks: it names them, with a tag under the block's own first 32 bytes, the follower checks its
copies against the tags and stores them durably at that position, and only then does the owner append them. A
block whose copies differ, or that one end no longer has, is dropped by both. One placement is under way at a time.
It costs both ends a commit, so while there is enough in stock blocks wait for others to be placed with them, until
the next tick at the latest.

Blocks that were relayed come to both ends too, and are placed alike; whose they are is settled before they are made.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from urllib.parse import quote

from cryptography.exceptions import InvalidSignature

from keyhop.core.clock import Clock
from keyhop.core.errors import PeerError
from keyhop.core.ids import LinkId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.base import KeyStore, Slot
from keyhop.core.streams import ID_KEY_UNITS, FollowedStream, OwnedStream
from keyhop.core.units import UNIT_BYTES
from keyhop.network.pending import MAC_KEY_BYTES, RELAYED, BlockName, BlockQueue, PendingBlock
from keyhop.network.wire import MAX_AHEAD, Body, Offer, Part, Placed, Placing

MIN_BLOCK_BYTES = MAC_KEY_BYTES + (ID_KEY_UNITS + 1) * UNIT_BYTES
MAX_PARTS = 16
MAX_PLACED_UNITS = 1 << 15
"""A placement takes as many blocks as come to this (256 KiB), or one: nobody is to wait long for its commit."""
ENOUGH_STOCK = 8
"""With this part of the stock available, or with as much as a placement, blocks may wait."""
MAX_PENDING = 512
PENDING_S = 30.0
RESEND_S = 1.0
MISMATCH_S = 5.0
MISMATCH_REFUSALS = 3
OFFER_COUNTS_S = 2.0
"""How long an offer counts as stock of the other end, which may have been down when the block came."""


class Filling:
    """Fills the two streams between this node and one peer."""

    def __init__(
        self,
        owned: OwnedStream,
        followed: FollowedStream,
        store: KeyStore,
        journal: Journal,
        clock: Clock,
        send: Callable[[Body], None],
        stock_units: int,
        on_appended: Callable[[], None],
        on_epoch_full: Callable[[], None],
    ) -> None:
        self._owned = owned
        self._followed = followed
        self._journal = journal
        self._clock = clock
        self._send = send
        self.stock_units = stock_units
        self._on_appended = on_appended
        self._on_epoch_full = on_epoch_full
        self._decides = owned.ref.owner < owned.ref.follower
        self._mine_last = False
        self._synchronised = False
        self._pending: dict[BlockName, PendingBlock] = {}
        self._mine = BlockQueue()
        self._theirs = BlockQueue()
        self._offered: dict[BlockName, float] = {}
        self._placing: Placing | None = None
        self._in_flight: dict[BlockName, PendingBlock] = {}
        self._sent_at = 0.0
        self._place = 0
        self._answered: Placed | None = None
        self._prefix = f"{quote(owned.ref.follower, safe='')}/{owned.ref.route}/"
        self._seen = {
            LinkId(slot.name.removeprefix(self._prefix)): int.from_bytes(value)
            for slot, value in store.scan("link", self._prefix)
        }
        self._refusals = 0
        self._agreed_at = clock.monotonic()
        self.discarded_bytes = 0

    def last_seen(self, link: LinkId) -> int:
        """The highest sequence of a link that we remember, or -1."""
        return self._seen.get(link, -1)

    @property
    def waiting_units(self) -> int:
        """What waits to be placed in the stream of this end."""
        return self._mine.units

    @property
    def mismatch(self) -> bool:
        """Whether what this end places finds no equal at the other: their links are not set up alike."""
        silent = self._placing is not None and self._clock.monotonic() - self._agreed_at > MISMATCH_S
        return silent or self._refusals >= MISMATCH_REFUSALS

    def link_block(self, link: LinkId, sequence: int, material: KeyMaterial, produced_at: float, source: str) -> None:
        """A block from the adapter. One that comes again, or comes late, is not a block."""
        if sequence <= self.last_seen(link):
            return
        self._seen[link] = sequence
        name = (link, sequence)
        if not self._take_in(name, material, produced_at, source):
            return
        if self._decides:
            self._decide(name)
        elif name in self._offered:
            del self._offered[name]
            self._accept(name)
        self._place_soon()

    def own_block(self, number: int, material: KeyMaterial, produced_at: float, source: str) -> None:
        """A relayed block that this end has made for its own stream, and that the other end has already."""
        name = (RELAYED, number)
        if self._take_in(name, material, produced_at, source):
            self._mine.add(name, self._units(name))
            self._place_soon()

    def their_block(self, number: int, material: KeyMaterial, produced_at: float, source: str) -> bool:
        """A relayed block that the other end has made for its stream and will place; whether it is taken.

        One that is not placed within PENDING_S is dropped.
        """
        name = (RELAYED, number)
        return name not in self._pending and self._take_in(name, material, produced_at, source)

    def offer(self, message: Offer) -> None:
        """The decider leaves a block to us."""
        name = (LinkId(message.link), message.sequence)
        if self._decides or name in self._mine:
            return
        if name in self._pending:
            self._accept(name)
            self._place_soon()
        elif message.sequence > self.last_seen(name[0]) and len(self._offered) < MAX_PENDING:
            self._offered[name] = self._clock.monotonic()

    def placing(self, message: Placing) -> None:
        """The owner of the stream that we follow places blocks."""
        if self._answered and message.place <= self._answered.place:
            if message.place == self._answered.place:
                self._send(self._answered)
            return
        names = [(LinkId(part.link), part.sequence) for part in message.parts]
        if any(n not in self._pending and self._may_come(n) for n in names):
            return  # our adapter has yet to produce it; the owner asks again
        refused = tuple(i for i, n in enumerate(names) if not self._agrees(n, message.parts[i].tag))
        if not refused:
            self._append_followed(message, names)
        for name in (names[index] for index in refused):
            if name not in self._mine:
                self._discard(name)
        self._answered = Placed(message.place, refused)
        self._send(self._answered)

    def placed(self, message: Placed) -> None:
        """The follower's answer to our placement."""
        placing = self._placing
        if placing is None or message.place != placing.place:
            return
        self._placing = None
        blocks, self._in_flight = self._in_flight, {}
        self._agreed_at = self._clock.monotonic()
        self._refusals = self._refusals + 1 if message.refused else 0
        if message.refused:
            names = list(blocks)
            for index in message.refused:
                if index < len(names):
                    self._discard(names[index])
        else:
            for name, pending in blocks.items():
                self._owned.append(pending.block(name))
                self._consumed(name)
            self._on_appended()
        self._place_soon()

    def synchronised(self) -> None:
        """A session begins: both forget what was under way, and offers are made again."""
        self._synchronised = True
        self._placing = self._answered = None
        self._in_flight = {}
        self._place = 0
        self._offered.clear()
        for name, pending in self._pending.items():
            if pending.offered:
                self._send(Offer(*name))
        self._place_next()

    def interrupted(self) -> None:
        """The session is over."""
        self._synchronised = False

    def tick(self) -> None:
        """Asks again what was not answered; drops what nobody placed."""
        now = self._clock.monotonic()
        for name in [n for n, p in self._pending.items() if p.arrived < now - PENDING_S]:
            self._discard(name)
        self._offered = {n: at for n, at in self._offered.items() if at >= now - PENDING_S}
        if not self._synchronised:
            return
        if self._placing and self._sent_at < now - RESEND_S:
            self._sent_at = now
            self._send(self._placing)
        for name, pending in self._pending.items():
            if pending.offered and pending.arrived < now - RESEND_S:
                self._send(Offer(*name))
        self._place_next()

    def _may_come(self, name: BlockName) -> bool:
        """Relayed blocks are placed only after they have come: one that is missing was lost in a restart."""
        return name[0] != RELAYED and name[1] > self.last_seen(name[0])

    def _take_in(self, name: BlockName, material: KeyMaterial, produced_at: float, source: str) -> bool:
        if len(material) < MIN_BLOCK_BYTES:
            self.discarded_bytes += len(material)
            return False
        self._pending[name] = PendingBlock(material, produced_at, source, self._clock.monotonic())
        if len(self._pending) > MAX_PENDING:
            self._discard(next(iter(self._pending)))
        return True

    def _decide(self, name: BlockName) -> None:
        mine = self._owned.produced - self._owned.taken + self._mine.units
        self._forget_late_offers()
        theirs = self._followed.untaken_units + self._theirs.units
        if min(mine, theirs) >= self.stock_units:
            self._discard(name)
            return
        # With equal stock in turn, for a slow link whose blocks are all leased at once: both ends have nothing left.
        self._mine_last = not self._mine_last if mine == theirs else mine < theirs
        if self._mine_last:
            self._mine.add(name, self._units(name))
        else:
            self._pending[name].offered = True
            self._theirs.add(name, self._units(name))
            if self._synchronised:
                self._send(Offer(*name))

    def _forget_late_offers(self) -> None:
        recent = self._clock.monotonic() - OFFER_COUNTS_S
        while self._theirs and self._pending[name := next(iter(self._theirs))].arrived < recent:
            self._theirs.discard(name)

    def _accept(self, name: BlockName) -> None:
        """Takes a block that the decider leaves to us, unless that would heap up what nobody asks for."""
        if self._owned.available_units < 2 * self.stock_units:
            self._mine.add(name, self._units(name))
        else:
            self._discard(name)

    def _units(self, name: BlockName) -> int:
        return len(self._pending[name].material) // UNIT_BYTES

    def _place_soon(self) -> None:
        """Places what there is, unless it may wait for more."""
        many = len(self._mine) > MAX_PARTS or self._mine.units > MAX_PLACED_UNITS
        if many or self._owned.available_units < min(self.stock_units // ENOUGH_STOCK, MAX_PLACED_UNITS):
            self._place_next()

    def _next_parts(self) -> Iterator[BlockName]:
        units = 0
        for name in islice(self._mine, MAX_PARTS):
            units += self._units(name)
            if units > MAX_PLACED_UNITS and units > self._units(name):
                return
            yield name

    def _place_next(self) -> None:
        if not self._synchronised or self._placing or not self._mine:
            return
        if self._owned.full:
            self._on_epoch_full()
        self._in_flight = {name: self._pending[name] for name in self._next_parts()}
        parts = tuple(Part(*name, pending.tag(name)) for name, pending in self._in_flight.items())
        self._place += 1
        self._placing = Placing(self._place, self._owned.epoch, self._owned.produced, parts)
        self._sent_at = self._agreed_at = self._clock.monotonic()
        self._send(self._placing)

    def _agrees(self, name: BlockName, tag: bytes) -> bool:
        pending = self._pending.get(name)
        if name in self._mine or self._followed.untaken_units >= 2 * self.stock_units:
            return False  # it may be on its way to our stream; or the owner takes nothing and only fills our disk
        if pending is None or (self._decides and not pending.offered and name[0] != RELAYED):
            return False  # an offer from before our restart does not bind us: the block may be on its way to our stream
        try:
            pending.verify(name, tag)
        except InvalidSignature:
            return False
        return True

    def _append_followed(self, message: Placing, names: list[BlockName]) -> None:
        followed = self._followed
        opens = followed.epoch < message.epoch <= followed.epoch + MAX_AHEAD and message.start == 0
        at_end = (message.epoch, message.start) == (followed.epoch, followed.produced)
        if not (opens or at_end) or len(set(names)) != len(names):
            raise PeerError("a block was placed where the stream does not end")
        followed.append(message.epoch, [self._pending[name].block(name) for name in names])
        if opens:
            followed.close_before(message.epoch)
        for name in names:
            self._consumed(name)

    def _consumed(self, name: BlockName) -> None:
        self._forget(name)
        link, seen = name[0], self._seen
        if link == RELAYED:
            return
        self._journal.save(Slot("link", self._prefix + link), lambda: seen[link].to_bytes(8))

    def _discard(self, name: BlockName) -> None:
        pending = self._forget(name)
        if pending:
            self.discarded_bytes += len(pending.material)

    def _forget(self, name: BlockName) -> PendingBlock | None:
        self._mine.discard(name)
        self._theirs.discard(name)
        return self._pending.pop(name, None)
