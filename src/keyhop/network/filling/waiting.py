"""Blocks on their way into a stream: both ends hold them until they are in it, or dropped."""

from urllib.parse import quote

from keyhop.core.clock import Clock
from keyhop.core.ids import LinkId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.base import KeyStore, Slot
from keyhop.core.streams import ID_KEY_UNITS, StreamRef
from keyhop.core.units import UNIT_BYTES
from keyhop.network.filling.blocks import MAC_KEY_BYTES, BlockName, BlockQueue, PendingBlock

MIN_BLOCK_BYTES = MAC_KEY_BYTES + (ID_KEY_UNITS + 1) * UNIT_BYTES
MAX_PENDING = 512
PENDING_S = 30.0


class Waiting:
    """All that wait here: `ours` for our own stream, `theirs` for the other end's; of others nobody knows yet."""

    def __init__(self, owned: StreamRef, store: KeyStore, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self.blocks: dict[BlockName, PendingBlock] = {}
        self.ours = BlockQueue()
        self.theirs = BlockQueue()
        self.discarded_bytes = 0
        self.are_relayed = owned.route == "relayed"
        """Then no link brings blocks, whatever it is called."""
        self._prefix = f"{quote(owned.follower, safe='')}/{owned.route}/"
        self._seen = {
            LinkId(slot.name.removeprefix(self._prefix)): int.from_bytes(value)
            for slot, value in store.scan("link", self._prefix)
        }

    def last_seen(self, link: LinkId) -> int:
        """The highest sequence of a link that we remember, or -1."""
        return self._seen.get(link, -1)

    def see(self, name: BlockName) -> bool:
        """A link brings that block; False for one that comes again, or comes late."""
        link, sequence = name
        if sequence <= self.last_seen(link):
            return False
        self._seen[link] = sequence
        return True

    def may_come(self, name: BlockName) -> bool:
        """Relayed blocks are placed only after they have come: one that is missing was lost in a restart."""
        return not self.are_relayed and name[1] > self.last_seen(name[0])

    def take_in(self, name: BlockName, material: KeyMaterial, produced_at: float, source: str) -> bool:
        """Holds it, instead of the oldest if there are too many; False for one that is too small."""
        if len(material) < MIN_BLOCK_BYTES:
            self.discarded_bytes += len(material)
            return False
        self.blocks[name] = PendingBlock(material, produced_at, source, self._clock.monotonic())
        if len(self.blocks) > MAX_PENDING:
            self.discard(next(iter(self.blocks)))
        return True

    def assign(self, name: BlockName, queue: BlockQueue) -> None:
        """It is to go to a stream."""
        queue.add(name, len(self.blocks[name].material) // UNIT_BYTES)

    def consumed(self, name: BlockName) -> None:
        """It is in a stream."""
        self._forget(name)
        link, seen = name[0], self._seen
        if self.are_relayed:
            return
        self._journal.save(Slot("link", self._prefix + link), lambda: seen[link].to_bytes(8))

    def discard(self, name: BlockName) -> None:
        """It goes to no stream."""
        pending = self._forget(name)
        if pending:
            self.discarded_bytes += len(pending.material)

    def tick(self) -> None:
        """Drops what nobody placed."""
        late = self._clock.monotonic() - PENDING_S
        for name in [n for n, p in self.blocks.items() if p.arrived < late]:
            self.discard(name)

    def _forget(self, name: BlockName) -> PendingBlock | None:
        self.ours.discard(name)
        self.theirs.discard(name)
        return self.blocks.pop(name, None)
