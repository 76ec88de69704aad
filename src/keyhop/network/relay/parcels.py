"""What callers of the relay speak of: a parcel, and the plan by which it travels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from keyhop.core.ids import KmeId
from keyhop.core.keys import KeyMaterial
from keyhop.core.origin import MAX_HOPS, Path, label
from keyhop.network.relay.messages import (
    MAX_SHARES,
    BlockPayload,
    PskPayload,
    RecordsPayload,
    Strategy,
)

type Done = Callable[[str | None], None]
"""Gets None for a parcel that arrived, or the reason why it did not, as far as is known."""

type Withdraw = Callable[[], None]
"""Nobody waits for a parcel any more: if nothing of it has left, nothing will, and its `Done` is not called. Harmless
when it is not under way."""


class Flow(NamedTuple):
    """Whose bytes a pad is for; the highest priority is served first. `brought_by` is whom they came from."""

    brought_by: KmeId
    source: KmeId
    destination: KmeId
    priority: int


@dataclass(frozen=True, slots=True)
class Parcel:
    """Key bytes for another KME, made by this one."""

    destination: KmeId
    payload: BlockPayload | RecordsPayload | PskPayload
    data: KeyMaterial
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """How a parcel travels: along one path; or, `secret-shared`, a share along each of several, of which `threshold`
    are enough."""

    strategy: Strategy
    paths: tuple[Path, ...]
    threshold: int = 1


def block_number(parcel: bytes) -> int:
    """What a relayed block is called when it is placed: 63 bits of its parcel's random ID."""
    return int.from_bytes(parcel[:8]) >> 1


def source_kind(strategy: Strategy) -> str:
    """What the bytes of a relayed block are said to be made by."""
    return f"relay, {strategy}"


def source_label(plan: Plan) -> str:
    """Where the bytes of a relayed block are said to come from: with the paths of all shares, lost ones too."""
    return label(source_kind(plan.strategy), plan.paths, plan.threshold)


def fault(plan: Plan, source: KmeId, destination: KmeId) -> str | None:
    """What is wrong with a plan between these two, or None."""
    inner = [node for path in plan.paths for node in path[1:-1]]
    shares = len(plan.paths)
    if not all(2 <= len(path) <= MAX_HOPS + 1 for path in plan.paths):
        return f"a path has 1 to {MAX_HOPS} hops"
    if any(path[0] != source or path[-1] != destination for path in plan.paths):
        return "a path leads from the source to the destination"
    if source == destination or len({*inner, source, destination}) != len(inner) + 2:
        return "a node is on the paths twice"
    if sum(len(path) == 2 for path in plan.paths) > 1:
        return "a path is there twice"
    if plan.strategy != "secret-shared":
        return None if (shares, plan.threshold) == (1, 1) else f"{plan.strategy} goes along one path"
    if not 2 <= plan.threshold <= shares <= MAX_SHARES:
        return f"a secret is shared over 2 to {MAX_SHARES} paths, and 2 shares are needed at least"
    return None
