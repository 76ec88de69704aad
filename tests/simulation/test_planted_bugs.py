"""The checker sees what it is there to see: each bug planted here is found within a few seeded walks."""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.poly1305 import Poly1305

from keyhop.core.ids import KmeId, SaeId
from keyhop.core.journal import Journal
from keyhop.core.key_id import Located, PairKeyIds
from keyhop.core.records import RecordBook
from keyhop.core.streams import FollowedStream, OwnedStream, Place, Taken
from keyhop.network import carriage, pair, wire
from keyhop.network.filling import Filling
from keyhop.network.marks import Verdict
from keyhop.network.windows import Windows
from keyhop.service.audit import Handed
from keyhop.service.claims import Claims
from keyhop.service.requests import GetKeyWithIds, KeyReply, Keys
from keyhop.testing.history import Violation
from keyhop.testing.simulation import wander

WALKS = 400
STEPS = 80

type Plant = Callable[[pytest.MonkeyPatch], None]


def padding_of_a_key_is_delivered(patch: pytest.MonkeyPatch) -> None:
    """A run of keys whose size is no multiple of a unit is cut in the wrong places."""

    consume = FollowedStream.consume

    def whole(self: FollowedStream, place: Place, purpose: Any, count: int = 1) -> tuple[bytes, Any]:
        located = place.located
        units = (located.end - located.position) * count
        data, age = consume(self, Place(place.epoch, Located(located.position, units * 8)), purpose)
        return data[: located.size_bytes * count], age

    patch.setattr(FollowedStream, "consume", whole)


def cursor_does_not_move(patch: pytest.MonkeyPatch) -> None:
    """Two requests are served from the same bytes."""
    take = OwnedStream.take

    def again(self: OwnedStream, *args: Any) -> Taken | None:
        cursor, ages = self._cursor, self._ages.copy()
        taken = take(self, *args)
        if taken and cursor % 3 == 0:
            self._cursor, self._ages = cursor, ages
            size = len(taken.data)
            self.ledger.leased += size
            self.ledger.delivered -= size
        return taken

    patch.setattr(OwnedStream, "take", again)


def leased_bytes_stay_in_the_store(patch: pytest.MonkeyPatch) -> None:
    """What a lease took is there again after a crash."""
    lease = OwnedStream.lease

    def unsaved(self: OwnedStream, units: int) -> Any:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(self._journal, "save", lambda *_: None)
            inner.setattr(self._journal, "delete", lambda *_: None)
            return lease(self, units)

    patch.setattr(OwnedStream, "lease", unsaved)


def pads_are_taken_from_the_key_before(patch: pytest.MonkeyPatch) -> None:
    """The pad of a batch overlaps what was used just before."""
    take = OwnedStream.take

    def overlapping(self: OwnedStream, size_bytes: int, count: int, purpose: Any) -> Taken | None:
        if purpose == "pad" and self._cursor > self._lease_start:
            self._cursor -= 1
            self.ledger.leased += 8
            self.ledger.voided -= 8
        return take(self, size_bytes, count, purpose)

    patch.setattr(OwnedStream, "take", overlapping)


def records_are_not_removed(patch: pytest.MonkeyPatch) -> None:
    """A slave may fetch a record as often as it likes."""
    patch.setattr(RecordBook, "deliver", lambda self, key_id, slave: self._records[key_id].key)


def reply_before_the_flush(patch: pytest.MonkeyPatch) -> None:
    """A crash between the reply and the commit brings the key back."""

    def at_once(self: Claims, request: GetKeyWithIds, source: KmeId, reply: KeyReply) -> None:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(self._replies._journal, "then", lambda happens, _=None: happens())
            original(self, request, source, reply)

    original = Claims.get_key_with_ids
    patch.setattr(Claims, "get_key_with_ids", at_once)


def delivery_window_skipped(patch: pytest.MonkeyPatch) -> None:
    """A restored follower is not found out."""
    patch.setattr(Windows, "enter", lambda self, deliver, late: deliver())


def delivery_window_never_ends(patch: pytest.MonkeyPatch) -> None:
    """Marks are raised when a window is asked for only."""
    tick = Windows.tick

    def unended(self: Windows) -> None:
        self._used = False
        tick(self)

    patch.setattr(Windows, "tick", unended)


def records_outlive_a_restore(patch: pytest.MonkeyPatch) -> None:
    """A restored KME gives out its old records."""
    patch.setattr(RecordBook, "forget_stored", lambda self: None)


def ids_not_bound_to_the_pair(patch: pytest.MonkeyPatch) -> None:
    """Whoever knows a key ID gets the key."""
    patch.setattr(PairKeyIds, "recognises", lambda *_: True)


