"""Every two KMEs that paths join exchange keys; whoever is cut off is refused, with the reason, until it is joined.

Looked at where everything works, so what is found here is what relaying does by itself.
"""

from collections.abc import Collection

from keyhop.core.errors import Unavailable
from keyhop.core.ids import KmeId, SaePair
from keyhop.service.requests import GetKey, GetKeyWithIds, Keys
from keyhop.testing.simulation.saes import Asked, ids_of
from keyhop.testing.simulation.simulation import Simulation
from keyhop.testing.violation import Violation

type Direction = tuple[KmeId, KmeId]
"""From the KME of masters to the KME of slaves."""

SERVED_WITHIN_S = 30.0
"""A path that failed is avoided for ten seconds, and what waits for a pad is given up after twelve."""
REQUESTS_FOR_OLD_BYTES = 40
"""How many requests it takes until an owner has used up what its follower took for old."""
CUT_OFF_EVERY = 5
"""In so many schedules somebody is cut off once."""
BLOCKS = 8
"""Of every link, while SAEs ask for keys in vain."""
HEARD_S = 14.0
"""Until all know of it, and what they had sent is given up."""
DRAIN = (16, 4, 1, 1, 1)
"""Keys of 125 bytes are asked for until there are not so many, then fewer."""
DRAINED_AFTER = 100
"""Requests, until nothing is left of what there was before."""
REASONS = (
    "no path of QKD links to",
    "node-disjoint paths to",
    "but what is reserved for other SAEs",
    "no key material is left for a pad to",
    "no key material is left for its pad",
    "it did not arrive in time",
    "its path was cut",
    "what is relayed to it has not come yet",
)


def exchange(sim: Simulation, directions: Collection[Direction]) -> None:
    """In each direction, the first SAE of one KME gets keys for the first of the other, within bounded time.

    Raises Violation.
    """
    for source, target in directions:
        if not may_be_served(sim, source, target):
            _refused(sim, source, target)
    left = [direction for direction in directions if may_be_served(sim, *direction)]
    attempts, until = 1, sim.loop.now + (SERVED_WITHIN_S if len(sim.sites.kmes) > 2 else 0.0)
    if any(sim.watch.aged(*_saes(sim, direction)) for direction in left):
        attempts = REQUESTS_FOR_OLD_BYTES
    while left and (attempts > 0 or sim.loop.now < until):
        attempts -= 1
        outcomes = _try(sim, left)
        left = [direction for direction, outcome in outcomes.items() if outcome.keys is None]
        for _ in range(BLOCKS if left and sim.sites.relays else 1):
            sim.produce_everywhere(2048)
    for direction in left:
        master, slave = _saes(sim, direction)
        sim.violated(Violation(0, f"no keys for {slave} of {master} after healing: {outcomes[direction].answers}"))
    sim.check()


def _try(sim: Simulation, directions: Collection[Direction]) -> dict[Direction, Asked]:
    """All of them at once: what came of asking, or, where keys came of that, of fetching them."""
    asked: dict[Direction, Asked] = {}
    for direction in directions:
        saes = _saes(sim, direction)
        asked[direction] = sim.get_key(GetKey(*saes, 16 if sim.watch.aged(*saes) else 3, 1000))
    _let_answer(sim, asked.values())
    for direction, request in asked.items():
        if request.keys is not None:
            master, slave = _saes(sim, direction)
            asked[direction] = sim.get_key_with_ids(GetKeyWithIds(slave, master, b"".join(ids_of(request.keys))))
    _let_answer(sim, asked.values())
    return asked


def cut_off(sim: Simulation) -> None:
    """All links of a KME stop, and come back. Raises Violation."""
    if not sim.sites.relays or sim.setting.seed % CUT_OFF_EVERY:
        return
    kmes = sim.sites.kmes
    lost = kmes[sim.setting.seed // CUT_OFF_EVERY % len(kmes)]
    other = next(kme for kme in kmes if kme != lost)
    links = [link for link in sim.sites.links if lost in link]
    for a, b in links:
        sim.stop_link(a, b)
    sim.run(HEARD_S)
    _drain(sim, other, lost)
    _refused(sim, other, lost)
    for a, b in links:
        sim.start_link(a, b)
    for _ in range(4):
        sim.produce_everywhere(2048)
        sim.run(0.5)
    exchange(sim, [(other, lost)])


def may_be_served(sim: Simulation, source: KmeId, target: KmeId) -> bool:
    """Whether there are paths enough between two KMEs, as keys are relayed here."""
    if target not in sim.sites.domain(source):
        return True
    if target in sim.sites.neighbours(source) or sim.setting.terms.strategy != "secret-shared":
        return True
    return sim.sites.disjoint_paths(source, target) >= max(2, sim.setting.terms.threshold)


def _drain(sim: Simulation, source: KmeId, target: KmeId) -> None:
    """Until nothing comes any more, except what may be kept for others."""
    master, slave = _saes(sim, (source, target))
    numbers = iter(DRAIN)
    number = next(numbers)
    for _ in range(DRAINED_AFTER):
        if _keys_of(sim, sim.get_key(GetKey(master, slave, number, 1000))) is None:
            number = next(numbers, 0)
            if not number:
                return
    sim.violated(Violation(0, f"{source} has keys without end for {target}, to which nothing leads"))
    sim.check()


def _refused(sim: Simulation, source: KmeId, target: KmeId) -> None:
    """An SAE is told that there is no way, or what of the last bytes of links is not for it; in the end, since somebody
    may still hope for a pad."""
    until = sim.loop.now + HEARD_S
    while True:
        asked = sim.get_key(GetKey(*_saes(sim, (source, target)), 1, 1000))
        _keys_of(sim, asked)
        answer = asked.answers[0] if asked.answers else None
        if isinstance(answer, Unavailable) and any(why in answer.message for why in REASONS):
            return
        if sim.loop.now > until:
            break
        sim.run(0.5)
    sim.violated(Violation(0, f"{source} is cut off from {target}, and its SAE hears: {answer}"))
    sim.check()


def _keys_of(sim: Simulation, asked: Asked) -> Keys | None:
    _let_answer(sim, (asked,))
    return asked.keys


def _let_answer(sim: Simulation, asked: Collection[Asked]) -> None:
    for _ in range(120 if sim.sites.joint else 30):
        if all(each.answers for each in asked):
            break
        sim.run(0.1)


def _saes(sim: Simulation, direction: Direction) -> SaePair:
    """The first ones of both KMEs."""
    source, target = direction
    return sim.sites.at(source)[0], sim.sites.at(target)[0]
