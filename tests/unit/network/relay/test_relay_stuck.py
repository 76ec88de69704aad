"""Whoever cannot go on tells the source at once, which goes on without that share as long as it can."""

import pytest
from relay_ways import LINKS, SOME, THREE, TWO, XOR, A, B, C, D, E, F, block, drain, network_of_relays

from keyhop.core.ids import KmeId
from keyhop.core.origin import Path
from keyhop.network.relay.messages import NOT_PROVEN, Announce, Forward, Refused, Request, Stored, Stuck
from keyhop.network.relay.parcels import Plan
from keyhop.testing.relays import VirtualRelays


@pytest.fixture
def network() -> VirtualRelays:
    return network_of_relays()


def cut(network: VirtualRelays, one: KmeId, other: KmeId) -> None:
    network.cut.add(frozenset((one, other)))


def parcel_of(network: VirtualRelays) -> bytes:
    return next(message.parcel for _, _, message in network.said if isinstance(message, Announce))


@pytest.mark.parametrize("plan", [THREE, XOR], ids=lambda plan: plan.strategy)
def test_a_node_without_a_connection_says_so(network: VirtualRelays, plan: Plan) -> None:
    heard: list[tuple[Path, KmeId, str]] = []
    network.nodes[A].relay.on_stuck.append(lambda *what: heard.append(what))
    cut(network, E, F)
    outcome = network.send("A", block(), plan)
    network.settle()
    assert outcome == ["KME E cannot go on: no connection to KME F"]
    assert heard == [(plan.paths[0], E, "no connection to KME F")]
    assert network.nodes[A].balanced()


@pytest.mark.parametrize("plan", [THREE, XOR], ids=lambda plan: plan.strategy)
def test_a_source_without_a_connection_to_the_first_node_says_so(network: VirtualRelays, plan: Plan) -> None:
    cut(network, A, E)
    assert network.send("A", block(), plan) == ["KME A cannot go on: no connection to KME E"]


@pytest.mark.parametrize("plan", [THREE, XOR], ids=lambda plan: plan.strategy)
def test_a_node_without_key_for_its_pad_says_so_within_a_second(plan: Plan) -> None:
    network = VirtualRelays(LINKS)
    drain(network, E, F)
    outcome = network.send("A", block(), plan)
    network.settle()
    assert outcome == []
    network.pass_time(1.0)
    assert outcome == ["KME E cannot go on: no key material is left for a pad to KME F"]


def test_a_source_without_key_waits_until_the_deadline(network: VirtualRelays) -> None:
    drain(network, A, B)
    outcome = network.send("A", block(), TWO, wait_s=5.0)
    network.pass_time(4.5)
    assert outcome == []
    network.produce()
    network.settle()
    assert outcome == [None]


def test_what_is_withdrawn_before_it_has_left_takes_no_pad(network: VirtualRelays) -> None:
    drain(network, A, B)
    outcome: list[str | None] = []
    withdraw = network.nodes[A].relay.send(block(), TWO, network.clock.monotonic() + 5.0, outcome.append)
    withdraw()
    withdraw()
    network.produce()
    network.pass_time(10.0)
    assert outcome == []
    assert not any(isinstance(message, Forward) for _, _, message in network.said)


def test_what_has_left_arrives_although_it_is_withdrawn(network: VirtualRelays) -> None:
    network.lease_ahead()
    outcome: list[str | None] = []
    withdraw = network.nodes[A].relay.send(block(), TWO, network.clock.monotonic() + 5.0, outcome.append)
    withdraw()
    network.settle()
    assert outcome == [None]


def test_what_was_given_up_takes_no_pad_any_more(network: VirtualRelays) -> None:
    drain(network, A, B)
    plan = Plan("secret-shared", ((A, B, D), (A, C, D)), 2)
    outcome = network.send("A", block(), plan, wait_s=5.0)
    cut(network, C, D)
    network.pass_time(1.0)
    assert len(outcome) == 1
    before = network.nodes[A].direct(B).owned.ledger.pad
    network.produce()
    network.pass_time(1.0)
    assert network.nodes[A].direct(B).owned.ledger.pad == before


@pytest.mark.parametrize("lost", [(B, D), (A, C), (E, F)])
def test_with_k_of_n_a_share_that_is_stuck_is_not_needed(network: VirtualRelays, lost: tuple[KmeId, KmeId]) -> None:
    heard: list[KmeId] = []
    network.nodes[A].relay.on_stuck.append(lambda path, at, reason: heard.append(at))
    cut(network, *lost)
    outcome = network.send("A", block(), SOME)
    network.settle()
    assert outcome == [None]
    assert heard == [lost[0]] or lost == (E, F)


