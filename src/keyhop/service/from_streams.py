"""enc_keys for one slave at another KME: keys of the streams to it; while these have none, what the policy says."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from keyhop.core.clock import Clock
from keyhop.core.errors import KeyhopError, StoreFailure, Unavailable
from keyhop.core.ids import KmeId, SaePair
from keyhop.core.journal import Journal
from keyhop.core.streams import Taken
from keyhop.core.units import UNIT_BYTES, units_for
from keyhop.network.feeder.feeder import Feeder
from keyhop.network.pair import Pair
from keyhop.service import supply
from keyhop.service.audit import AuditedReplies
from keyhop.service.handing import handed
from keyhop.service.limits import Limits, charged
from keyhop.service.making import make_keys
from keyhop.service.multicast import Multicast
from keyhop.service.origins import origin_of
from keyhop.service.policy import PairPolicy
from keyhop.service.requests import GetKey, KeyReply, Keys, Provenance
from keyhop.service.routes import RETRY_AFTER_S, Routes
from keyhop.service.slaves import Lists

AGAIN_S = 0.25
"""How often it is looked whether keys can be relayed now, for who waits."""
EXPAND_S = 2.0
"""How long a record under an expanded pad may take to the other KME and back."""


class _Wanted(NamedTuple):
    """Keys that a master asks for; `size` is in bytes."""

    request: GetKey
    policy: PairPolicy
    size: int
    number: int
    reply: KeyReply

    @property
    def saes(self) -> SaePair:
        """Master and slave."""
        return self.request.master, self.request.slave

    @property
    def key_bytes(self) -> int:
        """Of all keys."""
        return self.size * self.number

    @property
    def units(self) -> int:
        """What they take of a stream."""
        return units_for(self.size) * self.number


class FromStreams:
    """Of one KME. What no stream has may still be relayed, or expanded: a record (`multicast`)."""

    def __init__(
        self,
        routes: Routes,
        feeder: Feeder,
        lists: Lists,
        limits: Limits,
        multicast: Multicast,
        replies: AuditedReplies,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._routes = routes
        self._feeder = feeder
        self._lists = lists
        self._limits = limits
        self._multicast = multicast
        self._replies = replies
        self._journal = journal
        self._clock = clock

    def get_key(self, request: GetKey, target: KmeId, policy: PairPolicy, reply: KeyReply) -> None:
        """`target` is the slave's KME. Raises RequestError or Unavailable before anything is charged, else replies."""
        size, number = policy.size_bytes(request.size_bits), policy.number(request.number)
        reply = charged(self._limits, request.master, (request.slave,), size * number, reply)
        saes = (request.master, request.slave)
        try:
            pairs = self._routes.for_request(request, target, policy)
            policy = policy.as_asked(request)
            found = supply.at_once(pairs, size, number, saes, policy.admission)
            if found is not None:  # nearly always, so there is no more to it
                self._deliver(request, policy, size, number, reply, *found)
            else:
                self._do_without(_Wanted(request, policy, size, number, reply), pairs)
                self._feeder.kick(target, policy.priority)
        except KeyhopError as error:
            reply(error)

    def _do_without(self, wanted: _Wanted, pairs: Sequence[Pair]) -> None:
        """No stream has them now."""
        policy = wanted.policy
        expands = policy.expands and not self._routes.have_enough(pairs, wanted.saes, policy, wanted.units)
        if policy.wait_s <= 0 or expands:
            self._give(wanted, pairs[0], None)
        else:
            self._wait(wanted, pairs, self._clock.monotonic() + policy.wait_s)

    def _wait(self, wanted: _Wanted, pairs: Sequence[Pair], deadline: float) -> None:
        """For bytes of a stream, or for keys that are relayed; where nothing is kept, until there is a way for them."""
        if self._routes.are_relayed_on_demand(pairs, wanted.saes, wanted.policy, wanted.units):
            self._relay(wanted, pairs, deadline)
            return
        until = deadline
        if pairs[0].route == "relayed" and self._feeder.marks(pairs[0].peer) is None:  # nothing comes but for who asks
            until = min(deadline, self._clock.monotonic() + AGAIN_S)

        def waited(pair: Pair, taken: Taken | None) -> None:
            if taken is not None or not until <= self._clock.monotonic() < deadline or self._journal.failure:
                self._give(wanted, pair, taken)
                return
            try:
                self._wait(wanted, pairs, deadline)
            except KeyhopError as error:
                wanted.reply(error)

        self._wait_for_stream(wanted, pairs, until, waited)

    def _wait_for_stream(self, wanted: _Wanted, pairs: Sequence[Pair], until: float, supplied: supply.Supplied) -> None:
        supply.wait(pairs, wanted.size, wanted.number, wanted.saes, wanted.policy.admission, until, supplied)

    def _relay(self, wanted: _Wanted, pairs: Sequence[Pair], deadline: float) -> None:
        """Keys for this request alone; where that fails, what comes into a stream that is kept filled is waited for."""
        pair, request = pairs[-1], wanted.request

        def answered(answer: Keys | KeyhopError) -> None:
            if isinstance(answer, Keys):
                pair.meter.passed_by(wanted.key_bytes)
            elif self._may_still_come(pair.peer, answer, deadline):
                self._wait_for_stream(wanted, pairs, deadline, partial(self._give, wanted))
                return
            else:
                pair.meter.missed(wanted.key_bytes)
            wanted.reply(answer)

        slaves = self._lists.of(request.master, (request.slave,), request)
        counted = self._routes.on_demand.begin(pair.peer, wanted.units * UNIT_BYTES, answered)
        try:
            self._multicast.get_key(request, slaves, wanted.size, wanted.number, counted)
        except KeyhopError as error:
            counted(error)

    def _may_still_come(self, target: KmeId, failure: KeyhopError, deadline: float) -> bool:
        """Whether the stream may get what there was no other way for."""
        if self._journal.failure is not None or not isinstance(failure, Unavailable):
            return False
        return self._clock.monotonic() < deadline and self._feeder.marks(target) is not None

    def _give(self, wanted: _Wanted, pair: Pair, taken: Taken | None) -> None:
        request = wanted.request
        asked = (request.master, {request.slave: pair.peer}, {request.slave: wanted.policy}, request)
        if taken is None:
            pair.meter.missed(wanted.key_bytes)
            self._none_left(wanted, pair)
        elif changed := self._lists.changed(*asked):
            pair.owned.ledger.rebook("delivered", "voided", len(taken.data))
            wanted.reply(Unavailable(changed, retry_after_s=RETRY_AFTER_S))
        else:
            self._deliver(*wanted, pair, taken)

    def _deliver(
        self, request: GetKey, policy: PairPolicy, size: int, number: int, reply: KeyReply, pair: Pair, taken: Taken
    ) -> None:
        try:
            run = make_keys(pair, policy, request.master, request.slave, taken, size, number)
            keys = Keys((run,), self._provenance(pair, taken) if request.provenance else None)
            self._replies.give(keys, handed(request, pair, taken, run), reply)
        except (StoreFailure, Unavailable) as failure:
            reply(failure)

    def _none_left(self, wanted: _Wanted, pair: Pair) -> None:
        request, policy, size, number, reply = wanted
        if self._journal.failure is not None:
            reply(stopping())
        elif policy.expands and self._routes.expand(pair.peer, policy):
            try:
                slaves = self._lists.of(request.master, (request.slave,), request)._replace(wait_s=EXPAND_S)
                self._multicast.get_key(request, slaves, size, number, reply, expanded=True)
            except KeyhopError as error:
                reply(error)
        else:
            reply(self._routes.dry(pair, wanted.saes, policy, size, number))

    def _provenance(self, pair: Pair, taken: Taken) -> Provenance:
        age = max(self._clock.wall() - min(age.produced_at for _, age in taken.ages), 0.0)
        return Provenance(*origin_of(taken.ages, pair.owned.ref), age)


def stopping() -> Unavailable:
    """The store has failed."""
    return Unavailable("the KME's store has failed and the KME is stopping")
