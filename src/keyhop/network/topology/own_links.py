"""What this node says of the links to its neighbours."""

from collections.abc import Iterable, Mapping

from keyhop.core.ids import KmeId
from keyhop.core.priority import USUAL_PRIORITY
from keyhop.core.units import UNIT_BYTES
from keyhop.network.peer import Peer
from keyhop.network.topology.reports import MAX_LINKS, LinkReport


def own_links(peers: Iterable[Peer], priorities: Mapping[KmeId, int]) -> tuple[LinkReport, ...]:
    """Of the neighbours among `peers`, in their order, of as many as a report may have.

    The stock is what keys of others may have of it: not what is reserved for SAEs at the two ends, nor what
    others wait for.
    """
    links: list[LinkReport] = []
    for peer in peers:
        if (pair := peer.direct) is not None and len(links) < MAX_LINKS:
            rate_bps = int(pair.leasing.demand.bringing() * UNIT_BYTES * 8) if pair.generating else 0
            stock_bytes = pair.leasing.spare_units * UNIT_BYTES
            priority = priorities.get(peer.id, USUAL_PRIORITY)
            links.append(LinkReport(peer.id, pair.synchronised, stock_bytes, rate_bps, priority))
    return tuple(links)
