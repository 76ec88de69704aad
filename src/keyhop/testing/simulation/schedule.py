"""A schedule: a setting and the actions that happen in it, drawn from a seed.

Each seed draws which kinds of faults it uses at all, so that some schedules are full of crashes and others know only
bad weather. An action carries its own randomness: what is left of a schedule when some actions are taken out draws the
same details as before.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from typing import NamedTuple

from keyhop.network.feeder.options import Buffering
from keyhop.network.feeder.planning import Terms
from keyhop.service.etsi020.interchange import Edition
from keyhop.service.policy import Hybrid, Rule
from keyhop.testing.simulation import alterations, doings, faults, masters
from keyhop.testing.simulation.crossing import Manners
from keyhop.testing.simulation.doings import Choose
from keyhop.testing.simulation.setting import DiskKind, Setting
from keyhop.testing.simulation.simulation import Simulation
from keyhop.testing.simulation.sites import NETWORKS, Sites

type Do = Callable[[Simulation, Choose], None]

DOINGS: dict[Do, int] = {
    doings.enc: 10,
    doings.enc_much: 2,
    doings.dec: 8,
    doings.dec_again: 4,
    doings.dec_wrong: 2,
    doings.dec_several: 5,
    doings.dec_given_up: 1,
    doings.produce: 8,
    doings.wait: 2,
}
"""What every schedule does, and how often."""

SOMETIMES: tuple[dict[Do, int], ...] = (
    {faults.lose_power: 2, faults.lose_power_soon: 4, faults.lose_power_in_start: 1},
    {faults.kill: 2, faults.stop: 1, faults.freeze: 2},
    {faults.break_disk: 3, faults.break_disk_and_lose_power: 1},
    {faults.step_clock: 2, faults.step_clock_far: 1},
    {faults.weather: 4},
    {faults.part: 3, faults.join: 3, faults.disconnect: 4},
    {faults.stop_link: 3, faults.start_link: 2},
    {faults.stay_down: 2},
    {faults.copy: 5, faults.restore: 4, faults.relapse: 2, faults.relapse_together: 2},
    {alterations.alter: 6, doings.dec_altered: 2},
    {doings.produce_badly: 4},
    {doings.wait_long: 1},
    {faults.calm: 2},
    {faults.change_policy: 3},
    {doings.enc_dry: 3},
    {masters.insert: 4, masters.insert_again: 1},
    {masters.void: 4, masters.void_wrong: 1, masters.ask_for_void: 3},
)
"""Groups of faults, and of what SAEs do only here and there: a schedule has each of them or not."""

ACTIONS: dict[str, Do] = {do.__name__: do for group in (DOINGS, *SOMETIMES) for do in group}
"""By name."""

NETWORK_WEIGHTS = {"pair": 172, "triangle": 8, "line3": 6, "line4": 2, "ring4": 2, "theta5": 1, "joined": 9}
"""Most schedules are of two KMEs: one of five costs as much time as ten of these."""
TICKS_S = (0.25, 0.5, 0.5, 1.0, 1.0, 1.0)
TERMS = (
    Terms(),
    Terms("xor-at-destination"),
    Terms("secret-shared", paths=3),
    Terms("secret-shared", paths=3, threshold=2),
)
SQLITE_SHARE = 0.1
"""How many of the schedules run on the production store."""
BUFFERING: tuple[Buffering, ...] = ("prefetch", "prefetch", "on-demand")
SPECIAL_SHARE = 0.3
"""How many of the schedules have pairs of SAEs with rules of their own."""
HYBRIDS: tuple[Hybrid, ...] = ("xor", "kdf")
PSK_REFRESH_S = (None, None, None, None, 4.0)
EDITIONS: tuple[Edition, ...] = ("1.1.1", "1.1.1", "0.5.1")
GAPS_S = (0.0, 0.0, 0.0, 0.001, 0.003, 0.01, 0.05, 0.3)
STEPS = (12, 60)


class Action(NamedTuple):
    """Something happens `gap_s` after the action before; `salt` is its randomness."""

    gap_s: float
    name: str
    salt: int


class Schedule(NamedTuple):
    """What a seed stands for."""

    setting: Setting
    actions: tuple[Action, ...]


def draw(seed: int, network: str | None = None, disk: DiskKind | None = None) -> Schedule:
    """The schedule of a seed; in one network, or on one kind of disk, if that is asked for."""
    # 64 bits of mixing: generators of neighbouring seeds shall not resemble each other
    chance = random.Random(seed * 0x9E3779B97F4A7C15 + 1)
    drawn = chance.choices(list(NETWORK_WEIGHTS), list(NETWORK_WEIGHTS.values()))[0]
    on: DiskKind = "sqlite" if chance.random() < SQLITE_SHARE else "fast"
    tick_s = chance.choice(TICKS_S)
    witness, redelivery_s = chance.random() < 0.3, chance.choice((0.0, 0.0, 0.0, 2.0))
    reserved = chance.choice((0, 0, 512))
    terms, buffering = chance.choice(TERMS), chance.choice(BUFFERING)
    manners = Manners(chance.choice(EDITIONS), chance.random() < 0.4)
    network = network or drawn
    setting = Setting(
        seed, network, disk or on, tick_s, witness, redelivery_s, reserved, terms, buffering, manners=manners
    )
    weights = dict(DOINGS)
    for group in SOMETIMES:
        if chance.random() < 0.4:
            weights.update(group)
    names = [do.__name__ for do in weights]
    steps = chance.randint(*STEPS)
    gaps = chance.choices(GAPS_S, k=steps)
    chosen = chance.choices(names, list(weights.values()), k=steps)
    actions = tuple(Action(gap, name, chance.getrandbits(32)) for gap, name in zip(gaps, chosen, strict=True))
    rules, psk_refresh_s = _rules(NETWORKS[network], chance), chance.choice(PSK_REFRESH_S)
    return Schedule(replace(setting, rules=rules, psk_refresh_s=psk_refresh_s), actions)


def _rules(sites: Sites, chance: random.Random) -> tuple[Rule, ...]:
    """What some pairs of a domain want in some schedules. The first master of each KME has no expanded keys, because at
    the end of a schedule it uses up what it can have."""
    if chance.random() > SPECIAL_SHARE:
        return ()
    hybrid = chance.choice(HYBRIDS)
    gives: list[dict[str, str]] = [{}, {"hybrid": hybrid}, {"when_dry": "expand"}]
    rules = []
    for master, slave in permutations(sites.saes, 2):
        given = chance.choice(gives if master not in sites.first_saes else gives[:2])
        if given and not sites.is_foreign(sites.home[master], slave):
            rules.append(Rule(master, slave, given))
    return tuple(rules)
