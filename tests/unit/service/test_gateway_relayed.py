"""Records that reach a gateway by relay, because no stream leads there, are passed on like any other."""

import pytest

from keyhop.core.ids import SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.network.relay.messages import RecordsPayload
from keyhop.network.relay.parcels import Parcel, Plan
from keyhop.service.etsi020.problems import Problem
from keyhop.testing.domains import ALICE, BOB, EAST, WEST, TwoDomains

A, B = SaeId("a"), SaeId("b")
IDS = bytes.fromhex("00000000000040008000000000000001")


def sent(both: TwoDomains, slave: SaeId) -> list[str | None]:
    outcomes: list[str | None] = []
    parcel = Parcel(WEST, RecordsPayload(bytes(16), "kme", A, (slave,), IDS), KeyMaterial(bytes(32)))
    plan = Plan("hop-by-hop", ((ALICE, WEST),))
    alice = both.west.kmes[ALICE].kme
    alice.relay.send(parcel, plan, both.clock.monotonic() + 5.0, outcomes.append)
    return outcomes


def test_a_relayed_record_is_answered_once_the_other_domain_has_it() -> None:
    both = TwoDomains("a", "b")
    outcomes = sent(both, B)
    both.west.settle()
    assert outcomes == []  # proven, and on its way into the other domain
    both.pass_time(1.0)
    assert outcomes == [None]
    assert len(both.east.kmes[BOB].records) == 1


def test_what_the_other_domain_refuses_is_refused() -> None:
    both = TwoDomains("a", "b")
    both.east.kmes[EAST].kme.gateway[WEST].receiving.ext_keys = _refuse  # type: ignore[method-assign]
    outcomes = sent(both, B)
    both.pass_time(1.0)
    assert outcomes != [None]
    assert len(outcomes) == 1
    assert not len(both.west.kmes[WEST].records)


@pytest.mark.parametrize("times", [2, 5])
def test_asked_again_while_it_is_under_way_it_is_handed_over_once(times: int) -> None:
    both = TwoDomains("a", "b")
    outcomes = [sent(both, B) for _ in range(times)]
    both.pass_time(2.0)
    assert outcomes == [[None]] * times
    accounts = {(way, outcome): keys for way, outcome, keys in both.west.kmes[WEST].kme.gateway[EAST].accounts}
    assert accounts["sent", "handed over"] == 1


def _refuse(container: object, respond: object) -> None:
    raise Problem(400)
