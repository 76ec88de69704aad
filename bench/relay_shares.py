"""What each pair of SAEs could have of scarce links at best: max-min fair shares, by progressive filling.

All that want something get more at the same pace, until a link on their path has no more, or they have what they
asked for (Bertsekas and Gallager, Data Networks, 6.5.2); those of a higher priority before the others. A path is the
widest of those of the fewest hops. Pads of the relay's own bytes are not counted, so nobody can have quite that much.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from keyhop.lab import Topology

type Sites = tuple[str, str]
type Edge = frozenset[str]


def paths(topology: Topology) -> dict[Sites, tuple[Edge, ...]]:
    """Between any two sites: of those of the fewest hops the one whose narrowest link is the widest."""
    rates = {frozenset(link.ends): float(link.options["rate_bps"]) for link in topology.links}
    beside: defaultdict[str, set[str]] = defaultdict(set)
    for link in rates:
        one, other = link
        beside[one].add(other)
        beside[other].add(one)

    def width(path: tuple[Edge, ...]) -> float:
        return min(rates[edge] for edge in path)

    found: dict[Sites, tuple[Edge, ...]] = {}
    for site in beside:
        front: dict[str, tuple[Edge, ...]] = {site: ()}
        reached = {site}
        while front:
            found |= {(site, here): path for here, path in front.items() if path}
            onward: defaultdict[str, list[tuple[Edge, ...]]] = defaultdict(list)
            for here, path in front.items():
                for there in beside[here] - reached:
                    onward[there].append((*path, frozenset((here, there))))
            front = {
                there: max(ways, key=lambda way: min(map(rates.__getitem__, way))) for there, ways in onward.items()
            }
            reached |= set(front)
    return found


def shares(wanted: Sequence[tuple[int, tuple[Edge, ...]]], demand: float, rates: Mapping[Edge, float]) -> list[float]:
    """What part of `demand`, in the unit of `rates`, each of those can have; each has a priority and a path."""
    left, got = dict(rates), [0.0] * len(wanted)
    for priority in sorted({priority for priority, _ in wanted}, reverse=True):
        rising = {index for index, (its, _) in enumerate(wanted) if its == priority}
        while rising:
            users = Counter(edge for index in rising for edge in wanted[index][1])
            pace = min(*(left[edge] / number for edge, number in users.items()), *(demand - got[i] for i in rising))
            for index in rising:
                got[index] += pace
            for edge, number in users.items():
                left[edge] -= pace * number
            full = {edge for edge in users if left[edge] < 1e-9 * rates[edge]}
            rising = {i for i in rising if demand - got[i] > 1e-9 * demand and full.isdisjoint(wanted[i][1])}
    return [part / demand for part in got]
