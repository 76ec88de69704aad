"""With secret-shared, whatever nodes of fewer paths than the threshold have seen goes with any other key as well.

Two runs from the same seeds send different keys; what differs is made up for in the random bytes of the source, so that
only shares on other paths change. Those bytes are as likely as the first ones. If all that some nodes hold at the end
is the same byte for byte, then it says nothing of which key was sent.
"""

from collections.abc import Mapping
from itertools import combinations

import pytest

from keyhop.core.entropy import Entropy
from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.base import Slot
from keyhop.core.xor import xor
from keyhop.network.relay.messages import SECRET_HEAD_BYTES, BlockPayload
from keyhop.network.relay.parcels import Parcel, Plan
from keyhop.network.relay.sharing import product
from keyhop.testing.relays import VirtualRelays
from keyhop.testing.virtual import SeededEntropy

A, D = KmeId("A"), KmeId("D")
INNER = tuple(tuple(KmeId(node) for node in path) for path in ("B", "C", "EF", "GH"))
PATHS = tuple((A, *inner, D) for inner in INNER)
LINKS = [(path[i], path[i + 1]) for path in PATHS for i in range(len(path) - 1)]
KEY, OTHER_KEY = SeededEntropy(1).token(4096), SeededEntropy(2).token(4096)
SHIFT = bytes(SECRET_HEAD_BYTES) + xor(KEY, OTHER_KEY)
FIRST_SHARE_TOKEN = 4
"""Before them the source draws the parcel's ID, the outer key, the inner key and its salt."""
SCHEMES = [(count, threshold) for count in (2, 3, 4) for threshold in range(2, count + 1)]

type View = tuple[list[bytes], Mapping[Slot, bytes]]


class ShiftedEntropy:
    """The same bytes for the same seed, some of them XORed with others."""

    def __init__(self, seed: int, shifts: Mapping[int, bytes]) -> None:
        self._entropy = SeededEntropy(seed)
        self._shifts = shifts
        self._drawn = 0

    def token(self, size: int) -> bytes:
        token = self._entropy.token(size)
        shift = self._shifts.get(self._drawn, bytes(size))
        self._drawn += 1
        return xor(token, shift)


def views(plan: Plan, key: bytes, shifts: Mapping[int, bytes]) -> dict[KmeId, View]:
    """What each node inside the paths has received, in its order, and what is in its store."""
    network = VirtualRelays(LINKS, seed=3, entropies={A: ShiftedEntropy(4, shifts)})
    outcome = network.send("A", Parcel(D, BlockPayload(), KeyMaterial(key)), plan)
    network.settle()
    assert outcome == [None]
    assert network.delivered.blocks == [(A, D, key)]
    nodes = {node for path in plan.paths for node in path[1:-1]}
    return {node: (network.heard[node], dict(network.nodes[node].store.values)) for node in nodes}


def times(constant: int, data: bytes) -> bytes:
    return bytes(product(constant, byte) for byte in data)


def made_up_for(unchanged: tuple[int, ...], count: int, threshold: int) -> dict[int, bytes]:
    """By what the random bytes are XORed so that the secret is shifted and these shares, one less than the threshold,
    are what they were."""
    if threshold == count:
        (changed,) = set(range(count)) - set(unchanged)
        return {FIRST_SHARE_TOKEN + changed: SHIFT} if changed < count - 1 else {}
    coefficients = [1]  # of the polynomial that is 1 at 0 and 0 at the points of these shares, the lowest first
    for share in unchanged:
        point, inverse = share + 1, next(i for i in range(1, 256) if product(share + 1, i) == 1)
        assert product(point, inverse) == 1
        shifted = [0, *(product(inverse, c) for c in coefficients)]
        coefficients = [a ^ b for a, b in zip([*coefficients, 0], shifted, strict=True)]
    return {FIRST_SHARE_TOKEN + i: times(c, SHIFT) for i, c in enumerate(coefficients[1:])}


def plan_for(count: int, threshold: int) -> Plan:
    return Plan("secret-shared", PATHS[:count], threshold)


@pytest.mark.parametrize(("count", "threshold"), SCHEMES)
def test_fewer_paths_than_the_threshold_determine_nothing(count: int, threshold: int) -> None:
    plan = plan_for(count, threshold)
    first = views(plan, KEY, {})
    for unchanged in combinations(range(count), threshold - 1):
        second = views(plan, OTHER_KEY, made_up_for(unchanged, count, threshold))
        for share, inner in enumerate(INNER[:count]):
            for node in inner:
                assert (first[node] == second[node]) == (share in unchanged), f"{node} of {inner}"


def test_with_hop_by_hop_every_node_sees_a_difference() -> None:
    plan = Plan("hop-by-hop", PATHS[2:3])
    first, second = views(plan, KEY, {}), views(plan, OTHER_KEY, {})
    assert all(first[node] != second[node] for node in INNER[2])


def test_a_source_that_shares_with_too_little_randomness_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def poor(secret: bytes, count: int, threshold: int, entropy: Entropy) -> list[bytes]:
        random, _ = entropy.token(len(secret)), entropy.token(len(secret))
        return [random, random, secret]

    monkeypatch.setattr("keyhop.network.relay.source.split", poor)
    plan = plan_for(3, 3)
    first, second = views(plan, KEY, {}), views(plan, OTHER_KEY, made_up_for((1, 2), 3, 3))
    assert all(first[node] != second[node] for node in INNER[2])
