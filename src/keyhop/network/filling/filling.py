"""Fills the two streams between this node and one peer."""

from collections.abc import Callable

from keyhop.core.clock import Clock
from keyhop.core.ids import LinkId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.base import KeyStore
from keyhop.core.streams import FollowedStream, OwnedStream
from keyhop.network.filling.blocks import RELAYED
from keyhop.network.filling.deciding import Deciding
from keyhop.network.filling.following import Follower
from keyhop.network.filling.levels import Levels
from keyhop.network.filling.placing import Placer
from keyhop.network.filling.waiting import Waiting
from keyhop.network.wire import Body, Offer, Placed, Placing


class Filling:
    """Blocks and messages of the peer enter; messages leave, and what is appended is told."""

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
        self.levels = Levels(owned, followed, stock_units)
        self._waiting = Waiting(owned.ref, store, journal, clock)
        self._deciding = Deciding(self.levels, self._waiting, clock, send)
        self._placer = Placer(self.levels, self._waiting, clock, send, on_appended, on_epoch_full)
        self._follower = Follower(self.levels, self._waiting, self._deciding.decides, send)

    def last_seen(self, link: LinkId) -> int:
        """The highest sequence of a link that we remember, or -1."""
        return self._waiting.last_seen(link)

    @property
    def waiting_units(self) -> int:
        """What waits to be placed in the stream of this end."""
        return self._waiting.ours.units

    @property
    def discarded_bytes(self) -> int:
        """What came from links or the relay, and went to no stream."""
        return self._waiting.discarded_bytes

    @property
    def mismatch(self) -> bool:
        """Whether what this end places finds no equal at the other: their links are not set up alike."""
        return self._placer.mismatch

    def link_block(self, link: LinkId, sequence: int, material: KeyMaterial, produced_at: float, source: str) -> None:
        """A block from the adapter. One that comes again, or comes late, is not a block."""
        name = (link, sequence)
        if self._waiting.see(name) and self._waiting.take_in(name, material, produced_at, source):
            self._deciding.came(name)
            self._placer.place_soon()

    def own_block(self, number: int, material: KeyMaterial, produced_at: float, source: str) -> None:
        """A relayed block that this end has made for its own stream, and that the other end has already."""
        name = (RELAYED, number)
        if self._waiting.take_in(name, material, produced_at, source):
            self._waiting.assign(name, self._waiting.ours)
            self._placer.place_soon()

    def their_block(self, number: int, material: KeyMaterial, produced_at: float, source: str) -> bool:
        """A relayed block that the other end has made for its stream and will place; whether it is taken.

        One that is not placed within PENDING_S is dropped.
        """
        name = (RELAYED, number)
        return name not in self._waiting.blocks and self._waiting.take_in(name, material, produced_at, source)

    def offer(self, message: Offer) -> None:
        """The decider leaves a block to us."""
        if self._deciding.offer(message):
            self._placer.place_soon()

    def placing(self, message: Placing) -> None:
        """The owner of the stream that we follow places blocks."""
        self._follower.placing(message)

    def placed(self, message: Placed) -> None:
        """The follower's answer to our placement."""
        self._placer.placed(message)

    def synchronised(self) -> None:
        """A session begins: both forget what was under way, and offers are made again."""
        self._follower.synchronised()
        self._deciding.synchronised()
        self._placer.synchronised()

    def interrupted(self) -> None:
        """The session is over."""
        self._deciding.interrupted()
        self._placer.interrupted()

    def tick(self) -> None:
        """Asks again what was not answered; drops what nobody placed."""
        self._waiting.tick()
        self._deciding.tick()
        self._placer.tick()
