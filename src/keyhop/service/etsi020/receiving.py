"""Keys that another KMS hands over to this domain: ext_keys as its receiver sees it.

1. A key is under way until its targets' KMEs all hold it durably (`relayed`), or cannot have it (`failed`).
2. The same key again is the same key: what is under way is not relayed twice, what was relayed is acknowledged once
   more, what failed stays failed, what is void stays void. Other bytes or other SAEs under its ID are refused.
   What failed may be at some KMEs, which are asked to give it up for long afterwards: under the same ID that would take
   a later try back, and who has fetched it would find it twice. Only what never left is tried again (`refused`).
3. Nothing is answered with 202, and nothing acknowledged, before it is durable here.
"""

from typing import Literal

from keyhop.core.clock import Clock
from keyhop.core.errors import BadRequest
from keyhop.core.ids import key_id_text, sae_id
from keyhop.core.journal import Journal
from keyhop.service.etsi020.accounts import Accounts
from keyhop.service.etsi020.acknowledgements import Acknowledgements
from keyhop.service.etsi020.callbacks import Callbacks
from keyhop.service.etsi020.calls import Answer, Respond, respond_once_durable
from keyhop.service.etsi020.memory import KeyMemory, mark_of
from keyhop.service.etsi020.models import AckStatus, ExtKeyContainer, key_ids, write
from keyhop.service.etsi020.problems import UNSUPPORTED_MANDATORY_EXTENSION, Problem
from keyhop.service.etsi020.transfer import Domain, Saes, Transfer
from keyhop.service.etsi020.waiting import Waiting

RELAY_S = 60.0
"""How long a key may be under way to the KMEs of its targets. Its sender voids it when that is too long for him."""
_OVER: tuple[AckStatus, ...] = ("relayed", "failed")


