"""Keys that this domain hands over to another KMS: ext_keys and its acknowledgements as their sender sees them.

1. That keys are under way is durable, and in the audit log, before the first byte leaves.
2. Only `relayed` for every target makes a key good, or 200 to a synchronous call. Only 400 and 401 say that the other
    KMS kept nothing.
 3. After anything else the same request is sent again, later and later, until the deadline. Then whoever waits hears
    that it failed, and the keys are voided over there for as long as it takes; nobody is ever given such a key.
4. After a restart the keys are gone and their outcome is not known: they are voided.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress

from keyhop.core.clock import Clock
from keyhop.core.errors import StoreFailure
from keyhop.core.ids import KmeId, key_id_text
from keyhop.core.journal import Journal
from keyhop.service.etsi020.accounts import Accounts
from keyhop.service.etsi020.acks import acks_in, all_relayed, concerns, harmless
from keyhop.service.etsi020.calls import EXT_KEYS, Call, Make, Reply
from keyhop.service.etsi020.memory import KeyMemory
from keyhop.service.etsi020.models import (
    MAX_BODY_BYTES,
    MAX_KEYS,
    Ack,
    container_of,
    key_ids,
    write,
)
from keyhop.service.etsi020.problems import KEY_NOT_PRESENT, Problem, said_in
from keyhop.service.etsi020.transfer import Transfer
from keyhop.service.etsi020.under_way import Request, Sent, UnderWay
from keyhop.service.etsi020.voiding import Voiding

FIRST_RETRY_S = 0.5
LAST_RETRY_S = 8.0
ACK_S = 3.0
"""How long to wait for an acknowledgement before the request is repeated, the first time."""


class Sending:
    """The sender's part of an interchange with one other KMS."""

    def __init__(
        self,
        peer: KmeId,
        memory: KeyMemory,
        voiding: Voiding,
        journal: Journal,
        clock: Clock,
        make: Make,
        accounts: Accounts,
        callback: Callable[[], str | None],
    ) -> None:
        """`callback` gives our URL for acknowledgements, or None for synchronous calls."""
        self._peer = peer
        self._memory = memory
        self._voiding = voiding
        self._journal = journal
        self._clock = clock
        self._make = make
        self._accounts = accounts
        self._callback = callback
        self._under_way = UnderWay()

    def resume(self) -> None:
        """After a start."""
        for saes, ids in list(self._memory.that_are("under way")):
            self._voiding.void(saes, tuple(ids))
        for saes, ids in list(self._memory.that_are("voiding")):
            self._voiding.void(saes, tuple(ids), were_relayed=True)

    def send(self, transfer: Transfer, deadline: float, done: Sent) -> None:
        """Hands keys over; calls `done` once, by `deadline` (monotonic seconds) or soon after it."""
        if len(transfer.ids) > MAX_KEYS or not self._memory.has_room(len(transfer.ids)):
            done("too many keys are handed over")
            return
        if any(key_id in self._memory for key_id in transfer.ids):
            done("a key of that ID was handed over before")
            return
        callback = self._callback()
        body = write(container_of(transfer, callback))
        if len(body) > MAX_BODY_BYTES:
            done("these are too many bytes of key for one request")
            return
        request = Request(transfer, body, callback is None, deadline, done)
        for key_id in transfer.ids:
            self._memory.add(key_id, transfer.saes, "under way", mark=transfer.batch)
        self._under_way.add(request)
        self._accounts.note("sent", "handed over", transfer.saes, transfer.ids)
        self._journal.then(lambda: self._post(request), lambda failure: self._end(request, failure.message))

    def give_up(self, ids: Iterable[bytes], reason: str) -> None:
        """Whoever waits for these keys hears that they failed, and they are voided over there."""
        for request in self._under_way.those(ids):
            self._give_up(request, reason)

    def acknowledged(self, acks: tuple[Ack, ...]) -> None:
        """What the other KMS says became of keys. Those that are known count; Problem 400 names one that is not."""
        unknown: str | None = None
        for ack in acks:
            known = []
            for key_id in key_ids(key.key_id for key in ack.key_id_container):
                entry = self._memory.get(key_id)
                if entry is None or not concerns(ack, entry.saes):
                    unknown = key_id_text(key_id)
                else:
                    known.append(key_id)
            self._count(ack, known)
        if unknown is not None:
            raise Problem(400, KEY_NOT_PRESENT, key_id=unknown)

    def tick(self) -> None:
        """Time has passed."""
        now = self._clock.monotonic()
        for request in self._under_way.those():
            if request.deadline <= now:
                self._give_up(request, "it was not acknowledged in time")
            elif request.next_at is not None and request.next_at <= now:
                self._post(request)

    def abandon(self) -> None:
        """The store has failed: nobody waits any longer."""
        self._voiding.abandon()
        for request in self._under_way.those():
            self._under_way.drop(request)
            with suppress(StoreFailure):  # who recalls other copies finds that the journal takes nothing any more
                request.done("the store of this KME has failed")

    def _post(self, request: Request) -> None:
        if request not in self._under_way:
            return
        request.next_at = None
        self._make(Call("POST", EXT_KEYS, request.body, lambda reply: self._answered(request, reply)))

    def _answered(self, request: Request, reply: Reply | None) -> None:
        if request not in self._under_way:
            return
        said = f": {words}" if reply and (words := said_in(reply.body)) else ""
        match reply.status if reply else None:
            case 200 if reply and request.synchronous and all_relayed(reply.body):
                self._good(request)
            case 200 if reply and not request.synchronous:
                self._acknowledged_at_once(request, reply)
            case 202:
                request.later(self._clock.monotonic(), ACK_S, ACK_S * 2)
            case 400 | 401 as status:
                self._refused(request, f"KMS {self._peer} refuses the keys ({status}{said})")
            case _:
                request.later(self._clock.monotonic(), FIRST_RETRY_S, LAST_RETRY_S)

    def _acknowledged_at_once(self, request: Request, reply: Reply) -> None:
        """Whoever says 200 and no more, although he may call back, may mean anything by it."""
        request.later(self._clock.monotonic(), ACK_S, ACK_S * 2)
        for ack, ids in acks_in(reply.body):
            if concerns(ack, request.transfer.saes):
                self._count(ack, [key_id for key_id in ids if key_id in request.transfer.ids])

    def _count(self, ack: Ack, ids: list[bytes]) -> None:
        if ack.ack_status == "relayed":
            self._relayed(ack, ids)
        elif self._voiding.acknowledged(ack, ids):
            return
        else:
            message = f": {ack.message}" if ack.message else ""
            self.give_up(ids, f"KMS {self._peer} says {ack.ack_status}{harmless(message)}")

    def _relayed(self, ack: Ack, ids: list[bytes]) -> None:
        for key_id in ids:
            request = self._under_way.of(key_id)
            if request is not None and request.relayed(key_id, ack.target_sae_ids):
                self._good(request)

    def _good(self, request: Request) -> None:
        self._memory.settle(request.transfer.ids, "relayed")
        self._accounts.note("sent", "relayed", request.transfer.saes, request.transfer.ids)
        self._end(request, None)

    def _refused(self, request: Request, reason: str) -> None:
        """Nothing of this attempt was kept; of an earlier one nobody knows."""
        if request.attempts:
            self._give_up(request, reason)
            return
        self._memory.settle(request.transfer.ids, "failed")
        self._accounts.note("sent", "refused", request.transfer.saes, request.transfer.ids, reason)
        self._end(request, reason)

    def _give_up(self, request: Request, reason: str) -> None:
        self._accounts.note("sent", "failed", request.transfer.saes, request.transfer.ids, reason)
        self._voiding.void(request.transfer.saes, request.transfer.ids)
        self._end(request, reason)

    def _end(self, request: Request, reason: str | None) -> None:
        self._under_way.drop(request)
        if self._journal.failure is not None:
            request.done(self._journal.failure.message)
        else:
            self._journal.then(lambda: request.done(reason), lambda failure: request.done(failure.message))
