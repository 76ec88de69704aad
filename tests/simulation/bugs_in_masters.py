"""Bugs in keys that masters bring, and in keys that they void."""

from collections.abc import Collection
from typing import Any

import pytest
from bugs_in_streams import Plant

from keyhop.core.ids import SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.records import RecordBook, RecordOrigin
from keyhop.service import chosen_ids, multicast
from keyhop.service.audit import AuditedReplies, Handed
from keyhop.service.requests import InsertedKeys, InsertReply
from keyhop.service.taking_back import TakingBack


def a_voided_record_is_delivered(patch: pytest.MonkeyPatch) -> None:
    """It is said to be void, and stays where it is."""
    patch.setattr(RecordBook, "void", lambda self, key_id, master, slaves, spare_fetched=False: key_id in self)


def a_voided_place_is_delivered(patch: pytest.MonkeyPatch) -> None:
    """The same of keys of streams."""

    def void(self: TakingBack, source: Any, master: SaeId, slave: SaeId, key_id: bytes) -> bool:
        places = ((p, p.followed.find(key_id, master, slave)) for p in self._peers[source].pairs)
        return any(place is not None for _, place in places)

    patch.setattr(TakingBack, "_void_in_stream", void)


def voids_are_not_durable(patch: pytest.MonkeyPatch) -> None:
    """A restart brings back what was voided."""
    void = RecordBook.void

    def forgetful(self: RecordBook, key_id: bytes, master: SaeId, slaves: Collection[SaeId], **how: bool) -> bool:
        with pytest.MonkeyPatch.context() as within:
            within.setattr(self._journal, "delete", lambda slot: None)
            within.setattr(self._journal, "save", lambda slot, encode: None)
            return void(self, key_id, master, slaves, **how)

    patch.setattr(RecordBook, "void", forgetful)


def what_was_fetched_is_void(patch: pytest.MonkeyPatch) -> None:
    """A master is told that nobody was given a key that a slave has."""
    void = RecordBook.void

    def lying(self: RecordBook, key_id: bytes, master: SaeId, slaves: Collection[SaeId], **how: bool) -> bool:
        served = key_id in self and bool({*slaves} & {*self._records[key_id].served})
        return void(self, key_id, master, slaves, **how) or served

    patch.setattr(RecordBook, "void", lying)


def anybody_voids(patch: pytest.MonkeyPatch) -> None:
    """Whose key it is does not matter."""
    void = RecordBook.void

    def careless(self: RecordBook, key_id: bytes, master: SaeId, slaves: Collection[SaeId], **how: bool) -> bool:
        if key_id in self:
            record = self._records[key_id]
            return void(self, key_id, record.origin.master, [*record.waiting], **how)
        return void(self, key_id, master, slaves, **how)

    patch.setattr(RecordBook, "void", careless)


def nothing_can_be_voided(patch: pytest.MonkeyPatch) -> None:
    """A master is told that all its keys may have been fetched."""
    patch.setattr(TakingBack, "_void", lambda self, source, keys, key_id: False)


def brought_keys_are_altered(patch: pytest.MonkeyPatch) -> None:
    """A slave gets other bytes than its master brought."""
    add = RecordBook.add

    def altered(
        self: RecordBook, key_id: bytes, key: KeyMaterial, slaves: Collection[SaeId], origin: RecordOrigin
    ) -> None:
        if origin.source == "sae":
            key = KeyMaterial(key.reveal()[::-1])
        add(self, key_id, key, slaves, origin)

    patch.setattr(RecordBook, "add", altered)


def ids_of_ones_own_may_be_used_again(patch: pytest.MonkeyPatch) -> None:
    """Only what waits to be fetched is remembered."""
    patch.setattr(RecordBook, "knows", lambda self, key_id: key_id in self)


def ids_of_ones_own_are_everybodys(patch: pytest.MonkeyPatch) -> None:
    """Keys of two masters under the same ID are taken for one."""
    take_chosen = chosen_ids.take_chosen

    def shared(master: SaeId, ids: bytes, records: RecordBook, now: float) -> bytes:
        take_chosen(master, ids, records, now)
        return ids

    patch.setattr(multicast, "take_chosen", shared)


def brought_keys_are_not_recorded(patch: pytest.MonkeyPatch) -> None:
    """Keys come in without a word in the audit log."""

    def quiet(self: AuditedReplies, inserted: InsertedKeys, handed: Handed, reply: InsertReply) -> None:
        self._journal.then(lambda: reply(inserted), reply)

    patch.setattr(AuditedReplies, "taken_in", quiet)


PLANTED: dict[Plant, set[int]] = {
    a_voided_record_is_delivered: {0, 3},
    a_voided_place_is_delivered: {0, 3},
    voids_are_not_durable: {3},
    what_was_fetched_is_void: {3},
    anybody_voids: {0, 3, 5},
    nothing_can_be_voided: {0},
    brought_keys_are_altered: {1},
    ids_of_ones_own_may_be_used_again: {2, 5},
    ids_of_ones_own_are_everybodys: {5},
    brought_keys_are_not_recorded: {7},
}
"""Which promise each of them breaks first."""
