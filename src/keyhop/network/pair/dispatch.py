"""Which part of a pair a message is for."""

from collections.abc import Callable
from dataclasses import dataclass

from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId
from keyhop.core.streams import FollowedStream, OwnedStream
from keyhop.network import wire
from keyhop.network.agreement import check_ahead
from keyhop.network.carriage import Carriage
from keyhop.network.expanding.messages import SeedHeld, SeedTaken
from keyhop.network.filling import Filling
from keyhop.network.hybrid.agreeing import Agreeing
from keyhop.network.hybrid.messages import OfHybrid
from keyhop.network.leasing import Leasing
from keyhop.network.link_channels import LinkChannels
from keyhop.network.psk.messages import OfPsk
from keyhop.network.psk.refreshing import Refreshing
from keyhop.network.reclaiming import Reclaiming
from keyhop.network.relay.messages import OfRelay
from keyhop.network.topology.gossip import Gossip
from keyhop.network.topology.reports import Report
from keyhop.network.windows import Windows


@dataclass(slots=True)
class Dispatch:
    """Hands what comes in a session to the parts of a pair."""

    peer: KmeId
    owned: OwnedStream
    followed: FollowedStream
    filling: Filling
    leasing: Leasing
    windows: Windows
    carriage: Carriage
    reclaiming: Reclaiming
    hybrid: Agreeing
    channels: LinkChannels
    relay: Callable[[KmeId, OfRelay], None]
    gossip: Gossip | None
    tell: Callable[[wire.Body], None]
    refreshing: Refreshing | None = None

    def received(self, body: wire.Body) -> None:
        """Raises PeerError for what the protocol does not allow."""
        match body:
            case Report() if self.gossip is not None:  # first: half of all that is said while nobody asks for keys
                self.gossip.received(self.peer, body)
            case wire.Offer():
                self.filling.offer(body)
            case wire.Placing():
                self.filling.placing(body)
            case wire.Placed():
                self.filling.placed(body)
            case wire.Leased():
                self._note_lease(body)
            case wire.LeaseNoted():
                self.leasing.noted(body)
            case wire.Void():
                self._void(body)
            case wire.Mark():
                check_ahead(body.mark, self.owned.mark_seen)
                self.owned.note_mark(body.mark)
                self.tell(wire.MarkNoted(body.mark))
            case wire.MarkNoted():
                self.windows.noted(body)
            case wire.Replaced():
                self.windows.doubted()
            case wire.Carry():
                self.carriage.received(body)
            case wire.Carried():
                self.carriage.carried(body)
            case wire.Reclaim():
                self.reclaiming.asked(body)
            case wire.Reclaimed():
                self.reclaiming.answered(body)
            case OfRelay():
                self.relay(self.peer, body)
            case SeedTaken(epoch, position):
                self.tell(SeedHeld(epoch, position, self.carriage.seeds.keep(body)))
            case SeedHeld():
                self.carriage.seed.held(body)
            case OfHybrid():
                self.hybrid.received(body)
            case OfPsk() if self.refreshing:
                self.refreshing.received(body)
            case wire.LinkMessage():
                self.channels.received(body)
            case _:
                raise PeerError("unexpected message")

    def _note_lease(self, body: wire.Leased) -> None:
        if self.followed.note_taken(body.epoch, body.taken):
            self.tell(wire.LeaseNoted(body.epoch, body.taken))
            self.windows.expect()

    def _void(self, body: wire.Void) -> None:
        if body.start > body.end:
            raise PeerError("a range that ends before it begins")
        if self.followed.note_taken(body.epoch, body.end):
            self.followed.void(body.epoch, body.start, body.end)
