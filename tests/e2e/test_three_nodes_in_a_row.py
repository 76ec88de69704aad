"""`adva`: QKD links of two makers in a row, and keys over both, fetched when they are asked for or kept in advance.

There is distance between the ends, so a key that is fetched takes a round trip, and one that is there does not.
"""

from collections.abc import Iterator

import msgspec
import pytest
from callers import reload, until

from keyhop.lab import Lab
from keyhop.lab.demo import Applications
from keyhop.lab.topology import Delay, load_topology
from keyhop.node.state import StreamInfo

NODES = ("node-1", "node-2", "node-3")
ENDS = ("encryptor-1", "encryptor-3")
EXCHANGES = 5
ONE_WAY_MS = 100.0
ROUND_TRIP_S = 2 * ONE_WAY_MS / 1000


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Nothing is kept."""
    shipped = load_topology("adva")
    topology = msgspec.structs.replace(
        shipped,
        relay=shipped.relay | {"buffering": "on-demand"},
        delays=(Delay(("node-1", "node-3"), ONE_WAY_MS),),
    )
    lab = Lab.up(topology, tmp_path_factory.mktemp("adva"))
    yield lab
    lab.down()


def streams(lab: Lab) -> list[StreamInfo]:
    nodes = lab.management()
    return [each for kme in NODES for each in nodes[kme].streams()]


def relayed(lab: Lab) -> list[StreamInfo]:
    """Those between the two ends that hold anything, or did."""
    return [each for each in streams(lab) if each.route == "relayed"]


def pads(lab: Lab) -> dict[tuple[str, str], int]:
    """Bytes of each link that were used as pads, by who used them."""
    return {(each.owner, each.follower): each.pad for each in streams(lab) if each.role == "owner"}


def exchange(lab: Lab) -> float:
    """Keys for both ends; the shortest time that the master waited for one."""
    with Applications.connected(lab.inventory(), *ENDS) as saes:
        return min(saes.exchange(*ENDS).get_s for _ in range(EXCHANGES))


def test_a_key_that_is_relayed_when_it_is_asked_for_is_kept_nowhere(lab: Lab) -> None:
    before = pads(lab)
    assert exchange(lab) >= ROUND_TRIP_S
    after = pads(lab)
    assert relayed(lab) == []
    for hop in (("node-1", "node-2"), ("node-2", "node-3")):
        assert after[hop] - before[hop] >= EXCHANGES * 32, f"the keys did not come over {hop}"


def test_keys_that_are_kept_in_advance_cost_no_pad_when_they_are_asked_for(lab: Lab) -> None:
    """The same nodes, told otherwise while they run."""
    for kme in NODES:
        reload(lab.inventory(), kme, lambda document: document["relay"].update(buffering="prefetch"))
    until(lambda: len(relayed(lab)) == 4 and all(each.available >= 8192 for each in relayed(lab)))
    assert exchange(lab) < ROUND_TRIP_S
    given = sum(each.delivered for each in relayed(lab) if each.owner == "node-1" and each.role == "owner")
    assert given == EXCHANGES * 32
