"""What the adapters of a link say to each other travels in the session of two nodes."""

import pytest

from keyhop.core.errors import PeerError
from keyhop.core.ids import KmeId, LinkId, SaeId
from keyhop.network.wire import MAX_LINK_MESSAGE_BYTES
from keyhop.testing.network import VirtualNetwork

ALICE, BOB = KmeId("alice"), KmeId("bob")
LINK, OTHER = LinkId("alice-bob"), LinkId("second fibre")


def make() -> VirtualNetwork:
    return VirtualNetwork({SaeId("a1"): ALICE, SaeId("b1"): BOB})


def test_messages_arrive_in_order_at_the_same_link() -> None:
    network, heard, elsewhere = make(), list[bytes](), list[bytes]()
    near = network.kmes[ALICE].peers[BOB].neighbour.link_channel(LINK)
    far = network.kmes[BOB].peers[ALICE].neighbour.link_channel(LINK)
    far.listen(heard.append)
    network.kmes[BOB].peers[ALICE].neighbour.link_channel(OTHER).listen(elsewhere.append)
    near.send(b"before there is a session")
    network.settle()
    near.send(b"one")
    near.send(bytes(MAX_LINK_MESSAGE_BYTES))
    near.send(b"two")
    network.settle()
    assert heard == [b"one", bytes(MAX_LINK_MESSAGE_BYTES), b"two"]
    assert elsewhere == []


def test_nobody_listens() -> None:
    network = make()
    network.settle()
    near = network.kmes[ALICE].peers[BOB].neighbour.link_channel(LINK)
    near.send(b"to no link at all")
    network.settle()
    far = network.kmes[BOB].peers[ALICE].neighbour.link_channel(LINK)
    far.listen(lambda message: pytest.fail("nobody listens"))
    far.listen(None)
    near.send(b"to a link that rests")
    network.settle()


def test_what_an_adapter_refuses_is_the_peers_fault_and_costs_the_session() -> None:
    network = make()
    network.settle()
    bob = network.kmes[BOB].peers[ALICE].neighbour

    def refuse(message: bytes) -> None:
        raise PeerError("that is no message of mine")

    bob.link_channel(LINK).listen(refuse)
    network.kmes[ALICE].peers[BOB].neighbour.link_channel(LINK).send(b"?")
    network.flush()
    network.step()
    assert not bob.synchronised
    network.settle()
    assert bob.synchronised
