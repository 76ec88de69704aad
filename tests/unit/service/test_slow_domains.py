"""The other domain takes its time: how long that is waited for, and what becomes of a key that comes too late."""

import pytest

from keyhop.core.errors import KeyhopError, Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.network.feeder.options import FeederOptions
from keyhop.service.policy import PairPolicy, Policy
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.domains import ALICE, BOB, EAST, WEST, Domain, Domains

A, M, W, E, B = map(SaeId, ("a", "m", "w", "e", "b"))
MID = KmeId("mid")
STEP_S = 0.1


def far(one_way_s: float, policy: PairPolicy) -> Domains:
    """alice ── mid ── west ══ east ── bob; what alice sends to west is relayed when it is asked for."""
    return Domains(
        {A: ALICE, M: MID, W: WEST, E: EAST, B: BOB},
        Domain(
            (ALICE, MID, WEST),
            {WEST: {EAST: ("e", "b")}},
            ((ALICE, MID), (MID, WEST)),
            Policy(policy),
            FeederOptions("on-demand"),
            64,
        ),
        Domain((BOB, EAST), {EAST: {WEST: ("a", "m", "w")}}),
        one_way_s=one_way_s,
    )


def answered(both: Domains, master: SaeId, within_s: float) -> tuple[Keys | KeyhopError, float]:
    """The answer, and after how many seconds it came."""
    answers = both.get_key(GetKey(master, B))
    begin = both.clock.monotonic()
    while not answers and both.clock.monotonic() - begin < within_s:
        both.pass_time(STEP_S, STEP_S)
    (answer,) = answers
    return answer, both.clock.monotonic() - begin


def records(both: Domains) -> int:
    return sum(len(kme.records) for network in both.networks for kme in network.kmes.values())


@pytest.mark.parametrize("master", [A, W])
@pytest.mark.parametrize("one_way_s", [0.3, 1.5, 3.0])
def test_an_exchange_may_take_as_long_as_the_policy_says(master: SaeId, one_way_s: float) -> None:
    both = far(one_way_s, PairPolicy(wait_s=1.0, abroad_wait_s=8.0))
    both.pass_time(2.0, STEP_S)
    keys, took_s = answered(both, master, 10.0)
    assert isinstance(keys, Keys), keys
    assert took_s < 2 * one_way_s + 5 * STEP_S
    (fetched,) = both.get_key_with_ids(GetKeyWithIds(B, master, keys.runs[0].ids))
    assert isinstance(fetched, Keys)
    assert fetched.runs[0].material.reveal() == keys.runs[0].material.reveal()
    accounts = {(way, what): n for way, what, n in both.network(WEST).kmes[WEST].kme.gateway[EAST].accounts}
    assert accounts == {("sent", "handed over"): 1, ("sent", "relayed"): 1}


@pytest.mark.parametrize("master", [A, W])
@pytest.mark.parametrize(("one_way_s", "abroad_wait_s"), [(1.5, 2.0), (3.0, 1.0), (6.0, 10.0)])
def test_a_key_that_comes_too_late_is_void_on_both_sides(master: SaeId, one_way_s: float, abroad_wait_s: float) -> None:
    both = far(one_way_s, PairPolicy(wait_s=1.0, abroad_wait_s=abroad_wait_s))
    both.pass_time(2.0, STEP_S)
    refusal, took_s = answered(both, master, 14.0)
    assert isinstance(refusal, Unavailable)
    assert abroad_wait_s - STEP_S < took_s < abroad_wait_s + 1.0
    both.pass_time(4 * one_way_s + 3.0, STEP_S)
    gateways = [both.network(kme).kmes[kme].kme.gateway for kme in (WEST, EAST)]
    assert {entry.fate for entry in gateways[0][EAST].sent._keys.values()} == {"voided"}
    assert {entry.fate for entry in gateways[1][WEST].received._keys.values()} == {"voided"}
    assert len(gateways[0][EAST].voiding) == 0
    assert records(both) == 0


@pytest.mark.parametrize("restarted", [False, True])
def test_it_is_void_too_when_the_gateway_was_away_while_its_master_gave_up(restarted: bool) -> None:
    both = far(1.5, PairPolicy(wait_s=1.0, abroad_wait_s=2.0))
    both.pass_time(2.0, STEP_S)
    answers = both.get_key(GetKey(A, B))
    both.pass_time(0.5, STEP_S)
    network = both.network(ALICE)
    network.loss = 1.0
    both.pass_time(6.0, STEP_S)
    assert records(both) == 1  # the key has arrived, and alice does not know
    network.loss = 0.0
    if restarted:
        network.kmes[ALICE].crash()
    for one, other in ((ALICE, WEST), (WEST, ALICE)):
        network.kmes[one].peers[other].disconnect()
        network.kmes[one].connect(other)
    both.pass_time(90.0, 0.5)
    assert not any(isinstance(answer, Keys) for answer in answers)
    assert records(both) == 0
    assert {entry.fate for entry in network.kmes[WEST].kme.gateway[EAST].sent._keys.values()} == {"voided"}
