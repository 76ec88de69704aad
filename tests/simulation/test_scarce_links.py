"""Scarce links where a neighbour lies; and what such a world finds out."""

import pytest
from bugs_in_relay import Plant
from relay_world import Broken
from scarce_world import ScarceWorld

from keyhop.core.ids import KmeId
from keyhop.network.relay.messages import Forward
from keyhop.network.relay.parcels import Flow
from keyhop.network.relay.vouching import Vouching

SEEDS = 5


def run_all() -> None:
    for seed in range(SEEDS):
        ScarceWorld(seed, hurries=False).run()
        ScarceWorld(seed, hurries=True).run()


def neighbours_are_believed(patch: pytest.MonkeyPatch) -> None:
    """What a route says of its source is taken for true."""

    def believed(self: Vouching, peer: KmeId, message: Forward) -> Flow:
        return Flow(peer, KmeId(message.route[0]), KmeId(message.route[-1]), message.priority)

    patch.setattr(Vouching, "flow", believed)


def any_word_of_the_source_will_do(patch: pytest.MonkeyPatch) -> None:
    """A source has vouched for one neighbour, and so for all."""
    patch.setattr(Vouching, "_is_vouched", lambda self, source, message: source in self._heard)


def neighbours_have_any_priority(patch: pytest.MonkeyPatch) -> None:
    """What is not vouched for is bound by nothing."""
    flow = Vouching.flow

    def hurried(self: Vouching, peer: KmeId, message: Forward) -> Flow:
        found = flow(self, peer, message)
        return found if found.source != peer else found._replace(source=KmeId("nobody"))

    patch.setattr(Vouching, "flow", hurried)


PLANTED: tuple[Plant, ...] = (neighbours_are_believed, any_word_of_the_source_will_do, neighbours_have_any_priority)


def test_a_node_that_names_others_as_sources_takes_nothing_from_them() -> None:
    run_all()


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_of_scarce_links_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(Broken):
        run_all()
