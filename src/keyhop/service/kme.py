"""One KME without I/O: its journal, records, pairs and delivery, wired over a store.

The node runs it between sockets and a real disk (`keyhop.node`), tests on virtual time (`keyhop.testing`): there is
one wiring, so what is tested is what runs.
"""

from collections.abc import Callable, Collection, Iterator
from functools import partial

from keyhop.core.audit import AuditSink, event_record
from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.records import RecordBook
from keyhop.core.store.base import KeyStore
from keyhop.core.streams import Route
from keyhop.core.witness import Witness, WitnessKeeper
from keyhop.network.arrivals import Arrivals
from keyhop.network.feeder.feeder import Feeder
from keyhop.network.hybrid.kem import Kem, MlKem768
from keyhop.network.hybrid.secret import Secret
from keyhop.network.pair import Pair
from keyhop.network.peer import Peer
from keyhop.network.psk.fetching import Fetching
from keyhop.network.psk.generations import NO_PSKS, Psks
from keyhop.network.relay.messages import OfRelay
from keyhop.network.relay.parcels import Done, Parcel, Plan
from keyhop.network.relay.relay import Relay
from keyhop.network.topology.gossip import Gossip
from keyhop.network.topology.own_links import own_links
from keyhop.network.topology.reports import Report
from keyhop.network.topology.view import View
from keyhop.service.courier import Courier
from keyhop.service.crossing import Crossing
from keyhop.service.delivery import Delivery
from keyhop.service.gateway import Admitting, Gateway
from keyhop.service.kme_options import KmeOptions, OtherDomains, Settings
from keyhop.service.limits import Limits
from keyhop.service.policy import Policies
from keyhop.service.recall import Recall
from keyhop.service.redelivery import Redelivery
from keyhop.service.spreading import Spreading
from keyhop.service.taking_back import TakingBack
from keyhop.service.undoing import Undoing

EXPIRE_RECORDS_S = 5.0
"""How often records are looked through for old ones."""


