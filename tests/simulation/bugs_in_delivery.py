"""Planted: keys for the wrong SAE, twice, in part, without a record, or never."""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.poly1305 import Poly1305

from keyhop.core.ids import KmeId, SaeId
from keyhop.core.key_id import EpochKeyIds
from keyhop.core.records import RecordBook
from keyhop.network import carriage, sealing, wire
from keyhop.network.arrivals import Arrivals, Opened
from keyhop.network.filling.following import Follower
from keyhop.network.leasing import Leasing
from keyhop.network.relay.messages import RecordsPayload
from keyhop.network.windows import Windows
from keyhop.service import spreading
from keyhop.service.audit import AuditedReplies, Handed
from keyhop.service.claims import Claims
from keyhop.service.kme import Kme
from keyhop.service.lookup import Lookup
from keyhop.service.policy import PairPolicy
from keyhop.service.redelivery import Redelivery
from keyhop.service.requests import GetKeyWithIds, KeyReply, KeyRun, Keys

type Plant = Callable[[pytest.MonkeyPatch], None]


def records_are_not_removed(patch: pytest.MonkeyPatch) -> None:
    """A slave may fetch a record as often as it likes."""
    patch.setattr(RecordBook, "deliver", lambda self, key_id, slave: self._records[key_id].key)


def ids_not_bound_to_the_pair(patch: pytest.MonkeyPatch) -> None:
    """Whoever knows a key ID gets the key."""
    pair = EpochKeyIds.pair
    patch.setattr(EpochKeyIds, "pair", lambda self, *_: pair(self, SaeId("any"), SaeId("any")))


def records_for_anyone(patch: pytest.MonkeyPatch) -> None:
    """Whoever knows a record's ID gets the key."""
    deliver = RecordBook.deliver

    def to_anyone(self: RecordBook, key_id: bytes, slave: SaeId) -> bytes:
        waiting = self._records[key_id].waiting
        return deliver(self, key_id, slave if slave in waiting else waiting[0])

    patch.setattr(RecordBook, "entitles", lambda *_: True)
    patch.setattr(RecordBook, "deliver", to_anyone)


def multicast_replies_before_carried(patch: pytest.MonkeyPatch) -> None:
    """The master gets a key that is still on its way to a slave's KME."""
    carry = carriage.Carriage.carry

    def hasty(self: carriage.Carriage, batch: carriage.Batch, deadline: float, done: carriage.Done) -> None:
        carry(self, batch, deadline, lambda failure: None)
        done(None)

    patch.setattr(carriage.Carriage, "carry", hasty)


def claim_is_consumed_in_part(patch: pytest.MonkeyPatch) -> None:
    """The good keys of a request are gone although one bad ID makes it fail."""
    claim = Claims._claim

    def one_by_one(
        self: Claims, request: GetKeyWithIds, of: KmeId, policy: PairPolicy, lookup: Lookup
    ) -> tuple[Keys, Handed]:
        single = (GetKeyWithIds(request.slave, request.master, key_id) for key_id in request.key_ids)
        claimed = [claim(self, one, of, policy, lookup) for one in single]
        runs = tuple(run for keys, _ in claimed for run in keys.runs)
        how = next(iter(claimed[0][1]))
        return Keys(runs), {how: runs}

    patch.setattr(Claims, "_claim", one_by_one)


def block_tags_not_checked(patch: pytest.MonkeyPatch) -> None:
    """Blocks that differ are taken for the same."""
    patch.setattr(Follower, "_agrees", lambda self, name, tag: name in self._waiting.blocks)


def carry_tags_not_checked(patch: pytest.MonkeyPatch) -> None:
    """Altered records are taken for true ones."""

    class Blind:
        generate_tag = Poly1305.generate_tag

        @staticmethod
        def verify_tag(key: object, data: object, tag: object) -> None:
            """Accepts everything."""

    patch.setattr(sealing, "Poly1305", Blind)


def one_copy_is_enough(patch: pytest.MonkeyPatch) -> None:
    """A multicast key leaves when the first of several KMEs holds it."""
    spread = spreading._Spread
    patch.setattr(
        spreading,
        "_Spread",
        lambda copies, here, done, legs, batch: spread(copies, here, done, set(sorted(legs)[:1]), batch),
    )


def copies_differ(patch: pytest.MonkeyPatch) -> None:
    """What is carried is not what the master gets."""
    keep = Arrivals._keep

    def other(self: Arrivals, source: KmeId, batch: wire.Carry | RecordsPayload, opened: Opened) -> None:
        keep(self, source, batch, Opened(opened.keys[:-1] + bytes([opened.keys[-1] ^ 1]), opened.sources))

    patch.setattr(Arrivals, "_keep", other)


