"""What a node says of its own links, as it goes over the wire."""

from typing import Annotated

import msgspec
from msgspec import Meta

from keyhop.core.errors import BadRequest
from keyhop.core.ids import KmeId, kme_id
from keyhop.core.priority import MAX_PRIORITY, USUAL_PRIORITY
from keyhop.network.wire_types import Message

MAX_LINKS = 256
MAX_HEARS = 4096
MAX_NUMBER = (1 << 53) - 1

_Name = Annotated[KmeId, Meta(min_length=1, max_length=64)]
_Number = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]

type Order = tuple[int, int]
"""Of two reports of a node the one with the higher order is the newer one."""


class LinkReport(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The direct stream that a node owns towards a neighbour.

    `rate_bps` is what the QKD links bring in bits a second, `priority` the operators' preference, the highest first.
    """

    peer: _Name
    up: bool
    stock_bytes: _Number
    rate_bps: _Number
    priority: Annotated[int, Meta(ge=0, le=MAX_PRIORITY)] = USUAL_PRIORITY


class NodeReport(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """All links of a node. `started` tells its lives apart, `version` counts what it says in one."""

    node: _Name
    started: _Number
    version: _Number
    links: Annotated[tuple[LinkReport, ...], Meta(max_length=MAX_LINKS)]

    def __post_init__(self) -> None:
        """Refuses names that a log or a terminal could not show, and what makes no sense."""
        peers = {link.peer for link in self.links}
        if self.node in peers or len(peers) != len(self.links):
            raise ValueError("a link to itself, or two to the same node")
        try:
            for name in (self.node, *peers):
                kme_id(name)
        except BadRequest as error:
            raise ValueError(error.message) from None

    @property
    def order(self) -> Order:
        """Higher is newer."""
        return (self.started, self.version)


class Report(Message, frozen=True):
    """A node's report, from itself or passed on by another, `age_ms` after the node said it.

    In its own word a node tells also whom it `hears` itself: about those it need not be told.
    """

    report: NodeReport
    age_ms: _Number = 0
    hears: Annotated[tuple[_Name, ...], Meta(max_length=MAX_HEARS)] = ()
