"""The key of two nodes that no stream joins is refreshed with bytes that are relayed when it is time."""

import random

import msgspec
import pytest

from keyhop.core.ids import KmeId, SaeId
from keyhop.core.keys import KeyMaterial
from keyhop.network import wire
from keyhop.network.feeder.options import FeederOptions
from keyhop.network.feeder.planning import Terms
from keyhop.network.psk.generations import PskGenerations, Psks
from keyhop.network.psk.messages import PskProposed, PskRefused, PskStored
from keyhop.network.psk.refreshing import RETRY_S
from keyhop.network.relay.messages import Announce, PskPayload, Strategy
from keyhop.node.network_state import psk_info
from keyhop.node.state import PskInfo
from keyhop.testing.network import VirtualNetwork
from keyhop.testing.psk import INTERVAL_S, PskEnds

ALICE, BOB, CAROL = KmeId("alice"), KmeId("bob"), KmeId("carol")
HOME = {SaeId("a"): ALICE, SaeId("b"): BOB, SaeId("c"): CAROL}
PSK = bytes(range(32))
WHY_NOT = "KME carol refused it: what came is not what was announced"


@pytest.fixture
def ends() -> PskEnds:
    """Without anything in the stream."""
    made = PskEnds()
    made.connect()
    made.settle()
    return made


def dry(ends: PskEnds) -> None:
    """Alice has waited for the stream."""
    ends.pass_time(0.1)
    ends.pass_time(RETRY_S)


def current(ends: PskEnds) -> tuple[int, int]:
    return ends.alice.generations.current, ends.bob.generations.current


def test_while_the_stream_has_nothing_bytes_are_relayed(ends: PskEnds) -> None:
    dry(ends)
    ((check, fresh, done),) = ends.alice.fetched
    assert len(fresh) == 32
    assert current(ends) == (0, 0)
    assert ends.bob.refreshing.brought(check, fresh)
    done(None)
    ends.settle()
    assert current(ends) == (1, 1)
    ends.disconnect()
    ends.connect()  # compares the secrets
    ends.settle()
    ends.pass_time(INTERVAL_S)
    ends.pass_time(RETRY_S)
    assert ends.alice.fetched[1][0] != check


def test_what_cannot_be_relayed_is_tried_again_and_the_reason_is_kept(ends: PskEnds) -> None:
    dry(ends)
    ends.alice.fetched[0][2]("no path of QKD links to KME bob")
    assert ends.alice.refreshing.trouble == "no path of QKD links to KME bob"
    for _ in range(2):
        ends.pass_time(RETRY_S)
    assert len(ends.alice.fetched) == 2
    check, fresh, done = ends.alice.fetched[1]
    assert check != ends.alice.fetched[0][0]
    assert ends.bob.refreshing.brought(check, fresh)
    done(None)
    ends.settle()
    assert current(ends) == (1, 1)
    assert ends.alice.refreshing.trouble is None


def test_bytes_that_came_late_are_not_taken_for_later_ones(ends: PskEnds) -> None:
    """The first parcel was given up, and arrives after the second one has been taken."""
    dry(ends)
    ends.alice.fetched[0][2]("it did not arrive in time")
    for _ in range(2):
        ends.pass_time(RETRY_S)
    first, second = ends.alice.fetched
    assert ends.bob.refreshing.brought(*second[:2])
    second[2](None)
    ends.settle()
    assert ends.bob.refreshing.brought(*first[:2])
    ends.settle()
    assert ends.handshake() == 1


@pytest.mark.parametrize("what", ["check", "fresh"])
def test_what_was_not_relayed_so_makes_no_generation(ends: PskEnds, what: str) -> None:
    dry(ends)
    check, fresh, done = ends.alice.fetched[0]
    other = bytes(16) if what == "check" else check
    assert ends.bob.refreshing.brought(other, KeyMaterial(bytes(32)) if what == "fresh" else fresh)
    done(None)
    ends.flush()
    while ends.deliver(ends.alice):
        ends.flush()
    assert [body for body in ends.bob.sent if isinstance(body, (PskStored, PskRefused))] == [PskRefused(check)]
    ends.settle()
    assert current(ends) == (0, 0)


def test_a_proposal_is_good_once_and_those_bytes_are_gone(ends: PskEnds) -> None:
    dry(ends)
    check, fresh, done = ends.alice.fetched[0]
    ends.bob.refreshing.brought(check, fresh)
    done(None)
    ends.settle()
    ends.bob.received(PskProposed(1, check))  # comes again: the same answer
    ends.flush()
    assert list(ends.bob.sent) == [PskStored(check)]
    ends.disconnect()
    ends.connect()
    ends.settle()
    ends.bob.received(PskProposed(2, check))  # the old bytes, for another generation
    ends.flush()
    assert list(ends.bob.sent) == [PskRefused(check)]
    assert current(ends) == (1, 1)


