"""The streams of one route to one peer, and all that works on them."""

from collections.abc import Callable
from typing import Protocol

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.ids import KmeId, LinkId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.origin import hides_from
from keyhop.core.records import RecordBook
from keyhop.core.store.base import KeyStore
from keyhop.core.streams import FollowedStream, OwnedStream, Route, StreamRef
from keyhop.core.units import UNIT_BYTES
from keyhop.network import wire
from keyhop.network.agreement import Agreement
from keyhop.network.arrivals import Arrivals
from keyhop.network.carriage import Carriage
from keyhop.network.expanding.held import HeldSeeds
from keyhop.network.expanding.own import OwnSeed
from keyhop.network.filling import Filling
from keyhop.network.hybrid.agreeing import Agreeing
from keyhop.network.hybrid.kem import Kem
from keyhop.network.hybrid.kept import KeptSecrets
from keyhop.network.leasing import Leasing
from keyhop.network.leasing.shares import Pairs
from keyhop.network.link_channels import LinkChannels, PairChannel
from keyhop.network.meter import Meter
from keyhop.network.pair.dispatch import Dispatch
from keyhop.network.pair.options import PairOptions
from keyhop.network.pair.session import Session
from keyhop.network.psk.generations import PskGenerations
from keyhop.network.psk.refreshing import Fetch, Refreshing
from keyhop.network.reclaiming import Reclaiming, TakeBack
from keyhop.network.relay.messages import OfRelay
from keyhop.network.relay.pads import Pads, StandingOf
from keyhop.network.topology.gossip import Gossip
from keyhop.network.windows import Windows


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
        standing: StandingOf,
        gossip: Gossip | None,
        options: PairOptions,
        kem: Kem,
    ) -> None:
        """`take_back` takes keys back from slaves here. `relay` takes what the peer's relay says to ours; `standing`
        is a flow's, beside others that need pads.

        `gossip` goes over one of the routes to a peer.
        """
        self.peer = peer
        self.route: Route = route
        self.owned = OwnedStream(StreamRef(me, peer, route), store, journal)
        self.followed = FollowedStream(StreamRef(peer, me, route), store, journal)
        self._clock = clock
        self._entropy = entropy
        self._gossip = gossip
        self._options = options
        agreement = Agreement(self.owned, self.followed, records, journal, self._owned_closed)
        self.session = Session(route, agreement, journal, clock, entropy, self._begun, self._over)
        self.leasing = Leasing(self.owned, clock, self.tell)
        self.pads = Pads(self.leasing, clock, standing)
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
        self._least_paths = 1
        """On so many paths somebody has to be to learn bytes of the owned stream."""
        self._channels = LinkChannels(self.session.tell_now)
        self.hybrid = Agreeing(self.owned, KeptSecrets(self.followed, store, journal), clock, entropy, self.tell, kem)
        self._parts: list[_Part] = [
            self.filling,
            self.leasing,
            self.windows,
            self.carriage,
            self.reclaiming,
            self.hybrid,
            seed,
        ]
        self._dispatch = Dispatch(
            peer,
            self.owned,
            self.followed,
            self.filling,
            self.leasing,
            self.windows,
            self.carriage,
            self.reclaiming,
            self.hybrid,
            self._channels,
            relay,
            gossip,
            self.tell,
        )
        self.generating = True
        """Whether links bring key for this route, as far as those who keep the links know."""

    def limit(self, options: PairOptions, sae_pairs: Pairs, usual_bytes: int) -> None:
        """Takes over other limits, for these masters and slaves that may share keys; what is over goes with time.

        `usual_bytes` is what the stock is when nobody asks for much.
        """
        self._options = options
        self.filling.levels.stock_units = options.stock_bytes // UNIT_BYTES
        self.leasing.reserve(options.reserved_bytes_per_pair, sae_pairs, usual_bytes)
        self.hybrid.wanted = options.hybrid
        self.carriage.seed.wanted = options.expand

    def refresh(self, psk: PskGenerations, fetch: Fetch, interval_s: float) -> Refreshing:
        """The key that authenticates the peer gets its next generations from these streams, or else by `fetch`."""
        whence = (self.leasing, self.followed, self._clock, self._entropy)
        refreshing = Refreshing(psk, *whence, self.tell, fetch, interval_s)
        self._dispatch.refreshing = refreshing
        self._parts.append(refreshing)
        return refreshing

    @property
    def synchronised(self) -> bool:
        """Whether both ends agree on what they remember."""
        return self.session.synchronised

    def link_block(self, link: LinkId, sequence: int, material: KeyMaterial, produced_at: float, source: str) -> None:
        """A block from the adapter of a link to this peer."""
        self.leasing.demand.brought(len(material) // UNIT_BYTES)
        self.filling.link_block(link, sequence, material, produced_at, source)

    def link_channel(self, link: LinkId) -> PairChannel:
        """Between the adapters of a link to this peer; its messages are lost while there is no session."""
        return self._channels.open(link)

    def received(self, envelope: wire.Envelope) -> None:
        """A message from the peer about this route."""
        body = self.session.received(envelope)
        if body is not None:
            self._dispatch.received(body)

    def tell(self, body: wire.Body) -> None:
        """Sends once everything noted so far is durable, if the session is still the same."""
        self.session.tell(body)

    def tick(self) -> None:
        """Time has passed: what is late is asked for again or given up, what is old expires."""
        self.session.greet()
        for part in self._parts:
            part.tick()
        self.pads.tick()
        self.meter.tick()
        self._expire()

    def give_up_weaker(self, paths: int) -> None:
        """What whoever is on fewer paths may have learnt is not used from now on: nothing that is there, nor what is
        still to come by such a way."""
        self._least_paths = paths
        self._give_up_weaker()

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
        self.carriage.seeds.forget_done()

    def abandon(self) -> None:
        """The store has failed: nobody waits any longer, and nothing is written."""
        self.leasing.abandon()
        self.windows.interrupted()
        self.carriage.abandon()
        self.reclaiming.abandon()

    def _begun(self) -> None:
        for part in self._parts:
            part.synchronised()
        if self._gossip is not None:
            self._gossip.connected(self.peer)

    def _over(self) -> None:
        for part in self._parts:
            part.interrupted()
        if self._gossip is not None:
            self._gossip.disconnected(self.peer)

    def _owned_closed(self) -> None:
        self.leasing.epoch_closed()

    def _open_next_epoch(self) -> None:
        self.owned.close_epoch(self.owned.epoch + 1)
        self.leasing.epoch_closed()

    def _appended(self) -> None:
        if self.route == "relayed":
            self.leasing.demand.brought(self.owned.brought_units - self._relayed_units)
            self._relayed_units = self.owned.brought_units
            self._give_up_weaker()
        self.leasing.stock_changed()

    def _expire(self) -> None:
        lifetime = self._options.key_lifetime_s
        now = self._clock.wall()
        self.followed.expire(now - 2 * lifetime, self._options.unfetched_bytes // UNIT_BYTES)
        self.hybrid.kept.forget_done(now, 2 * lifetime)
        self._voided(self.owned.expire(now - lifetime))

    def _give_up_weaker(self) -> None:
        least = self._least_paths
        if least > 1:
            self.carriage.seed.give_up(lambda source: (hides_from(source) or least) < least)
            self._voided(self.owned.give_up(lambda source: (hides_from(source) or least) < least))

    def _voided(self, units: tuple[int, int] | None) -> None:
        if units:
            self.leasing.stock_changed()
            if self.synchronised:
                self.tell(wire.Void(self.owned.epoch, *units))
