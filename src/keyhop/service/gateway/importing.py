"""Keys that come from another domain become records at the KMEs of their targets."""

from collections.abc import Callable, Mapping
from functools import partial

from keyhop.core.clock import Clock
from keyhop.core.errors import KeyhopError
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.record_ids import chosen_record_id
from keyhop.core.records import RecordBook
from keyhop.service.abroad import Abroad
from keyhop.service.copies import Copies
from keyhop.service.etsi020.problems import KEY_ROUTING_ERROR, Problem
from keyhop.service.etsi020.transfer import Recalled, Relayed, Saes, Transfer
from keyhop.service.gateway.admitting import Admitting
from keyhop.service.policy import PairPolicy
from keyhop.service.recall import Recall
from keyhop.service.requests import FOREIGN_SOURCE
from keyhop.service.slaves import CHANGED
from keyhop.service.spreading import Spreading

LEAST_WAIT_S = 2.0
"""Where a policy lets no master wait for key, the KMEs of this domain still have so long to answer each other."""


class Importing:
    """An etsi020 `Domain`: this one, as one other KMS finds it."""

    def __init__(
        self,
        kms: KmeId,
        me: KmeId,
        home: Callable[[SaeId], KmeId | None],
        foreign: Callable[[SaeId], bool],
        admitting: Admitting,
        records: RecordBook,
        clock: Clock,
        abroad: Abroad,
        spreading: Spreading,
        recall: Recall,
    ) -> None:
        self._kms = kms
        self._me = me
        self._home = home
        self._foreign = foreign
        self._admitting = admitting
        self._records = records
        self._clock = clock
        self._abroad = abroad
        self._spreading = spreading
        self._recall = recall

    def check_route(self, saes: Saes) -> None:
        """From that KMS's SAEs to ours, or to those of a third domain, wherever it is joined.

        A key that comes from elsewhere than its initiator's domain is refused; so none comes into a domain twice.
        """
        if self._abroad.leads_to(saes.initiator) != self._kms:
            raise Problem(400, KEY_ROUTING_ERROR, reason="the initiator is not an SAE of yours", sae_id=saes.initiator)
        for target in saes.targets:
            way = self._abroad.leads_to(target)
            if way == self._kms:
                raise Problem(400, KEY_ROUTING_ERROR, reason="the key would go back to you", sae_id=target)
            if way is None and self._home(target) is None:
                raise Problem(400, KEY_ROUTING_ERROR, reason="there is no route to the target", sae_id=target)

    def check_allowed(self, saes: Saes) -> None:
        """By the policy of each pair."""
        self._admitting.check(saes)

    def has_room(self, saes: Saes, count: int) -> bool:
        """Of this KME; those of the targets say for themselves."""
        return self._records.has_room(saes.initiator, FOREIGN_SOURCE, count)

    def relay(self, transfer: Transfer, deadline: float, done: Relayed) -> None:
        """Keys of each size by themselves."""
        if (transfer.optional or transfer.key_optional) and any(map(self._goes_on_elsewhere, transfer.saes.targets)):
            raise Problem(503, reason="optional extensions are not passed on over another gateway of this domain")
        try:
            policies = self._admitting.check(transfer.saes)
            charge = self._admitting.charge(transfer)
        except KeyhopError as refusal:
            raise Problem(503, reason=refusal.message) from None
        deadline = min(deadline, self._clock.monotonic() + self._wait_s(policies))
        parts = [self._copies(transfer, size, policies) for size in sorted({len(key) for key in transfer.keys})]
        failures: list[str] = []
        came: list[bytes] = []

        def arrived(ids: bytes, failure: str | None) -> None:
            if failure is None:
                came.append(ids)
            else:  # then `Spreading` takes back what there is of this part
                failures.append(failure)
            if len(came) + len(failures) < len(parts):
                return
            if failures and charge is not None:
                charge.no_key_came()
            if failures and came:
                self._undo(b"".join(came), transfer.saes)
            done(failures[0] if failures else None)

        for copies in parts:
            self._spreading.spread(copies, deadline, partial(arrived, copies.ids))

    def recall(self, ids: tuple[bytes, ...], saes: Saes, done: Recalled) -> None:
        """Also from a third domain. What one of the KMEs or KMSs concerned does not speak of is not gone."""

        def told(gone: frozenset[bytes], _silent: KmeId | None) -> None:
            done(gone)

        self._recall.reclaim(saes.initiator, self._homes(saes), b"".join(ids), told, spare_fetched=True)

    def forget(self, ids: tuple[bytes, ...], saes: Saes) -> None:
        """At the KMEs of their targets, however long that takes."""
        self._undo(b"".join(ids), saes)

    def _undo(self, ids: bytes, saes: Saes) -> None:
        self._recall.undo(saes.initiator, self._homes(saes), ids)

    def _homes(self, saes: Saes) -> dict[SaeId, KmeId]:
        return {target: home for target in saes.targets if (home := self._home(target))}

    def _wait_s(self, policies: Mapping[SaeId, PairPolicy]) -> float:
        """As long as a master here would wait. What nobody wants any more must not wait for pads that others need."""
        waits = (p.abroad_wait_s if self._foreign(target) else p.wait_s for target, p in policies.items())
        return max(min(waits), LEAST_WAIT_S)

    def _changed(self, saes: Saes, policies: Mapping[SaeId, PairPolicy]) -> str | None:
        """What to tell if this does not hold for them any more: a reload may have come between."""
        try:
            return None if self._admitting.check(saes) == policies else CHANGED
        except Problem as refusal:
            return refusal.message

    def _goes_on_elsewhere(self, target: SaeId) -> bool:
        return self._foreign(target) and self._abroad.leads_to(target) is None

    def _copies(self, transfer: Transfer, size: int, policies: Mapping[SaeId, PairPolicy]) -> Copies:
        saes = transfer.saes
        chosen = [(key_id, key) for key_id, key in zip(transfer.ids, transfer.keys, strict=True) if len(key) == size]
        return Copies(
            saes.initiator,
            {target: self._home(target) or self._me for target in saes.targets},
            b"".join(key_id for key_id, _ in chosen),
            b"".join(chosen_record_id(saes.initiator, key_id) for key_id, _ in chosen),
            KeyMaterial(b"".join(key.reveal() for _, key in chosen)),
            FOREIGN_SOURCE,
            transfer.optional,
            transfer.key_optional,
            policies,
            objection=partial(self._changed, saes, policies),
        )
