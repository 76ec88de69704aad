"""The two streams between this node and a peer that have one route, kept in step over whatever connection there is.

A session begins with Hello and State in both directions. From the two States both ends come to the same verdict on
each stream (`agreement`); until then nothing is placed, leased or marked. Messages of any other session are dropped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId, LinkId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.records import RecordBook
from keyhop.core.store.base import KeyStore
from keyhop.core.streams import FollowedStream, OwnedStream, Route, StreamRef
from keyhop.core.units import UNIT_BYTES
from keyhop.network import wire
from keyhop.network.agreement import Agreement, check_ahead
from keyhop.network.arrivals import Arrivals
from keyhop.network.carriage import Carriage
from keyhop.network.expanding.held import HeldSeeds
from keyhop.network.expanding.messages import SeedHeld, SeedTaken
from keyhop.network.expanding.own import OwnSeed
from keyhop.network.filling import Filling
from keyhop.network.hybrid.agreeing import Agreeing
from keyhop.network.hybrid.kept import KeptSecrets
from keyhop.network.hybrid.messages import OfHybrid
from keyhop.network.leasing import Leasing
from keyhop.network.link_channels import LinkChannels, PairChannel
from keyhop.network.meter import Meter
from keyhop.network.psk.generations import PskGenerations
from keyhop.network.psk.messages import OfPsk
from keyhop.network.psk.refreshing import Refreshing
from keyhop.network.reclaiming import Reclaiming, TakeBack
from keyhop.network.relay.messages import OfRelay
from keyhop.network.relay.pads import Pads, Weight
from keyhop.network.shares import Pairs
from keyhop.network.topology.gossip import Gossip
from keyhop.network.topology.reports import Report
from keyhop.network.twins import Twins
from keyhop.network.windows import Windows

type Transmit = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class PairOptions:
    """How much a stream may hold for its owner, and for slaves that have not fetched; how long its bytes live; how much
    of the stock is reserved for each pair of SAEs; whether there are to be secrets for `hybrid` keys, and seeds to
    `expand`."""

    stock_bytes: int = 16 << 20
    unfetched_bytes: int = 64 << 20
    key_lifetime_s: float = 86400.0
    reserved_bytes_per_pair: int = 4096
    hybrid: bool = False
    expand: bool = False


class _Part(Protocol):
    def synchronised(self) -> None: ...

    def interrupted(self) -> None: ...

    def tick(self) -> None: ...


class Pair:
    """The state machine for one route to one peer. `received` raises PeerError for what the protocol does not allow."""

    def __init__(
        self,
        me: KmeId,
        peer: KmeId,
        route: Route,
        store: KeyStore,
        journal: Journal,
        records: RecordBook,
        arrivals: Arrivals,
        clock: Clock,
        entropy: Entropy,
        take_back: TakeBack,
        relay: Callable[[KmeId, OfRelay], None],
        weight: Weight,
        gossip: Gossip | None,
        options: PairOptions,
    ) -> None:
        """`take_back` takes keys back from slaves here. `relay` takes what the peer's relay says to ours; `weight` is a
        flow's, beside others that need pads.

        `gossip` goes over one of the routes to a peer.
        """
        self.peer = peer
        self.route: Route = route
        self.owned = OwnedStream(StreamRef(me, peer, route), store, journal)
        self.followed = FollowedStream(StreamRef(peer, me, route), store, journal)
        self._journal = journal
        self._clock = clock
        self._entropy = entropy
        self._relay = relay
        self._gossip = gossip
        self._options = options
        self.leasing = Leasing(self.owned, clock, self.tell)
        self.pads = Pads(self.leasing, clock, weight)
        self.windows = Windows(self.followed, clock, self.tell)
        seed = OwnSeed(self.owned, self.leasing, clock, self.tell)
        seeds = HeldSeeds(self.followed, store, journal)
        self.carriage = Carriage(self.owned, self.followed, self.leasing, arrivals, clock, self.tell, seed, seeds)
        self.reclaiming = Reclaiming(take_back, peer, clock, entropy, self.tell)
        self.filling = Filling(
            self.owned,
            self.followed,
            store,
            journal,
            clock,
            self.tell,
            options.stock_bytes // UNIT_BYTES,
            self._appended,
            self._open_next_epoch,
        )
        self.meter = Meter(self.owned, clock)
        self._relayed_units = 0
        """What the relay has brought since this process began."""
        self._channels = LinkChannels(self._send_now)
        self._refreshing: Refreshing | None = None
        self.hybrid = Agreeing(self.owned, KeptSecrets(self.followed, store, journal), clock, entropy, self.tell)
        self._parts: list[_Part] = [
            self.filling,
            self.leasing,
            self.windows,
            self.carriage,
            self.reclaiming,
            self.hybrid,
            seed,
        ]
        self._transmit: Transmit | None = None
        self._process = self._new_session()
        self.theirs, self.ours = Twins(clock), Twins(clock)
        self._agreement = Agreement(self.owned, self.followed, records, journal, self.leasing.epoch_closed)
        self._session = self._new_session()
        self._peer_session = 0
        self.synchronised = False
        self.since: float | None = None
        self.generating = True
        """Whether links bring key for this route, as far as those who keep the links know."""

    def limit(self, options: PairOptions, sae_pairs: Pairs, usual_bytes: int) -> None:
        """Takes over other limits, for these masters and slaves that may share keys; what is over goes with time.

        `usual_bytes` is what the stock is when nobody asks for much.
        """
        self._options = options
        self.filling.stock_units = options.stock_bytes // UNIT_BYTES
        self.leasing.reserve(options.reserved_bytes_per_pair, sae_pairs, usual_bytes)
        self.hybrid.wanted = options.hybrid
        self.carriage.seed.wanted = options.expand

    def refresh(self, psk: PskGenerations, interval_s: float) -> None:
        """The key that authenticates the peer gets its next generations from these streams."""
        self._refreshing = Refreshing(psk, self.leasing, self.followed, self._clock, self.tell, interval_s)
        self._parts.append(self._refreshing)

    @property
    def connected(self) -> bool:
        """Whether there is a connection, synchronised or not."""
        return self._transmit is not None

    @property
    def doubted(self) -> bool:
        """Whether the peer has met another node that claims to be this one, and has not agreed with us since."""
        return self._agreement.doubted

    def connect(self, transmit: Transmit) -> None:
        """There is a connection now."""
        self._begin()
        self._peer_session = 0
        self._transmit = transmit
        self.tell(wire.Hello(self._process))

    def replaced(self) -> None:
        """Another connection takes the place of this one, whose end may live all the same: it is told."""
        if self._transmit:
            self._transmit(self._encoded(wire.Replaced()))

    def disconnect(self) -> None:
        """The connection is gone."""
        self._begin()
        self._peer_session = 0
        self._transmit = None

    def link_block(self, link: LinkId, sequence: int, material: KeyMaterial, produced_at: float, source: str) -> None:
        """A block from the adapter of a link to this peer."""
        self.leasing.demand.brought(len(material) // UNIT_BYTES)
        self.filling.link_block(link, sequence, material, produced_at, source)

    def link_channel(self, link: LinkId) -> PairChannel:
        """Between the adapters of a link to this peer; its messages are lost while there is no session."""
        return self._channels.open(link)

    def received(self, envelope: wire.Envelope) -> None:
        """A message from the peer about this route."""
        match envelope.body:
            case wire.Hello(process):
                self.theirs.heard(process)
                self._hear(envelope.sender)
                self.tell(self._agreement.state())
            case wire.State() as state:
                if envelope.receiver == self._session:
                    self._hear(envelope.sender)
                    if envelope.receiver == self._session:
                        self._synchronise(state)
                    else:
                        self.tell(wire.Hello(self._process))  # the State answered a session that has just ended
            case wire.Replaced():
                if envelope.receiver == self._session:
                    self.ours.sign()
                    self._agreement.doubted = True
                    self.windows.doubted()
            case body:
                current = (self._peer_session, self._session)
                if self.synchronised and (envelope.sender, envelope.receiver) == current:
                    self._dispatch(body)

    def tell(self, body: wire.Body) -> None:
        """Sends once everything noted so far is durable, if the session is still the same."""
        session, peer_session = self._session, self._peer_session

        def transmit() -> None:
            if self._transmit and (session, peer_session) == (self._session, self._peer_session):
                self._transmit(self._encoded(body))

        self._journal.then(transmit)

    def tick(self) -> None:
        """Time has passed: what is late is asked for again or given up, what is old expires."""
        if self.connected and not self.synchronised:
            self.tell(wire.Hello(self._process))
        for part in self._parts:
            part.tick()
        self.pads.tick()
        self.meter.tick()
        self._expire()

    def seal(self) -> None:
        """A graceful stop: no more taking; the rest of the lease is voided at both ends."""
        epoch = self.owned.epoch
        rest = self.leasing.seal()
        if rest and self.synchronised:
            self.tell(wire.Void(epoch, *rest))

    def forget(self) -> None:
        """The store is an old copy: nothing that it holds is used any more."""
        self._open_next_epoch()
        self.followed.forget_all(self.followed.mark)
        self.hybrid.kept.forget_all()
        self.carriage.seeds.forget_all()

    def abandon(self) -> None:
        """The store has failed: nobody waits any longer, and nothing is written."""
        self.leasing.abandon()
        self.windows.interrupted()
        self.carriage.abandon()
        self.reclaiming.abandon()

    def _dispatch(self, body: wire.Body) -> None:
        match body:
            case wire.Offer():
                self.filling.offer(body)
            case wire.Placing():
                self.filling.placing(body)
            case wire.Placed():
                self.filling.placed(body)
            case wire.Leased():
                if self.followed.note_taken(body.epoch, body.taken):
                    self.tell(wire.LeaseNoted(body.epoch, body.taken))
                    self.windows.expect()
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
            case wire.Carry():
                self.carriage.received(body)
            case wire.Carried():
                self.carriage.carried(body)
            case wire.Recall():
                self.carriage.recalled(body)
            case wire.Reclaim():
                self.reclaiming.asked(body)
            case wire.Reclaimed():
                self.reclaiming.answered(body)
            case OfRelay():
                self._relay(self.peer, body)
            case SeedTaken(epoch, position):
                self.tell(SeedHeld(epoch, position, self.carriage.seeds.keep(body)))
            case SeedHeld():
                self.carriage.seed.held(body)
            case OfHybrid():
                self.hybrid.received(body)
            case OfPsk() if self._refreshing:
                self._refreshing.received(body)
            case Report() if self._gossip is not None:
                self._gossip.received(self.peer, body)
            case wire.LinkMessage():
                self._channels.received(body)
            case _:
                raise PeerError("unexpected message")

    def _void(self, body: wire.Void) -> None:
        if body.start > body.end:
            raise PeerError("a range that ends before it begins")
        if self.followed.note_taken(body.epoch, body.end):
            self.followed.void(body.epoch, body.start, body.end)

    def _hear(self, peer_session: int) -> None:
        """Notes the peer's session; a new one ends ours, unless ours has nothing behind it yet."""
        if peer_session != self._peer_session:
            self._begin()
            self._peer_session = peer_session

    def _begin(self) -> None:
        if self.synchronised:
            self.synchronised = False
            self.since = None
            self._session = self._new_session()
            self._agreement.begin()
            for part in self._parts:
                part.interrupted()
            if self._gossip is not None:
                self._gossip.disconnected(self.peer)

    def _new_session(self) -> int:
        return int.from_bytes(self._entropy.token(8)) >> 2 | 1

    def _synchronise(self, theirs: wire.State) -> None:
        if self.synchronised:
            return
        self.tell(self._agreement.state())
        self._agreement.reach(theirs)
        self.synchronised = True
        self.since = self._clock.wall()
        for part in self._parts:
            part.synchronised()
        if self._gossip is not None:
            self._gossip.connected(self.peer)

    def _open_next_epoch(self) -> None:
        self.owned.close_epoch(self.owned.epoch + 1)
        self.leasing.epoch_closed()

    def _appended(self) -> None:
        if self.route == "relayed":
            self.leasing.demand.brought(self.owned.brought_units - self._relayed_units)
            self._relayed_units = self.owned.brought_units
        self.leasing.stock_changed()

    def _expire(self) -> None:
        lifetime = self._options.key_lifetime_s
        now = self._clock.wall()
        self.followed.expire(now - 2 * lifetime, self._options.unfetched_bytes // UNIT_BYTES)
        self.hybrid.kept.forget_done(now, 2 * lifetime)
        expired = self.owned.expire(now - lifetime)
        if expired:
            self.leasing.stock_changed()
            if self.synchronised:
                self.tell(wire.Void(self.owned.epoch, *expired))

    def _send_now(self, body: wire.Body) -> None:
        """Sends what waits for nothing to be durable, if there is a session."""
        if self._transmit and self.synchronised:
            self._transmit(self._encoded(body))

    def _encoded(self, body: wire.Body) -> bytes:
        return wire.encode(wire.Envelope(self.route, self._session, self._peer_session, body))