def records_for_anyone(patch: pytest.MonkeyPatch) -> None:
    """Whoever knows a record's ID gets the key."""
    deliver = RecordBook.deliver

    def to_anyone(self: RecordBook, key_id: bytes, slave: SaeId) -> bytes:
        waiting = self._records[key_id].waiting
        return deliver(self, key_id, slave if slave in waiting else waiting[0])

    patch.setattr(RecordBook, "entitles", lambda *_: True)
    patch.setattr(RecordBook, "deliver", to_anyone)


def lease_used_before_it_is_noted(patch: pytest.MonkeyPatch) -> None:
    """The follower does not know yet that the bytes were taken."""
    lease = OwnedStream.lease

    def activated(self: OwnedStream, units: int) -> Any:
        taken = lease(self, units)
        if taken:
            self.activate(taken)
        return None

    patch.setattr(OwnedStream, "lease", activated)


def appended_before_placed(patch: pytest.MonkeyPatch) -> None:
    """The owner uses blocks that the follower may never get."""
    place_next = Filling._place_next

    def eager(self: Filling) -> None:
        before = self._placing
        place_next(self)
        if self._placing is not before and self._placing is not None:
            self.placed(wire.Placed(self._placing.place))

    patch.setattr(Filling, "_place_next", eager)


def multicast_replies_before_carried(patch: pytest.MonkeyPatch) -> None:
    """The master gets a key that is still on its way to a slave's KME."""
    carry = carriage.Carriage.carry

    def hasty(self: carriage.Carriage, batch: carriage.Batch, deadline: float, done: carriage.Done) -> None:
        carry(self, batch, deadline, lambda failure: None)
        done(None)

    patch.setattr(carriage.Carriage, "carry", hasty)


def messages_before_the_flush(patch: pytest.MonkeyPatch) -> None:
    """Messages leave before what they say is on disk."""
    patch.setattr(Journal, "then", lambda self, happens, otherwise=None: happens())


def claim_is_consumed_in_part(patch: pytest.MonkeyPatch) -> None:
    """The good keys of a request are gone although one bad ID makes it fail."""
    claim = Claims._claim

    def one_by_one(self: Claims, request: GetKeyWithIds, of: KmeId) -> tuple[Keys, Handed]:
        single = (GetKeyWithIds(request.slave, request.master, (key_id,)) for key_id in request.key_ids)
        return Keys(tuple(run for one in single for run in claim(self, one, of)[0].runs)), {}

    patch.setattr(Claims, "_claim", one_by_one)


def leases_do_not_expire(patch: pytest.MonkeyPatch) -> None:
    """The owner goes on using bytes that the follower has given up."""
    patch.setattr(OwnedStream, "expire", lambda self, before: None)


def block_tags_not_checked(patch: pytest.MonkeyPatch) -> None:
    """Blocks that differ are taken for the same."""
    patch.setattr(Filling, "_agrees", lambda self, name, tag: name in self._pending)


def carry_tags_not_checked(patch: pytest.MonkeyPatch) -> None:
    """Altered records are taken for true ones."""

    class Blind:
        generate_tag = Poly1305.generate_tag

        @staticmethod
        def verify_tag(key: object, data: object, tag: object) -> None:
            """Accepts everything."""

    patch.setattr(carriage, "Poly1305", Blind)


def every_history_agrees(patch: pytest.MonkeyPatch) -> None:
    """A restored backup is taken for the present."""
    patch.setattr(pair, "compare", lambda owner, follower: Verdict.AGREE)


def epoch_is_not_bumped(patch: pytest.MonkeyPatch) -> None:
    """After a rollback the old epoch begins again."""
    patch.setattr(pair, "next_epoch", lambda owner, follower: owner.epoch)


PLANTED: dict[Plant, set[int]] = {
    padding_of_a_key_is_delivered: {1},
    cursor_does_not_move: {2},
    leased_bytes_stay_in_the_store: {2},
    pads_are_taken_from_the_key_before: {2},
    records_are_not_removed: {3},
    reply_before_the_flush: {3, 5},
    delivery_window_skipped: {3},
    delivery_window_never_ends: {3},
    records_outlive_a_restore: {3},
    ids_not_bound_to_the_pair: {4},
    records_for_anyone: {4},
    lease_used_before_it_is_noted: {5},
    appended_before_placed: {5},
    multicast_replies_before_carried: {5},
    messages_before_the_flush: {2, 3, 5},
    claim_is_consumed_in_part: {5},
    leases_do_not_expire: {5},
    block_tags_not_checked: {6},
    carry_tags_not_checked: {6},
    every_history_agrees: {0, 2, 3},
    epoch_is_not_bumped: {0},
}
"""Which promise each of them breaks first."""


def _walk() -> None:
    for seed in range(WALKS):
        wander(seed, STEPS)


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(Violation) as found:
        _walk()
    assert found.value.promise in PLANTED[plant], found.value
