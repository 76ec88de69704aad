"""Which streams to another KME a key may be of: as the pair's policy says, and as the request asks."""

from collections.abc import Mapping, Sequence

from keyhop.core.clock import Clock
from keyhop.core.errors import BadRequest, Unauthorised, Unavailable
from keyhop.core.ids import KmeId, SaePair
from keyhop.core.units import UNIT_BYTES, units_for
from keyhop.network.feeder.feeder import Feeder
from keyhop.network.pair import Pair
from keyhop.network.peer import Peer
from keyhop.service.courier import Courier
from keyhop.service.making import no_secret
from keyhop.service.on_demand import OnDemand
from keyhop.service.policy import PairPolicy
from keyhop.service.requests import RECORD_SOURCE, GetKey

RETRY_AFTER_S = 1.0
_NOT_YET = "what is relayed to it has not come yet"
UNMET = "not all extension_mandatory request options could be met"


class Routes:
    """The ways to other KMEs."""

    def __init__(self, peers: Mapping[KmeId, Peer], feeder: Feeder, courier: Courier, clock: Clock) -> None:
        self._peers = peers
        self._feeder = feeder
        self._courier = courier
        self.on_demand = OnDemand(courier)
        self._clock = clock

    def allowed(self, target: KmeId, policy: PairPolicy) -> Sequence[Pair]:
        """The pairs that the policy lets a request have, in the order in which they are spent.

        None for a KME that is none of the network's. Raises Unauthorised when no link leads to it and only a link's
        keys may be had.
        """
        peer = self._peers.get(target)
        if peer is None:
            return ()
        if not policy.direct_only:
            return peer.pairs
        if peer.direct is None:
            raise Unauthorised(f"these SAEs may only share keys of a link, and none leads to KME {target}")
        return (peer.direct,)

    def by_link(self, target: KmeId) -> bool:
        """Whether a link leads to a KME."""
        peer = self._peers.get(target)
        return peer is not None and peer.direct is not None

    def for_request(self, request: GetKey, target: KmeId, policy: PairPolicy) -> Sequence[Pair]:
        """Those of them that a request may be served from; one at least. Raises RequestError and Unavailable."""
        pairs = self.allowed(target, policy)
        if not pairs:
            raise Unavailable(f"there is no route to KME {target}")
        if policy.hybrid != "none":
            agreed = [pair for pair in pairs if pair.hybrid.secret is not None]
            if not agreed or (len(agreed) < len(pairs) and all(pair.owned.key_ids is None for pair in agreed)):
                raise no_secret(target)
            pairs = agreed
        if request.route_strict and request.route == "direct":
            pairs = [pair for pair in pairs if pair.route == "direct"]
        if request.max_age_strict and request.max_age_s is not None:
            pairs = [pair for pair in pairs if self._is_young(pair, request.max_age_s)]
        if not pairs:
            raise BadRequest(UNMET)
        return pairs

    def stock_units(self, target: KmeId, saes: SaePair, policy: PairPolicy) -> int:
        """What there is now for these SAEs. Raises Unauthorised."""
        pairs = self.allowed(target, policy)
        return sum(pair.leasing.entitled_units(saes) for pair in pairs if pair.leasing.meets(policy.admission, 1))

    def have_enough(self, pairs: Sequence[Pair], saes: SaePair, policy: PairPolicy, units: int) -> bool:
        """Whether one of the streams has that much for these SAEs, leased or not."""
        admission = policy.admission
        return any(p.leasing.entitled_units(saes) >= units and p.leasing.meets(admission, units) for p in pairs)

    def expand(self, target: KmeId, policy: PairPolicy) -> bool:
        """Whether there is a seed now of which pads for such keys can be made."""
        pairs = self.allowed(target, policy)
        return any(pair.synchronised and pair.carriage.expands(policy.admission) for pair in pairs)

    def are_relayed_on_demand(self, pairs: Sequence[Pair], saes: SaePair, policy: PairPolicy, units: int) -> bool:
        """Whether keys shall be relayed now for who asks: not while a stream has some; few while it gets some."""
        last, admission = pairs[-1], policy.admission
        if last.route == "direct" or any(pair.generating for pair in pairs if pair.route == "direct"):
            return False
        if self.have_enough(pairs, saes, policy, units):
            return False
        if admission is not None and not admission.admits_source(RECORD_SOURCE):
            return False
        if not self._courier.may_relay(last.peer, policy.relaying, admission):
            return False
        if self._feeder.is_feeding(last.peer, admission):
            size_bytes = units * UNIT_BYTES
            kept = last.leasing.is_kept_from(saes, size_bytes, 1)
            if not self.on_demand.has_room(last, policy.relaying, size_bytes, kept):
                return False
        return self._courier.obstacle(last.peer, policy.relaying) is None

    def _is_young(self, pair: Pair, max_age_s: float) -> bool:
        """Streams are spent from the oldest byte on, so its age is what a request gets."""
        age = pair.owned.next_age()
        return age is None or self._clock.wall() - age.produced_at <= max_age_s

    def dry(self, pair: Pair, saes: SaePair, policy: PairPolicy, size: int, number: int) -> Unavailable:
        """Why there are no such keys; `pair` is the first that may have had some."""
        what, beyond = "no key material is left for", ""
        if not pair.synchronised:
            what = "no key material, and " + ("not in step with" if pair.session.connected else "no connection to")
        elif pair.leasing.is_kept_from(saes, size, number):
            beyond = " but what is reserved for other SAEs"
        elif not pair.leasing.meets(policy.admission, units_for(size) * number):
            beyond = " but what these SAEs may not have, by its source or age"
        if pair.synchronised and not policy.direct_only and (pair.route == "relayed" or not pair.generating):
            trouble = self._trouble(pair.peer, policy)
            beyond += f": {trouble}" if trouble else ""
        return Unavailable(f"{what} KME {pair.peer}{beyond}", retry_after_s=RETRY_AFTER_S)

    def _trouble(self, kme: KmeId, policy: PairPolicy) -> str | None:
        """Why nothing that is relayed is there. A parcel may wait long for pads that links brought until lately."""
        trouble = self._feeder.trouble(kme) or self._courier.obstacle(kme, policy.relaying)
        return trouble or (_NOT_YET if self._feeder.is_feeding(kme) else None)
