"""What a node says of other nodes, and of the key streams that it has with them."""

from dataclasses import dataclass
from typing import Literal

from keyhop.core.ids import KmeId
from keyhop.core.streams import Route


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One end of a key stream; `route` tells how its bytes came to both ends, `role` is this node's part.

    All accounts are bytes, over the life of this end. Of the owner's end only: what comes and goes, in bytes
    a second over some twenty seconds; `runway_s`, the seconds until the stream is empty if all goes on so, None when it
    does not run out; `low_bytes` and `high_bytes`, between which relay keeps a stream that it feeds.
    """

    owner: KmeId
    follower: KmeId
    route: Route
    role: Literal["owner", "follower"]
    epoch: int
    produced: int
    available: int
    leased: int
    delivered: int
    pad: int
    mac: int
    psk: int
    seed: int
    id_key: int
    voided: int
    expired: int
    burnt: int
    balanced: bool
    coming_per_s: float | None = None
    going_per_s: float | None = None
    runway_s: float | None = None
    low_bytes: int | None = None
    high_bytes: int | None = None


ACCOUNTS = (
    "produced",
    "available",
    "leased",
    "delivered",
    "pad",
    "mac",
    "psk",
    "seed",
    "id_key",
    "voided",
    "expired",
    "burnt",
)


@dataclass(frozen=True, slots=True)
class PskInfo:
    """The key that authenticates a peer: its `generation` counts refreshes, and `in_use` is the one of the connection.

    `refreshed_at`: seconds since 1970, None for the operators' own. `trouble`: why it was not when it was time, None at
    the end that does not decide.
    """

    generation: int
    in_use: int
    refreshed_at: float | None
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """Another node; `since` is when `connected` last changed, seconds since 1970, None when it never did.

    `neighbour`: links join it with this node. `relay_trouble`: why no keys are relayed to it, if they should be.
    Of late, `is_two`: two nodes have claimed to be it; `replaced_us`: it was told so of this node. `psk` is
    the key that authenticates it, None when certificates do.
    """

    id: KmeId
    connected: bool
    synchronised: bool
    since: float | None
    is_two: bool = False
    replaced_us: bool = False
    psk: PskInfo | None = None
    neighbour: bool = True
    relay_trouble: str | None = None
