"""Whose a parcel is that comes over a neighbour: what its source has told, else the neighbour's."""

import pytest
from relay_ways import THREE, XOR, A, B, C, D, E, F, block, network_of_relays

from keyhop.network.relay.messages import Forward, Vouch
from keyhop.network.relay.vouching import AGAIN_S, VOUCHED_S
from keyhop.testing.relays import VirtualRelays


@pytest.fixture
def network() -> VirtualRelays:
    return network_of_relays()


def vouched(network: VirtualRelays) -> list[tuple[str, str, Vouch]]:
    return [(who, to, message) for who, to, message in network.said if isinstance(message, Vouch)]


def forward(route: tuple[str, ...], priority: int = 0) -> Forward:
    return Forward(bytes(16), 0, route, priority, 1, 8, bytes(80), bytes(16))


def test_a_source_tells_the_nodes_behind_the_first_what_is_its_own_and_not_each_time(network: VirtualRelays) -> None:
    for _ in range(3):
        network.send(A, block(), THREE)
        network.settle()
    assert vouched(network) == [(A, F, Vouch(E, D, 0))]
    network.pass_time(AGAIN_S + 1.0)
    network.send(A, block(), THREE)
    network.settle()
    assert len(vouched(network)) == 2


def test_nobody_needs_to_be_told_where_all_nodes_hear_from_the_source_itself(network: VirtualRelays) -> None:
    network.send(A, block(), XOR)
    network.settle()
    assert not vouched(network)


def test_what_the_source_has_told_of_is_its_own_and_all_else_its_neighbours(network: VirtualRelays) -> None:
    network.send(A, block(), THREE)
    network.settle()
    of = network.nodes[F].relay._vouching.flow
    assert of(E, forward((A, E, F, D))).source == A
    assert of(E, forward((E, F, D))).source == E
    assert of(E, forward((B, E, F, D))).source == E, "another source"
    assert of(E, forward((A, E, F, C))).source == E, "for another destination"
    assert of(E, forward((A, E, F, D), priority=1)).source == E, "with another priority"
    assert of(D, forward((A, D, F, E))).source == D, "over another neighbour"
    network.pass_time(VOUCHED_S + 1.0)
    assert of(E, forward((A, E, F, D))).source == E, "long ago"