def test_who_leads_is_brought_nothing_nor_is_another_length_taken(ends: PskEnds) -> None:
    assert not ends.alice.refreshing.brought(bytes(16), KeyMaterial(bytes(32)))
    assert not ends.bob.refreshing.brought(bytes(16), KeyMaterial(bytes(31)))


class Line(VirtualNetwork):
    """alice, bob and carol in a row, which keep nothing ahead. alice and carol know each other by a key."""

    def __init__(self, strategy: Strategy = "hop-by-hop") -> None:
        self.announced: list[Announce] = []
        self.altered = 0
        psks = {me: Psks({peer: KeyMaterial(PSK)}, 60.0) for me, peer in ((ALICE, CAROL), (CAROL, ALICE))}
        links, feeder = ((ALICE, BOB), (BOB, CAROL)), FeederOptions(buffering="on-demand")
        super().__init__(HOME, 1, links=links, feeder=feeder, terms=Terms(strategy), psks=psks)
        self.settle()
        self.produce(8)

    def _send(self, source: KmeId, target: KmeId, data: bytes) -> None:
        envelope = wire.decode(data)
        body = envelope.body
        if isinstance(body, Announce) and isinstance(body.payload, PskPayload):
            self.announced.append(body)
            if self.altered:
                self.altered -= 1
                other = msgspec.structs.replace(body, payload=PskPayload(bytes(16)))
                data = wire.encode(msgspec.structs.replace(envelope, body=other))
        super()._send(source, target, data)

    def psks(self) -> tuple[PskGenerations, PskGenerations]:
        found = self.kmes[ALICE].peers[CAROL].psk, self.kmes[CAROL].peers[ALICE].psk
        assert found[0] is not None
        assert found[1] is not None
        return found[0], found[1]


@pytest.mark.parametrize("strategy", ["hop-by-hop", "xor-at-destination"])
def test_nodes_that_keep_nothing_ahead_refresh_their_key_over_others(strategy: Strategy) -> None:
    net = Line(strategy)
    net.pass_time(15.0)
    ours, theirs = net.psks()
    for generation in (1, 2):
        assert (ours.current, theirs.current) == (generation, generation)
        assert ours.secret(generation) == theirs.secret(generation)
        for psk in (ours, theirs):
            psk.used(generation)
        net.pass_time(75.0)
    assert all(pair.owned.ledger.produced == 0 for pair in net.kmes[ALICE].peers[CAROL].pairs)
    assert {announce.size for announce in net.announced} == {32}


def test_an_announcement_that_was_altered_brings_no_bytes() -> None:
    net = Line()
    net.altered = 1 << 20
    net.pass_time(30.0)
    assert net.announced
    assert [psk.current for psk in net.psks()] == [0, 0]
    net.altered = 0
    net.pass_time(30.0)
    assert [psk.current for psk in net.psks()] == [1, 1]


def test_operators_see_which_generation_there_is_since_when_and_why_not() -> None:
    net = Line()
    net.altered = 1 << 20
    net.pass_time(20.0)
    assert psk_info(net.kmes[ALICE].peers[CAROL]) == PskInfo(
        0, 0, None, "KME carol refused it: what came is not what was announced"
    )
    net.altered = 0
    before = net.clock.wall()
    net.pass_time(20.0)
    for me, other in ((ALICE, CAROL), (CAROL, ALICE)):
        psk = psk_info(net.kmes[me].peers[other])
        assert psk is not None
        assert (psk.generation, psk.in_use, psk.trouble) == (1, 0, None)
        assert psk.refreshed_at is not None
        assert before < psk.refreshed_at <= net.clock.wall()
    before_the_crash = psk_info(net.kmes[CAROL].peers[ALICE])
    net.kmes[CAROL].crash()
    assert psk_info(net.kmes[CAROL].peers[ALICE]) == before_the_crash
    assert psk_info(net.kmes[BOB].peers[ALICE]) is None


def test_a_key_that_nobody_has_is_brought_nothing() -> None:
    """bob knows alice by certificates."""
    net = Line()
    assert not net.kmes[BOB].peers[ALICE].brought(bytes(16), KeyMaterial(bytes(32)))


def test_over_a_bad_network_both_ends_have_the_same_key() -> None:
    net = Line()
    net.loss, net.repeat, net.reorder = 0.1, 0.1, True
    draw = random.Random(1)
    for _ in range(30):
        net.pass_time(draw.uniform(5.0, 60.0))
        net.produce(2)
        if draw.random() < 0.2:
            net.kmes[draw.choice((ALICE, BOB, CAROL))].crash()
        ours, theirs = net.psks()
        assert ours.secret(ours.current) == theirs.secret(ours.current)
        for psk in (theirs, ours):
            psk.used(ours.current)
    assert net.psks()[0].current > 5
