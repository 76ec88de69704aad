"""Key delivery: answers what SAEs ask (`requests`), from streams and records.

enc_keys for one slave at another KME   bytes of a stream to it, from memory, no message (`from_streams`); or a record,
                                        when the streams are empty and nothing is on its way into them
enc_keys for several, or at this KME    a record at every KME concerned (`multicast`)
enc_keys for one in another domain      a record that the KME which leads there hands over (`gateway`)
dec_keys                                the place or the record that the ID names (`claims`)
a master's own keys                     a record at every KME concerned (`multicast`)
void                                    at the KMEs of the slaves (`voiding`, `taking_back`)
"""

from collections.abc import Callable, Mapping
from functools import partial

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.errors import BadRequest, KeyhopError
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.records import RecordBook
from keyhop.core.units import UNIT_BYTES, units_for
from keyhop.network.feeder.feeder import Feeder
from keyhop.network.peer import Peer
from keyhop.service.audit import AuditedReplies
from keyhop.service.claims import Claims
from keyhop.service.courier import Courier
from keyhop.service.crossing import Crossing
from keyhop.service.from_streams import FromStreams, stopping
from keyhop.service.limits import Limits, charged
from keyhop.service.multicast import Multicast
from keyhop.service.policy import Policies
from keyhop.service.recall import Recall
from keyhop.service.redelivery import Redelivery
from keyhop.service.requests import (
    GetKey,
    GetKeyWithIds,
    GetStatus,
    InsertKeys,
    InsertReply,
    KeyReply,
    Status,
    VoidKeys,
    VoidReply,
)
from keyhop.service.routes import Routes
from keyhop.service.slaves import Lists
from keyhop.service.spreading import Spreading
from keyhop.service.voiding import Voiding


class Delivery:
    """The key service of one KME."""

    def __init__(
        self,
        me: KmeId,
        home: Callable[[SaeId], KmeId | None],
        policies: Policies,
        limits: Limits,
        crossing: Crossing,
        peers: Mapping[KmeId, Peer],
        feeder: Feeder,
        courier: Courier,
        spreading: Spreading,
        recall: Recall,
        records: RecordBook,
        redelivery: Redelivery,
        journal: Journal,
        clock: Clock,
        entropy: Entropy,
        stock_bytes: int,
    ) -> None:
        self._me = me
        self._home = home
        self._policies = policies
        self._limits = limits
        self._foreign = crossing.foreign
        self.routes = Routes(peers, feeder, courier, clock)
        self._journal = journal
        self.stock_bytes = stock_bytes
        replies = AuditedReplies(journal)
        self._lists = Lists(me, home, crossing, policies, self.routes)
        self._multicast = multicast = Multicast(me, spreading, records, replies, journal, clock, entropy)
        self._from_streams = FromStreams(self.routes, feeder, self._lists, limits, multicast, replies, journal, clock)
        self._voiding = Voiding(recall, journal)
        self._claims = Claims(me, peers, records, redelivery, replies, crossing, clock)

    def get_status(self, request: GetStatus) -> Status:
        """ETSI GS QKD 014, clause 5.1. Raises RequestError."""
        target = self._lists.home(request.peer)
        policy = self._policies.pair(request.caller, request.peer)
        width = units_for(policy.default_size_bits // 8) * UNIT_BYTES
        capacity = self.stock_bytes // width
        stored = capacity
        if target != self._me:
            units = self.routes.stock_units(target, (request.caller, request.peer), policy)
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
            max_sae_id_count=self._policies.policy.max_additional_slaves,
        )

    def get_key(self, request: GetKey, reply: KeyReply) -> None:
        """ETSI GS QKD 014, clause 5.2."""
        try:
            self._check_alive()
            target = self._lists.home(request.slave)
            if request.additional_slaves or target == self._me or self._foreign(request.slave):
                slaves = self._lists.of(request.master, (request.slave, *request.additional_slaves), request)
                size, number = slaves.size_bytes(request.size_bits), slaves.number(request.number)
                reply = charged(self._limits, request.master, tuple(slaves.homes), size * number, reply)
                self._multicast.get_key(request, slaves, size, number, reply)
            else:
                policy = self._policies.pair(request.master, request.slave)
                self._from_streams.get_key(request, target, policy, reply)
        except KeyhopError as error:
            reply(error)

    def get_key_with_ids(self, request: GetKeyWithIds, reply: KeyReply) -> None:
        """ETSI GS QKD 014, clause 5.3."""
        try:
            self._check_alive()
            source = self._lists.home(request.master)
            policy = partial(self._policies.pair, request.master, request.slave)
            most = policy().max_keys_per_request
            if request.count > most:
                raise BadRequest(f"at most {most} keys can be asked for at a time")
            self._limits.charge(request.slave, request.master, (request.slave,), 0)
            self._claims.get_key_with_ids(request, source, policy, reply)
        except KeyhopError as error:
            reply(error)

    def insert_keys(self, request: InsertKeys, reply: InsertReply) -> None:
        """An extension of ours: keys that the master brings."""
        try:
            self._check_alive()
            slaves = self._lists.of(request.master, (request.slave, *request.additional_slaves))
            reply = charged(self._limits, request.master, tuple(slaves.homes), len(request.keys), reply)
            self._multicast.insert_keys(request, slaves, reply)
        except KeyhopError as error:
            reply(error)

    def void_keys(self, request: VoidKeys, reply: VoidReply) -> None:
        """An extension of ours: keys that no slave shall get any more."""
        try:
            self._check_alive()
            homes = self._lists.homes((request.slave, *request.additional_slaves))
            if request.master in homes:
                raise BadRequest("master and slave SAE shall be different")
            self._limits.charge(request.master, request.master, tuple(homes), 0)
            self._voiding.void_keys(request, homes, reply)
        except KeyhopError as error:
            reply(error)

    def _check_alive(self) -> None:
        if self._journal.failure is not None:
            raise stopping()
