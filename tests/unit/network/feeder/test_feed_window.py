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


def test_what_is_under_way_on_a_broken_path_is_withdrawn() -> None:
    fed, withdrawn = feed(), list[str]()
    other = Plan("hop-by-hop", ((A, B, KmeId("D"), C),))
    fed.parcels += [UnderWay(1, WAY, 4, lambda: withdrawn.append("way")), UnderWay(1, other, 4, lambda: None)]
    assert fed.give_up(lambda way: way is WAY)
    assert withdrawn == ["way"]
    assert [parcel.way for parcel in fed.parcels] == [other]
    assert not fed.give_up(lambda way: way is WAY)


def test_what_was_sent_with_a_lower_priority_keeps_nothing_from_who_asks_now() -> None:
    fed = feed()
    fed.parcels.append(UnderWay(1000, WAY, 3))
    assert not fed.may_send(3, 0.0)
    assert fed.may_send(4, 0.0)
    fed.parcels.append(UnderWay(1000, WAY, 4))
    assert not fed.may_send(4, 0.0)
    assert not fed.may_send(3, 0.0)
