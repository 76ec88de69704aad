"""What is delivered within the windows of two streams counts as use of both, however long it waited for one of them."""

from keyhop.core.errors import BadRequest, KeyhopError
from keyhop.core.ids import KmeId, SaeId
from keyhop.network import wire
from keyhop.network.pair import PairOptions
from keyhop.network.windows import WINDOW_S
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.network import TICK_S, VirtualNetwork

ALICE, BOB, CAROL = map(KmeId, ("alice", "bob", "carol"))
A, B = SaeId("a"), SaeId("b")


class Network(VirtualNetwork):
    """Of a link's stream alice's answers about windows can be held up."""

    holds_up = False

    def _send(self, source: KmeId, target: KmeId, data: bytes) -> None:
        told = wire.decode(data)
        if not (self.holds_up and told.route == "direct" and isinstance(told.body, wire.MarkNoted)):
            super()._send(source, target, data)


def relayed_key(net: Network) -> bytes:
    """A key of the relayed stream, while others of the link's stream wait to be fetched."""
    net.produce(8)
    net.settle()
    for kme, peer in ((ALICE, BOB), (BOB, ALICE)):
        net.kmes[kme].peers[peer].neighbour.generating = False
    net.produce(32, links=[(ALICE, CAROL), (BOB, CAROL)])
    net.pass_time(30.0)
    while True:
        answers = net.get_key(ALICE, GetKey(A, B, provenance=True))
        net.settle()
        keys = answers[0]
        assert isinstance(keys, Keys)
        assert keys.provenance is not None
        if len(keys.provenance.paths[0]) > 2:
            return keys.runs[0].ids


def fetch(net: Network, key_id: bytes) -> list[Keys | KeyhopError]:
    answers = net.get_key_with_ids(BOB, GetKeyWithIds(B, A, key_id))
    net.settle()
    return answers


def test_a_copy_from_before_a_delivery_is_found_out_by_both_streams() -> None:
    home = {A: ALICE, B: BOB, SaeId("c"): CAROL}
    net = Network(home, 1, options=PairOptions(reserved_bytes_per_pair=0))
    net.settle()
    key_id, bob = relayed_key(net), net.kmes[BOB]
    net.pass_time(30.0)
    net.holds_up = True
    answers = fetch(net, key_id)
    net.pass_time(WINDOW_S)
    assert not answers
    copy = dict(bob.store.values)
    net.holds_up = False
    net.pass_time(TICK_S)
    assert isinstance(answers[0], Keys)
    net.pass_time(3.0)
    bob.start(copy)
    net.kmes[ALICE].connect(BOB)
    net.settle()
    net.pass_time(3.0)
    (again,) = fetch(net, key_id)
    assert isinstance(again, BadRequest)
