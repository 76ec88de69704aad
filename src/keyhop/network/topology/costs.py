"""What it costs to send key over an edge, in thousandths of a hop.

As the revised ARPANET metric (Khanna and Zinky, SIGCOMM 1989) has it: a bad edge is worth a detour of a few hops and
no more, and costs move in steps. If they followed the load freely, all would leave a busy link together, and come back
together.
"""

from keyhop.core.priority import MAX_PRIORITY, USUAL_PRIORITY
from keyhop.network.topology.edges import Edge

HOP = 1000
_LENGTH = tuple(HOP << USUAL_PRIORITY >> priority for priority in range(MAX_PRIORITY + 1))
"""With each priority: an edge of the next lower one counts as twice as long."""
SCARCITY_STEP = 500
MOST_SCARCITY = 8
PLENTY = 6
"""With so many powers of two more than is needed, an edge has plenty."""
LEAST_NEED_LEVEL = 12
FAILURE = 16 * HOP
SPREAD = 63
"""Between equals chance decides, for each pair of ends in its own way, so that they spread over all there is."""


def need_level(need_bytes: int) -> int:
    """The power of two of what a path is needed for; small needs are all the same."""
    return max(LEAST_NEED_LEVEL, need_bytes.bit_length())


def cost(edge: Edge, needed: int, ends: int, failures: int) -> int | None:
    """`needed` is a `need_level`, `ends` a number of the pair of ends. None for an edge that has nothing to send."""
    if edge.level is None:
        return None
    scarcity = min(max(needed + PLENTY - edge.level, 0), MOST_SCARCITY)
    chance = (edge.mark ^ ends) * 2654435761 >> 16 & SPREAD
    return _LENGTH[edge.priority] + SCARCITY_STEP * scarcity + FAILURE * failures + chance
