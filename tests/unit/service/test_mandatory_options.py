"""What a request insists on (ETSI GS QKD 014, 6.2) holds for every way in which a key may come."""

from keyhop.core.errors import BadRequest, KeyhopError, Unavailable
from keyhop.core.ids import KmeId, SaeId
from keyhop.network.pair import PairOptions
from keyhop.service.policy import PairPolicy, Policy, Rule
from keyhop.service.requests import GetKey, Keys
from keyhop.testing.network import VirtualNetwork

ALICE, BOB, CAROL = map(KmeId, ("alice", "bob", "carol"))
A, A2, B, C, C2 = map(SaeId, ("a", "a2", "b", "c", "c2"))
HOME = {A: ALICE, A2: ALICE, B: BOB, C: CAROL, C2: CAROL}
LINE = ((ALICE, BOB), (BOB, CAROL))
UNMET = "not all extension_mandatory request options could be met"


def network(*links: tuple[KmeId, KmeId], wait_s: float = 2.0, expand: bool = False) -> VirtualNetwork:
    rules = (Rule("a", "*", {"when_dry": "expand"}),) if expand else ()
    options = PairOptions(reserved_bytes_per_pair=0, expand=expand)
    made = VirtualNetwork(HOME, 1, policy=Policy(PairPolicy(wait_s=wait_s), rules=rules), options=options, links=links)
    made.settle()
    return made


def run(net: VirtualNetwork, seconds: int = 8) -> None:
    for _ in range(seconds):
        net.produce(4)
        net.pass_time(1.0)


def ask(net: VirtualNetwork, request: GetKey, seconds: float = 4.0) -> Keys | KeyhopError:
    answers = net.get_key(ALICE, request)
    net.settle()
    if not answers:
        net.pass_time(seconds)
    (answer,) = answers
    return answer


def direct(*slaves: SaeId) -> GetKey:
    return GetKey(A, slaves[0], additional_slaves=slaves[1:], route="direct", route_strict=True, provenance=True)


def test_a_key_for_several_slaves_is_carried_over_links_only() -> None:
    net = network(*LINE)
    run(net)
    given = ask(net, direct(B, A2))
    assert isinstance(given, Keys)
    assert given.provenance is not None
    assert given.provenance.paths == ((ALICE, BOB),)
    for slaves in ((C, C2), (B, C), (A2, C)):
        refusal = ask(net, direct(*slaves))
        assert isinstance(refusal, BadRequest), refusal
        assert refusal.message == UNMET
        assert isinstance(ask(net, GetKey(A, slaves[0], additional_slaves=slaves[1:], route="direct")), Keys)


def test_no_seed_that_was_relayed_stands_for_a_link() -> None:
    net = network(*LINE, (ALICE, CAROL), expand=True)
    net.cut.add((ALICE, CAROL))
    net.kmes[ALICE].peers[CAROL].neighbour.generating = net.kmes[CAROL].peers[ALICE].neighbour.generating = False
    run(net)
    while isinstance(ask(net, GetKey(A2, C, size_bits=8192)), Keys):
        pass
    assert isinstance(ask(net, direct(C)), Unavailable)
    assert isinstance(ask(net, GetKey(A, C, size_bits=8192)), Keys)


def test_bytes_that_have_become_too_old_while_others_were_waited_for_are_not_taken() -> None:
    net = network((ALICE, BOB), wait_s=20.0)
    net.produce(2)
    net.pass_time(1.0)
    there = net.kmes[ALICE].peers[BOB].neighbour.owned.stock_units
    assert there
    number = there // 128 + 1
    answers = net.get_key(ALICE, GetKey(A, B, number, 8192, max_age_s=5.0, max_age_strict=True))
    net.pass_time(5.0)
    net.produce(16)
    net.pass_time(1.0)
    assert not answers
    assert isinstance(ask(net, GetKey(A2, B, number, 8192)), Keys)
    net.pass_time(1.0)
    (answer,) = answers
    assert isinstance(answer, Keys)
