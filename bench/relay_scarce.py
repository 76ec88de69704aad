"""The city of `metro` where links bring half of what is asked for: who gets it. Twelve KMEs on virtual time.

The state machines are those of production, all in one process. Each pair of SAEs asks for a key in every period, at a
time of its own; the masters of some sites come first.
"""

import random
from collections.abc import Mapping, Sequence
from functools import partial

from keyhop.core.errors import KeyhopError
from keyhop.core.ids import KmeId, SaeId
from keyhop.core.priority import USUAL_PRIORITY
from keyhop.lab import load_topology
from keyhop.lab.topology.model import Link as LabLink
from keyhop.network.feeder.fairness import jains_index
from keyhop.network.pair import PairOptions
from keyhop.service.policy import PairPolicy, Policy, Rule, SaeClass
from keyhop.service.requests import GetKey, Keys
from keyhop.testing.paced_network import STEP_S, Link, PacedNetwork
from relay_metro import LEAST_INDEX, PERIOD_S, SEED, Pair, pairs_of
from relay_shares import paths, shares
from report import Aim, Row, Section

FIRST_SITES = ("north",)
FIRST_PRIORITY = 6
KEYS = 16
KEY_BYTES = 32
BLOCK_BYTES = 1024
WARM_S = 90.0
OVER_DEMAND = 2.0
"""How much more is asked for than links bring, counted as pads over the fewest hops."""
POLICY = Policy(
    PairPolicy(wait_s=1.0),
    classes=(SaeClass("first", tuple(f"{site}-*" for site in FIRST_SITES)),),
    rules=(Rule("first", "*", {"priority": FIRST_PRIORITY}),),
)


class City:
    """Pairs of SAEs that ask, in a network whose links bring so much."""

    def __init__(self, home: dict[str, str], rates: Mapping[Link, float], pairs: Sequence[Pair]) -> None:
        self._home = {SaeId(sae): KmeId(kme) for sae, kme in home.items()}
        self._pairs = pairs
        self._draw = random.Random(SEED)
        options = PairOptions(stock_bytes=1 << 18, reserved_bytes_per_pair=0)
        self._paced = PacedNetwork(self._home, rates, BLOCK_BYTES, policy=POLICY, options=options)

    def live(self, seconds: float) -> None:
        """Time passes."""
        self._paced.live(seconds, self._ask)

    def _ask(self) -> None:
        for pair in self._pairs:
            if self._draw.random() < STEP_S / PERIOD_S:
                pair.asked += 1
                request = GetKey(SaeId(pair.master), SaeId(pair.slave), KEYS)
                kme = self._paced.network.kmes[self._home[request.master]]
                kme.delivery.get_key(request, partial(_answered, pair))


def section(seconds: float) -> Section:
    """Demand is twice the supply."""
    topology = load_topology("metro")
    home = {sae.id: sae.kme for sae in topology.all_saes()}
    pairs = pairs_of(home)
    ways, asked = paths(topology), KEYS * KEY_BYTES / PERIOD_S
    needed = sum(len(ways[pair.sites]) for pair in pairs) * asked
    part = needed / OVER_DEMAND / sum(_rate(link) for link in topology.links)
    rates = {(KmeId(min(link.ends)), KmeId(max(link.ends))): part * _rate(link) for link in topology.links}
    by_ends = {frozenset[str](ends): rate for ends, rate in rates.items()}
    fair = shares([(_priority(pair), ways[pair.sites]) for pair in pairs], asked, by_ends)
    city = City(home, rates, pairs)
    city.live(WARM_S)
    for pair in pairs:
        pair.asked = pair.shared = 0
        pair.reasons.clear()
    city.live(seconds)
    of_pairs = list(zip(pairs, fair, strict=True))
    rows: list[Row] = []
    aims: list[Aim] = []
    for priority in (FIRST_PRIORITY, USUAL_PRIORITY):
        of_class = [each for each in of_pairs if _priority(each[0]) == priority]
        for hops in sorted({len(ways[pair.sites]) for pair, _ in of_class}):
            rows.append(_row(priority, str(hops), [each for each in of_class if len(ways[each[0].sites]) == hops]))
        rows.append(_row(priority, "all", of_class))
        even = float(rows[-1]["Jain"] or 0) / float(rows[-1]["Jain of fair"] or 1)
        name = f"scarce metro, priority {priority}: Jain's index over that of max-min fair shares"
        aims.append(Aim(name, even, LEAST_INDEX))
    starved = float(sum(not pair.shared for pair in pairs))
    aims.append(Aim("scarce metro: pairs that got no key", starved, 0.0, at_least=False))
    notes = [
        f"{len(pairs)} pairs ask for {KEYS} keys every {PERIOD_S:g} s in the mean, for {seconds:g} virtual s after",
        f"{WARM_S:g}; over the fewest hops their pads would take {OVER_DEMAND:g} times what the links bring; `fair` is",
        "what each could have at best with max-min fairness, over one path of the fewest hops",
        *sorted({f"told: {reason}" for pair in pairs for reason in pair.reasons})[:6],
    ]
    return Section("metro, where links bring half of what is asked for", rows, aims, notes)


def _rate(link: LabLink) -> float:
    """Bytes a second."""
    return float(link.options["rate_bps"]) / 8


def _priority(pair: Pair) -> int:
    return FIRST_PRIORITY if pair.sites[0] in FIRST_SITES else USUAL_PRIORITY


def _answered(pair: Pair, answer: Keys | KeyhopError) -> None:
    if isinstance(answer, Keys):
        pair.shared += 1
    else:
        pair.reasons.add(answer.message.split(" KME ")[0])


def _row(priority: int, hops: str, pairs: Sequence[tuple[Pair, float]]) -> Row:
    served = sorted(pair.shared / max(pair.asked, 1) for pair, _ in pairs)
    fair = [share for _, share in pairs]
    return {
        "priority": float(priority),
        "hops": hops,
        "pairs": float(len(pairs)),
        "served": sum(served) / len(served),
        "fair": sum(fair) / len(fair),
        "least": served[0],
        "median": served[len(served) // 2],
        "most": served[-1],
        "Jain": jains_index(served),
        "Jain of fair": jains_index(fair),
        "Jain of served/fair": jains_index(pair.shared / max(pair.asked, 1) / share for pair, share in pairs),
    }
