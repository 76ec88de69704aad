"""Records for SAEs at several KMEs, or in other domains: all of them can have them, or none.

Other KMEs get theirs under a one-time pad, other domains through a `Gateway`, and the ones for this very KME are kept
last. What is not known to have failed is taken back where one of them has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from keyhop.core.clock import Clock
from keyhop.core.entropy import Entropy
from keyhop.core.ids import KEY_ID_BYTES, KmeId, SaeId, each_id
from keyhop.core.records import RecordBook, RecordOrigin
from keyhop.network.arrivals import KeptOthers
from keyhop.network.carriage import Batch
from keyhop.network.hybrid.records import Masked
from keyhop.network.peer import Peer
from keyhop.service.abroad import Abroad, Spreaded
from keyhop.service.copies import Copies
from keyhop.service.courier import Astray, Courier
from keyhop.service.homes import by_kme
from keyhop.service.suiting import pads_for, way_for
from keyhop.service.undoing import Undoing

NO_ROOM = "too many keys wait to be fetched"
KNOWN = "a key with one of these IDs is here, or was"


@dataclass(slots=True)
class _Spread:
    copies: Copies
    here: tuple[SaeId, ...]
    done: Spreaded
    waiting: set[tuple[str, KmeId]]
    batch: bytes
    """By which what leaves can be told from what other keys left under the same IDs."""
    name: bytes | None = None
    """By which it can be undone at other KMEs."""
    kmss: set[KmeId] = field(default_factory=set)
    """Those that may have taken theirs."""
    failed: bool = False


class Spreading:
    """Of one KME."""

    def __init__(
        self,
        me: KmeId,
        peers: Mapping[KmeId, Peer],
        courier: Courier,
        records: RecordBook,
        undoing: Undoing,
        abroad: Abroad,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._me = me
        self._peers = peers
        self._courier = courier
        self._records = records
        self._undoing = undoing
        self._abroad = abroad
        self._clock = clock
        self._entropy = entropy

    def missing(self, homes: Mapping[SaeId, KmeId]) -> KmeId | None:
        """A KME of these homes that cannot be reached now, or None."""
        remote = sorted(set(homes.values()) - {self._me})
        return next((kme for kme in remote if kme not in self._peers or not self._peers[kme].synchronised), None)

    def stay(self, homes: Mapping[SaeId, KmeId]) -> bool:
        """Whether all of these SAEs are of this domain."""
        return not self._abroad.concern(homes)

    def not_agreed(self, homes: Mapping[SaeId, KmeId]) -> KmeId | None:
        """A KME of these homes with which no ML-KEM secret is agreed on now, or None."""
        remote = sorted(set(homes.values()) - {self._me})
        return next((kme for kme in remote if self._peers[kme].secret is None), None)

    def spread(self, copies: Copies, deadline: float, done: Spreaded) -> None:
        """Calls `done` by the deadline (monotonic seconds) or soon after."""
        abroad = {slave: kms for slave in copies.homes if (kms := self._leads_abroad(copies, slave))}
        here = tuple(s for s, kme in copies.homes.items() if kme == self._me and s not in abroad)
        for slave in here:
            if self._abroad.concern((slave,)):  # it would be kept for somebody who never comes here
                done(f"no KMS joined here has SAE {slave}")
                return
        if here and self._are_known(copies):  # what came before shall not be taken back where it is as well
            done(KNOWN)
            return
        elsewhere = by_kme({slave: kme for slave, kme in copies.homes.items() if kme != self._me})
        legs = {("kme", kme) for kme in elsewhere} | {("kms", kms) for kms in abroad.values()}
        batch = copies.came.batch if copies.came else self._entropy.token(KEY_ID_BYTES)
        spread = _Spread(copies, here, done, set(legs), batch)
        if not legs:
            self._finish(spread)
        if elsewhere:
            spread.name = self._undoing.begin(copies.master, elsewhere, copies.ids, batch)
        unsent = sorted(legs, reverse=True)  # in the same order wherever a simulation runs
        while unsent and not spread.failed:
            kind, name = leg = unsent.pop()
            arrived = partial(self._arrived, spread, leg)
            if kind == "kms":
                slaves = tuple(slave for slave, kms in abroad.items() if kms == name)
                self._abroad.send(name, copies, slaves, batch, deadline, arrived)
            else:
                self._carry(name, spread, elsewhere[name], deadline, arrived)
        if unsent:
            spread.waiting.difference_update(unsent)
            self._undo(spread)

    def _leads_abroad(self, copies: Copies, slave: SaeId) -> KmeId | None:
        return self._abroad.leads_to(slave) if copies.homes[slave] == self._me else None

    def _carry(
        self, kme: KmeId, spread: _Spread, slaves: tuple[SaeId, ...], deadline: float, arrived: Spreaded
    ) -> None:
        """The key is the same for all, so the policies of those who are elsewhere count on this way too."""
        copies, policies = spread.copies, tuple(spread.copies.policies.values())
        ids = copies.ids if self._abroad.concern(slaves) else copies.kept_as
        what = (copies.master, slaves, ids, copies.sent)
        combined = self._masked(kme, copies, spread.batch)
        batch = Batch(spread.batch, copies.made_by, *what, pads_for(policies), combined, copies.crossed)
        self._courier.carry(
            kme, batch, way_for(policies, expanded=copies.expanded, fresh=copies.fresh), deadline, arrived
        )

    def _masked(self, kme: KmeId, copies: Copies, batch: bytes) -> Masked | None:
        if copies.combining is None:
            return None
        agreed = self._peers[kme].secret
        assert agreed is not None  # `not_agreed` comes first
        return copies.combining.masked(agreed, batch)

    def _arrived(self, spread: _Spread, leg: tuple[str, KmeId], failure: str | None) -> None:
        spread.waiting.discard(leg)
        if leg[0] == "kms":
            spread.kmss.add(leg[1])
        elif isinstance(failure, KeptOthers) and spread.name is not None:
            self._undoing.spare(spread.name, leg[1])
        if failure is not None and not spread.failed:
            spread.failed = True
            kind = "KME" if leg[0] == "kme" else "KMS"
            words = f"{kind} {leg[1]} has no copy: {failure}"
            spread.done(Astray(words) if isinstance(failure, Astray) else words)
        if spread.failed:
            self._undo(spread)
        elif not spread.waiting:
            self._finish(spread)

    def _finish(self, spread: _Spread) -> None:
        copies = spread.copies
        refusal = copies.objection() or (self._refusal(copies) if spread.here else None)
        if refusal is not None:  # something has come between since the request
            spread.failed = True
            spread.done(refusal)
            self._undo(spread)
            return
        if spread.here:
            self._keep(copies, spread.here)
        if spread.name is not None:
            self._undoing.settle(spread.name)
        spread.done(None)

    def _refusal(self, copies: Copies) -> str | None:
        if self._are_known(copies):
            return KNOWN
        sender = copies.came.sender if copies.came else copies.made_by
        return None if self._records.has_room(copies.master, sender, copies.number) else NO_ROOM

    def _are_known(self, copies: Copies) -> bool:
        """Of IDs that a master has chosen, it is remembered from the request on that they are taken."""
        is_known = self._records.__contains__ if copies.made_by == "sae" else self._records.knows
        return any(map(is_known, each_id(copies.kept_as)))

    def _keep(self, copies: Copies, slaves: tuple[SaeId, ...]) -> None:
        now = self._clock.wall()
        combiner = copies.combining.combiner if copies.combining else None
        origin = copies.came or RecordOrigin(copies.master, copies.made_by, now, combiner=combiner)
        for key_id, key in zip(each_id(copies.kept_as), copies.keys.each(copies.number), strict=True):
            self._records.add(key_id, key, slaves, origin)

    def _undo(self, spread: _Spread) -> None:
        copies = spread.copies
        for kms in sorted(spread.kmss):  # in the same order wherever a simulation runs
            self._abroad.take_back(kms, copies.master, copies.ids, spread.batch)
        spread.kmss.clear()
        if spread.name is not None and not spread.waiting:
            self._undoing.undo(spread.name)
