"""The follower's side: it checks the blocks that the owner names against its own copies, and stores them first."""

from collections.abc import Callable

from cryptography.exceptions import InvalidSignature

from keyhop.core.errors import PeerError
from keyhop.core.ids import LinkId
from keyhop.network.filling.blocks import BlockName
from keyhop.network.filling.levels import Levels
from keyhop.network.filling.waiting import Waiting
from keyhop.network.wire import MAX_AHEAD, Body, Placed, Placing


class Follower:
    """Puts blocks in the stream that the other end owns."""

    def __init__(self, levels: Levels, waiting: Waiting, decides: bool, send: Callable[[Body], None]) -> None:
        """`decides`: whether this end says whose blocks are."""
        self._followed = levels.followed
        self._levels = levels
        self._waiting = waiting
        self._decides = decides
        self._send = send
        self._answered: Placed | None = None

    def placing(self, message: Placing) -> None:
        """The owner places blocks."""
        if self._answered and message.place <= self._answered.place:
            if message.place == self._answered.place:
                self._send(self._answered)
            return
        waiting = self._waiting
        names = [(LinkId(part.link), part.sequence) for part in message.parts]
        if any(n not in waiting.blocks and waiting.may_come(n) for n in names):
            return  # our adapter has yet to produce it; the owner asks again
        refused = tuple(i for i, n in enumerate(names) if not self._agrees(n, message.parts[i].tag))
        if not refused:
            self._append(message, names)
        for name in (names[index] for index in refused):
            if name not in waiting.ours:
                waiting.discard(name)
        self._answered = Placed(message.place, refused)
        self._send(self._answered)

    def synchronised(self) -> None:
        """A session begins: the owner counts anew."""
        self._answered = None

    def _agrees(self, name: BlockName, tag: bytes) -> bool:
        pending = self._waiting.blocks.get(name)
        if name in self._waiting.ours or self._levels.they_heap_up:
            return False  # it may be on its way to our stream
        if pending is None or (self._decides and not pending.offered and not self._waiting.are_relayed):
            return False  # an offer from before our restart does not bind us: the block may be on its way to our stream
        try:
            pending.verify(name, tag)
        except InvalidSignature:
            return False
        return True

    def _append(self, message: Placing, names: list[BlockName]) -> None:
        followed = self._followed
        opens = followed.epoch < message.epoch <= followed.epoch + MAX_AHEAD and message.start == 0
        at_end = (message.epoch, message.start) == (followed.epoch, followed.produced)
        if not (opens or at_end) or len(set(names)) != len(names):
            raise PeerError("a block was placed where the stream does not end")
        followed.append(message.epoch, [self._waiting.blocks[name].block(name) for name in names])
        if opens:
            followed.close_before(message.epoch)
        for name in names:
            self._waiting.consumed(name)