def test_with_k_of_n_too_many_that_are_stuck_end_it(network: VirtualRelays) -> None:
    cut(network, B, D)
    cut(network, C, D)
    outcome = network.send("A", block(), SOME)
    network.settle()
    assert outcome == ["KME C cannot go on: no connection to KME D"]


def test_only_nodes_of_its_path_may_call_a_share_stuck(network: VirtualRelays) -> None:
    network.loss = 1.0
    outcome = network.send("A", block(), THREE)
    network.settle()
    parcel, relay = parcel_of(network), network.nodes[A].relay
    for peer, message in [
        (B, Stuck(parcel, 0, A, "a lie")),
        (E, Stuck(parcel, 0, B, "a lie")),
        (F, Stuck(parcel, 0, A, "a lie")),
        (E, Stuck(parcel, 1, A, "a lie")),
        (E, Stuck(bytes(16), 0, A, "a lie")),
        (B, Stored(parcel)),
        (F, Refused(parcel, "a lie")),
    ]:
        relay.received(peer, message)
    assert outcome == []
    relay.received(F, Stuck(parcel, 0, E, "true"))
    assert outcome == ["KME F cannot go on: true"]


@pytest.mark.parametrize("plan", [THREE, XOR], ids=lambda plan: plan.strategy)
@pytest.mark.parametrize("node", [E, F, D])
def test_a_node_that_lost_its_memory_says_that_the_pad_is_gone(network: VirtualRelays, plan: Plan, node: KmeId) -> None:
    outcome = network.send("A", block(), plan)
    while not any(source == node and isinstance(m, Forward | Stored) for source, _, m in network.said):
        if not network.step():
            break
        if any(source == node and type(m).__name__ == "Contribution" for source, _, m in network.said):
            break
    network.lose()
    network.restart(node)
    network.pass_time(3.0)
    assert len(outcome) == 1
    assert outcome[0] is not None or network.delivered.own == network.delivered.blocks
    assert all(each.balanced() for each in network.nodes.values())


def test_a_repeated_request_is_answered_the_same(network: VirtualRelays) -> None:
    network.send("A", block(), XOR)
    network.settle()
    (request,) = {m for _, target, m in network.said if isinstance(m, Request) and target == F}
    before = [m for source, _, m in network.said if source == F]
    said = len(network.said)
    network.nodes[F].relay.received(A, request)
    network.settle()
    again = [m for source, _, m in network.said[said:] if source == F]
    assert again == before


def test_what_nobody_answers_speaks_against_all_that_it_came_over(network: VirtualRelays) -> None:
    heard: list[tuple[KmeId, str]] = []
    network.nodes[A].relay.on_stuck.append(lambda path, at, reason: heard.append((at, reason)))
    network.lies[F] = lambda target, message: ()
    outcome = network.send("A", block(), THREE, wait_s=3.0)
    network.pass_time(3.0)
    assert outcome == ["it did not arrive in time"]
    assert heard == [(node, "it did not arrive in time") for node in (A, E, F)]


def test_without_its_first_pad_a_parcel_speaks_against_the_first_hop_only(network: VirtualRelays) -> None:
    heard: list[KmeId] = []
    network.nodes[A].relay.on_stuck.append(lambda path, at, reason: heard.append(at))
    drain(network, A, E)
    network.send("A", block(), THREE, wait_s=3.0)
    network.pass_time(3.0)
    assert heard == [A]


def test_when_the_destination_cannot_be_reached_nobody_on_the_way_is_doubted(network: VirtualRelays) -> None:
    heard: list[KmeId] = []
    network.nodes[A].relay.on_stuck.append(lambda path, at, reason: heard.append(at))
    network.send("A", block(), THREE, wait_s=3.0)
    cut(network, A, D)
    network.pass_time(3.0)
    assert heard == []


def test_what_cannot_be_proven_speaks_against_all_that_it_came_over(network: VirtualRelays) -> None:
    heard: list[KmeId] = []
    network.nodes[A].relay.on_stuck.append(lambda path, at, reason: heard.append(at))
    network.send("A", block(), TWO)
    network._flush()
    parcel = parcel_of(network)
    network.nodes[A].relay.received(D, Refused(parcel, "no such block is wanted"))
    assert heard == []
    network.send("A", block(), TWO)
    network._flush()
    other = next(m.parcel for _, _, m in network.said if isinstance(m, Announce) and m.parcel != parcel)
    network.nodes[A].relay.received(D, Refused(other, NOT_PROVEN))
    assert heard == [A, B]
