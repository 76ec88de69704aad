"""`[relay]` of node.toml: how this node's keys travel to KMEs over others."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from keyhop.core.ids import KmeId
from keyhop.core.priority import MAX_PRIORITY
from keyhop.network.feeder.options import Buffering, FeederOptions
from keyhop.network.feeder.planning import Terms
from keyhop.network.relay.messages import MAX_SHARES, Strategy


@dataclass(frozen=True, slots=True)
class SourceSection:
    """A KME of which more, or less, is believed than of others."""

    kme: Annotated[KmeId, Meta(description="Its ID.")]
    most_priority: Annotated[
        int,
        Meta(ge=0, le=MAX_PRIORITY, description="The highest priority that what it sends over this node has here."),
    ]


@dataclass(frozen=True, slots=True)
class RelaySection:
    """How this node's keys travel to KMEs over others, under one-time pads; and what it does for those of others."""

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

    most_priority: Annotated[
        int,
        Meta(
            ge=0,
            le=MAX_PRIORITY,
            description="The highest priority that what other KMEs send over this node has here, whatever they "
            "say: lower it where they are not all of your organisation.",
        ),
    ] = MAX_PRIORITY
    sources: Annotated[
        tuple[SourceSection, ...], Meta(description="KMEs for which another `most_priority` holds.")
    ] = ()

    def terms(self) -> Terms:
        """As the feeder knows them."""
        return Terms(self.strategy, self.paths, self.least_paths, self.threshold)

    def feeder(self, most_bytes: int) -> FeederOptions:
        """As the feeder knows them; a stream holds `most_bytes` at most."""
        return FeederOptions(self.buffering, self.least_stock_bytes, most_bytes)

    def most_priorities(self, kmes: Iterable[KmeId]) -> dict[KmeId, int]:
        """Of each of these KMEs."""
        return dict.fromkeys(kmes, self.most_priority) | {source.kme: source.most_priority for source in self.sources}
