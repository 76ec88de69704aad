"""Planted: effects before commits, disks that are trusted too much, backups and clocks that are believed."""

from collections.abc import Callable
from typing import Any

import pytest

from keyhop.core.clock import SteadyClock
from keyhop.core.ids import KmeId
from keyhop.core.journal import Journal
from keyhop.core.records import RecordBook
from keyhop.core.store.wal import Wal
from keyhop.core.streams import OwnedStream
from keyhop.core.witness import Witness
from keyhop.network import agreement, pair
from keyhop.network.leasing import Leasing
from keyhop.network.marks import Verdict
from keyhop.network.windows import Windows
from keyhop.service.claims import Claims
from keyhop.service.policy import PairPolicy
from keyhop.service.requests import GetKeyWithIds, KeyReply

type Plant = Callable[[pytest.MonkeyPatch], None]


def reply_before_the_flush(patch: pytest.MonkeyPatch) -> None:
    """A crash between the reply and the commit brings the key back."""

    def at_once(
        self: Claims, request: GetKeyWithIds, source: KmeId, policy: Callable[[], PairPolicy], reply: KeyReply
    ) -> None:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(self._replies._journal, "then", lambda happens, _=None: happens())
            original(self, request, source, policy, reply)

    original = Claims.get_key_with_ids
    patch.setattr(Claims, "get_key_with_ids", at_once)


def messages_before_the_flush(patch: pytest.MonkeyPatch) -> None:
    """Messages leave before what they say is on disk."""
    patch.setattr(Journal, "then", lambda self, happens, otherwise=None: happens())


def delivery_window_skipped(patch: pytest.MonkeyPatch) -> None:
    """A restored follower is not found out."""
    patch.setattr(Windows, "admits", lambda self: True)


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


def every_history_agrees(patch: pytest.MonkeyPatch) -> None:
    """A restored backup is taken for the present."""
    patch.setattr(agreement, "compare", lambda owner, follower: Verdict.AGREE)


def epoch_is_not_bumped(patch: pytest.MonkeyPatch) -> None:
    """After a rollback the old epoch begins again."""
    patch.setattr(agreement, "next_epoch", lambda owner, follower: owner.epoch)


def delivery_before_marks_are_compared(patch: pytest.MonkeyPatch) -> None:
    """A restored node gives out keys before it knows that it was restored."""
    patch.setattr(Windows, "ready", property(lambda self: True))


def marks_are_not_saved(patch: pytest.MonkeyPatch) -> None:
    """After a crash the owner does not know what it has confirmed."""
    note_mark = OwnedStream.note_mark

    def unsaved(self: OwnedStream, mark: int) -> None:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(self, "_save", lambda: None)
            note_mark(self, mark)

    patch.setattr(OwnedStream, "note_mark", unsaved)


def failed_commits_are_ignored(patch: pytest.MonkeyPatch) -> None:
    """The effects of a turn happen although its commit has failed."""
    patch.setattr(Journal, "fail", lambda self, failure: None)


def effects_happen_whatever_failed(patch: pytest.MonkeyPatch) -> None:
    """The keys of a turn leave although its commit, its record or its witness failed."""

    def happen(self: Journal, effects: list[Any]) -> None:
        for happens, _ in effects:
            happens()

    patch.setattr(Journal, "_happen", happen)


def a_failed_store_stops_nobody(patch: pytest.MonkeyPatch) -> None:
    """The node does not stop when its store has failed, because one of those who wait cannot undo its work."""

    def abandon(self: Leasing) -> None:
        self._sealed = True
        for want in self._waiting.take_all():
            want.use(None)

    patch.setattr(Leasing, "abandon", abandon)


def what_the_cache_shows_is_believed(patch: pytest.MonkeyPatch) -> None:
    """After a failed sync a start goes on from bytes that are not on the disk."""
    patch.setattr(Wal, "_write_anew", lambda self: None)


def commits_are_not_synced(patch: pytest.MonkeyPatch) -> None:
    """A power cut takes what was acknowledged."""
    patch.setattr(Wal, "_write_anew", lambda self: self._db.execute("PRAGMA synchronous = OFF"))


def a_stepping_clock_is_believed(patch: pytest.MonkeyPatch) -> None:
    """When a wall clock is set, young bytes are old at once."""

    def stepping(self: SteadyClock, clock: Any) -> None:
        self.wall, self.monotonic = clock.wall, clock.monotonic  # type: ignore[method-assign]

    patch.setattr(SteadyClock, "__init__", stepping)


def the_witness_is_not_believed(patch: pytest.MonkeyPatch) -> None:
    """Nodes that were restored together do not find that out."""
    judged = Witness._judged

    def blind(self: Witness, *args: Any) -> Any:
        statement = judged(self, *args)
        self.restored = None
        return statement

    patch.setattr(Witness, "_judged", blind)


def greetings_are_not_repeated(patch: pytest.MonkeyPatch) -> None:
    """If the first one is lost, the two never synchronise."""

    def tick(self: pair.Pair) -> None:
        for part in self._parts:
            part.tick()
        self._expire()

    patch.setattr(pair.Pair, "tick", tick)


PLANTED: dict[Plant, set[int]] = {
    reply_before_the_flush: {3, 5, 7, 0},
    messages_before_the_flush: {0, 2, 3, 5, 7},
    delivery_window_skipped: {3},
    delivery_window_never_ends: {3},
    records_outlive_a_restore: {3},
    every_history_agrees: {0, 2, 3},
    epoch_is_not_bumped: {0},
    delivery_before_marks_are_compared: {3},
    marks_are_not_saved: {0, 3},
    failed_commits_are_ignored: {0, 2, 3, 5, 7},
    effects_happen_whatever_failed: {0, 5},
    a_failed_store_stops_nobody: {0},
    what_the_cache_shows_is_believed: {0, 5},
    commits_are_not_synced: {0, 5},
    a_stepping_clock_is_believed: {0, 5},
    the_witness_is_not_believed: {3, 2},
    greetings_are_not_repeated: {0},
}
"""Which promise each of them breaks first."""
