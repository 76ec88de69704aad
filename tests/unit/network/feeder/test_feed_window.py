"""How much of one stream may be under way at a time."""

from keyhop.core.ids import KmeId, SaeId
from keyhop.network.feeder.feed import Feed, UnderWay
from keyhop.network.relay.parcels import Plan
from keyhop.testing.network import VirtualNetwork

A, B, C = (KmeId(name) for name in "ABC")
WAY = Plan("hop-by-hop", ((A, B, C),))


def feed() -> Feed:
    network = VirtualNetwork({SaeId(name.lower()): KmeId(name) for name in "ABC"}, links=((A, B), (B, C)))
    return Feed(network.kmes[A].peers[C], rising=True)


def test_one_block_is_under_way_until_one_has_arrived() -> None:
    fed = feed()
    assert fed.may_send(4, 0.0)
    fed.parcels.append(UnderWay(1000, WAY, 4))
    assert not fed.may_send(4, 0.0)
    fed.arrived()
    assert fed.may_send(4, 0.0)


def test_what_was_sent_with_a_lower_priority_keeps_nothing_from_who_asks_now() -> None:
    fed = feed()
    fed.parcels.append(UnderWay(1000, WAY, 3))
    assert not fed.may_send(3, 0.0)
    assert fed.may_send(4, 0.0)
    fed.parcels.append(UnderWay(1000, WAY, 4))
    assert not fed.may_send(4, 0.0)
    assert not fed.may_send(3, 0.0)
