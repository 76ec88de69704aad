"""Key delivery: answers what SAEs ask (`requests`), from streams and records.

enc_keys for one slave at another KME   bytes of a stream to it, from memory, no message (`supply`); or a record,
                                        when the streams are empty and nothing is on its way into them
enc_keys for several, or at this KME    a record at every KME concerned (`multicast`)
enc_keys for one in another domain      a record that the KME which leads there hands over (`gateway`)
dec_keys                                the place or the record that the ID names (`claims`)
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.errors import BadRequest, KeyhopError, StoreFailure, Unavailable
from keyhop.core.ids import KmeId, SaeId, SaePair
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.records import RecordBook
from keyhop.core.streams import Taken
from keyhop.core.units import UNIT_BYTES, units_for
from keyhop.network.feeder.feeder import Feeder
from keyhop.network.pair import Pair
from keyhop.network.peer import Peer
from keyhop.service import supply
from keyhop.service.audit import AuditedReplies, Handover
from keyhop.service.claims import Claims
from keyhop.service.courier import Courier
from keyhop.service.limits import Charge, Limits
from keyhop.service.multicast import Multicast
from keyhop.service.policy import Policy
from keyhop.service.redelivery import Redelivery
from keyhop.service.requests import (
    GetKey,
    GetKeyWithIds,
    GetStatus,
    KeyReply,
    KeyRun,
    Keys,
    Provenance,
    Status,
)
from keyhop.service.spreading import Spreading

RETRY_AFTER_S = 1.0
ABROAD_S = 10.0
"""How long a key for an SAE of another domain may take at least."""
_UNMET = "not all extension_mandatory request options could be met"


class Delivery:
    """The key service of one KME."""

    def __init__(
        self,
        me: KmeId,
        home: Callable[[SaeId], KmeId | None],
        policy: Policy,
        limits: Limits,
        foreign: Callable[[SaeId], bool],
        peers: Mapping[KmeId, Peer],
        feeder: Feeder,
        courier: Courier,
        spreading: Spreading,
        records: RecordBook,
        redelivery: Redelivery,
        journal: Journal,
        clock: Clock,
        entropy: Entropy,
        stock_bytes: int,
    ) -> None:
        self._me = me
        self._home = home
        self.policy = policy
        self._limits = limits
        self._foreign = foreign
        self._peers = peers
        self._feeder = feeder
        self._courier = courier
        self._journal = journal
        self._clock = clock
        self.stock_bytes = stock_bytes
        self._replies = AuditedReplies(journal)
        self._multicast = Multicast(me, spreading, records, self._replies, clock, entropy)
        self._claims = Claims(me, peers, records, redelivery, self._replies, foreign)

    def get_status(self, request: GetStatus) -> Status:
        """ETSI GS QKD 014, clause 5.1. Raises RequestError."""
        policy = self.policy
        target = self._home_of(request.peer)
        policy.check_pair(request.caller, request.peer)
        width = units_for(policy.default_size_bits // 8) * UNIT_BYTES
        capacity = self.stock_bytes // width
        stored = capacity
        if target != self._me:
            saes = (request.caller, request.peer)
            units = sum(pair.leasing.entitled_units(saes) for pair in self._pairs_to(target))
            stored = min(units * UNIT_BYTES // width, capacity)
        return Status(
            source_kme=self._me,
            target_kme=target,
            master=request.caller,
            slave=request.peer,
            key_size_bits=policy.default_size_bits,
            stored_key_count=stored,
            max_key_count=capacity,
            max_key_per_request=policy.max_keys_per_request,
            max_key_size_bits=policy.max_size_bits,
            min_key_size_bits=policy.min_size_bits,
            max_sae_id_count=policy.max_additional_slaves,
        )

    def get_key(self, request: GetKey, reply: KeyReply) -> None:
        """ETSI GS QKD 014, clause 5.2."""
        try:
            self._check_alive()
            policy = self.policy
            slaves = (request.slave, *request.additional_slaves)
            homes = {self._home_of(slave) for slave in slaves}
            for slave in slaves:
                policy.check_pair(request.master, slave)
            size, number = policy.size_bytes(request.size_bits), policy.number(request.number)
            charge = self._limits.charge(request.master, request.master, slaves, size * number)
            reply = reply if charge is None else _giving_back(charge, reply)
            abroad = any(map(self._foreign, slaves))
            deadline = self._clock.monotonic() + (max(policy.wait_s, ABROAD_S) if abroad else policy.wait_s)
            (target,) = homes if len(homes) == 1 else (None,)
            if request.additional_slaves or target == self._me or abroad:
                self._check_slaves(slaves)
                self._multicast.get_key(request, {s: self._home_of(s) for s in slaves}, size, number, deadline, reply)
                return
            assert target is not None  # one slave has one home
            self._from_stream(request, self._usable(request, target), size, number, deadline, reply)
        except KeyhopError as error:
            reply(error)

    def get_key_with_ids(self, request: GetKeyWithIds, reply: KeyReply) -> None:
        """ETSI GS QKD 014, clause 5.3."""
        try:
            self._check_alive()
            source = self._home_of(request.master)
            self.policy.check_pair(request.master, request.slave)
            if request.count > self.policy.max_keys_per_request:
                raise BadRequest(f"at most {self.policy.max_keys_per_request} keys can be asked for at a time")
            self._limits.charge(request.slave, request.master, (request.slave,), 0)
            self._claims.get_key_with_ids(request, source, reply)
        except KeyhopError as error:
            reply(error)

    def _from_stream(
        self, request: GetKey, pairs: Sequence[Pair], size: int, number: int, deadline: float, reply: KeyReply
    ) -> None:
        saes, give = (request.master, request.slave), partial(self._give, request, size, number, reply)
        found = supply.at_once(pairs, size, number, saes)
        if found is not None:
            give(*found)
        elif self.policy.wait_s <= 0:
            give(pairs[0], None)
        elif self._relays_on_demand(pairs, saes, units_for(size) * number):
            homes = {request.slave: pairs[0].peer}
            self._multicast.get_key(request, homes, size, number, deadline, reply)
        else:
            supply.wait(pairs, size, number, saes, deadline, give)
        if found is None:
            self._feeder.kick(pairs[0].peer)

    def _relays_on_demand(self, pairs: Sequence[Pair], saes: SaePair, units: int) -> bool:
        """Whether keys shall be relayed now for who asks: not while a stream has some, or is about to get some."""
        last = pairs[-1]
        if last.route == "direct" or any(pair.generating for pair in pairs if pair.route == "direct"):
            return False
        if any(pair.leasing.entitled_units(saes) >= units for pair in pairs):
            return False
        return not self._feeder.is_feeding(last.peer) and self._courier.can_relay(last.peer)

    def _give(self, request: GetKey, size: int, number: int, reply: KeyReply, pair: Pair, taken: Taken | None) -> None:
        if taken is None:
            reply(self._dry(request, pair, size, number))
            return
        keys = self._keys(request, pair, size, number, taken)
        master, slaves, path = request.master, (request.slave,), (self._me, pair.peer)
        handover = Handover("enc_keys", request.interface, master, master, slaves, path, taken.age.source)
        try:
            self._replies.give(keys, {handover: keys.runs}, reply)
        except StoreFailure as failure:
            reply(failure)

    def _keys(self, request: GetKey, pair: Pair, size: int, number: int, taken: Taken) -> Keys:
        key_ids = pair.owned.key_ids
        assert key_ids is not None  # bytes were taken, so the epoch is open
        ids = key_ids.pair(request.master, request.slave).seal(taken.position, size, number)
        provenance = None
        if request.provenance:
            age = max(self._clock.wall() - taken.age.produced_at, 0.0)
            provenance = Provenance(taken.age.source, (self._me, pair.peer), age)
        return Keys((KeyRun(ids, size, KeyMaterial(taken.data)),), provenance)

    def _usable(self, request: GetKey, target: KmeId) -> Sequence[Pair]:
        """The pairs whose streams may serve a request. Raises BadRequest and Unavailable when there is none."""
        pairs = self._pairs_to(target)
        if not pairs:
            raise Unavailable(f"there is no route to KME {target}")
        if request.route_strict and request.route == "direct":
            pairs = [pair for pair in pairs if pair.route == "direct"]
        if request.max_age_strict and request.max_age_s is not None:
            pairs = [pair for pair in pairs if self._is_young(pair, request.max_age_s)]
        if not pairs:
            raise BadRequest(_UNMET)
        return pairs

    def _is_young(self, pair: Pair, max_age_s: float) -> bool:
        """Streams are spent from the oldest byte on, so its age is what a request gets."""
        age = pair.owned.next_age()
        return age is None or self._clock.wall() - age.produced_at <= max_age_s

    def _check_alive(self) -> None:
        if self._journal.failure is not None:
            raise _stopping()

    def _dry(self, request: GetKey, pair: Pair, size: int, number: int) -> Unavailable:
        if self._journal.failure is not None:
            return _stopping()
        pair.meter.missed(size * number)
        what, beyond = "no key material is left for", ""
        if not pair.synchronised:
            what = "no key material, and " + ("not in step with" if pair.connected else "no connection to")
        elif pair.leasing.is_kept_from((request.master, request.slave), size, number):
            beyond = " but what is reserved for other SAEs"
        elif pair.route == "relayed" or not pair.generating:
            trouble = self._feeder.trouble(pair.peer)
            beyond = f": {trouble}" if trouble else ""
        return Unavailable(f"{what} KME {pair.peer}{beyond}", retry_after_s=RETRY_AFTER_S)

    def _check_slaves(self, slaves: tuple[SaeId, ...]) -> None:
        if len(set(slaves)) != len(slaves):
            raise BadRequest("a slave SAE is named twice")
        if len(slaves) - 1 > self.policy.max_additional_slaves:
            raise BadRequest(f"at most {self.policy.max_additional_slaves} additional slave SAEs can be named")

    def _home_of(self, sae: SaeId) -> KmeId:
        home = self._home(sae)
        if home is None:
            raise BadRequest("SAE_ID is not known to this KME", details=({"SAE_ID": sae},))
        return home

    def _pairs_to(self, target: KmeId) -> Sequence[Pair]:
        """In the order in which they are spent; empty for a KME that is none of the network's."""
        peer = self._peers.get(target)
        return peer.pairs if peer else ()


def _giving_back(charge: Charge, reply: KeyReply) -> KeyReply:
    def charged(answer: Keys | KeyhopError) -> None:
        if not isinstance(answer, Keys):
            charge.no_key_came()
        reply(answer)

    return charged


def _stopping() -> Unavailable:
    return Unavailable("the KME's store has failed and the KME is stopping")
