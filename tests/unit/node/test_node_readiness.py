"""When a node of several says that it is ready, and what it says that it lacks."""

import pytest

from keyhop.core.errors import StoreFailure
from keyhop.core.ids import KmeId, LinkId, SaeId
from keyhop.link.adapter import LinkState
from keyhop.network.feeder.options import FeederOptions
from keyhop.node.readiness import readiness
from keyhop.node.state import GatewayInfo, LinkInfo, Readiness
from keyhop.testing.network import VirtualNetwork

ALICE, BOB, CAROL = KmeId("alice"), KmeId("bob"), KmeId("carol")
WEST = KmeId("west")
ROW = {SaeId("a"): ALICE, SaeId("b"): BOB, SaeId("c"): CAROL}


def in_a_row(feeder: FeederOptions | None = None) -> VirtualNetwork:
    """alice has no link to carol."""
    return VirtualNetwork(ROW, links=[(ALICE, BOB), (BOB, CAROL)], feeder=feeder)


def fed(net: VirtualNetwork) -> VirtualNetwork:
    for name, kme in net.kmes.items():
        for peer in net.kmes:
            if peer != name:
                kme.connect(peer)
    net.settle()
    for _ in range(10):
        net.produce(8)
        net.pass_time(1.0)
    return net


def of(net: VirtualNetwork, kme: KmeId, link: LinkState = "generating", *gateways: GatewayInfo) -> Readiness:
    links = [
        LinkInfo(LinkId(f"{a}-{b}"), b if a == kme else a, "rate", False, link, None, 0.0, None, 0)
        for a, b in net.links
        if kme in (a, b)
    ]
    return readiness(net.kmes[kme].kme, links, gateways)


def part(net: VirtualNetwork, a: KmeId, b: KmeId) -> None:
    net.kmes[a].peers[b].disconnect()
    net.kmes[b].peers[a].disconnect()


def test_a_node_with_keys_for_all_lacks_nothing() -> None:
    net = fed(in_a_row())
    assert [of(net, kme) for kme in net.kmes] == [Readiness(True, [])] * 3


def test_a_site_that_is_down_is_told_and_keeps_nobody_from_the_others() -> None:
    net = fed(in_a_row())
    part(net, ALICE, CAROL)
    part(net, BOB, CAROL)
    assert of(net, ALICE) == Readiness(True, ["peer carol: not connected"])
    assert of(net, BOB) == Readiness(True, ["peer carol: not connected"])
    assert of(net, CAROL) == Readiness(False, ["peer alice: not connected", "peer bob: not connected"])


def test_one_kme_alone_is_all_that_there_is() -> None:
    net = fed(VirtualNetwork({SaeId("a"): ALICE, SaeId("b"): BOB}))
    assert of(net, ALICE) == Readiness(True, [])
    assert of(net, ALICE, "stopped") == Readiness(False, ["link alice-bob: stopped"])
    part(net, ALICE, BOB)
    assert of(net, ALICE) == Readiness(False, ["peer bob: not connected"])


def test_stock_that_came_over_others_serves_while_the_own_link_rests() -> None:
    net = fed(in_a_row())
    assert of(net, ALICE, "stopped") == Readiness(True, ["link alice-bob: stopped"])


def test_stock_that_came_over_a_node_that_is_down_serves() -> None:
    net = fed(in_a_row())
    net.kmes[CAROL].kme.view.say(BOB, ())
    net.kmes[ALICE].kme.view.say(BOB, ())
    net.kmes[ALICE].kme.view.say(ALICE, ())
    part(net, ALICE, BOB)
    lacking = ["link alice-bob: stopped", "peer bob: not connected", "KME carol: no path of QKD links leads to it"]
    assert of(net, ALICE, "stopped") == Readiness(True, lacking)
    part(net, ALICE, CAROL)
    assert not of(net, ALICE, "stopped").ready


def test_where_nothing_is_kept_a_kme_over_others_needs_a_neighbour() -> None:
    net = fed(in_a_row(FeederOptions(buffering="on-demand")))
    assert of(net, ALICE) == Readiness(True, [])
    assert of(net, ALICE, "stopped") == Readiness(False, ["link alice-bob: stopped"])


@pytest.mark.parametrize("trouble", [None, "no answer"])
def test_another_domain_is_somebody_to_serve_too(trouble: str | None) -> None:
    net = fed(in_a_row())
    for peer in (BOB, CAROL):
        part(net, ALICE, peer)
    gateway = GatewayInfo(WEST, "https://west", "V2.1.1", trouble is None, trouble, [], 0, 0, {}, {})
    found = of(net, ALICE, "generating", gateway)
    assert found.ready == (trouble is None)
    assert found.missing[:2] == ["peer bob: not connected", "peer carol: not connected"]
    assert found.missing[2:] == ([f"gateway west: {trouble}"] if trouble else [])


def test_a_kme_without_any_other_is_ready() -> None:
    net = VirtualNetwork({SaeId("a"): ALICE})
    assert of(net, ALICE) == Readiness(True, [])


def test_a_failed_store_serves_nobody() -> None:
    net = fed(in_a_row())
    net.kmes[ALICE].kme.journal.fail(StoreFailure("the disk is gone"))
    assert of(net, ALICE) == Readiness(False, ["store: failed"])