class Receiving:
    """The receiver's part of an interchange with one other KMS."""

    def __init__(
        self,
        domain: Domain,
        memory: KeyMemory,
        acknowledgements: Acknowledgements,
        callbacks: Callbacks,
        waiting: Waiting,
        journal: Journal,
        clock: Clock,
        accounts: Accounts,
    ) -> None:
        self._domain = domain
        self._memory = memory
        self._acknowledgements = acknowledgements
        self._callbacks = callbacks
        self._waiting = waiting
        self._journal = journal
        self._clock = clock
        self._accounts = accounts

    def resume(self) -> None:
        """After a start: what was under way is not, since its keys were in memory only."""
        for saes, ids in list(self._memory.that_are("under way")):
            self._domain.forget(tuple(ids), saes)
            self._settled(tuple(ids), saes, "failed", "the KMS was restarted")

    def ext_keys(self, container: ExtKeyContainer, respond: Respond) -> None:
        """Raises Problem; otherwise responds."""
        if container.extension_mandatory:
            names = ", ".join(container.extension_mandatory)
            raise Problem(503, UNSUPPORTED_MANDATORY_EXTENSION, unsupported_mandatory_extension=names)
        callback = self._callbacks.checked(container.ack_callback_url)
        saes = saes_of(container.initiator_sae_id, container.target_sae_ids)
        self._domain.check_route(saes)
        self._domain.check_allowed(saes)
        ids = key_ids(key.key_id for key in container.keys)
        fresh = self._fresh(container, ids, saes)
        if not (self._memory.has_room(len(fresh.ids)) and self._domain.has_room(saes, len(fresh.ids))):
            raise Problem(503, reason="too many keys wait to be fetched")
        for key_id, key in zip(fresh.ids, fresh.keys, strict=True):
            self._memory.add(key_id, saes, "under way", mark=mark_of(key_id, key))
        pending = {key_id for key_id in ids if self._memory[key_id].fate == "under way"}
        if callback is None:
            self._waiting.for_keys(
                pending, lambda: respond_once_durable(self._journal, respond, self._outcome(saes, ids))
            )
        else:
            self._join(pending, callback)
            respond_once_durable(self._journal, respond, Answer(202))
            self._acknowledge_again(ids, saes, callback)
        if fresh.ids:
            self._accounts.note("received", "handed over", saes, fresh.ids)
            self._relay(fresh)

    def _fresh(self, container: ExtKeyContainer, ids: tuple[bytes, ...], saes: Saes) -> Transfer:
        """The keys that have to be relayed. Raises Problem for those that were something else, or are void."""
        fresh = []
        for key_id, key in zip(ids, container.keys, strict=True):
            entry = self._memory.get(key_id)
            if entry is not None and entry.fate == "voided":
                raise Problem(400, reason=f"key {key.key_id} is void")
            if entry is not None and (not entry.saes.are(saes) or entry.mark != mark_of(key_id, key.value)):
                raise Problem(400, reason=f"key {key.key_id} was handed over with another value or for other SAEs")
            if entry is None or entry.fate == "refused":
                fresh.append((key_id, key))
        extensions = {key_id: key.extension for key_id, key in fresh if key.extension}
        return Transfer(
            saes,
            tuple(key_id for key_id, _ in fresh),
            tuple(key.value for _, key in fresh),
            container.extension_optional,
            extensions,
        )

    def _join(self, pending: set[bytes], callback: str) -> None:
        for key_id in pending:
            self._memory[key_id].callback = callback
            self._memory.save(key_id)

    def _acknowledge_again(self, ids: tuple[bytes, ...], saes: Saes, callback: str) -> None:
        """What became of those that came before."""
        for status in _OVER:
            if over := tuple(key_id for key_id in ids if self._memory[key_id].fate == status):
                self._acknowledgements.owe(callback, status, saes, over)

    def _relay(self, fresh: Transfer) -> None:
        def relayed(failure: str | None) -> None:
            self._settled(fresh.ids, fresh.saes, "relayed" if failure is None else "failed", failure or "")

        try:
            self._domain.relay(fresh, self._clock.monotonic() + RELAY_S, relayed)
        except Problem as refusal:
            self._settled(fresh.ids, fresh.saes, "refused", refusal.message)

    def _settled(
        self, ids: tuple[bytes, ...], saes: Saes, fate: Literal["relayed", "failed", "refused"], reason: str
    ) -> None:
        """Keys are under way no longer: who asked for an acknowledgement has it coming. Raises StoreFailure."""
        status: AckStatus = "relayed" if fate == "relayed" else "failed"
        self._accounts.note("received", status, saes, ids, reason)
        owed: dict[str, list[bytes]] = {}
        for key_id in ids:
            entry = self._memory[key_id]
            entry.fate = fate
            if entry.callback is not None:
                owed.setdefault(entry.callback, []).append(key_id)
                entry.callback = None
            self._memory.save(key_id)
        for callback, keys in owed.items():
            self._acknowledgements.owe(callback, status, saes, tuple(keys), reason)
        self._waiting.settled(ids)

    def _outcome(self, saes: Saes, ids: tuple[bytes, ...]) -> Answer | Problem:
        """Of a synchronous ext_keys, once nothing of it is under way."""
        failed = [k for k in ids if (entry := self._memory.get(k)) is None or entry.fate != "relayed"]
        if failed:
            return Problem(503, reason="not all keys could be relayed", key_id=key_id_text(failed[0]))
        return Answer(200, write(self._acknowledgements.acks_for("relayed", saes, ids)))


def saes_of(initiator: str, targets: tuple[str, ...]) -> Saes:
    """The SAEs that a request names. Raises Problem."""
    if len({initiator, *targets}) != 1 + len(targets):
        raise Problem(400, reason="the initiator and the targets shall be different SAEs, each named once")
    try:
        return Saes(sae_id(initiator), tuple(map(sae_id, targets)))
    except BadRequest as failure:
        raise Problem(400, reason=failure.message) from None