def sent_again_as_often_as_asked(patch: pytest.MonkeyPatch) -> None:
    """Within the re-delivery window a slave gets a key more than twice."""

    def kept(self: Redelivery, master: SaeId, slave: SaeId, key_id: bytes) -> KeyRun:
        sent = self._sent[key_id, master, slave]
        return KeyRun(key_id, len(sent.key), sent.key, sent.mark)

    patch.setattr(Redelivery, "take", kept)


def the_redelivery_window_never_ends(patch: pytest.MonkeyPatch) -> None:
    """A slave gets a key again long after."""

    def holds(self: Redelivery, master: SaeId, slave: SaeId, key_id: bytes) -> bool:
        return (key_id, master, slave) in self._sent

    patch.setattr(Redelivery, "holds", holds)
    patch.setattr(Redelivery, "tick", lambda self: None)


def sent_again_to_anyone(patch: pytest.MonkeyPatch) -> None:
    """Within the re-delivery window whoever knows the ID gets the key."""

    def name(self: Redelivery, key_id: bytes) -> Any:
        return next((name for name in self._sent if name[0] == key_id), None)

    def take(self: Redelivery, master: SaeId, slave: SaeId, key_id: bytes) -> KeyRun:
        found = name(self, key_id)
        sent = self._sent[found]
        self._forget(found)
        return KeyRun(key_id, len(sent.key), sent.key, sent.mark)

    patch.setattr(Redelivery, "holds", lambda self, master, slave, key_id: name(self, key_id) is not None)
    patch.setattr(Redelivery, "take", take)


def some_replies_are_not_recorded(patch: pytest.MonkeyPatch) -> None:
    """Keys of other KMEs' SAEs leave without a word in the audit log."""
    give = AuditedReplies.give

    def quiet(self: AuditedReplies, keys: Keys, handed: Handed, reply: KeyReply) -> None:
        give(self, keys, {how: runs for how, runs in handed.items() if how.call != "dec_keys"}, reply)

    patch.setattr(AuditedReplies, "give", quiet)


def recorded_after_the_reply(patch: pytest.MonkeyPatch) -> None:
    """The record is written a turn after the keys have left."""

    def give(self: AuditedReplies, keys: Keys, handed: Handed, reply: KeyReply) -> None:
        def late() -> None:
            reply(keys)
            for handover, runs in handed.items():
                self._journal.record(self._record(handover, runs))

        self._journal.then(late, reply)

    patch.setattr(AuditedReplies, "give", give)


def who_is_late_gets_keys_too(patch: pytest.MonkeyPatch) -> None:
    """Somebody who was told that there are none gets an answer again when they come."""
    tick = Leasing.tick

    def forgetful(self: Leasing) -> None:
        wants = list(self._waiting.wants)
        tick(self)
        now = self._clock.monotonic()
        gone = [want for want in wants if want not in self._waiting.wants and want.deadline <= now]
        for want in gone:
            self._waiting.keep(want._replace(deadline=now + 1.0))

    patch.setattr(Leasing, "tick", forgetful)


def who_waits_for_a_window_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    """dec_keys is never answered when the connection is lost meanwhile."""
    interrupted = Windows.interrupted

    def forget(self: Windows) -> None:
        self._waiting.clear()
        interrupted(self)

    patch.setattr(Windows, "interrupted", forget)


def the_last_key_is_left_out(patch: pytest.MonkeyPatch) -> None:
    """An answer with several keys has one too few."""
    give = AuditedReplies.give

    def fewer(self: AuditedReplies, keys: Keys, handed: Handed, reply: KeyReply) -> None:
        if len(keys.runs) > 1:
            keys = Keys(keys.runs[:-1])
        give(self, keys, handed, reply)

    patch.setattr(AuditedReplies, "give", fewer)


def the_policy_stays_as_it_was(patch: pytest.MonkeyPatch) -> None:
    """What an operator changes while a node runs counts from its next start on."""
    patch.setattr(Kme, "reconfigure", lambda self, options: None)


PLANTED: dict[Plant, set[int]] = {
    records_are_not_removed: {3},
    ids_not_bound_to_the_pair: {0, 1, 4},
    records_for_anyone: {4},
    multicast_replies_before_carried: {5},
    claim_is_consumed_in_part: {5},
    block_tags_not_checked: {0, 6},
    carry_tags_not_checked: {2, 5, 6},
    one_copy_is_enough: {0, 5},
    copies_differ: {1},
    sent_again_as_often_as_asked: {3},
    the_redelivery_window_never_ends: {3},
    sent_again_to_anyone: {4, 3},
    some_replies_are_not_recorded: {7},
    recorded_after_the_reply: {7},
    who_is_late_gets_keys_too: {0},
    who_waits_for_a_window_is_forgotten: {0},
    the_last_key_is_left_out: {0},
    the_policy_stays_as_it_was: {0},
}
"""Which promise each of them breaks first."""
