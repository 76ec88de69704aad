"""Each node stops at each of its commits in turn, before it or after it: the parcel arrives whole, or not at all."""

import pytest
from relay_world import LINKS, WAYS, A, D

from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.record_ids import record_ids
from keyhop.network.relay.messages import BlockPayload, RecordsPayload
from keyhop.network.relay.parcels import Parcel, Plan
from keyhop.testing.relays import VirtualRelays, sae_of

DATA = bytes(range(256)) * 4
IDS = record_ids(bytes(range(32)))
PLANS = {
    "hop-by-hop": Plan("hop-by-hop", WAYS[2:]),
    "xor": Plan("xor-at-destination", WAYS[2:]),
    "all shares": Plan("secret-shared", WAYS[1:], 2),
    "some shares": Plan("secret-shared", WAYS, 2),
}
PAYLOADS = {"block": BlockPayload(), "records": RecordsPayload(bytes(16), "kme", sae_of(A), (sae_of(D),), IDS)}


class Stopping(VirtualRelays):
    """One node stops at one of its commits."""

    def __init__(self, name: KmeId, commit: int, *, after_commit: bool) -> None:
        self._stops: tuple[KmeId, int, bool] | None = None
        super().__init__(LINKS)
        self.lease_ahead()
        self._stops = (name, commit, after_commit)

    @property
    def stopped(self) -> bool:
        return self._stops is None

    def _flush(self) -> None:
        if self._stops is not None:
            name, commits, after_commit = self._stops
            if self.nodes[name].journal.dirty:
                self._stops = (name, commits - 1, after_commit) if commits else None
                if not commits:
                    self.restart(name, after_commit=after_commit)
        super()._flush()


def arrives(network: VirtualRelays, plan: Plan, payload: BlockPayload | RecordsPayload) -> bool:
    """Whether the parcel came; asserts that it came whole, and that nothing is wrong whether or not."""
    outcome = network.send("A", Parcel(D, payload, KeyMaterial(DATA)), plan)
    network.pass_time(12.0)
    records = network.nodes[D].records
    blocks = [data for _, _, data in network.delivered.blocks]
    keys = b"".join(records.deliver(k, sae_of(D)) for k in (IDS[:16], IDS[16:]) if k in records)
    assert [*blocks, *([keys] if keys else [])] in ([], [DATA])
    assert all(node.balanced() for node in network.nodes.values())
    assert outcome != [None] or blocks or keys
    return outcome == [None]


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_node_stops_at_each_of_its_commits(plan: Plan, payload: BlockPayload | RecordsPayload) -> None:
    tried = arrived = 0
    for name in sorted({node for path in plan.paths for node in path}):
        for after_commit in (False, True):
            for commit in range(20):
                network = Stopping(name, commit, after_commit=after_commit)
                came = arrives(network, plan, payload)
                if not network.stopped:
                    assert came
                    break
                tried += 1
                arrived += came
    assert tried > len(plan.paths[0])
    assert arrived > 0
