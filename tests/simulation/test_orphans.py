"""Records of requests that failed do not stay, whatever is lost and whoever stops; and what is found that lets them."""

from math import inf

import orphans
import pytest
from bugs_in_relay import Plant

from keyhop.network.reclaiming import Reclaiming
from keyhop.service.undoing import Undoing

SEEDS = 60
MOST_SEEDS = 300


def a_question_is_asked_once(patch: pytest.MonkeyPatch) -> None:
    """What is lost is lost."""
    tick = Reclaiming.tick

    def not_again(self: Reclaiming) -> None:
        for under_way in self._under_way.values():
            under_way.again_at = inf
        tick(self)

    patch.setattr(Reclaiming, "tick", not_again)
    patch.setattr(Reclaiming, "synchronised", lambda self: None)


def nothing_is_asked_when_nothing_can_arrive_any_longer(patch: pytest.MonkeyPatch) -> None:
    """The first answer is believed."""

    def once(self: Undoing) -> None:
        for name, failed in list(self._failed.items()):
            if name in self._outgoing and failed.ask_at - self._clock.monotonic() < 40.0:
                self._outgoing.drop(name)

    patch.setattr(Undoing, "tick", once)


def a_start_begins_with_nothing(patch: pytest.MonkeyPatch) -> None:
    """What was under way before it is forgotten."""

    def forget(self: Undoing) -> None:
        for name in self._outgoing.found:
            self._outgoing.drop(name)

    patch.setattr(Undoing, "resume", forget)


def only_what_failed_is_kept(patch: pytest.MonkeyPatch) -> None:
    """A KME that stops in the midst of a request knows nothing of it."""
    begin = Undoing.begin

    def unnoted(self: Undoing, *what: object) -> bytes:
        name = begin(self, *what)  # type: ignore[arg-type]
        self._outgoing._journal._writes.popitem()
        return name

    patch.setattr(Undoing, "begin", unnoted)


PLANTED: tuple[Plant, ...] = (
    a_question_is_asked_once,
    nothing_is_asked_when_nothing_can_arrive_any_longer,
    a_start_begins_with_nothing,
    only_what_failed_is_kept,
)
NEEDS: dict[Plant, str] = {a_question_is_asked_once: "wait_long"}
"""What a rare bug needs: it is looked for where that action is."""


def test_after_healing_no_record_is_left_that_nobody_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    given = orphans.Given(monkeypatch)
    assert [violation for violation in orphans.violations(SEEDS) if violation is not None] == []
    assert given.undone > SEEDS


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_that_lets_records_stay_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    orphans.Given(monkeypatch)
    found = next(
        (violation for violation in orphans.violations(MOST_SEEDS, NEEDS.get(plant)) if violation is not None), None
    )
    assert found is not None
    assert "record" in str(found) or "not settled" in str(found), found