class Kme:
    """The state machines of one KME. After a failed commit (`journal.failure`) it gives out nothing more."""

    def __init__(
        self,
        me: KmeId,
        peers: Collection[KmeId],
        neighbours: Collection[KmeId],
        home: Callable[[SaeId], KmeId | None],
        store: KeyStore,
        audit: AuditSink,
        clock: Clock,
        entropy: Entropy,
        wake: Callable[[], None],
        options: KmeOptions,
        keeper: WitnessKeeper | None = None,
        psks: Psks = NO_PSKS,
        abroad: OtherDomains | None = None,
        kem: Kem | None = None,
    ) -> None:
        """`peers` are all other KMEs of the network, `neighbours` those of them that links join with this one.

        `home` tells which KME serves an SAE; `wake` asks for a `flush` at the end of this turn.

        With a `keeper` of a witness, `open` finds out a store that is an old copy. Peers that are not among `psks` are
        authenticated by certificates. `abroad` are the other domains. `kem` stands in for ML-KEM, where a run is to be
        repeated exactly.
        """
        abroad = abroad or OtherDomains()
        self.home = home
        self._clock = clock
        self.settings = Settings(options)
        self.journal = Journal(store, wake, audit)
        self.records = RecordBook(store, self.journal)

        self.policies = Policies(options.policy)
        self.limits = Limits(options.limits, clock)
        self.crossing = Crossing(abroad.foreign, abroad.per_domain)
        self.gateway = Gateway(me, abroad.joints, home, abroad.foreign, clock, abroad.make)
        arrivals = Arrivals(me, self.records, clock, home, self.gateway, self._expect_fetches, self._secret)

        def relay(peer: KmeId, message: OfRelay) -> None:
            self.relay.received(peer, message)

        self.peers: dict[KmeId, Peer] = {}
        taking_back = TakingBack(home, self.peers, self.records, self.gateway, self.journal, clock)

        self.view = View(me, peers, clock)
        self.gossip = Gossip(me, clock, self._tell_report, self.view)

        def pair(peer: KmeId, route: Route) -> Pair:
            stored = (store, self.journal, self.records, arrivals)
            told = (taking_back.take_back, relay, self.settings.standing, self.gossip if route == "relayed" else None)
            return Pair(me, peer, route, *stored, clock, entropy, *told, options.pairs, kem or MlKem768())

        def made(peer: KmeId) -> Peer:
            direct = pair(peer, "direct") if peer in neighbours else None
            found = Peer(peer, pair(peer, "relayed"), direct)
            psk = psks.of(me, peer, store, self.journal)
            if psk is not None:
                found.refresh(psk, partial(fetching.fetch, peer), psks.refresh_s)
            return found

        def send(parcel: Parcel, plan: Plan, deadline: float, done: Done) -> None:
            self.relay.send(parcel, plan, deadline, done)

        fetching = Fetching(me, self.view, self.settings.terms, send, clock)

        self.peers.update((peer, made(peer)) for peer in peers)
        self.relay = Relay(me, self.peers, arrivals, clock, entropy, self._brought)
        self.feeder = Feeder(
            me, self.peers, self.view, self.relay, self.settings.stream_terms, clock, entropy, options.feeder
        )
        self.relay.on_stuck.append(self.feeder.path_failed)
        self.courier = courier = Courier(me, self.peers, self.view, self.relay, self.settings.terms, clock)
        self.undoing = Undoing(self.peers, self.records.outgoing, self.settings.key_lifetime_s, clock, entropy)
        spreading = Spreading(me, self.peers, courier, self.records, self.undoing, self.gateway, clock, entropy)
        recall = Recall(me, self.peers, taking_back.take_back, self.undoing, self.gateway, clock)
        admitting = Admitting(self.policies, self.limits, self.crossing)
        self.gateway.open(spreading, recall, admitting, store, self.journal, self.records)
        self._limit_pairs()
        self.redelivery = Redelivery(clock, options.policy)
        self.delivery = Delivery(
            me,
            home,
            self.policies,
            self.limits,
            self.crossing,
            self.peers,
            self.feeder,
            courier,
            spreading,
            recall,
            self.records,
            self.redelivery,
            self.journal,
            clock,
            entropy,
            options.pairs.stock_bytes,
        )
        self._records_expired_at = clock.monotonic()
        self._call_witness = partial(Witness, me, keeper, store, self.journal, clock, entropy) if keeper else None
        self.witness: Witness | None = None

    def open(self, forget: Callable[[], None] = lambda: None) -> None:
        """Before anything is used: is the store the one that was last used? Nothing that an old copy holds is used.

        Opens the first step of the witness, if there is one; what an old copy holds is gone with that commit. `forget`
        is for what others keep in the store: it notes in the journal what they drop. Raises ConfigurationError for a
        witness of somebody else, and StoreFailure.
        """
        self.gateway.resume()
        self.undoing.resume()
        self.feeder.give_up_weaker()
        if self._call_witness is None:
            return
        self.witness = self._call_witness()
        if self.witness.restored:
            for pair in self.pairs():
                pair.forget()
            self.records.forget_stored()
            forget()
            self.journal.record(event_record("store is an old copy", reason=self.witness.restored))
        self.flush()
        if self.journal.failure is not None:
            raise self.journal.failure

    def pairs(self) -> Iterator[Pair]:
        """All pairs of streams with all peers."""
        for peer in self.peers.values():
            yield from peer.pairs

    @property
    def restored(self) -> str | None:
        """Why the store that was found cannot be the one that was last used; None when it is, as far as is known."""
        return self.witness.restored if self.witness else None

    def reconfigure(self, options: KmeOptions) -> None:
        """Takes over other options; what is over new limits now goes with time."""
        self.settings.now = options
        self.policies.replace(options.policy)
        self.redelivery.limit(options.policy)
        self.delivery.stock_bytes = options.pairs.stock_bytes
        self.limits.replace(options.limits)
        self.feeder.options = options.feeder
        if self.journal.failure is None:
            self.feeder.give_up_weaker()
        self._limit_pairs()

    def tick(self) -> None:
        """Time has passed: what is late is asked for again or given up, what is old expires. Raises StoreFailure."""
        if self.witness:
            self.witness.tick()
        for pair in self.pairs():
            pair.tick()
        self.relay.tick()
        self.gossip.tick(own_links(self.peers.values(), self.settings.now.link_priorities))
        self.feeder.tick()
        self.gateway.tick()
        self.undoing.tick()
        self.limits.tick()
        self.redelivery.tick()
        now = self._clock.monotonic()
        if now - self._records_expired_at >= EXPIRE_RECORDS_S:  # it looks at all of them
            self._records_expired_at = now
            self.records.expire(self._clock.wall() - self.settings.now.pairs.key_lifetime_s)

    def flush(self) -> None:
        """Makes durable and records what this turn decided, and lets happen what waits for that."""
        self.journal.flush()

    def seal(self) -> None:
        """A graceful stop: no more taking; what is left of the leases is voided at both ends. Raises StoreFailure."""
        for pair in self.pairs():
            pair.seal()
        if self.witness:
            self.witness.end_step()

    def abandon(self) -> None:
        """The store has failed: nobody waits any longer, and nothing is written."""
        self.redelivery.clear()
        for pair in self.pairs():
            pair.abandon()
        self.relay.abandon()
        self.gateway.abandon()

    def _expect_fetches(self, source: KmeId) -> None:
        for pair in self.peers[source].fetched_within:
            pair.windows.expect()

    def _secret(self, source: KmeId, check: bytes) -> Secret | None:
        return self.peers[source].secret_named(check)

    def _brought(self, source: KmeId, check: bytes, fresh: KeyMaterial) -> bool:
        return self.peers[source].brought(check, fresh)

    def _tell_report(self, peer: KmeId, report: Report) -> None:
        self.peers[peer].relayed.tell(report)

    def _limit_pairs(self) -> None:
        usual_bytes = {"direct": self.settings.now.pairs.stock_bytes, "relayed": self.settings.now.feeder.usual_bytes}
        for pair in self.pairs():
            sae_pairs = self.settings.now.sae_pairs.get(pair.peer, ())
            pair.limit(self.settings.now.pairs, sae_pairs, usual_bytes[pair.route])
