"""One connection, as the event loop tells of it."""

import ssl

import pytest

from keyhop.core.entropy import SystemEntropy
from keyhop.core.ids import KmeId, SaeId
from keyhop.network.connection import PeerConnection
from keyhop.network.connections import Connections
from keyhop.network.proof import Certificates
from keyhop.testing.network import VirtualNetwork

ALICE, BOB = KmeId("alice"), KmeId("bob")


def test_who_dials_hears_of_the_end_whatever_those_do_who_are_told_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    network = VirtualNetwork({SaeId("a"): ALICE, SaeId("b"): BOB})
    network.settle()
    network.clock.advance(2.0)
    peers, tls = network.kmes[ALICE].peers, ssl.create_default_context()
    certificates = Certificates(tls, tls, lambda der: False)
    connections = Connections(ALICE, peers, {}, certificates, network.clock, SystemEntropy(), lambda error: None)
    connection = PeerConnection(connections, certificates.prove)
    connection.lines = connections._lines[BOB]
    connection.lines.heard = connection.lines.spoken = connection

    def fail() -> None:
        raise ValueError("a mistake of ours")

    monkeypatch.setattr(peers[BOB].neighbour.windows, "interrupted", fail)
    with pytest.raises(ValueError, match="a mistake of ours"):
        connection.connection_lost(None)
    assert connection.ended.is_set()
