"""Keys that another KMS takes back: void as its receiver sees it.

What nobody was given is taken back from the KMEs of its targets, and refused to SAEs from then on. An unknown key is
void from then on too, so that a transfer that comes late finds it so.
"""

from dataclasses import dataclass, field

from keyhop.core.ids import key_id_text
from keyhop.core.journal import Journal
from keyhop.service.etsi020.accounts import Accounts
from keyhop.service.etsi020.acknowledgements import Acknowledgements
from keyhop.service.etsi020.callbacks import Callbacks
from keyhop.service.etsi020.calls import Answer, Respond, respond_once_durable
from keyhop.service.etsi020.memory import KeyMemory
from keyhop.service.etsi020.models import AckStatus, VoidContainer, key_ids, write
from keyhop.service.etsi020.problems import KEY_NOT_PRESENT, MISSING_PARAMETERS, NO_TYPE, Problem
from keyhop.service.etsi020.receiving import saes_of
from keyhop.service.etsi020.transfer import Domain, Saes
from keyhop.service.etsi020.waiting import Waiting

MAX_OPEN = 64
"""Voids that wait for keys, or for the KMEs of their targets: the others are to be asked for again. Of all keys of SAEs
one at a time, since it has many keys and its request few bytes."""


@dataclass(slots=True, eq=False)
class _Asked:
    """One void, and what became of each of its keys."""

    saes: Saes
    ids: tuple[bytes, ...]
    callback: str | None
    respond: Respond
    is_of_all: bool
    told: dict[bytes, AckStatus] = field(default_factory=dict)


class TakingBack:
    """The receiver's part of voids."""

    def __init__(
        self,
        domain: Domain,
        memory: KeyMemory,
        acknowledgements: Acknowledgements,
        callbacks: Callbacks,
        waiting: Waiting,
        journal: Journal,
        accounts: Accounts,
    ) -> None:
        self._domain = domain
        self._memory = memory
        self._acknowledgements = acknowledgements
        self._callbacks = callbacks
        self._waiting = waiting
        self._journal = journal
        self._accounts = accounts
        self._open: list[_Asked] = []

    def void(self, container: VoidContainer, respond: Respond) -> None:
        """Raises Problem; otherwise responds."""
        callback = self._callbacks.checked(container.ack_callback_url)
        saes = saes_of(container.initiator_sae_id, container.target_sae_ids)
        self._domain.check_route(saes)
        ids = key_ids(container.key_ids)
        if not ids and container.all_confirmation is not True:
            raise Problem(400, MISSING_PARAMETERS, reason="without key_ids, all_confirmation has to be true")
        if not self._memory.has_room(len(ids)):
            raise Problem(503, reason="too many keys are remembered")
        if callback is not None and any((o.saes, o.ids, o.callback) == (saes, ids, callback) for o in self._open):
            respond_once_durable(self._journal, respond, Answer(202))
            return
        if len(self._open) >= MAX_OPEN or (not ids and any(each.is_of_all for each in self._open)):
            raise Problem(503, reason="too many voids are under way")
        asked = _Asked(saes, ids or self._memory.of(saes), callback, respond, is_of_all=not ids)
        self._keep_away(asked)
        self._open.append(asked)
        if callback is not None:
            respond_once_durable(self._journal, respond, Answer(202))
        under_way = {k for k in asked.ids if (entry := self._memory.get(k)) and entry.fate == "under way"}
        self._waiting.for_keys(under_way, lambda: self._take_back(asked))

    def _keep_away(self, asked: _Asked) -> None:
        """What never came, or failed, will not be taken any more: that is durable before anything is answered."""
        for key_id in asked.ids:
            entry = self._memory.get(key_id)
            if entry is None:
                self._memory.add(key_id, asked.saes, "voided")
            elif entry.fate in ("failed", "refused") and entry.saes.are(asked.saes):
                self._memory.settle([key_id], "voided")

    def _take_back(self, asked: _Asked) -> None:
        """Nothing of it is under way, or will be: what failed is not tried again."""
        held = []
        for key_id in asked.ids:
            entry = self._memory.get(key_id)
            if entry is None or not entry.mark or not entry.saes.are(asked.saes):  # never handed over, or not for them
                asked.told[key_id] = "key not present"
            elif entry.fate == "relayed":
                held.append(key_id)
            else:
                self._memory.settle([key_id], "voided")
                asked.told[key_id] = "voided"
        if held:
            self._domain.recall(tuple(held), asked.saes, lambda gone: self._recalled(asked, held, gone))
        else:
            self._tell(asked)

    def _recalled(self, asked: _Asked, held: list[bytes], gone: frozenset[bytes]) -> None:
        self._memory.settle(gone, "voided")
        for key_id in held:
            asked.told[key_id] = "voided" if key_id in gone else "failed to void"
        self._tell(asked)

    def _tell(self, asked: _Asked) -> None:
        """Raises StoreFailure."""
        self._open.remove(asked)
        by_status: dict[AckStatus, list[bytes]] = {}
        for key_id, status in asked.told.items():
            by_status.setdefault(status, []).append(key_id)
        for status, ids in by_status.items():
            self._accounts.note("received", status, asked.saes, tuple(ids))
        if asked.callback is None:
            respond_once_durable(self._journal, asked.respond, self._answer(asked, by_status))
            return
        for status, ids in (by_status or {"voided": []}).items():
            self._acknowledgements.owe(asked.callback, status, asked.saes, tuple(ids))

    def _answer(self, asked: _Asked, by_status: dict[AckStatus, list[bytes]]) -> Answer | Problem:
        """Of a synchronous void: 200 says that all of them are void."""
        if set(by_status) <= {"voided"}:
            acks = self._acknowledgements.acks_for("voided", asked.saes, tuple(by_status.get("voided", ())))
            return Answer(200, write(acks))
        unlike: dict[str, str] = {
            key_id_text(key_id): status for key_id, status in asked.told.items() if status != "voided"
        }
        return Problem(400, KEY_NOT_PRESENT if "key not present" in by_status else NO_TYPE, **unlike)
