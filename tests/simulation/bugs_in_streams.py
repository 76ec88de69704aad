"""Planted: bytes used twice, leases and blocks out of step, books that do not balance."""

from collections.abc import Callable
from typing import Any

import pytest

from keyhop.core.key_id import Located
from keyhop.core.streams import FollowedStream, OwnedStream, Place, Taken
from keyhop.network import wire
from keyhop.network.filling.placing import Placer
from keyhop.network.leasing.ahead import Ahead

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
    place_next = Placer._place_next

    def eager(self: Placer) -> None:
        before = self._placing
        place_next(self)
        if self._placing is not before and self._placing is not None:
            self.placed(wire.Placed(self._placing.place))

    patch.setattr(Placer, "_place_next", eager)


def leases_do_not_expire(patch: pytest.MonkeyPatch) -> None:
    """The owner goes on using bytes that the follower has given up."""
    patch.setattr(OwnedStream, "expire", lambda self, before: None)


def followers_expire_what_owners_still_give_out(patch: pytest.MonkeyPatch) -> None:
    """A follower takes bytes for old that are young."""
    expire = FollowedStream.expire
    patch.setattr(FollowedStream, "expire", lambda self, before, most: expire(self, before + 79.0, most))


def a_lost_void_is_not_told_again(patch: pytest.MonkeyPatch) -> None:
    """The follower takes expired bytes for stock for ever."""
    patch.setattr(Ahead, "tell_of_voided", lambda self: None)


def a_lease_is_told_once(patch: pytest.MonkeyPatch) -> None:
    """If that message is lost, nobody gets keys any more."""
    tell = Ahead.tell

    def once(self: Ahead) -> None:
        if self._pending and self._pending[-1] not in self.__dict__.setdefault("_told", []):
            self.__dict__["_told"].append(self._pending[-1])
            tell(self)

    patch.setattr(Ahead, "tell", once)


def a_placement_is_asked_for_once(patch: pytest.MonkeyPatch) -> None:
    """If that message is lost, the stream gets no block any more."""
    tick = Placer.tick

    def patient(self: Placer) -> None:
        self._sent_at = float("inf")
        tick(self)

    patch.setattr(Placer, "tick", patient)


def taken_is_not_saved(patch: pytest.MonkeyPatch) -> None:
    """After a crash the follower does not know what it had noted."""
    note_taken = FollowedStream.note_taken

    def unsaved(self: FollowedStream, epoch: int, taken: int) -> bool:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(self, "_save", lambda: None)
            return note_taken(self, epoch, taken)

    patch.setattr(FollowedStream, "note_taken", unsaved)


def delivered_is_booked_as_void(patch: pytest.MonkeyPatch) -> None:
    """The ledger balances, but says nothing of what SAEs got."""
    consume = FollowedStream.consume

    def void(self: FollowedStream, place: Place, purpose: Any, count: int = 1) -> tuple[bytes, Any]:
        return consume(self, place, "voided" if purpose == "delivered" else purpose, count)

    patch.setattr(FollowedStream, "consume", void)


def voided_bytes_are_not_booked(patch: pytest.MonkeyPatch) -> None:
    """The ledger does not balance."""
    void = FollowedStream.void

    def unbooked(self: FollowedStream, epoch: int, start: int, end: int) -> None:
        before = self.ledger.voided
        void(self, epoch, start, end)
        self.ledger.voided = before

    patch.setattr(FollowedStream, "void", unbooked)


def pads_are_booked_twice(patch: pytest.MonkeyPatch) -> None:
    """The owner's books claim more than there was."""
    take = OwnedStream.take

    def twice(self: OwnedStream, size_bytes: int, count: int, purpose: Any) -> Taken | None:
        taken = take(self, size_bytes, count, purpose)
        if taken and purpose == "pad":
            self.ledger.pad += size_bytes
        return taken

    patch.setattr(OwnedStream, "take", twice)


PLANTED: dict[Plant, set[int]] = {
    padding_of_a_key_is_delivered: {1, 2},
    cursor_does_not_move: {2},
    leased_bytes_stay_in_the_store: {0, 2},
    pads_are_taken_from_the_key_before: {2, 5},  # what the pad overlaps is erased at the slave
    lease_used_before_it_is_noted: {5},
    appended_before_placed: {0, 5},
    leases_do_not_expire: {0, 5},
    followers_expire_what_owners_still_give_out: {0, 5},
    a_lost_void_is_not_told_again: {0},
    a_lease_is_told_once: {0},
    a_placement_is_asked_for_once: {0},
    taken_is_not_saved: {0, 5},
    delivered_is_booked_as_void: {2},
    voided_bytes_are_not_booked: {2},
    pads_are_booked_twice: {2},
}
"""Which promise each of them breaks first."""
