"""`[relay]` of node.toml: how this node's keys travel to KMEs over others."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from keyhop.network.feeder.feeder import Buffering, FeederOptions
from keyhop.network.feeder.planning import Terms
from keyhop.network.relay.messages import MAX_SHARES, Strategy


@dataclass(frozen=True, slots=True)
class RelaySection:
    """How this node's keys travel to KMEs over others, under one-time pads."""

    strategy: Annotated[
        Strategy,
        Meta(
            description="`hop-by-hop`: each node on the path decrypts and encrypts again; `xor-at-destination`: each "
            "sends the XOR of its two pads to the destination, all at once; `secret-shared`: shares go over "
            "node-disjoint paths, so no node between learns anything."
        ),
    ] = "hop-by-hop"
    paths: Annotated[
        int, Meta(ge=1, le=MAX_SHARES, description="With `secret-shared`: paths to use, if there are so many.")
    ] = 2
    least_paths: Annotated[
        int, Meta(ge=1, le=MAX_SHARES, description="With `secret-shared`: with fewer paths nothing is relayed.")
    ] = 2
    threshold: Annotated[
        int,
        Meta(
            ge=0, le=MAX_SHARES, description="With `secret-shared`: shares that are enough for the key; 0: all of them."
        ),
    ] = 0
    buffering: Annotated[
        Buffering,
        Meta(
            description="`prefetch`: relayed streams are kept filled, by what is asked for; `on-demand`: nothing is "
            "kept, a key is relayed when it is asked for."
        ),
    ] = "prefetch"
    least_stock_bytes: Annotated[
        int,
        Meta(ge=1024, le=1 << 30, description="With `prefetch`: what a stream holds at least, though nobody asks."),
    ] = 8192

    def terms(self) -> Terms:
        """As the feeder knows them."""
        return Terms(self.strategy, self.paths, self.least_paths, self.threshold)

    def feeder(self, most_bytes: int) -> FeederOptions:
        """As the feeder knows them; a stream holds `most_bytes` at most."""
        return FeederOptions(self.buffering, self.least_stock_bytes, most_bytes)
